use std::fmt;

/// A server's share of its pool, relative to the others: 0 (gets nothing new) to 65535.
///
/// HAProxy's weights end at 256, keepalived's and IPVS's at 65535; each fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// Gets nothing new.
    pub const ZERO: Weight = Weight(0);
    /// What a server has that names none.
    pub const ONE: Weight = Weight(1);

    /// A weight of `value`.
    pub const fn new(value: u16) -> Weight {
        Weight(value)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Weight {
        Weight::ONE
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A share, as somebody other than the configuration says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// This weight.
    Number(u16),
    /// Of the weight in the configuration.
    Percent(u16),
}

impl Share {
    /// The weight of a server whose weight in the configuration is `configured`.
    ///
    /// Parts of a unit are rounded up, so that only 0 % of a weight is 0.
    pub fn of(self, configured: Weight) -> Weight {
        match self {
            Share::Number(number) => Weight::new(number),
            Share::Percent(percent) => {
                let parts = u32::from(configured.get()) * u32::from(percent);
                Weight::new(u16::try_from(parts.div_ceil(100)).unwrap_or(u16::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_per_cent_is_of_the_configured_weight_and_only_none_of_it_is_nothing() {
        let table = [(3, 100, 3), (3, 50, 2), (3, 1, 1), (3, 0, 0), (0, 100, 0), (10, 250, 25), (65_535, 200, 65_535)];
        for (configured, percent, expected) in table {
            assert_eq!(Share::Percent(percent).of(Weight::new(configured)), Weight::new(expected), "{percent} %");
        }
        assert_eq!(Share::Number(7).of(Weight::new(3)), Weight::new(7));
    }
}
