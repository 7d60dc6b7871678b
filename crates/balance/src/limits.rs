//! What bounds this crate's tables.

/// Servers in a pool. Tables hold their places in 16 bits, and a scan of them all, which a full pool needs, stays some
/// tens of microseconds.
pub(crate) const SERVERS_MAX: usize = 16_384;

/// Choices up to which the best is looked for among all of them: about a microsecond's work.
pub(crate) const EXACT_MAX: usize = 128;

/// How many are drawn where there are more, to take the best of them.
pub(crate) const DRAWS: usize = 16;

/// Turns that a sequence aims not to exceed (32 KiB). Weights whose sum is greater are scaled down to it,
/// and none below one turn, so a sequence can be longer by one turn for each server.
pub(crate) const TURNS_MAX: u64 = 16_384;

/// Sizes of maglev tables: primes, so that every skip walks through all places. A pool takes the first with at least
/// a hundred places for each server, which keeps equal servers' parts within 1 % of each other
/// (Eisenbud et al., *Maglev*, NSDI 2016, §3.4; the middle two are that paper's, the last is the least prime with
/// a hundred places for as many servers as a pool may have).
pub(crate) const TABLE_SIZES: [u32; 4] = [4_093, 65_537, 655_373, 1_638_431];
