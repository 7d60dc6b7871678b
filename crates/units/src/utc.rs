use std::fmt;
use std::time::Duration;

/// A moment in universal time, as logs write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// The year of the Gregorian calendar.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; leap seconds are not told apart.
    pub second: u8,
    /// 0 to 999.
    pub millis: u16,
}

impl Utc {
    /// The moment `since_1970` after 1970-01-01T00:00:00Z.
    pub fn at(since_1970: Duration) -> Utc {
        let seconds = since_1970.as_secs();
        let (year, month, day) = date(seconds / 86_400);
        Utc {
            year,
            month,
            day,
            hour: (seconds / 3600 % 24) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            millis: since_1970.subsec_millis() as u16,
        }
    }
}

impl fmt::Display for Utc {
    /// As in `2026-11-21T00:59:01.123Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Utc { year, month, day, hour, minute, second, millis } = self;
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day, `days` after 1970-01-01.
fn date(days: u64) -> (u64, u8, u8) {
    // Counted from 0000-03-01, 719 468 days before 1970, so that a leap day ends its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_date_prints_them() {
        // `date -u -d @N +%FT%TZ`.
        for (unix, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_795_226_164, "2026-11-21T01:56:04.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Utc::at(Duration::from_secs(unix)).to_string(), expected);
        }
    }
}
