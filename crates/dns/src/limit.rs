use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Sources that are remembered at once, 1 MiB of them. Further ones share what one of them may have.
const SOURCES_MAX: usize = 16_384;

/// How often room is made, at the most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How much a source may ask at once: a second's worth.
const BURST: Duration = Duration::from_secs(1);

/// Of the questions that are too many, each so-manieth is answered: use TCP. Sources that are not who they say cannot.
const SLIP: u32 = 2;

/// What may be asked, by source.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Between two questions.
    interval: Duration,
    /// Hashed with a secret: no sender can choose sources that meet.
    sources: HashMap<IpAddr, Bucket>,
    crowd: Bucket,
    swept: Option<Instant>,
}

/// When all that a source has asked would have been asked at its rate.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    paid: Option<Instant>,
    refused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Answer,
    /// Too much; but say so.
    Slip,
    Drop,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> RateLimit {
        let interval = Duration::from_secs(1) / per_second.max(1);
        RateLimit { interval, sources: HashMap::new(), crowd: Bucket::default(), swept: None }
    }

    pub(crate) fn admit(&mut self, source: IpAddr, now: Instant) -> Admission {
        let source = network(source);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) && !self.make_room(now) {
            return self.crowd.admit(self.interval, now);
        }
        self.sources.entry(source).or_default().admit(self.interval, now)
    }

    /// Forgets those that could ask for a whole second's worth again.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL) {
            self.swept = Some(now);
            self.sources.retain(|_, bucket| bucket.paid.is_some_and(|paid| paid > now));
        }
        self.sources.len() < SOURCES_MAX
    }
}

impl Bucket {
    fn admit(&mut self, interval: Duration, now: Instant) -> Admission {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + interval;
        if paid <= now + BURST {
            *self = Bucket { paid: Some(paid), refused: 0 };
            return Admission::Answer;
        }
        self.refused = self.refused.wrapping_add(1);
        if self.refused.is_multiple_of(SLIP) { Admission::Slip } else { Admission::Drop }
    }
}

/// Whom a limit counts as one: of IPv6 a /64, which a single host can have all of.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_seconds_worth_at_once_and_then_its_rate() {
        let (mut limit, start) = (RateLimit::new(10), Instant::now());
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let at = |millis: u64| start + Duration::from_millis(millis);
        for _ in 0..10 {
            assert_eq!(limit.admit(source, at(0)), Admission::Answer);
        }
        let asked: Vec<Admission> = (0..4).map(|_| limit.admit(source, at(99))).collect();
        assert_eq!(asked, [Admission::Drop, Admission::Slip, Admission::Drop, Admission::Slip]);
        assert_eq!(limit.admit(source, at(100)), Admission::Answer);
        assert_eq!(limit.admit(source, at(100)), Admission::Drop);
        assert_eq!(limit.admit("192.0.2.2".parse().unwrap(), at(100)), Admission::Answer);
    }

    #[test]
    fn hosts_of_a_network_of_ipv6_are_one_source() {
        let (mut limit, now) = (RateLimit::new(1), Instant::now());
        assert_eq!(limit.admit("2001:db8::1".parse().unwrap(), now), Admission::Answer);
        assert_eq!(limit.admit("2001:db8::ffff:2".parse().unwrap(), now), Admission::Drop);
        assert_eq!(limit.admit("2001:db8:0:1::1".parse().unwrap(), now), Admission::Answer);
    }

    #[test]
    fn sources_beyond_the_table_share_and_room_is_made_for_them() {
        let (mut limit, start) = (RateLimit::new(1), Instant::now());
        let source = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..SOURCES_MAX as u32 {
            assert_eq!(limit.admit(source(number), start), Admission::Answer);
        }
        let beyond = SOURCES_MAX as u32;
        assert_eq!(limit.admit(source(beyond), start), Admission::Answer);
        assert_eq!(limit.admit(source(beyond + 1), start), Admission::Drop);
        assert_eq!(limit.admit(source(7), start), Admission::Drop);
        assert_eq!(limit.sources.len(), SOURCES_MAX);
        let later = start + SWEEP_INTERVAL;
        assert_eq!(limit.admit(source(beyond), later), Admission::Answer);
        assert_eq!(limit.admit(source(beyond + 1), later), Admission::Answer);
        assert_eq!(limit.sources.len(), 2);
    }
}
