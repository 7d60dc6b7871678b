use super::Action::{AskState, Commit, Drain, Finish, Hasten, Kill, Log, Reject, Serving, Spawn};
use super::*;

const DRAIN: Duration = Duration::from_secs(30);

/// A machine, its clock, and what it did last.
struct Bench {
    machine: Machine,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        Bench { machine: Machine::new(DRAIN), now: Instant::from_millis(1_000) }
    }

    /// One that serves with process 1.
    fn serving() -> Bench {
        let mut bench = Bench::new();
        assert_eq!(bench.give(Input::Begin), [Spawn(ChildId(1), Which::Current)]);
        assert_eq!(bench.give(Input::Ready(ChildId(1))), [Serving(ChildId(1))]);
        bench
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.handle(input, self.now, &mut actions);
        actions
    }

    /// Lets time pass, every process beating but these.
    fn pass(&mut self, millis: u64, silent: &[u64]) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..millis / 50 {
            self.now = self.now + Duration::from_millis(50);
            for id in 1..20 {
                if !silent.contains(&id) {
                    self.machine.handle(Input::Beat(ChildId(id)), self.now, &mut actions);
                }
            }
            self.machine.handle_deadline(self.now, &mut actions);
        }
        actions
    }

    fn exit(&mut self, id: u64) -> Vec<Action> {
        self.give(Input::Exited(ChildId(id), "exit status: 1".to_owned()))
    }
}

fn died(id: u64, millis: u64) -> Action {
    Log(Notice::Died(ChildId(id), "exit status: 1".to_owned(), Duration::from_millis(millis)))
}

#[test]
fn a_first_process_that_cannot_serve_is_the_end_with_its_reason() {
    let mut bench = Bench::new();
    bench.give(Input::Begin);
    assert_eq!(bench.give(Input::Failed(ChildId(1), "no such folder".to_owned())), []);
    assert_eq!(bench.exit(1), [Finish(Err("no such folder".to_owned()))]);
}

#[test]
fn a_process_that_dies_is_started_again_at_once_and_then_ever_later() {
    let mut bench = Bench::serving();
    let mut waits = Vec::new();
    for id in 1..=9 {
        let [Log(Notice::Died(_, _, wait))] = &bench.exit(id)[..] else { panic!("not a restart") };
        waits.push(wait.as_millis());
        assert_eq!(bench.pass(5_000, &[]).first(), Some(&Spawn(ChildId(id + 1), Which::Current)));
        bench.give(Input::Ready(ChildId(id + 1)));
    }
    assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(bench.pass(950, &[]), []);
    assert_eq!(bench.exit(10), [died(10, 5000)]);
    assert_eq!(bench.pass(5_000, &[]), [Spawn(ChildId(11), Which::Current)]);
    bench.give(Input::Ready(ChildId(11)));
    assert_eq!(bench.pass(1_000, &[]), []);
    assert_eq!(bench.exit(11), [died(11, 0)]);
}

#[test]
fn deaths_of_processes_that_served_for_a_second_are_each_healed_at_once() {
    let mut bench = Bench::serving();
    for id in 1..=5 {
        assert_eq!(bench.pass(1_000, &[]), []);
        assert_eq!(bench.exit(id), [died(id, 0)]);
        assert_eq!(bench.pass(50, &[]), [Spawn(ChildId(id + 1), Which::Current)]);
        bench.give(Input::Ready(ChildId(id + 1)));
    }
}

#[test]
fn a_process_that_hangs_again_and_again_was_not_well() {
    let mut bench = Bench::serving();
    let hung = |id, millis| [Log(Notice::Died(ChildId(id), "it hung".to_owned(), Duration::from_millis(millis)))];
    for (id, wait) in [(1, 0), (2, 100), (3, 200)] {
        assert_eq!(bench.pass(5_050, &[id]), [Log(Notice::Hung(ChildId(id))), Kill(ChildId(id))]);
        assert_eq!(bench.exit(id), hung(id, wait));
        assert_eq!(bench.pass(200, &[]), [Spawn(ChildId(id + 1), Which::Current)]);
        bench.give(Input::Ready(ChildId(id + 1)));
    }
}

#[test]
fn a_process_without_a_beat_is_ended_by_force_and_replaced() {
    let mut bench = Bench::serving();
    assert_eq!(bench.pass(4_950, &[1]), []);
    assert_eq!(bench.pass(100, &[1]), [Log(Notice::Hung(ChildId(1))), Kill(ChildId(1))]);
    assert_eq!(bench.pass(10_000, &[1]), []);
    let hung = Log(Notice::Died(ChildId(1), "it hung".to_owned(), Duration::ZERO));
    assert_eq!(bench.exit(1), [hung]);
    assert_eq!(bench.pass(50, &[]), [Spawn(ChildId(2), Which::Current)]);
}

#[test]
fn a_process_that_never_begins_is_ended_by_force() {
    let mut bench = Bench::new();
    bench.give(Input::Begin);
    assert_eq!(bench.pass(30_000, &[]), [Log(Notice::TooSlow(ChildId(1))), Kill(ChildId(1))]);
    assert_eq!(bench.exit(1), [Finish(Err("it did not begin to serve in time".to_owned()))]);
}

#[test]
fn a_reload_takes_the_state_over_and_drains_the_old_process_once_the_new_one_serves() {
    let mut bench = Bench::serving();
    assert_eq!(bench.give(Input::Reload), [AskState(ChildId(1))]);
    assert_eq!(bench.machine.may_reload(), Err("another reload is under way; try again in a moment"));
    assert_eq!(bench.give(Input::State(ChildId(1))), [Spawn(ChildId(2), Which::Candidate)]);
    assert_eq!(bench.machine.serving(), Some(ChildId(1)));
    let ready = bench.give(Input::Ready(ChildId(2)));
    assert_eq!(ready, [Commit, Serving(ChildId(2)), Drain(ChildId(1), DRAIN)]);
    assert_eq!(bench.machine.serving(), Some(ChildId(2)));
    assert_eq!(bench.machine.may_reload(), Ok(()));
    assert_eq!(bench.exit(1), [Log(Notice::Ended(ChildId(1)))]);
}

#[test]
fn a_reload_does_not_wait_long_for_a_state() {
    let mut bench = Bench::serving();
    bench.give(Input::Reload);
    assert_eq!(bench.pass(1_000, &[]), [Spawn(ChildId(2), Which::Candidate)]);
    assert_eq!(bench.give(Input::State(ChildId(1))), []);
}

#[test]
fn a_candidate_that_cannot_serve_leaves_the_old_process_as_it_was() {
    let mut bench = Bench::serving();
    bench.give(Input::Reload);
    bench.give(Input::State(ChildId(1)));
    bench.give(Input::Failed(ChildId(2), "no threads left".to_owned()));
    assert_eq!(bench.exit(2), [Reject("no threads left".to_owned())]);
    assert_eq!(bench.machine.serving(), Some(ChildId(1)));
    assert_eq!(bench.machine.may_reload(), Ok(()));
    assert_eq!(bench.pass(60_000, &[]), []);
}

#[test]
fn a_process_that_dies_during_a_reload_is_restarted_and_gives_way_to_the_candidate() {
    let mut bench = Bench::serving();
    bench.give(Input::Reload);
    bench.give(Input::State(ChildId(1)));
    assert_eq!(bench.exit(1), [died(1, 0)]);
    assert_eq!(bench.pass(50, &[]), [Spawn(ChildId(3), Which::Current)]);
    assert_eq!(bench.give(Input::Ready(ChildId(3))), [Serving(ChildId(3))]);
    let ready = bench.give(Input::Ready(ChildId(2)));
    assert_eq!(ready, [Commit, Serving(ChildId(2)), Drain(ChildId(3), DRAIN)]);
}

/// One whose upgrade's process, 2, is about to take over from 1.
fn replacing() -> Bench {
    let mut bench = Bench::serving();
    assert_eq!(bench.give(Input::Upgrade), [AskState(ChildId(1))]);
    assert_eq!(bench.give(Input::State(ChildId(1))), [Spawn(ChildId(2), Which::Candidate)]);
    assert_eq!(bench.give(Input::Ready(ChildId(2))), [Action::Replace(ChildId(2))]);
    assert_eq!(bench.machine.serving(), Some(ChildId(1)));
    bench
}

#[test]
fn another_program_goes_on_where_this_one_stopped() {
    let mut bench = Bench::serving();
    reload(&mut bench, 1);
    assert!(bench.machine.carried(bench.now).is_none(), "nothing is there to take over");
    bench.pass(10_000, &[]);
    bench.give(Input::Upgrade);
    bench.give(Input::State(ChildId(2)));
    bench.give(Input::Ready(ChildId(3)));
    let written = serde_json::to_string(&bench.machine.carried(bench.now).unwrap()).unwrap();
    let now = Instant::from_millis(5);
    let (machine, candidate) = Machine::take_over(serde_json::from_str(&written).unwrap(), DRAIN, now);
    let mut next = Bench { machine, now };
    assert_eq!((candidate, next.machine.serving()), (ChildId(3), Some(ChildId(2))));
    let ready = next.give(Input::Ready(ChildId(3)));
    assert_eq!(ready, [Commit, Serving(ChildId(3)), Drain(ChildId(2), DRAIN)]);
    assert_eq!(next.machine.may_reload(), Ok(()));
    // The first process drains since ten of its 32 s.
    assert_eq!(next.pass(21_950, &[]), []);
    assert_eq!(next.pass(50, &[]), [Log(Notice::DrainOver(ChildId(1))), Kill(ChildId(1))]);
    assert_eq!(next.exit(3), [died(3, 0)]);
    assert_eq!(next.pass(50, &[]), [Spawn(ChildId(4), Which::Current)]);
}

#[test]
fn a_program_that_cannot_take_over_leaves_everything_as_it_was() {
    let mut bench = replacing();
    let refused = bench.give(Input::NotReplaced("no memory".to_owned()));
    assert_eq!(refused, [Drain(ChildId(2), DRAIN), Reject("no memory".to_owned())]);
    assert_eq!(bench.machine.serving(), Some(ChildId(1)));
    assert_eq!(bench.machine.may_reload(), Ok(()));
    assert_eq!(bench.exit(2), [Log(Notice::Ended(ChildId(2)))]);
    assert_eq!(reload_of(&mut bench, 1, 3), []);

    let mut bench = replacing();
    assert_eq!(bench.exit(2), [Reject("exit status: 1".to_owned())]);
    assert!(bench.machine.carried(bench.now).is_none());
    assert_eq!(bench.give(Input::NotReplaced("it has ended".to_owned())), []);
}

#[test]
fn a_restart_that_waits_is_dropped_when_the_candidate_serves() {
    let mut bench = Bench::serving();
    bench.exit(1);
    bench.pass(50, &[]);
    bench.give(Input::Ready(ChildId(2)));
    assert_eq!(bench.exit(2), [died(2, 100)]);
    assert_eq!(bench.give(Input::Reload), [Spawn(ChildId(3), Which::Candidate)]);
    assert_eq!(bench.give(Input::Ready(ChildId(3))), [Commit, Serving(ChildId(3))]);
    assert_eq!(bench.pass(10_000, &[]), []);
}

/// Reloads `bench` once more; what became of the processes before.
fn reload(bench: &mut Bench, id: u64) -> Vec<Action> {
    reload_of(bench, id, id + 1)
}

fn reload_of(bench: &mut Bench, id: u64, next: u64) -> Vec<Action> {
    bench.give(Input::Reload);
    bench.give(Input::State(ChildId(id)));
    let mut ready = bench.give(Input::Ready(ChildId(next)));
    assert_eq!(ready[..3], [Commit, Serving(ChildId(next)), Drain(ChildId(id), DRAIN)]);
    ready.split_off(3)
}

#[test]
fn of_many_that_drain_the_older_do_not_wait_for_idle_clients_and_the_oldest_ends() {
    let mut bench = Bench::serving();
    for id in 1..=4 {
        assert_eq!(reload(&mut bench, id), []);
    }
    for id in 5..=32 {
        assert_eq!(reload(&mut bench, id), [Hasten(ChildId(id - 4), DRAIN)]);
    }
    assert_eq!(
        reload(&mut bench, 33),
        [Log(Notice::TooMany(ChildId(1))), Kill(ChildId(1)), Hasten(ChildId(29), DRAIN)]
    );
    assert_eq!(bench.exit(1), [Log(Notice::Ended(ChildId(1)))]);
}

#[test]
fn the_end_hastens_those_that_drain_already() {
    let mut bench = Bench::serving();
    assert_eq!(reload(&mut bench, 1), []);
    assert_eq!(bench.give(Input::Terminate), [Hasten(ChildId(1), DRAIN), Hasten(ChildId(2), DRAIN)]);
}

#[test]
fn the_end_waits_for_requests_within_the_limit_and_a_second_word_does_not() {
    let mut bench = Bench::serving();
    assert_eq!(bench.give(Input::Terminate), [Hasten(ChildId(1), DRAIN)]);
    assert_eq!(bench.machine.may_reload(), Err("the service is ending"));
    assert_eq!(bench.pass(31_950, &[]), []);
    assert_eq!(bench.pass(50, &[]), [Log(Notice::DrainOver(ChildId(1))), Kill(ChildId(1))]);
    assert_eq!(bench.exit(1), [Log(Notice::Ended(ChildId(1))), Finish(Ok(()))]);

    let mut bench = Bench::serving();
    bench.give(Input::Terminate);
    assert_eq!(bench.give(Input::Terminate), [Kill(ChildId(1))]);
    assert_eq!(bench.exit(1), [Log(Notice::Ended(ChildId(1))), Finish(Ok(()))]);
}

#[test]
fn the_end_during_a_reload_rejects_it_and_waits_for_nobody_new() {
    let mut bench = Bench::serving();
    bench.give(Input::Reload);
    bench.give(Input::State(ChildId(1)));
    let rejected = Reject("the service is ending".to_owned());
    assert_eq!(bench.give(Input::Terminate), [rejected, Hasten(ChildId(1), DRAIN), Kill(ChildId(2))]);
    assert_eq!(bench.give(Input::Ready(ChildId(2))), []);
    bench.exit(2);
    assert_eq!(bench.exit(1), [Log(Notice::Ended(ChildId(1))), Finish(Ok(()))]);
}

#[test]
fn the_end_between_two_restarts_is_at_once() {
    let mut bench = Bench::serving();
    bench.exit(1);
    bench.pass(50, &[]);
    bench.exit(2);
    assert_eq!(bench.give(Input::Terminate), [Finish(Ok(()))]);
    assert_eq!(bench.pass(10_000, &[]), []);
}

#[test]
fn a_process_that_is_unknown_or_gone_changes_nothing() {
    let mut bench = Bench::serving();
    for input in [Input::Ready(ChildId(9)), Input::Beat(ChildId(9)), Input::State(ChildId(1)), Input::Ready(ChildId(1))]
    {
        assert_eq!(bench.give(input), []);
    }
    assert_eq!(bench.exit(9), []);
}
