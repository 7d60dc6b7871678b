//! What bounds this crate's tables.

/// Servers in a pool. Tables hold their places in 16 bits, and a scan of them all stays some microseconds.
pub(crate) const SERVERS_MAX: usize = 4096;

/// Turns that a sequence aims not to exceed (32 KiB). Weights whose sum is greater are scaled down to it,
/// and none below one turn, so a sequence can be longer by one turn for each server.
pub(crate) const TURNS_MAX: u64 = 16_384;

/// Sizes of maglev tables: primes, so that every skip walks through all places. A pool takes the first with at least
/// a hundred places for each server, which keeps equal servers' parts within 1 % of each other
/// (Eisenbud et al., *Maglev*, NSDI 2016, §3.4; the larger two are that paper's).
pub(crate) const TABLE_SIZES: [u32; 3] = [4_093, 65_537, 655_373];
