use std::net::Ipv4Addr;
use std::num::NonZeroU8;

use super::*;
use crate::{
    AddressList, Addresses, AnnouncePolicy, Centiseconds, Checksum, Family, Password, Preempt, Settings, Vrid,
    multicast_group,
};

mod standing_by;

/// The router that is tried: 10.0.0.5, version 3, an advert each second, priority 100. By hand: it takes over 3 s and
/// 156/256 s after the last advert.
fn settings() -> Settings {
    let addresses = AddressList::V4(vec![[10, 0, 0, 100]]);
    Settings::new(Vrid::new(7).unwrap(), v3(100), host(5), addresses)
}

fn v3(interval: u16) -> Protocol {
    Protocol::V3 { interval: Centiseconds::new(interval).unwrap(), checksum: Checksum::Message }
}

fn v2(seconds: u8, password: Option<&[u8]>) -> Protocol {
    let password = password.map(|text| Password::new(text).unwrap());
    Protocol::V2 { seconds: NonZeroU8::new(seconds).unwrap(), password }
}

fn host(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn meta(source: IpAddr) -> Meta {
    Meta { source, destination: multicast_group(Family::V4), ttl: 255, ttl_min: 255 }
}

fn advert<'a>(priority: u8, protocol: Protocol) -> Advert<'a> {
    let addresses = Addresses::V4(&[[10, 0, 0, 100]]);
    Advert { vrid: Vrid::new(7).unwrap(), priority: Priority::from_wire(priority), protocol, addresses }
}

struct Play {
    router: VirtualRouter,
    now: Instant,
    actions: Vec<Action>,
    refusal: Option<Refusal>,
}

impl Play {
    fn new(settings: Settings) -> Play {
        let now = Instant::from_millis(1_000_000);
        let mut actions = Vec::new();
        let router = VirtualRouter::new(Config::new(settings).unwrap(), now, &mut actions);
        Play { router, now, actions, refusal: None }
    }

    /// `d`: the deadline comes, and is handled in time; `D`: it is handled now; `+N`: N ms go by unhandled;
    /// `9:150`, `9:150/50`: an advert of 10.0.0.9 with priority 150, its interval 50 cs; `pN`: the trackers make the
    /// priority N; `t`: they find a fault; `l`: they make it a last resort; `g`: it gives up; `f`, `r`: the interface is down, is up; `stop`, `go`, `lost`, `conf`.
    fn play(&mut self, script: &str) {
        for step in script.split_whitespace() {
            self.actions.clear();
            self.refusal = None;
            let (now, actions) = (self.now, &mut self.actions);
            match step {
                "d" => {
                    self.now = self.router.deadline().expect("a deadline").0.max(now);
                    self.router.handle_deadline(self.now, actions);
                }
                "D" => self.router.handle_deadline(now, actions),
                "l" => self.router.handle_priority(now, Effect::LastResort, actions),
                "g" => self.router.handle_give_up(now, actions),
                "t" => self.router.handle_priority(now, Effect::Fault, actions),
                "f" => self.router.handle_fault(now, Fault::Interface, actions),
                "r" => self.router.handle_recovered(now, Fault::Interface, actions),
                "stop" => self.router.handle_stop(now, actions),
                "go" => self.router.handle_start(now, actions),
                "lost" => self.router.handle_addresses_lost(now, actions),
                "conf" => self.router.handle_confusion(now, actions),
                _ => self.play_number(step),
            }
        }
    }

    fn play_number(&mut self, step: &str) {
        if let Some(millis) = step.strip_prefix('+') {
            self.now = self.now + Duration::from_millis(millis.parse().unwrap());
        } else if let Some(priority) = step.strip_prefix('p') {
            let priority = Priority::from_wire(priority.parse().unwrap());
            self.router.handle_priority(self.now, Effect::Priority(priority), &mut self.actions);
        } else {
            let (source, said) = step.split_once(':').expect("a step");
            let (priority, interval) = said.split_once('/').unwrap_or((said, "100"));
            let advert = advert(priority.parse().unwrap(), v3(interval.parse().unwrap()));
            let meta = meta(host(source.parse().unwrap()));
            self.refusal = self.router.handle_advert(self.now, &advert, &meta, &mut self.actions).err();
        }
    }

    /// The state, when and for what it wakes, and what the last step brought.
    fn summary(&self) -> String {
        let deadline = match self.router.deadline() {
            None => "-".to_owned(),
            Some((at, wake)) => format!("{:?} {wake:?}", at.since(self.now)),
        };
        let refused = self.refusal.map(|refusal| format!("refused {}", refusal.reason()));
        let brought: Vec<String> = refused.into_iter().chain(self.actions.iter().map(word)).collect();
        format!("{} {deadline} | {}", self.router.state(), brought.join(", "))
    }
}

fn word(action: &Action) -> String {
    match action {
        Action::SendAdvert { priority } => format!("send {priority}"),
        Action::AddAddresses => "add".to_owned(),
        Action::RemoveAddresses => "remove".to_owned(),
        Action::Announce { repeat } => format!("announce {repeat}"),
        Action::AnnounceSource => "announce source".to_owned(),
        Action::Became { from, to, why } => format!("{from}>{to}: {why}"),
        Action::Note(note) => format!("note: {note}"),
    }
}

fn check(settings: &Settings, table: &[(&str, &str)]) {
    for &(script, expected) in table {
        let mut play = Play::new(settings.clone());
        play.play(script);
        assert_eq!(play.summary(), expected, "after {script:?}");
    }
}

/// RFC 9568 §6.4.1, with faults, which it does not have.
#[test]
fn initialize_and_fault_with_every_input() {
    check(
        &settings(),
        &[
            ("", "initialize 0ns Start | remove"),
            ("d", "backup 3.609375s TakeOver | initialize>backup: it has started"),
            ("9:150", "initialize 0ns Start | refused not_listening"),
            ("p90", "initialize 0ns Start | "),
            ("p90 d", "backup 3.6484375s TakeOver | initialize>backup: it has started"),
            ("f", "initialize 0ns Start | "),
            ("f d", "fault - | initialize>fault: its interface is down"),
            ("f r d", "backup 3.609375s TakeOver | initialize>backup: it has started"),
            ("t d", "fault - | initialize>fault: what it tracks is not well"),
            ("lost", "initialize 0ns Start | "),
            ("conf", "initialize 0ns Start | "),
            ("stop", "initialize - | "),
            ("stop D", "initialize - | "),
            ("stop go", "backup 3.609375s TakeOver | initialize>backup: it has started"),
            ("d f D", "fault - | "),
            ("d f 9:150", "fault - | refused not_listening"),
            ("d f p90", "fault - | "),
            ("d f f", "fault - | "),
            ("d f t", "fault - | "),
            ("d f r", "backup 3.609375s TakeOver | fault>backup: it lacks nothing any more"),
            ("d f t r", "fault - | "),
            ("d f t r p90", "backup 3.6484375s TakeOver | fault>backup: it lacks nothing any more"),
            ("d f go", "fault - | "),
            ("d f lost", "fault - | "),
            ("d f conf", "fault - | "),
            ("d f stop", "initialize - | fault>initialize: it was stopped"),
            ("d f stop go", "fault - | initialize>fault: its interface is down"),
        ],
    );
}

/// RFC 9568 §6.4.2.
#[test]
fn backup_with_every_input() {
    const TAKES_OVER: &str = "active 1s Advert | send 100, add, announce 5, backup>active: ";
    check(
        &settings(),
        &[
            ("d d", &format!("{TAKES_OVER}no advert came in time")),
            ("d D", "backup 3.609375s TakeOver | "),
            ("d +1000 9:150", "backup 3.609375s TakeOver | "),
            ("d +1000 9:255", "backup 3.609375s TakeOver | "),
            (
                "d +1000 9:100",
                "backup 3.609375s TakeOver | note: 10.0.0.9 has our priority: the greater address decides",
            ),
            ("d +1000 9:100 +1000 9:100", "backup 3.609375s TakeOver | "),
            ("d +1000 9:99", "backup 2.609375s TakeOver | "),
            ("d +1000 9:99 d", &format!("{TAKES_OVER}the active one has a lower priority")),
            ("d +1000 9:99 9:150 d", &format!("{TAKES_OVER}no advert came in time")),
            ("d +1000 9:0", "backup 609.375ms TakeOver | "),
            ("d +1000 9:0 d", &format!("{TAKES_OVER}the active one has left")),
            ("d +1000 9:0 9:150", "backup 3.609375s TakeOver | "),
            ("d +1000 9:150/50", "backup 1.8046875s TakeOver | note: 10.0.0.9 sends adverts each 500ms"),
            ("d +1000 9:150/50 9:0", "backup 304.6875ms TakeOver | "),
            ("d +1000 9:99/50", "backup 2.609375s TakeOver | note: 10.0.0.9 sends adverts each 500ms"),
            ("d +1000 p200", "backup 2.21875s TakeOver | "),
            ("d +1000 p200 9:150", "backup 2.21875s TakeOver | "),
            ("d +1000 p254 p100", "backup 2.609375s TakeOver | "),
            ("d +1000 p255", "backup 2.0078125s TakeOver | "),
            ("d +1000 p0", "backup 2.99609375s TakeOver | "),
            ("d t", "fault - | backup>fault: what it tracks is not well"),
            ("d f", "fault - | backup>fault: its interface is down"),
            ("d r", "backup 3.609375s TakeOver | "),
            ("d go", "backup 3.609375s TakeOver | "),
            ("d lost", "backup 3.609375s TakeOver | "),
            ("d conf", "backup 3.609375s TakeOver | "),
            ("d stop", "initialize - | backup>initialize: it was stopped"),
            (
                "d +1000 5:0",
                "backup 2.609375s TakeOver | refused own_address, note: an advert of 10.0.0.5 is not taken: \
             it has our own address: it came back, or two routers have one address",
            ),
        ],
    );
}

/// RFC 9568 §6.4.3.
#[test]
fn active_with_every_input() {
    const BACKUP: &str = "backup 3.609375s TakeOver | send 100, remove, active>backup: ";
    const OWN: &str = "refused own_address, note: an advert of 10.0.0.5 is not taken: it has our own address: \
                       it came back, or two routers have one address";
    const EQUAL: &str = "note: 10.0.0.9 has our priority: the greater address decides";
    check(
        &settings(),
        &[
            ("d d d", "active 1s Advert | send 100"),
            ("d d D", "active 1s Advert | "),
            ("d d +400 9:0", "active 1s Advert | send 100, announce 5"),
            ("d d +400 9:101", &format!("{BACKUP}10.0.0.9 has priority 101")),
            ("d d +400 9:255", &format!("{BACKUP}10.0.0.9 has priority 255")),
            ("d d +400 9:100", &format!("{BACKUP}10.0.0.9 has the same priority and a greater address, {EQUAL}")),
            (
                "d d +400 4:100",
                "active 1s Advert | send 100, announce 5, note: 10.0.0.4 has our priority: the greater address decides",
            ),
            ("d d +400 9:99", "active 1s Advert | send 100, announce 5"),
            ("d d +400 9:99 +999 9:99", "active 1s Advert | send 100"),
            ("d d +400 9:99 +1000 9:99", "active 1s Advert | send 100, announce 5"),
            (
                "d d +400 9:150/50",
                "backup 1.8046875s TakeOver | send 100, remove, active>backup: 10.0.0.9 has priority 150, \
             note: 10.0.0.9 sends adverts each 500ms",
            ),
            ("d d +400 5:100", &format!("active 600ms Advert | {OWN}")),
            ("d d +400 5:0", &format!("active 600ms Advert | {OWN}")),
            ("d d +400 5:100 5:100", "active 600ms Advert | refused own_address"),
            ("d d +400 5:101", &format!("{BACKUP}10.0.0.5 has priority 101")),
            ("d d +400 p90", "active 600ms Advert | "),
            ("d d +400 p90 d", "active 1s Advert | send 90"),
            (
                "d d +400 p90 9:99",
                "backup 3.6484375s TakeOver | send 90, remove, active>backup: 10.0.0.9 has priority 99",
            ),
            ("d d t", "fault - | send 0, remove, active>fault: what it tracks is not well"),
            ("d d f", "fault - | send 0, remove, active>fault: its interface is down"),
            ("d d r", "active 1s Advert | "),
            ("d d go", "active 1s Advert | "),
            ("d d stop", "initialize - | send 0, remove, active>initialize: it was stopped"),
            ("d d lost", "active 1s Advert | add, announce 5"),
            ("d d lost lost lost", "active 1s Advert | add, announce 5"),
            (
                "d d lost lost lost lost",
                "backup 3.609375s TakeOver | send 0, remove, active>backup: its addresses were removed again and again",
            ),
            // A minute of adverts later.
            (&format!("d d lost lost lost {}lost", "d ".repeat(61)), "active 1s Advert | add, announce 5"),
            ("d d conf", "active 1s Advert | announce 5"),
            ("d d conf conf", "active 1s Advert | "),
            // The second round, after five seconds.
            ("d d d d d d d", "active 1s Advert | send 100, announce 5"),
            ("d d d d d d d d", "active 1s Advert | send 100"),
        ],
    );
}

/// A host that stood still: backup first, once, and never the adverts that were missed.
#[test]
fn late_wake_ups() {
    check(
        &settings(),
        &[
            ("d d +2999 D", "active 1s Advert | send 100"),
            ("d d +3000 D", "backup 3.609375s TakeOver | remove, active>backup: it has sent no advert for 3000ms"),
            ("d d +3000 lost", "backup 3.609375s TakeOver | remove, active>backup: it has sent no advert for 3000ms"),
            ("d d +3000 conf", "backup 3.609375s TakeOver | remove, active>backup: it has sent no advert for 3000ms"),
            // The advert of who took over is heard by a backup, and preempted as by any.
            (
                "d d +600000 9:99",
                "backup 3.609375s TakeOver | remove, active>backup: it has sent no advert for 600000ms",
            ),
            (
                "d d +600000 9:99 d",
                "active 1s Advert | send 100, add, announce 5, backup>active: the active one has a lower priority",
            ),
            ("d +4609 D", "active 1s Advert | send 100, add, announce 5, backup>active: no advert came in time"),
            ("d +4610 D", "backup 3.609375s TakeOver | note: the host stood still for 1000ms"),
            ("d +4610 D 9:150", "backup 3.609375s TakeOver | "),
            (
                "d +4610 D +9000 D",
                "active 1s Advert | send 100, add, announce 5, backup>active: no advert came in time",
            ),
            // Drained first, an advert that waited in the socket keeps it what it is.
            ("d +600000 9:150 D", "backup 3.609375s TakeOver | "),
        ],
    );
    let keeps = Settings { preempt: Preempt::No, ..settings() };
    check(&keeps, &[("d d +600000 9:99 D", "backup 3.609375s TakeOver | ")]);
    let owner = Settings { priority: Priority::OWNER, ..settings() };
    check(&owner, &[("d +600000 D", "active 1s Advert | announce 5, send 255")]);
}

/// An advert with more than trackers leave would keep those off that are to take over.
#[test]
fn a_reload_does_not_forget_the_trackers() {
    let config = |settings: Settings| Config::new(settings).unwrap();
    let priority = Priority::new(90).unwrap();
    let moved = Settings { priority, addresses: AddressList::V4(vec![[10, 0, 0, 102]]), ..settings() };
    let mut play = Play::new(settings());
    play.play("d d p60 +400");
    assert!(play.router.handle_config(play.now, config(moved.clone()), &mut play.actions));
    assert_eq!(play.summary(), "active 1s Advert | send 50, add, announce 5");
    let low = Settings { priority: Priority::new(10).unwrap(), ..moved.clone() };
    assert!(play.router.handle_config(play.now, config(low), &mut Vec::new()));
    assert_eq!(play.router.priority().get(), 1);
    let owner = Settings { priority: Priority::OWNER, ..moved.clone() };
    for (settings, expected) in [(owner, 255), (moved, 90)] {
        assert!(play.router.handle_config(play.now, config(settings), &mut Vec::new()));
        assert_eq!(play.router.priority().get(), expected);
    }
}

/// The others know the interval of the last advert, and no later one.
#[test]
fn a_reload_hides_no_lateness() {
    let config = |settings: Settings| Config::new(settings).unwrap();
    let slower = Settings { protocol: v3(200), ..settings() };
    let moved = Settings { addresses: AddressList::V4(vec![[10, 0, 0, 102]]), ..settings() };

    let mut play = Play::new(settings());
    play.play("d d +3000");
    assert!(play.router.handle_config(play.now, config(moved), &mut play.actions));
    assert_eq!(play.summary(), "backup 3.609375s TakeOver | remove, active>backup: it has sent no advert for 3000ms");

    let mut play = Play::new(settings());
    play.play("d d +500");
    assert!(play.router.handle_config(play.now, config(slower), &mut play.actions));
    play.play("+2500 D");
    assert_eq!(play.summary(), "backup 7.21875s TakeOver | remove, active>backup: it has sent no advert for 3000ms");
}

#[test]
fn an_owner_is_active_at_once_and_heeds_nobody() {
    const STARTS: &str = "active 1s Advert | send 255, add, announce 5, ";
    let owner = Settings { priority: Priority::OWNER, ..settings() };
    check(
        &owner,
        &[
            ("d", &format!("{STARTS}initialize>active: it owns the addresses")),
            ("d 9:254", "active 1s Advert | send 255, announce 5"),
            ("d p90", "active 1s Advert | "),
            ("d p90 d", "active 1s Advert | send 255"),
            ("d f", "fault - | send 0, remove, active>fault: its interface is down"),
            ("d f r", &format!("{STARTS}fault>active: it owns the addresses")),
        ],
    );
}

/// As keepalived has it: the lower address stays. Owners do not answer each other.
#[test]
fn of_two_owners_the_greater_address_leaves() {
    const NOTE: &str = "says it owns the addresses, and so do we";
    let owner = Settings { priority: Priority::OWNER, ..settings() };
    check(
        &owner,
        &[
            ("d 9:255", &format!("active 1s Advert | note: 10.0.0.9 {NOTE}")),
            ("d 9:255 9:255 9:255 9:255", "active 1s Advert | "),
            ("d 4:255 4:255", "active 1s Advert | "),
            (
                "d 4:255 4:255 4:255",
                &format!(
                    "backup 3.0078125s TakeOver | remove, active>backup: 10.0.0.4 owns the addresses too and has a \
                 lower address, note: 10.0.0.4 {NOTE}"
                ),
            ),
            ("d 4:255 4:255 4:255 +1000 4:255", "backup 3.0078125s TakeOver | "),
            ("d 4:255 4:255 4:255 +1000 9:253", "backup 2.0078125s TakeOver | "),
            (
                "d 4:255 4:255 4:255 d",
                "active 1s Advert | send 255, add, announce 5, backup>active: no advert came in time",
            ),
        ],
    );
}

#[test]
fn addresses_are_taken_back_at_once_later_or_never() {
    let never = Settings { preempt: Preempt::No, ..settings() };
    check(
        &never,
        &[
            ("d +1000 9:50", "backup 3.609375s TakeOver | "),
            ("d +1000 9:0", "backup 609.375ms TakeOver | "),
            // Active, it is as any: the higher priority wins, and of equal ones the greater address.
            ("d d 9:50", "active 1s Advert | send 100, announce 5"),
            ("d d 9:150", "backup 3.609375s TakeOver | send 100, remove, active>backup: 10.0.0.9 has priority 150"),
        ],
    );
    let later = Settings { preempt: Preempt::After(Duration::from_secs(10)), ..settings() };
    check(
        &later,
        &[
            ("d 9:50 +3000 9:50 +3000 9:50 +3000 9:50", "backup 3.609375s TakeOver | "),
            ("d 9:50 +3000 9:50 +3000 9:50 +3000 9:50 +1000 9:50", "backup 2.609375s TakeOver | "),
            // A higher priority in between begins the delay anew.
            ("d 9:50 +3000 9:150 +3000 9:50 +3000 9:50 +3000 9:50", "backup 3.609375s TakeOver | "),
            // Silence is not preemption.
            ("d 9:50 d", "active 1s Advert | send 100, add, announce 5, backup>active: no advert came in time"),
        ],
    );
}

#[test]
fn what_else_can_be_set() {
    let delayed = Settings { startup_delay: Duration::from_secs(30), ..settings() };
    check(
        &delayed,
        &[
            ("", "initialize 30s Start | remove"),
            ("+29999 D", "initialize 1ms Start | "),
            ("d", "backup 3.609375s TakeOver | initialize>backup: it has started"),
        ],
    );
    let patient = Settings { down_adverts: NonZeroU8::new(10).unwrap(), ..settings() };
    check(&patient, &[("d", "backup 10.609375s TakeOver | initialize>backup: it has started")]);
    let silent = Settings { answer_lower: false, ..settings() };
    check(&silent, &[("d d +400 9:50", "active 600ms Advert | announce 5")]);
    let announce = AnnouncePolicy {
        repeat: 1,
        again: None,
        heal_repeat: 2,
        heal_again: Some(Duration::from_millis(300)),
        refresh: Some(Duration::from_millis(900)),
        refresh_repeat: 3,
    };
    check(
        &Settings { announce, ..settings() },
        &[
            ("d d", "active 900ms Announce | send 100, add, announce 1, backup>active: no advert came in time"),
            ("d d d", "active 100ms Advert | announce 3"),
            ("d d d d d", "active 200ms Advert | announce 3"),
            ("d d 9:50", "active 300ms Announce | send 100, announce 2"),
            ("d d 9:50 d", "active 600ms Announce | announce 2"),
        ],
    );
    let unicast = Settings { peers: Peers::Unicast(vec![host(9)]), ..settings() };
    check(
        &unicast,
        &[
            ("d", "backup 3.609375s TakeOver | announce source, initialize>backup: it has started"),
            ("d f r", "backup 3.609375s TakeOver | announce source, fault>backup: it lacks nothing any more"),
        ],
    );
}

/// By hand: in version 2 the skew is of one second whatever the interval.
#[test]
fn version_2_has_its_own_skew() {
    let mut play = Play::new(Settings { protocol: v2(10, None), ..settings() });
    play.play("d");
    assert_eq!(play.summary(), "backup 30.609375s TakeOver | initialize>backup: it has started");
}

#[test]
fn adverts_that_are_not_for_us_are_refused() {
    let password = Some(&b"s3cret"[..]);
    let unicast = Peers::Unicast(vec![host(9)]);
    let to_us = Meta { destination: host(5), ..meta(host(9)) };
    let other = Advert { vrid: Vrid::new(8).unwrap(), ..advert(150, v3(100)) };
    let v6 = Meta { source: "fe80::9".parse().unwrap(), destination: multicast_group(Family::V6), ..meta(host(9)) };
    let with = |protocol| Settings { protocol, ..settings() };
    let named = Settings { peers: unicast, ..settings() };
    let table = [
        (settings(), other, meta(host(9)), Err(Refusal::Vrid)),
        (settings(), advert(150, v3(100)), v6, Err(Refusal::Family)),
        (settings(), advert(150, v2(1, None)), meta(host(9)), Err(Refusal::Version)),
        (with(v2(1, None)), advert(150, v3(100)), meta(host(9)), Err(Refusal::Version)),
        (with(v2(1, None)), advert(150, v2(1, password)), meta(host(9)), Err(Refusal::Authentication)),
        (with(v2(1, password)), advert(150, v2(1, None)), meta(host(9)), Err(Refusal::Authentication)),
        (with(v2(1, password)), advert(150, v2(1, Some(b"other"))), meta(host(9)), Err(Refusal::Authentication)),
        (with(v2(1, password)), advert(150, v2(1, password)), meta(host(9)), Ok(())),
        (with(v2(1, None)), advert(150, v2(2, None)), meta(host(9)), Err(Refusal::Interval)),
        (settings(), advert(150, v3(100)), to_us, Err(Refusal::Unicast)),
        (named.clone(), advert(150, v3(100)), meta(host(9)), Err(Refusal::Multicast)),
        (named.clone(), advert(150, v3(100)), Meta { source: host(8), ..to_us }, Err(Refusal::Peer)),
        (named, advert(150, v3(100)), to_us, Ok(())),
    ];
    for (settings, advert, meta, expected) in table {
        let mut play = Play::new(settings);
        play.play("d +1000");
        let before = play.router.deadline();
        let mut actions = Vec::new();
        for _ in 0..2 {
            assert_eq!(play.router.handle_advert(play.now, &advert, &meta, &mut actions), expected, "{advert:?}");
        }
        let notes: Vec<Action> =
            expected.err().into_iter().map(|refusal| Action::Note(Note::Refused(refusal, meta.source))).collect();
        assert_eq!(actions, notes, "once");
        assert_eq!(play.router.deadline() == before, expected.is_err());
    }
}

/// RFC 9568 §7.1: another list is told of, and believed.
#[test]
fn other_addresses_are_noted_once_and_again_in_another_state() {
    let mut play = Play::new(settings());
    let other = Advert { addresses: Addresses::V4(&[[10, 0, 0, 101]]), ..advert(150, v3(100)) };
    let note = Action::Note(Note::OtherAddresses(host(9)));
    for script in ["d", "d"] {
        play.play(script);
        let mut actions = Vec::new();
        for _ in 0..3 {
            play.router.handle_advert(play.now, &other, &meta(host(9)), &mut actions).unwrap();
        }
        assert_eq!(actions.iter().filter(|&&action| action == note).count(), 1, "{actions:?}");
        assert_eq!(play.router.state(), State::Backup);
        assert_eq!(play.router.active_router(), Some(host(9)));
    }
}

#[test]
fn another_configuration_changes_no_state_and_begins_no_wait() {
    let config = |settings: Settings| Config::new(settings).unwrap();
    let mut play = Play::new(settings());
    play.play("d +1000");
    let mut actions = Vec::new();
    let higher = Settings { priority: Priority::new(200).unwrap(), ..settings() };
    assert!(play.router.handle_config(play.now, config(higher), &mut actions));
    play.actions = actions;
    assert_eq!(play.summary(), "backup 2.21875s TakeOver | ");

    play.play("d +400");
    let mut actions = Vec::new();
    assert!(play.router.handle_config(play.now, config(settings()), &mut actions));
    play.actions = actions;
    assert_eq!(play.summary(), "active 600ms Advert | ");

    let moved = Settings { addresses: AddressList::V4(vec![[10, 0, 0, 102]]), ..settings() };
    let mut actions = Vec::new();
    assert!(play.router.handle_config(play.now, config(moved), &mut actions));
    play.actions = actions;
    assert_eq!(play.summary(), "active 1s Advert | send 100, add, announce 5");

    let faster = Settings { protocol: v3(10), ..settings() };
    assert!(play.router.handle_config(play.now, config(faster), &mut Vec::new()));
    assert_eq!(play.router.deadline().unwrap().0.since(play.now), Duration::from_millis(100));

    // One that the active router has left waits its skew, whatever the interval is now.
    let mut play = Play::new(Settings { protocol: v2(1, None), ..settings() });
    play.play("d +1000");
    let left = advert(0, v2(1, None));
    play.router.handle_advert(play.now, &left, &meta(host(9)), &mut Vec::new()).unwrap();
    let slower = Settings { protocol: v2(10, None), ..settings() };
    assert!(play.router.handle_config(play.now, config(slower), &mut Vec::new()));
    assert_eq!(play.router.deadline().unwrap().0.since(play.now), Duration::from_micros(609_375));

    // One that cannot serve does not become an owner by it.
    let mut play = Play::new(settings());
    play.play("d l");
    let owner = Settings { priority: Priority::OWNER, ..settings() };
    assert!(play.router.handle_config(play.now, config(owner), &mut Vec::new()));
    assert_eq!((play.router.state(), play.router.priority()), (State::Fault, Priority::OWNER));

    let mut play = Play::new(settings());
    for other in [
        Settings { vrid: Vrid::new(8).unwrap(), ..settings() },
        Settings { protocol: v2(1, None), ..settings() },
        Settings { source: "fe80::5".parse().unwrap(), addresses: AddressList::V6(vec![[0xfe; 16]]), ..settings() },
    ] {
        assert!(!play.router.handle_config(play.now, config(other), &mut Vec::new()));
    }
}

#[test]
fn an_advert_says_what_the_configuration_does() {
    let play = Play::new(settings());
    assert_eq!(play.router.advert(Priority::LEAVING), advert(0, v3(100)));
    assert_eq!((play.router.priority(), play.router.active_router()), (Priority::DEFAULT, None));
}
