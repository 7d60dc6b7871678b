use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a quantity with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    /// It does not begin with a whole number.
    Number,
    /// Nothing, or a word that is no unit of this kind, follows the number.
    Unit,
    /// The number with its unit is larger than can be held.
    TooLarge,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            QuantityError::Number => "it does not begin with a whole number",
            QuantityError::Unit => "its unit is missing or unknown",
            QuantityError::TooLarge => "it is too large",
        })
    }
}

impl std::error::Error for QuantityError {}

/// Reads a duration written `"250us"`, `"100ms"`, `"2s"`, `"5m"`, `"1h"` or `"7d"`.
///
/// # Errors
/// If the number or the unit is missing, or the unit is none of these.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let micros = scaled(
        text,
        &[("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)],
    )?;
    Ok(Duration::from_micros(micros))
}

/// Writes a duration as [`parse_duration`] reads it, in the largest unit that is exact.
pub fn write_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    for (unit, size) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)] {
        if micros >= size && micros.is_multiple_of(size) {
            return format!("{}{unit}", micros / size);
        }
    }
    if micros == 0 { "0s".to_owned() } else { format!("{micros}us") }
}

/// A number of bytes, written `"512B"`, `"64KiB"`, `"10MiB"`, `"4GiB"` or with decimal `kB`, `MB`, `GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<ByteSize, QuantityError> {
        scaled(
            text,
            &[
                ("B", 1),
                ("KiB", 1 << 10),
                ("MiB", 1 << 20),
                ("GiB", 1 << 30),
                ("TiB", 1 << 40),
                ("kB", 1_000),
                ("MB", 1_000_000),
                ("GB", 1_000_000_000),
                ("TB", 1_000_000_000_000),
            ],
        )
        .map(ByteSize)
    }
}

impl fmt::Display for ByteSize {
    /// In the largest binary unit that is exact.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 >> shift > 0 && self.0.trailing_zeros() >= shift {
                return write!(formatter, "{}{unit}", self.0 >> shift);
            }
        }
        write!(formatter, "{}B", self.0)
    }
}

/// Bits per second, written `"100Mbit"`, `"10Gbit"`; decimal, as networks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bandwidth(pub u64);

impl FromStr for Bandwidth {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Bandwidth, QuantityError> {
        scaled(
            text,
            &[("bit", 1), ("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000), ("Tbit", 1_000_000_000_000)],
        )
        .map(Bandwidth)
    }
}

impl fmt::Display for Bandwidth {
    /// In the largest unit that is exact.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("Tbit", 1_000_000_000_000), ("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000)]
        {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(formatter, "{}{unit}", self.0 / size);
            }
        }
        write!(formatter, "{}bit", self.0)
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, QuantityError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(QuantityError::Number);
    }
    let number: u64 = number.parse().map_err(|_| QuantityError::TooLarge)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit).ok_or(QuantityError::Unit)?;
    number.checked_mul(*size).ok_or(QuantityError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(parse_duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse_duration("2"), Err(QuantityError::Unit));
        assert_eq!(parse_duration("2 s"), Err(QuantityError::Unit));
        assert_eq!(parse_duration("s"), Err(QuantityError::Number));
        assert_eq!(parse_duration("-1s"), Err(QuantityError::Number));
        assert_eq!(parse_duration("99999999999999999999s"), Err(QuantityError::TooLarge));
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0s", "250us", "100ms", "90s", "2m", "1h"] {
            assert_eq!(write_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["1B", "64KiB", "1000B", "4GiB"] {
            assert_eq!(text.parse::<ByteSize>().expect(text).to_string(), text);
        }
        for text in ["10Gbit", "1500Mbit", "1bit"] {
            assert_eq!(text.parse::<Bandwidth>().expect(text).to_string(), text);
        }
    }
}
