//! Asks a mail server to greet, and says good-bye.

use health::Finding;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::smtp::{ReplyError, parse_reply};

use crate::config::SmtpCheck;

/// Bytes taken from the socket at once.
const READ: usize = 1024;

/// RFC 5321 §4.2.2 and §4.2.3.
const READY: u16 = 220;
const OK: u16 = 250;

/// Hears the greeting, greets by EHLO or by what went before it, and quits. The code is that of the last reply that counts.
///
/// It may wait for the server without end.
pub(crate) async fn judge<S>(stream: &mut S, check: &SmtpCheck) -> (Finding, Option<u16>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut heard = Vec::new();
    let mut code = match hear(stream, &mut heard).await {
        Ok(READY) => READY,
        Ok(code) => return (Finding::WrongStatus, Some(code)),
        Err(finding) => return (finding, None),
    };
    // RFC 5321 §3.2: a server that does not know EHLO answers 500 or 502, and knows HELO.
    for word in ["EHLO", "HELO"] {
        match ask(stream, &mut heard, &format!("{word} {}\r\n", check.helo)).await {
            Ok(OK) => {
                // What it says to this is not waited for for long, and decides nothing: it has taken the greeting.
                let _ = ask(stream, &mut heard, "QUIT\r\n").await;
                return (Finding::Answered, Some(OK));
            }
            Ok(refused @ 500..=599) => code = refused,
            Ok(refused) => return (Finding::WrongStatus, Some(refused)),
            Err(finding) => return (finding, Some(code)),
        }
    }
    let _ = stream.write_all(b"QUIT\r\n").await;
    (Finding::WrongStatus, Some(code))
}

async fn ask<S>(stream: &mut S, heard: &mut Vec<u8>, line: &str) -> Result<u16, Finding>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(line.as_bytes()).await.map_err(|_| Finding::BadAnswer)?;
    stream.flush().await.map_err(|_| Finding::BadAnswer)?;
    hear(stream, heard).await
}

/// The code of the next reply; what follows it stays in `heard`.
async fn hear<S: AsyncRead + Unpin>(stream: &mut S, heard: &mut Vec<u8>) -> Result<u16, Finding> {
    loop {
        match parse_reply(heard) {
            Ok(Some(reply)) => {
                heard.drain(..reply.taken);
                return Ok(reply.code);
            }
            Ok(None) => {}
            Err(ReplyError::TooLong) => return Err(Finding::AnswerTooLong),
            Err(ReplyError::Malformed) => return Err(Finding::BadAnswer),
        }
        let mut piece = [0; READ];
        match stream.read(&mut piece).await {
            Ok(length @ 1..) => heard.extend_from_slice(&piece[..length]),
            _ => return Err(Finding::BadAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// A server that says these, each after a line of the client but for the first; and what the client said.
    async fn with(says: &[&str]) -> ((Finding, Option<u16>), String) {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let check = SmtpCheck { helo: "director.example.org".to_owned() };
        let (found, heard) = tokio::join!(
            async {
                let found = judge(&mut client, &check).await;
                drop(client);
                found
            },
            serve(server, says)
        );
        (found, heard)
    }

    async fn serve(mut stream: DuplexStream, says: &[&str]) -> String {
        let mut heard = String::new();
        for text in says {
            if stream.write_all(text.as_bytes()).await.is_err() {
                break;
            }
            let begun = heard.len();
            while !heard[begun..].ends_with('\n') {
                let Ok(byte) = stream.read_u8().await else { return heard };
                heard.push(char::from(byte));
            }
        }
        heard
    }

    #[tokio::test]
    async fn a_server_that_greets_and_takes_a_greeting_is_well() {
        let ehlo = "EHLO director.example.org\r\n";
        let (found, heard) = with(&["220 hello\r\n", "250-size\r\n250 help\r\n", "221 bye\r\n"]).await;
        assert_eq!((found, heard), ((Finding::Answered, Some(250)), format!("{ehlo}QUIT\r\n")));
        let (found, heard) = with(&["220-one\r\n220 two\r\n", "502 what?\r\n", "250 ok\r\n"]).await;
        let helo = "HELO director.example.org\r\n";
        assert_eq!((found, heard), ((Finding::Answered, Some(250)), format!("{ehlo}{helo}QUIT\r\n")));
        // RFC 5321 §4.5.2 asks for no order of closing: one that hangs up at once is well too.
        assert_eq!(with(&["220 hello\r\n", "250 ok\r\n"]).await.0, (Finding::Answered, Some(250)));
    }

    #[tokio::test]
    async fn every_other_answer_has_its_word() {
        let endless = "220-x\r\n".repeat(200);
        let table: [(&[&str], Finding, Option<u16>); 9] = [
            (&["554 no service\r\n"], Finding::WrongStatus, Some(554)),
            (&["421 try later\r\n"], Finding::WrongStatus, Some(421)),
            (&["220 hello\r\n", "421 too many\r\n"], Finding::WrongStatus, Some(421)),
            (&["220 hello\r\n", "500 what?\r\n", "550 who?\r\n"], Finding::WrongStatus, Some(550)),
            (&["220 hello\r\n", "nonsense\r\n"], Finding::BadAnswer, Some(220)),
            (&["HTTP/1.1 400 Bad Request\r\n\r\n"], Finding::BadAnswer, None),
            (&["\0\0\0\n"], Finding::BadAnswer, None),
            (&[&endless], Finding::AnswerTooLong, None),
            (&[], Finding::BadAnswer, None),
        ];
        for (says, finding, code) in table {
            assert_eq!(with(says).await.0, (finding, code), "{says:?}");
        }
    }
}
