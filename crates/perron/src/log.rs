//! The program's own log: one line an event on standard error.
//!
//! On its own `time level message key=value …`; under systemd, which keeps the time, `<priority>message key=value …`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use units::Utc;

/// How much an operator cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The service, or a part of it, does not do what it should.
    Error,
    /// Worth a look.
    Warn,
    /// A change of state.
    Info,
}

/// Values that go with a message, in this order.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a dyn fmt::Display)];

/// Logs something that failed.
pub(crate) fn error(message: &str, fields: Fields<'_>) {
    write(Level::Error, message, fields);
}

/// Logs something worth a look.
pub(crate) fn warn(message: &str, fields: Fields<'_>) {
    write(Level::Warn, message, fields);
}

/// Logs a change of state.
pub(crate) fn info(message: &str, fields: Fields<'_>) {
    write(Level::Info, message, fields);
}

fn write(level: Level, message: &str, fields: Fields<'_>) {
    let now = Utc::at(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    write_at(now, level, message, fields);
}

/// Logs something of that time, at a level that is decided elsewhere.
pub(crate) fn write_at(time: Utc, level: Level, message: &str, fields: Fields<'_>) {
    let line = match is_journal() {
        true => format!("<{}>{}\n", level.priority(), body(message, fields)),
        false => format!("{time} {:5} {}\n", level.word(), body(message, fields)),
    };
    // Nobody is left to be told that standard error is gone.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

impl Level {
    /// The word in the log and in events.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
        }
    }

    /// sd-daemon(3).
    fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
        }
    }
}

/// Whether standard error is the journal: systemd tells its device and inode.
fn is_journal() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let Ok(told) = std::env::var("JOURNAL_STREAM") else {
            return false;
        };
        rustix::fs::fstat(std::io::stderr().as_fd())
            .is_ok_and(|stat| told == format!("{}:{}", stat.st_dev, stat.st_ino))
    })
}

fn body(message: &str, fields: Fields<'_>) -> String {
    let mut text = message.to_owned();
    for (key, value) in fields {
        let value = value.to_string();
        let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        let written = match plain {
            true => write!(text, " {key}={value}"),
            false => write!(text, " {key}={value:?}"),
        };
        written.expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_could_be_mistaken_are_quoted() {
        let fields: Fields<'_> = &[("pid", &7), ("why", &"two words"), ("text", &""), ("evil", &"a\nb")];
        assert_eq!(body("it died", fields), r#"it died pid=7 why="two words" text="" evil="a\nb""#);
    }
}
