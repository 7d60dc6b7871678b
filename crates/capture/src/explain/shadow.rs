use std::net::IpAddr;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{
    Action, AddressList, Advert, Config, Family, Meta, Note, Priority, Protocol, Refusal, Settings, State, TTL, Timing,
    VirtualRouter, Vrid, Why, multicast_group,
};

/// A shadow's clock begins so much earlier than the capture's: it has waited before what is captured begins. Longer than
/// the longest wait, 3 × 255 s and a skew.
const BEFORE: Duration = Duration::from_secs(1000);

/// What an advert says, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) vrid: Vrid,
    pub(crate) priority: Priority,
    pub(crate) protocol: Protocol,
    pub(crate) addresses: AddressList,
}

/// A router as `vrrp-proto` would be it in the place of one that is seen: how it decides is not decided here. Whether it
/// preempts cannot be seen; it is taken for one that does.
#[derive(Clone, Debug)]
pub(crate) struct Shadow(VirtualRouter);

/// What one made of an advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It was not taken.
    pub(crate) refusal: Option<Refusal>,
    /// That was not so before.
    pub(crate) is_news: bool,
    /// It has the addresses no more, or never had.
    pub(crate) gave_way: Option<Why>,
    /// It is active and contradicts at once.
    pub(crate) answers: bool,
    pub(crate) notes: Vec<Note>,
}

impl Said {
    pub(crate) fn new(advert: &Advert<'_>) -> Said {
        let addresses: Vec<IpAddr> = advert.addresses.iter().collect();
        let family = advert.addresses.family();
        // An advert has addresses of one family, and not too many.
        let addresses = AddressList::new(family, &addresses).unwrap_or(AddressList::V4(Vec::new()));
        Said { vrid: advert.vrid, priority: advert.priority, protocol: advert.protocol, addresses }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.protocol.interval()
    }

    fn advert(&self) -> Advert<'_> {
        let addresses = self.addresses.as_addresses();
        Advert { vrid: self.vrid, priority: self.priority, protocol: self.protocol, addresses }
    }
}

impl Shadow {
    /// Of a router that has listened since then. `None` for one that says what none can be configured to say.
    pub(crate) fn listening(said: &Said, source: IpAddr, since: Instant) -> Option<Shadow> {
        let settings = Settings::new(said.vrid, said.protocol, source, said.addresses.clone());
        let config = Config::new(Settings { priority: said.priority, ..settings }).ok()?;
        let mut actions = Vec::new();
        let mut router = VirtualRouter::new(config, since + BEFORE, &mut actions);
        router.handle_deadline(since + BEFORE, &mut actions);
        Some(Shadow(router))
    }

    /// Of one that has just said so.
    pub(crate) fn active(said: &Said, source: IpAddr, at: Instant) -> Option<Shadow> {
        let first = Shadow::listening(said, source, at)?;
        if first.0.state() == State::Active {
            return Some(first);
        }
        let mut actions = Vec::new();
        let settings = first.0.config().clone();
        let start = at + BEFORE - first.timing().down;
        let mut router = VirtualRouter::new(settings, start, &mut actions);
        router.handle_deadline(start, &mut actions);
        router.handle_deadline(at + BEFORE, &mut actions);
        Some(Shadow(router))
    }

    pub(crate) fn timing(&self) -> Timing {
        self.0.timing()
    }

    /// When it would take over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline().map(|(at, _)| at - BEFORE)
    }

    /// It takes over, and why.
    pub(crate) fn expire(&mut self, at: Instant) -> Option<Why> {
        let mut actions = Vec::new();
        self.0.handle_deadline(at + BEFORE, &mut actions);
        became(&actions, State::Active)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.0.state() == State::Active
    }

    /// It hears an advert.
    pub(crate) fn hear(&mut self, now: Instant, said: &Said, from: IpAddr) -> Heard {
        let family = Family::of(from);
        let meta = Meta { source: from, destination: multicast_group(family), ttl: TTL, ttl_min: TTL };
        let mut actions = Vec::new();
        let refusal = self.0.handle_advert(now + BEFORE, &said.advert(), &meta, &mut actions).err();
        let is_note = |action: &Action| match action {
            Action::Note(Note::Refused(..)) => None,
            Action::Note(note) => Some(*note),
            _ => None,
        };
        Heard {
            refusal,
            is_news: actions.iter().any(|action| matches!(action, Action::Note(Note::Refused(..)))),
            gave_way: became(&actions, State::Backup),
            answers: actions.iter().any(|action| matches!(action, Action::SendAdvert { .. })),
            notes: actions.iter().filter_map(is_note).collect(),
        }
    }
}

fn became(actions: &[Action], state: State) -> Option<Why> {
    actions.iter().find_map(|action| match action {
        Action::Became { to, why, .. } if *to == state => Some(*why),
        _ => None,
    })
}
