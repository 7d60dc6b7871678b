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
