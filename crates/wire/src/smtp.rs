//! Replies of SMTP (RFC 5321 §4.2): lines of a code and words, of which all but the last have a hyphen after the code.

/// The longest line: a standard one has 512 bytes (RFC 5321 §4.5.3.1.5), and servers that greet at length some more.
pub const LINE_MAX: usize = 2048;

/// Lines of one reply: that to EHLO has one for each extension, some twenty.
pub const LINES_MAX: usize = 128;

/// A whole reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Such as 220 or 554.
    pub code: u16,
    /// How many bytes it took.
    pub taken: usize,
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyError {
    /// A line does not begin with a code from 200 to 599, or with another code than the line before it.
    Malformed,
    /// A line or the reply is longer than any is.
    TooLong,
}

impl ReplyError {
    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            ReplyError::Malformed => "smtp_malformed",
            ReplyError::TooLong => "smtp_too_long",
        }
    }
}

/// Reads the reply at the beginning of `bytes`; `None`: it goes on after them.
///
/// # Errors
/// As soon as a whole line is wrong, or too much has come.
pub fn parse_reply(bytes: &[u8]) -> Result<Option<Reply>, ReplyError> {
    let (mut at, mut first) = (0, None);
    for _ in 0..LINES_MAX {
        let ahead = &bytes[at..];
        let Some(length) = ahead.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
            return if ahead.len() < LINE_MAX { Ok(None) } else { Err(ReplyError::TooLong) };
        };
        let (code, goes_on) = parse_line(&ahead[..length]).ok_or(ReplyError::Malformed)?;
        if *first.get_or_insert(code) != code {
            return Err(ReplyError::Malformed);
        }
        at += length + 1;
        if !goes_on {
            return Ok(Some(Reply { code, taken: at }));
        }
    }
    Err(ReplyError::TooLong)
}

/// The code of a line without its line feed, and whether another follows.
fn parse_line(line: &[u8]) -> Option<(u16, bool)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (code, rest) = line.split_first_chunk::<3>()?;
    let digits = code.map(|byte| byte.wrapping_sub(b'0'));
    if !(2..=5).contains(&digits[0]) || digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(*digit));
    match rest.first() {
        None | Some(b' ') => Some((code, false)),
        Some(b'-') => Some((code, true)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn replies_of_one_line_and_of_several() {
        let whole = |code, taken| Ok(Some(Reply { code, taken }));
        let table: [(&[u8], _); 14] = [
            (b"220 mail.example.org ESMTP\r\n", whole(220, 28)),
            (b"250\r\n", whole(250, 5)),
            (b"250 ok\n", whole(250, 7)),
            // RFC 5321 appendix D.1.
            (b"250-foo.com greets bar.com\r\n250-8BITMIME\r\n250-SIZE\r\n250-DSN\r\n250 HELP\r\n221 x", whole(250, 71)),
            (b"220", Ok(None)),
            (b"220-one\r\n220-two\r\n", Ok(None)),
            (b"", Ok(None)),
            (b"220-one\r\n250 two\r\n", Err(ReplyError::Malformed)),
            (b"22\r\n", Err(ReplyError::Malformed)),
            (b"2200 x\r\n", Err(ReplyError::Malformed)),
            (b"199 x\r\n", Err(ReplyError::Malformed)),
            (b"600 x\r\n", Err(ReplyError::Malformed)),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", Err(ReplyError::Malformed)),
            (b"\n", Err(ReplyError::Malformed)),
        ];
        for (bytes, expected) in table {
            assert_eq!(parse_reply(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_greeting_without_end_is_given_up() {
        let line = |length: usize| [b"220 ".to_vec(), vec![b'x'; length - 6], b"\r\n".to_vec()].concat();
        assert_eq!(parse_reply(&line(2048)), Ok(Some(Reply { code: 220, taken: 2048 })));
        assert_eq!(parse_reply(&line(2049)), Err(ReplyError::TooLong));
        assert_eq!(parse_reply(&[b'2'; 2047]), Ok(None));
        assert_eq!(parse_reply(&[b'2'; 2048]), Err(ReplyError::TooLong));
        let lines = |count: usize| [b"250-x\r\n".repeat(count), b"250 x\r\n".to_vec()].concat();
        assert_eq!(parse_reply(&lines(127)).map(|reply| reply.map(|reply| reply.code)), Ok(Some(250)));
        assert_eq!(parse_reply(&lines(128)), Err(ReplyError::TooLong));
        assert_eq!(parse_reply(&b"250-x\r\n".repeat(127)), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_whole_is_whole_whatever_follows(bytes in "(2[0-9]{2}[- ]?[a-z]{0,3}\r?\n){0,3}", more: Vec<u8>) {
            if let Ok(Some(reply)) = parse_reply(bytes.as_bytes()) {
                prop_assert!(reply.taken <= bytes.len());
                prop_assert_eq!(parse_reply(&[bytes.as_bytes(), &more].concat()), Ok(Some(reply)));
                prop_assert_eq!(parse_reply(&bytes.as_bytes()[..reply.taken - 1]), Ok(None));
            }
        }
    }
}
