use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::{
    AddressList, Addresses, Centiseconds, Checksum, Family, Note, Priority, Protocol, Settings, Vrid, multicast_group,
};

const INTERVAL: Duration = Duration::from_secs(1);

fn protocol() -> Protocol {
    Protocol::V3 { interval: Centiseconds::new(100).unwrap(), checksum: Checksum::Message }
}

/// Members 0 and 1 are routers 1 and 2 of 10.0.0.5, on two networks.
fn config(member: u8, priority: u8) -> Config {
    let source = IpAddr::from([10, member, 0, 5]);
    let addresses = AddressList::V4(vec![[10, member, 0, 100]]);
    let settings = Settings::new(Vrid::new(member + 1).unwrap(), protocol(), source, addresses);
    Config::new(Settings { priority: Priority::new(priority).unwrap(), ..settings }).unwrap()
}

struct Play {
    group: Group,
    now: Instant,
    actions: Vec<(usize, Action)>,
}

impl Play {
    /// Both are backups.
    fn new(priorities: [u8; 2]) -> Play {
        let now = Instant::from_millis(1_000_000);
        let configs = [config(0, priorities[0]), config(1, priorities[1])];
        let mut play = Play { group: Group::new(configs, now, &mut Vec::new()), now, actions: Vec::new() };
        play.deadline();
        assert_eq!(play.states(), "backup backup");
        play
    }

    fn active() -> Play {
        let mut play = Play::new([100, 100]);
        play.deadline();
        assert_eq!(play.states(), "active active");
        play
    }

    fn states(&self) -> String {
        self.group.members().iter().map(|member| member.state().word()).collect::<Vec<_>>().join(" ")
    }

    fn deadline(&mut self) {
        self.actions.clear();
        self.now = self.group.deadline().expect("a deadline").0;
        self.group.handle_deadline(self.now, &mut self.actions);
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn hear(&mut self, member: u8, priority: u8) {
        self.actions.clear();
        let list = [[10, member, 0, 100]];
        let advert = Advert {
            vrid: Vrid::new(member + 1).unwrap(),
            priority: Priority::from_wire(priority),
            protocol: protocol(),
            addresses: Addresses::V4(&list),
        };
        let meta = Meta {
            source: IpAddr::from([10, member, 0, 9]),
            destination: multicast_group(Family::V4),
            ttl: 255,
            ttl_min: 255,
        };
        self.group.handle_advert(self.now, member.into(), &advert, &meta, &mut self.actions).unwrap();
    }

    fn sent(&self) -> Vec<(usize, u8)> {
        let adverts = self.actions.iter().filter_map(|&(member, action)| match action {
            Action::SendAdvert { priority } => Some((member, priority.get())),
            _ => None,
        });
        adverts.collect()
    }
}

#[test]
fn all_become_active_at_once() {
    let mut play = Play::active();
    assert_eq!(play.sent(), [(0, 100), (1, 100)]);
    play.deadline();
    assert_eq!(play.sent(), [(0, 100), (1, 100)]);
}

/// A member hears another active router, so the others wait for it, even if nobody is active where they are.
#[test]
fn none_becomes_active_before_the_last_can() {
    let mut play = Play::new([100, 100]);
    for _ in 0..6 {
        play.wait(900);
        play.hear(1, 150);
        if play.group.deadline().is_some_and(|(at, _)| at <= play.now) {
            play.group.handle_deadline(play.now, &mut play.actions);
        }
        assert_eq!(play.states(), "backup backup");
    }
    assert_eq!(play.group.deadline().unwrap().1, Wake::TakeOver);
    play.deadline();
    assert_eq!(play.states(), "active active");
}

/// What a member that is ready hears still counts.
#[test]
fn a_member_that_waits_for_the_others_can_hear_an_active_router() {
    let mut play = Play::new([100, 100]);
    play.wait(3000);
    play.hear(1, 150);
    play.deadline();
    assert_eq!(play.states(), "backup backup");
    play.hear(0, 150);
    play.wait(3000);
    play.hear(0, 150);
    play.deadline();
    assert_eq!(play.states(), "backup backup", "member 1 is ready, and member 0 not any more");
    play.deadline();
    assert_eq!(play.states(), "active active");
}

#[test]
fn one_that_gives_way_takes_all() {
    let mut play = Play::active();
    play.hear(1, 150);
    assert_eq!(play.states(), "backup backup");
    assert_eq!(play.sent(), [], "the others' adverts come anyway");
    let from = IpAddr::from([10, 1, 0, 9]);
    let became = |why| Action::Became { from: State::Active, to: State::Backup, why };
    assert_eq!(
        play.actions,
        [
            (1, Action::RemoveAddresses),
            (1, became(Why::Higher(from, Priority::new(150).unwrap()))),
            (0, Action::RemoveAddresses),
            (0, became(Why::Group)),
        ]
    );
}

#[test]
fn the_fault_of_one_is_the_fault_of_all() {
    let mut play = Play::active();
    play.actions.clear();
    play.group.handle_fault(play.now, 0, Fault::Interface, &mut play.actions);
    assert_eq!(play.states(), "fault fault");
    assert_eq!(play.sent(), [(0, 0), (1, 0)]);
    play.group.handle_fault(play.now, 1, Fault::Source, &mut play.actions);
    play.group.handle_recovered(play.now, 0, Fault::Interface, &mut play.actions);
    assert_eq!(play.states(), "fault fault");
    play.group.handle_recovered(play.now, 1, Fault::Group, &mut play.actions);
    assert_eq!(play.states(), "fault fault");
    play.group.handle_recovered(play.now, 1, Fault::Source, &mut play.actions);
    assert_eq!(play.states(), "backup backup");
    play.group.handle_priority(play.now, 1, Effect::Fault, &mut play.actions);
    assert_eq!(play.states(), "fault fault");
}

#[test]
fn all_announce_when_one_was_doubted() {
    let mut play = Play::active();
    play.hear(0, 50);
    let announced: Vec<usize> = play
        .actions
        .iter()
        .filter(|(_, action)| matches!(action, Action::Announce { .. }))
        .map(|&(member, _)| member)
        .collect();
    assert_eq!(announced, [0, 1]);
    play.hear(0, 50);
    assert!(play.actions.iter().all(|(_, action)| !matches!(action, Action::Announce { .. })));
}

#[test]
fn all_stop_and_start() {
    let mut play = Play::active();
    play.actions.clear();
    play.group.handle_stop(play.now, &mut play.actions);
    assert_eq!((play.states().as_str(), play.sent()), ("initialize initialize", vec![(0, 0), (1, 0)]));
    assert_eq!(play.group.deadline(), None);
    play.group.handle_start(play.now, &mut play.actions);
    assert_eq!(play.states(), "backup backup");
}

/// All have stood still, and none may go on as if nothing had happened.
#[test]
fn a_late_group_is_a_backup_first() {
    let mut play = Play::active();
    play.wait(3000);
    play.actions.clear();
    play.group.handle_deadline(play.now, &mut play.actions);
    assert_eq!((play.states().as_str(), play.sent()), ("backup backup", vec![]));
}

#[test]
fn owners_become_active_when_all_can() {
    let mut play = Play::new([255, 100]);
    assert_eq!(play.group.deadline().unwrap().0.since(play.now), INTERVAL * 3 + INTERVAL * 156 / 256);
    play.deadline();
    assert_eq!(play.states(), "active active");
    let mut play = Play { group: Group::new([config(0, 255), config(1, 255)], play.now, &mut Vec::new()), ..play };
    play.deadline();
    assert_eq!(play.states(), "active active");
}

#[test]
fn addresses_that_are_taken_from_one_are_given_up_by_all() {
    let mut play = Play::active();
    for _ in 0..3 {
        play.group.handle_addresses_lost(play.now, 1, &mut play.actions);
        assert_eq!(play.states(), "active active");
    }
    play.group.handle_addresses_lost(play.now, 1, &mut play.actions);
    assert_eq!(play.states(), "backup backup");
}

#[test]
fn there_is_no_member_2() {
    let mut play = Play::active();
    let advert = play.group.members()[0].advert(Priority::DEFAULT);
    let (source, destination) = (IpAddr::from([10, 0, 0, 9]), multicast_group(Family::V4));
    let meta = Meta { source, destination, ttl: 255, ttl_min: 255 };
    let mut other = play.group.clone();
    assert_eq!(other.handle_advert(play.now, 2, &advert, &meta, &mut play.actions), Err(Refusal::Vrid));
    let wrong = play.group.members()[1].advert(Priority::DEFAULT);
    play.actions.clear();
    assert_eq!(other.handle_advert(play.now, 0, &wrong, &meta, &mut play.actions), Err(Refusal::Vrid));
    assert_eq!(play.actions, [(0, Action::Note(Note::Refused(Refusal::Vrid, source)))]);
}
