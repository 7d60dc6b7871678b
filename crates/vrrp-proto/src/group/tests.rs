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

    fn one() -> Play {
        let now = Instant::from_millis(1_000_000);
        let mut play = Play { group: Group::new([config(0, 100)], now, &mut Vec::new()), now, actions: Vec::new() };
        play.deadline();
        play.deadline();
        assert_eq!(play.states(), "active");
        play
    }

    fn reload(&mut self, configs: &[(Option<usize>, Config)]) -> Vec<Gone> {
        self.actions.clear();
        self.group.handle_config(self.now, configs.iter().cloned(), &mut self.actions)
    }

    fn adopt(configs: [(Config, Option<Adopted>); 2], now: Instant) -> Play {
        let mut actions = Vec::new();
        let group = Group::adopt(configs, now, &mut actions);
        Play { group, now, actions }
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
    assert_eq!(play.sent(), [(1, 100)], "once, where the other was heard");
    let from = IpAddr::from([10, 1, 0, 9]);
    let became = |why| Action::Became { from: State::Active, to: State::Backup, why };
    assert_eq!(
        play.actions,
        [
            (1, Action::SendAdvert { priority: Priority::new(100).unwrap() }),
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

/// What a router by itself does, and nothing of a group.
#[test]
fn a_group_of_one_is_its_router() {
    let now = Instant::from_millis(1_000_000);
    for priority in [100, 255] {
        let (mut alone, mut actions) = (Vec::new(), Vec::new());
        let mut router = VirtualRouter::new(config(0, priority), now, &mut alone);
        let mut group = Group::new([config(0, priority)], now, &mut actions);
        for _ in 0..4 {
            let (at, _) = router.deadline().unwrap();
            router.handle_deadline(at, &mut alone);
            group.handle_deadline(at, &mut actions);
        }
        router.handle_priority(now, Effect::LastResort, &mut alone);
        group.handle_priority(now, 0, Effect::LastResort, &mut actions);
        let mut expected = alone.into_iter().map(|action| (0, action));
        assert!(actions.into_iter().eq(expected.by_ref()), "{priority}");
    }
}

#[test]
fn a_reload_keeps_the_role() {
    let mut play = Play::active();
    let before = play.group.deadline();
    let gone = play.reload(&[(Some(0), config(0, 150)), (Some(1), config(1, 150))]);
    assert_eq!((gone.len(), play.actions.as_slice()), (0, &[][..]));
    assert_eq!((play.states().as_str(), play.group.deadline()), ("active active", before));

    let gone = play.reload(&[(Some(1), config(1, 150))]);
    assert_eq!((play.states().as_str(), play.actions.as_slice()), ("active", &[][..]));
    let leaves = [
        Action::SendAdvert { priority: Priority::LEAVING },
        Action::RemoveAddresses,
        Action::Became { from: State::Active, to: State::Initialize, why: Why::Stopped },
    ];
    assert_eq!((gone.len(), gone[0].member, gone[0].actions.as_slice()), (1, 0, &leaves[..]));
    assert_eq!(gone[0].router.advert(Priority::LEAVING).vrid, Vrid::new(1).unwrap());
}

/// A member that comes to an active group is active as the group is; one that comes to a backup waits with it.
#[test]
fn a_reload_brings_a_member() {
    let mut play = Play::one();
    let gone = play.reload(&[(Some(0), config(0, 100)), (None, config(1, 100))]);
    assert_eq!((gone.len(), play.states().as_str()), (0, "active initialize"));
    assert_eq!(play.actions, [(1, Action::RemoveAddresses)]);
    play.deadline();
    assert_eq!((play.states().as_str(), play.sent()), ("active active", vec![(1, 100)]));

    let mut play = Play::one();
    play.hear(0, 150);
    play.reload(&[(Some(0), config(0, 100)), (None, config(1, 100))]);
    play.deadline();
    assert_eq!(play.states(), "backup backup");
    play.deadline();
    assert_eq!(play.states(), "active active");

    // One that comes and lacks something takes all with it.
    let mut play = Play::one();
    play.reload(&[(Some(0), config(0, 100)), (None, config(1, 100))]);
    play.group.handle_fault(play.now, 1, Fault::Interface, &mut play.actions);
    assert_eq!(play.states(), "fault initialize");
}

#[test]
fn a_member_of_another_number_is_another_router() {
    let mut play = Play::one();
    let gone = play.reload(&[(Some(0), config(1, 100))]);
    assert_eq!((play.states().as_str(), gone.len()), ("initialize", 1));
    assert_eq!(gone[0].actions[0], Action::SendAdvert { priority: Priority::LEAVING });

    let mut play = Play::one();
    assert_eq!(play.reload(&[(Some(7), config(0, 100))]).len(), 1, "there was no router 7");
    assert_eq!(play.reload(&[]).len(), 1);
    assert_eq!(play.group.deadline(), None);
}

/// A member that kept the others waiting or in fault goes.
#[test]
fn what_stays_is_rid_of_what_went() {
    let mut play = Play::new([100, 100]);
    play.wait(3000);
    play.hear(1, 150);
    play.deadline();
    assert_eq!(play.states(), "backup backup", "member 0 is ready");
    play.reload(&[(Some(0), config(0, 100))]);
    assert_eq!(play.states(), "active");

    let mut play = Play::active();
    play.group.handle_fault(play.now, 1, Fault::Interface, &mut play.actions);
    play.reload(&[(Some(0), config(0, 100))]);
    assert_eq!(play.states(), "backup");
}

/// Peers wait three seconds at least, so one that comes 2.999 s after the last advert is not noticed.
#[test]
fn a_new_process_takes_over_what_nobody_missed() {
    let sent_at = Instant::from_millis(500_000);
    let priority = Priority::new(170).unwrap();
    let adopted = Adopted { sent_at, interval: INTERVAL, priority };
    let both = |adopted| [(config(0, 100), Some(adopted)), (config(1, 100), Some(adopted))];
    let play = Play::adopt(both(adopted), sent_at + Duration::from_millis(2999));
    let became = Action::Became { from: State::Initialize, to: State::Active, why: Why::Adopted };
    let each = [Action::SendAdvert { priority }, Action::AddAddresses, became];
    let expected: Vec<(usize, Action)> = (0..2).flat_map(|member| each.map(|action| (member, action))).collect();
    assert_eq!((play.states().as_str(), play.actions), ("active active", expected));
    assert_eq!(play.group.deadline(), Some((play.now + INTERVAL, Wake::Advert)));

    let short = Adopted { interval: INTERVAL / 10, ..adopted };
    let late = [
        Play::adopt(both(adopted), sent_at + Duration::from_millis(3000)),
        Play::adopt(both(short), sent_at + Duration::from_millis(300)),
        Play::adopt(both(adopted), sent_at - Duration::from_millis(1)),
        Play::adopt([(config(0, 100), Some(adopted)), (config(1, 100), None)], sent_at),
    ];
    for play in late {
        assert_eq!(play.states(), "initialize initialize");
        assert_eq!(play.actions, [(0, Action::RemoveAddresses), (1, Action::RemoveAddresses)]);
    }
}

/// One that was a last resort is one still, until the trackers say otherwise.
#[test]
fn a_last_resort_is_adopted_as_such() {
    let sent_at = Instant::from_millis(500_000);
    let adopted = Adopted { sent_at, interval: INTERVAL, priority: Priority::LAST_RESORT };
    let mut play = Play::adopt([(config(0, 100), Some(adopted)), (config(1, 100), Some(adopted))], sent_at);
    assert_eq!(play.sent(), [(0, 1), (1, 1)]);
    play.group.handle_priority(play.now, 0, Effect::LastResort, &mut play.actions);
    assert_eq!(play.states(), "active active");
    for member in 0..2 {
        play.group.handle_priority(play.now, member, Effect::Priority(Priority::DEFAULT), &mut play.actions);
    }
    play.deadline();
    assert_eq!(play.sent(), [(0, 100), (1, 100)]);
}

#[test]
fn the_last_resort_of_one_is_that_of_all() {
    let mut play = Play::active();
    play.actions.clear();
    play.group.handle_priority(play.now, 1, Effect::LastResort, &mut play.actions);
    assert_eq!((play.states().as_str(), play.sent()), ("backup backup", vec![(1, 0), (0, 0)]));
    play.group.handle_priority(play.now, 0, Effect::LastResort, &mut play.actions);
    play.deadline();
    assert_eq!((play.states().as_str(), play.sent()), ("active active", vec![(0, 1), (1, 1)]));
    assert!(play.actions.contains(&(0, Action::Note(Note::LastResort))));
    // It is one while one of them cannot serve, and leaves for that no second time.
    play.group.handle_priority(play.now, 1, Effect::Priority(Priority::DEFAULT), &mut play.actions);
    play.deadline();
    assert_eq!((play.states().as_str(), play.sent()), ("active active", vec![(0, 1), (1, 1)]));
    play.group.handle_priority(play.now, 0, Effect::Priority(Priority::DEFAULT), &mut play.actions);
    play.deadline();
    assert_eq!(play.sent(), [(0, 100), (1, 100)]);

    let mut play = Play::new([255, 100]);
    play.group.handle_priority(play.now, 1, Effect::LastResort, &mut play.actions);
    assert_eq!(play.states(), "fault fault", "an owner stands behind nobody");
    play.group.handle_priority(play.now, 1, Effect::Priority(Priority::DEFAULT), &mut play.actions);
    assert_eq!(play.states(), "backup backup");
}

#[test]
fn all_give_up_with_a_word() {
    let mut play = Play::active();
    play.actions.clear();
    play.group.handle_give_up(play.now, &mut play.actions);
    assert_eq!((play.states().as_str(), play.sent()), ("backup backup", vec![(0, 0), (1, 0)]));

    let mut play = Play::active();
    play.actions.clear();
    for _ in 0..4 {
        play.group.handle_addresses_lost(play.now, 1, &mut play.actions);
    }
    assert_eq!((play.states().as_str(), play.sent()), ("backup backup", vec![(1, 0), (0, 0)]));
}

#[test]
fn a_member_is_announced_by_itself() {
    let mut play = Play::active();
    play.actions.clear();
    play.group.handle_confusion(play.now, 1, &mut play.actions);
    assert_eq!(play.actions, [(1, Action::Announce { repeat: 5 })]);
}
