//! Single cases, told.

use std::time::Duration;

use vrrp_proto::Preempt;

use crate::setup::Setup;
use crate::trouble::{Repair, Start, Trouble};
use crate::world::World;

const AT_ONCE: Preempt = Preempt::After(Duration::ZERO);

const INTERVAL: Duration = Duration::from_millis(100);

const DELAY_MAX: Duration = Duration::from_millis(10);

/// Longer than two whole waits.
const SETTLED: Duration = Duration::from_secs(2);

/// Settled, with this one active.
fn settled(preempt: Preempt, priorities: &[u8], active: usize) -> World {
    let mut world = World::new(Setup::new(priorities, preempt), 1);
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [active]);
    world
}

/// Without preemption the one that has the addresses keeps them, whoever comes or comes back.
#[test]
fn who_comes_back_does_not_take_them() {
    let mut world = World::new(Setup::new(&[100, 200], Preempt::No), 1);
    world.trouble(Trouble::PowerOff { host: 1 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0]);
    world.repair(Repair::Start { host: 1, how: Start::New });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0]);

    world.trouble(Trouble::Pause { host: 0 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0, 1], "one stands still and knows nothing");
    world.repair(Repair::Resume { host: 0 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [1]);
}

/// An incumbent that stood still is none any more, even where nobody has a higher priority.
#[test]
fn who_stood_still_does_not_take_them_back() {
    let mut world = settled(Preempt::No, &[200, 100], 0);
    world.trouble(Trouble::Suspend { host: 0 });
    world.go_on(SETTLED).unwrap();
    world.repair(Repair::Resume { host: 0 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [1]);
}

/// What came while a backup stood still did not fit its socket: it listens once more before it takes over.
#[test]
fn a_backup_that_stood_still_and_heard_nothing_listens_first() {
    let mut world = settled(AT_ONCE, &[200, 100], 0);
    world.trouble(Trouble::Suspend { host: 1 });
    world.go_on(SETTLED).unwrap();
    world.repair(Repair::Resume { host: 1 });
    for _ in 0..20 {
        world.go_on(INTERVAL).unwrap();
        assert_eq!(world.active(), [0]);
    }
}

/// A leave is told: the others wait their skew and no more. By hand: 156/256 of 100 ms are 60.9375 ms.
#[test]
fn a_stop_is_followed_at_once() {
    let mut world = settled(AT_ONCE, &[100, 200], 1);
    world.trouble(Trouble::Stop { host: 1 });
    world.go_on(Duration::from_micros(60_937)).unwrap();
    assert_eq!(world.active(), []);
    world.go_on(DELAY_MAX).unwrap();
    assert_eq!(world.active(), [0]);
}

/// The addresses of a dead process stay on its host, and no peer notices a new process that comes in time: three adverts
/// of 100 ms, and the last one was sent up to 100 ms before.
#[test]
fn a_process_that_is_back_in_time_is_not_missed() {
    let mut world = settled(AT_ONCE, &[100, 200], 1);
    world.trouble(Trouble::Crash { host: 1 });
    world.go_on(INTERVAL * 19 / 10).unwrap();
    assert_eq!((world.active(), world.holders()), (vec![], vec![1]));
    world.repair(Repair::Start { host: 1, how: Start::Adopt });
    let before = world.figures();
    world.go_on(SETTLED).unwrap();
    assert_eq!((world.active(), world.figures().takeovers), (vec![1], before.takeovers));
}

/// One that is late removes the addresses before it listens, for another has them by then.
#[test]
fn a_process_that_is_late_begins_as_any() {
    let mut world = settled(Preempt::No, &[100, 200], 1);
    world.trouble(Trouble::Crash { host: 1 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.holders(), [0, 1]);
    world.repair(Repair::Start { host: 1, how: Start::Adopt });
    assert_eq!(world.holders(), [0]);
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0]);
}

/// When nobody can serve, one has the addresses all the same; the first that can takes them, preempting or not.
#[test]
fn the_last_resort_gives_way_to_whoever_can_serve() {
    for preempt in [AT_ONCE, Preempt::No, Preempt::After(Duration::from_secs(300))] {
        let mut world = settled(preempt, &[200, 150, 100], 0);
        world.trouble(Trouble::Unable { host: 0 });
        world.go_on(SETTLED).unwrap();
        assert_eq!(world.active(), [1]);
        world.trouble(Trouble::Unable { host: 1 });
        world.go_on(SETTLED).unwrap();
        assert_eq!(world.active(), [2]);
        world.trouble(Trouble::Unable { host: 2 });
        world.go_on(SETTLED).unwrap();
        assert_eq!(world.active(), [0], "the best of those that cannot");
        world.repair(Repair::Well { host: 2 });
        world.go_on(SETTLED).unwrap();
        assert_eq!(world.active(), [2]);
    }
}

/// A group leaves whole when one link is cut at one host, and comes back whole.
#[test]
fn a_group_moves_whole() {
    let mut world = World::new(Setup { links: 2, ..Setup::new(&[200, 100], AT_ONCE) }, 1);
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0]);
    world.trouble(Trouble::Unplug { host: 0, link: 1 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [1]);
    world.repair(Repair::Plug { host: 0, link: 1 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0]);
}

/// Two that do not hear each other are both active, and one of them when they do, at its next advert at the latest.
#[test]
fn a_split_ends_with_the_next_advert() {
    let mut world = settled(AT_ONCE, &[200, 100], 0);
    world.trouble(Trouble::Split { link: 0, sides: 1 });
    world.go_on(SETTLED).unwrap();
    assert_eq!(world.active(), [0, 1]);
    world.repair(Repair::Join { link: 0 });
    world.go_on(INTERVAL + DELAY_MAX).unwrap();
    assert_eq!(world.active(), [0]);
}
