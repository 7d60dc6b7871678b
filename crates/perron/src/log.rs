//! The program's own log: one line an event on standard error.
//!
//! On its own `time level message key=value …`; under systemd, which keeps the time, `<priority>message key=value …`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::SystemTime;

/// How much an operator cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Logs at a level that is decided elsewhere.
pub(crate) fn write(level: Level, message: &str, fields: Fields<'_>) {
    let line = match is_journal() {
        true => format!("<{}>{}\n", level.priority(), body(message, fields)),
        false => {
            let now = time(SystemTime::now());
            format!("{now} {:5} {}\n", level.word(), body(message, fields))
        }
    };
    // Nobody is left to be told that standard error is gone.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

impl Level {
    fn word(self) -> &'static str {
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

/// RFC 3339 in UTC, with milliseconds.
fn time(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The Gregorian date of a day counted from 1970-01-01.
fn civil(mut day: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_as_date_prints_them() {
        // `date -u -d @N +%FT%TZ`.
        for (unix, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_secs(unix)), expected);
        }
    }

    #[test]
    fn values_that_could_be_mistaken_are_quoted() {
        let fields: Fields<'_> = &[("pid", &7), ("why", &"two words"), ("text", &""), ("evil", &"a\nb")];
        assert_eq!(body("it died", fields), r#"it died pid=7 why="two words" text="" evil="a\nb""#);
    }
}
