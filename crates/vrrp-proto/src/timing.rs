use std::num::NonZeroU8;
use std::time::Duration;

use crate::{Priority, Protocol};

/// The times that a virtual router goes by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between adverts: the active router's, which version 3 learns (Active_Adver_Interval).
    pub interval: Duration,
    /// What is waited beyond the adverts that are missed (Skew_Time). One that is a last resort waits also what it would
    /// with its own priority, so that of several the best comes first.
    pub skew: Duration,
    /// How long the active router may be silent (Active_Down_Interval).
    pub down: Duration,
}

/// How much earlier the higher of two backups takes over (RFC 3768 §6.1, RFC 9568 §6.1). `interval` is the active one's.
pub(crate) fn skew(protocol: &Protocol, interval: Duration, priority: Priority) -> Duration {
    let below_top = 256 - u32::from(priority.get());
    match protocol {
        Protocol::V2 { .. } => Duration::from_secs(1) * below_top / 256,
        Protocol::V3 { .. } => interval * below_top / 256,
    }
}

/// How long the active one may be silent. The standards have three adverts for `adverts`.
pub(crate) fn down(interval: Duration, skew: Duration, adverts: NonZeroU8) -> Duration {
    interval * u32::from(adverts.get()) + skew
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Centiseconds, Checksum};

    fn v2(seconds: u8) -> Protocol {
        Protocol::V2 { seconds: NonZeroU8::new(seconds).unwrap(), password: None }
    }

    fn v3(interval: u16) -> Protocol {
        Protocol::V3 { interval: Centiseconds::new(interval).unwrap(), checksum: Checksum::Message }
    }

    /// By hand: version 2, (256 - 100) / 256 s = 609.375 ms whatever the interval; version 3, so much of the interval.
    #[test]
    fn times_of_the_standards() {
        let table = [
            (v2(1), 100, 3, "609.375ms", "3.609375s"),
            (v2(10), 100, 3, "609.375ms", "30.609375s"),
            (v2(1), 254, 3, "7.8125ms", "3.0078125s"),
            (v2(1), 1, 3, "996.09375ms", "3.99609375s"),
            (v3(10), 100, 3, "60.9375ms", "360.9375ms"),
            (v3(100), 100, 3, "609.375ms", "3.609375s"),
            (v3(4095), 254, 3, "319.921875ms", "123.169921875s"),
            (v3(1), 255, 3, "39.062µs", "30.039062ms"),
            (v3(100), 100, 10, "609.375ms", "10.609375s"),
        ];
        for (protocol, priority, adverts, skewed, downed) in table {
            let priority = Priority::new(priority).unwrap();
            let interval = protocol.interval();
            let skew = skew(&protocol, interval, priority);
            assert_eq!(format!("{skew:?}"), skewed, "{protocol:?} {priority}");
            let adverts = NonZeroU8::new(adverts).unwrap();
            assert_eq!(format!("{:?}", down(interval, skew, adverts)), downed, "{protocol:?} {priority}");
        }
    }
}
