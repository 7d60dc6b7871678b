use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use linux::boot_clock as now;

/// Milliseconds since 1970, for people.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
