/// How much of a pool is enough, by the weights of its usable servers, as keepalived counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// So much is enough; at least 1.
    pub weight: u32,
    /// How much more brings a lost quorum back, and how much less does not lose it yet. Less than `weight`.
    pub hysteresis: u32,
}

impl Default for Quorum {
    /// One server with a weight is enough.
    fn default() -> Quorum {
        Quorum { weight: 1, hysteresis: 0 }
    }
}

impl Quorum {
    /// Whether `weight` is enough: it is lost with nothing left or below the quorum without the hysteresis, and there
    /// again from the quorum with the hysteresis on. Between them it is as it was, and lost if it was not known.
    pub fn is_there(self, was_there: Option<bool>, weight: u32) -> bool {
        match was_there {
            Some(true) => weight > 0 && weight >= self.weight.saturating_sub(self.hysteresis),
            Some(false) | None => weight >= self.weight.saturating_add(self.hysteresis),
        }
    }
}
