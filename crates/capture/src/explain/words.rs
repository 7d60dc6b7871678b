use std::fmt;
use std::time::Duration;

/// A time as people write it: `60.938 ms`, `3.609 s`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            long if long >= Duration::from_secs(1) => (long.as_secs_f64(), "s"),
            short => (short.as_secs_f64() * 1000.0, "ms"),
        };
        let text = format!("{number:.3}");
        write!(formatter, "{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// `first`, `second`, `third`.
pub(crate) fn ordinal(number: u32) -> &'static str {
    match number {
        1 => "first",
        2 => "second",
        3 => "third",
        _ => "next",
    }
}

/// `10.0.0.9, 10.0.0.10 and 3 more`.
pub(crate) fn list<T: fmt::Display>(mut items: impl Iterator<Item = T>) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = items.by_ref().take(SHOWN).map(|item| item.to_string()).collect();
    match items.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_exact_to_a_microsecond() {
        for (micros, expected) in [
            (0, "0 ms"),
            (345, "0.345 ms"),
            (60_937, "60.937 ms"),
            (100_000, "100 ms"),
            (999_999, "999.999 ms"),
            (1_000_000, "1 s"),
            (3_609_375, "3.609 s"),
        ] {
            assert_eq!(Span(Duration::from_micros(micros)).to_string(), expected);
        }
    }

    #[test]
    fn lists_end_after_four() {
        assert_eq!(list([1, 2].iter()), "1, 2");
        assert_eq!(list(1..=4), "1, 2, 3, 4");
        assert_eq!(list(1..=6), "1, 2, 3, 4 and 2 more");
        assert_eq!(list::<u8>([].into_iter()), "");
    }
}
