//! Asks an agent beside a server what it thinks of it.

use health::{Advice, Finding};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::agent::{LINE_MAX, parse_line};

use crate::config::AgentCheck;

/// Reads one line, up to its end or that of the connection, and judges it.
///
/// It may wait for the agent without end.
pub(crate) async fn judge<S>(stream: &mut S, check: &AgentCheck) -> (Finding, Advice)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(text) = &check.send {
        // An agent that does not read says its line all the same.
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.flush().await;
    }
    let mut line = Vec::new();
    loop {
        if let Some(end) = line.iter().position(|byte| b"\r\n".contains(byte)) {
            line.truncate(end);
            break;
        }
        let mut piece = [0; LINE_MAX + 1];
        let room = LINE_MAX + 1 - line.len();
        if room == 0 {
            return (Finding::AgentUnclear, Advice::NONE);
        }
        match stream.read(&mut piece[..room]).await {
            Ok(length @ 1..) => line.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    let Some(said) = parse_line(&line) else {
        return (Finding::AgentUnclear, Advice::NONE);
    };
    let finding = match said.well {
        Some(true) => Finding::Answered,
        Some(false) => Finding::AgentDown,
        None => Finding::Advised,
    };
    (finding, Advice { share: said.share, admin: said.admin })
}

#[cfg(test)]
mod tests {
    use units::{AdminState, Share};

    use super::*;

    async fn said(line: &[u8], ends: bool) -> (Finding, Advice) {
        let (mut client, mut agent) = tokio::io::duplex(1 << 16);
        agent.write_all(line).await.expect("room");
        let held = (!ends).then_some(agent);
        let found = judge(&mut client, &AgentCheck { send: None }).await;
        drop(held);
        found
    }

    #[tokio::test]
    async fn a_line_is_judged_at_its_end_or_that_of_the_connection() {
        let share = |percent| Advice { share: Some(Share::Percent(percent)), admin: None };
        assert_eq!(said(b"up 50%\n", false).await, (Finding::Answered, share(50)));
        assert_eq!(said(b"75%\r\ndown\n", false).await, (Finding::Advised, share(75)));
        assert_eq!(said(b"down#disk", true).await, (Finding::AgentDown, Advice::NONE));
        let drain = Advice { share: None, admin: Some(AdminState::Drain) };
        assert_eq!(said(b"drain\n", false).await, (Finding::Advised, drain));
        for unclear in [&b"\n"[..], b"", b"220 mail\r\n", b"\0\xff\n"] {
            assert_eq!(said(unclear, true).await, (Finding::AgentUnclear, Advice::NONE), "{unclear:?}");
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_waited_for() {
        let line = |length: usize| [b"up".to_vec(), vec![b' '; length - 2]].concat();
        assert_eq!(said(&line(1024), true).await.0, Finding::Answered);
        assert_eq!(said(&[line(1024), b"\n".to_vec()].concat(), false).await.0, Finding::Answered);
        assert_eq!(said(&line(1025), false).await.0, Finding::AgentUnclear);
    }

    #[tokio::test]
    async fn an_agent_is_told_what_it_is_asked() {
        let (mut client, mut agent) = tokio::io::duplex(64);
        let check = AgentCheck { send: Some("web1\n".to_owned()) };
        let asked = async {
            let mut text = [0; 5];
            agent.read_exact(&mut text).await.expect("a question");
            agent.write_all(b"up\n").await.expect("room");
            text
        };
        let (found, asked) = tokio::join!(judge(&mut client, &check), asked);
        assert_eq!((found.0, &asked), (Finding::Answered, b"web1\n"));
    }
}
