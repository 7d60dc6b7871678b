use crate::Priority;

/// What a tracked thing adds to the priority, -254 to 254; 0: the virtual router does not go without it (see [`Need`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Weight(i16);

impl Weight {
    /// Without it the virtual router does not go.
    pub const NONE: Weight = Weight(0);

    /// `None` beyond 254 either way.
    pub const fn new(value: i16) -> Option<Weight> {
        if value < -254 || value > 254 { None } else { Some(Weight(value)) }
    }

    /// The number.
    pub const fn get(self) -> i16 {
        self.0
    }
}

/// What is known of a tracked thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// Nothing yet.
    Unknown,
    /// It is well.
    Well,
    /// It is not.
    Unwell,
}

/// What a tracked thing of no weight is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To take part, as an interface is: while it is not well the virtual router is in fault.
    Network,
    /// To serve those who come to the addresses: while it is not well the virtual router is a last resort.
    Service,
}

/// How a tracked thing counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// Positive: added while it is well. Negative: added while it is not.
    pub weight: Weight,
    /// The other way round: taken away where it would be added, lacking where it would not be.
    pub reverse: bool,
    /// What it means without a weight.
    pub need: Need,
}

/// What trackers make of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It runs with this priority.
    Priority(Priority),
    /// It cannot serve: it gives its addresses up, and stands by with [`Priority::LAST_RESORT`] for the case that nobody
    /// can.
    LastResort,
    /// It must not be active: something without which it cannot take part is not well, or something without which it
    /// does not go is not known yet.
    Fault,
}

/// The priority with all weights in effect, 1 to 254; an owner's is not moved. What is not known yet adds nothing.
pub fn effective_priority(base: Priority, trackers: impl IntoIterator<Item = (Tracker, Tracked)>) -> Effect {
    let mut sum = i64::from(base.get());
    let (mut faulty, mut unable) = (false, false);
    for (Tracker { weight, reverse, need }, tracked) in trackers {
        let weight = i64::from(weight.get());
        let added = match (weight, tracked) {
            (0, Tracked::Unknown) => {
                faulty = true;
                0
            }
            (0, _) => {
                let lacks = (tracked == Tracked::Well) == reverse;
                faulty |= lacks && need == Need::Network;
                unable |= lacks && need == Need::Service;
                0
            }
            (1.., Tracked::Well) | (..0, Tracked::Unwell) => weight,
            _ => 0,
        };
        sum += if reverse { -added } else { added };
    }
    if faulty {
        Effect::Fault
    } else if unable {
        Effect::LastResort
    } else if base == Priority::OWNER {
        Effect::Priority(base)
    } else {
        Effect::Priority(Priority::from_wire(sum.clamp(1, i64::from(Priority::HIGHEST.get())) as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The effect as a number; 0 is a fault.
    fn effect(base: u8, trackers: &[(i16, Tracked)], reverse: bool) -> u8 {
        let trackers = trackers.iter().map(|&(weight, tracked)| {
            let weight = Weight::new(weight).unwrap();
            (Tracker { weight, reverse, need: Need::Network }, tracked)
        });
        match effective_priority(Priority::new(base).unwrap(), trackers) {
            Effect::Priority(priority) => priority.get(),
            Effect::Fault => 0,
            Effect::LastResort => panic!("nothing is needed to serve"),
        }
    }

    #[test]
    fn weights_are_summed_and_clamped() {
        use Tracked::{Unknown, Unwell, Well};
        type Row = (u8, &'static [(i16, Tracked)], u8, u8);
        let table: [Row; 16] = [
            (100, &[], 100, 100),
            (100, &[(10, Well)], 110, 90),
            (100, &[(10, Unwell)], 100, 100),
            (100, &[(10, Unknown)], 100, 100),
            (100, &[(-10, Well)], 100, 100),
            (100, &[(-10, Unwell)], 90, 110),
            (100, &[(-10, Unknown)], 100, 100),
            (100, &[(20, Well), (5, Well), (-50, Unwell)], 75, 125),
            (100, &[(0, Well)], 100, 0),
            (100, &[(0, Unwell)], 0, 100),
            (100, &[(0, Unknown)], 0, 0),
            (100, &[(254, Well)], 254, 1),
            (100, &[(-254, Unwell), (-254, Unwell)], 1, 254),
            (254, &[(1, Well)], 254, 253),
            (255, &[(-254, Unwell)], 255, 255),
            (255, &[(0, Unwell)], 0, 255),
        ];
        for (base, trackers, straight, reversed) in table {
            assert_eq!(effect(base, trackers, false), straight, "{base} {trackers:?}");
            assert_eq!(effect(base, trackers, true), reversed, "{base} {trackers:?} reversed");
        }
        // A sum beyond the limits counts whole: what one takes away another gives back.
        assert_eq!(effect(100, &[(254, Well), (-254, Unwell)], false), 100);
    }

    /// A router that cannot serve is the last resort; one that cannot take part, or does not know yet, is none.
    #[test]
    fn what_is_needed_to_serve_makes_a_last_resort() {
        use Need::{Network, Service};
        use Tracked::{Unknown, Unwell, Well};
        type Row = (&'static [(i16, Need, Tracked)], Effect);
        let table: [Row; 7] = [
            (&[(0, Service, Well)], Effect::Priority(Priority::DEFAULT)),
            (&[(0, Service, Unwell)], Effect::LastResort),
            (&[(0, Service, Unknown)], Effect::Fault),
            (&[(0, Service, Unwell), (100, Service, Well)], Effect::LastResort),
            (&[(0, Service, Unwell), (0, Service, Unknown)], Effect::Fault),
            (&[(0, Service, Unwell), (0, Network, Unwell)], Effect::Fault),
            (&[(0, Service, Well), (0, Network, Unwell)], Effect::Fault),
        ];
        for (trackers, expected) in table {
            let each = trackers.iter().map(|&(weight, need, tracked)| {
                (Tracker { weight: Weight::new(weight).unwrap(), reverse: false, need }, tracked)
            });
            assert_eq!(effective_priority(Priority::DEFAULT, each), expected, "{trackers:?}");
        }
    }

    #[test]
    fn weights_end_at_254() {
        assert_eq!(Weight::new(254).map(Weight::get), Some(254));
        assert_eq!((Weight::new(255), Weight::new(-255)), (None, None));
    }
}
