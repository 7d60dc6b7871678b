//! What an agent beside a server says of it: words on one line, as HAProxy's `agent-check` has them.
//!
//! `up 75% maxconn:30`, `drain`, `down # the disk is full`

use units::{AdminState, Share};

/// The longest line that is read.
pub const LINE_MAX: usize = 1024;

/// What a line says; what it leaves out it says nothing of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentLine {
    /// Whether the server is well.
    pub well: Option<bool>,
    /// Its share: of its configured weight (`75%`, `weight:75%`), or its weight (`weight:3`).
    pub share: Option<Share>,
    /// What is to be done with it.
    pub admin: Option<AdminState>,
    /// Requests in flight at once.
    pub max_in_flight: Option<u32>,
}

/// Reads a line without its end. Words are separated by blanks, tabs and commas, and understood in any case; what follows
/// a `#` is for people, and words that are not known are passed over. `None`: there is none that is known.
pub fn parse_line(line: &[u8]) -> Option<AgentLine> {
    let words = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut said = AgentLine::default();
    for word in words.split(|byte| b" \t,".contains(byte)) {
        let word = std::str::from_utf8(word).unwrap_or_default().to_ascii_lowercase();
        match word.as_str() {
            "up" => said.well = Some(true),
            "down" | "failed" | "fail" | "stopped" => said.well = Some(false),
            "ready" => said.admin = Some(AdminState::Ready),
            "drain" => said.admin = Some(AdminState::Drain),
            "maint" => said.admin = Some(AdminState::Maintenance),
            _ => match word.split_once(':') {
                Some(("maxconn", digits)) => said.max_in_flight = number(digits).or(said.max_in_flight),
                Some(("weight", weight)) => said.share = share(weight).or(said.share),
                None if word.ends_with('%') => said.share = share(&word).or(said.share),
                _ => {}
            },
        }
    }
    (said != AgentLine::default()).then_some(said)
}

fn share(text: &str) -> Option<Share> {
    match text.strip_suffix('%') {
        Some(digits) => number(digits).map(Share::Percent),
        None => number(text).map(Share::Number),
    }
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_agents_say() {
        let none = AgentLine::default();
        let table: [(&str, Option<AgentLine>); 19] = [
            ("up", Some(AgentLine { well: Some(true), ..none })),
            ("UP\t", Some(AgentLine { well: Some(true), ..none })),
            ("down", Some(AgentLine { well: Some(false), ..none })),
            ("failed#the disk is full, up 100%", Some(AgentLine { well: Some(false), ..none })),
            ("stopped # for the night", Some(AgentLine { well: Some(false), ..none })),
            ("75%", Some(AgentLine { share: Some(Share::Percent(75)), ..none })),
            ("0%", Some(AgentLine { share: Some(Share::Percent(0)), ..none })),
            ("weight:256", Some(AgentLine { share: Some(Share::Number(256)), ..none })),
            ("weight:50%", Some(AgentLine { share: Some(Share::Percent(50)), ..none })),
            ("maxconn:30", Some(AgentLine { max_in_flight: Some(30), ..none })),
            ("ready", Some(AgentLine { admin: Some(AdminState::Ready), ..none })),
            ("drain", Some(AgentLine { admin: Some(AdminState::Drain), ..none })),
            ("maint", Some(AgentLine { admin: Some(AdminState::Maintenance), ..none })),
            (
                "ready,up 50%\tmaxconn:9 what-is-this",
                Some(AgentLine {
                    well: Some(true),
                    share: Some(Share::Percent(50)),
                    admin: Some(AdminState::Ready),
                    max_in_flight: Some(9),
                }),
            ),
            ("", None),
            ("#up", None),
            ("HTTP/1.1 400 Bad Request", None),
            ("-5% +5% 70000% weight:x % maxconn:", None),
            ("upper", None),
        ];
        for (line, expected) in table {
            assert_eq!(parse_line(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(parse_line(b"\xff\xfe up"), Some(AgentLine { well: Some(true), ..none }));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(line: Vec<u8>) {
            let said = parse_line(&line);
            prop_assert_eq!(parse_line(&[&line[..], b"#up"].concat()), said);
        }
    }
}
