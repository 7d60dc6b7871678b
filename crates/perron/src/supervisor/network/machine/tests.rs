use super::*;

/// A machine, its clock, and what it wants done, in words.
struct Try {
    machine: Machine,
    now: Instant,
}

impl Try {
    fn new() -> Try {
        Try { machine: Machine::new(), now: Instant::from_millis(1000) }
    }

    /// One that has process 1 going.
    fn going() -> Try {
        let mut it = Try::new();
        assert_eq!(it.give(Input::Want(true)), "spawn 1, go 1");
        assert_eq!(it.give(Input::Ready(ChildId(1))), "");
        assert_eq!(it.give(Input::Began(ChildId(1))), "began 1");
        it
    }

    fn give(&mut self, input: Input) -> String {
        let mut actions = Vec::new();
        self.machine.handle(input, self.now, &mut actions);
        words(&actions)
    }

    fn after(&mut self, time: Duration) -> String {
        self.now = self.now + time;
        let mut actions = Vec::new();
        self.machine.handle_deadline(self.now, &mut actions);
        words(&actions)
    }

    fn dies(&mut self, id: u64) -> String {
        self.give(Input::Exited(ChildId(id), "signal 9".to_owned()))
    }
}

fn words(actions: &[Action]) -> String {
    let words: Vec<String> = actions.iter().map(word).collect();
    words.join(", ")
}

fn word(action: &Action) -> String {
    match action {
        Action::Spawn(id) => format!("spawn {id}"),
        Action::Go(id) => format!("go {id}"),
        Action::Leave(id) => format!("leave {id}"),
        Action::Stop(id) => format!("stop {id}"),
        Action::Kill(id) => format!("kill {id}"),
        Action::Forget => "forget".to_owned(),
        Action::Ended => "end".to_owned(),
        Action::Log(Notice::Began(id)) => format!("began {id}"),
        Action::Log(Notice::Died(id, why, wait)) => format!("died {id} ({why}) {}", wait.as_millis()),
        Action::Log(Notice::Hung(id)) => format!("hung {id}"),
        Action::Log(Notice::TooSlow(id)) => format!("slow {id}"),
        Action::Log(Notice::NotReplaced(id, why)) => format!("not replaced {id} ({why})"),
        Action::Log(Notice::Ended(id)) => format!("ended {id}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nothing_runs_where_nothing_moves() {
    let mut it = Try::new();
    assert_eq!(it.give(Input::Want(false)), "");
    assert_eq!(it.machine.deadline(), None);
    assert_eq!(it.give(Input::Terminate), "end");
}

#[test]
fn a_death_is_followed_by_a_start_at_once_and_by_ever_later_ones() {
    let mut it = Try::going();
    it.now = it.now + SECOND;
    assert_eq!(it.dies(1), "died 1 (signal 9) 0, spawn 2, go 2");
    assert_eq!(it.dies(2), "died 2 (signal 9) 100");
    assert_eq!(it.after(Duration::from_millis(99)), "");
    assert_eq!(it.after(Duration::from_millis(1)), "spawn 3, go 3");
    assert_eq!(it.give(Input::Failed(ChildId(3), "no socket".to_owned())), "");
    assert_eq!(it.dies(3), "died 3 (no socket) 200");
    assert_eq!(it.after(Duration::from_millis(200)), "spawn 4, go 4");
    assert_eq!(it.give(Input::Began(ChildId(4))), "began 4");
    assert_eq!(it.after(SECOND), "");
    assert_eq!(it.dies(4), "died 4 (signal 9) 0, spawn 5, go 5");
}

#[test]
fn one_that_is_silent_or_does_not_begin_is_ended_by_force() {
    let mut it = Try::going();
    assert_eq!(it.after(4 * SECOND), "");
    assert_eq!(it.give(Input::Beat(ChildId(1))), "");
    assert_eq!(it.after(4 * SECOND), "");
    assert_eq!(it.after(SECOND), "hung 1, kill 1");
    assert_eq!(it.machine.deadline(), None);
    assert_eq!(it.dies(1), "died 1 (it hung) 0, spawn 2, go 2");
    assert_eq!(it.after(10 * SECOND), "slow 2, kill 2");
    assert_eq!(it.dies(2), "died 2 (it was too slow) 100");
}

#[test]
fn a_stop_is_waited_for_and_then_forced() {
    let mut it = Try::going();
    assert_eq!(it.give(Input::Terminate), "stop 1");
    assert_eq!(it.give(Input::Exited(ChildId(1), "exit status: 0".to_owned())), "forget, ended 1, end");

    let mut it = Try::going();
    assert_eq!(it.give(Input::Terminate), "stop 1");
    assert_eq!(it.after(2 * SECOND), "slow 1, kill 1");
    // The addresses are still there: one more process gives them away, and no third.
    assert_eq!(it.dies(1), "spawn 2, go 2, stop 2");
    assert_eq!(it.after(2 * SECOND), "slow 2, kill 2");
    assert_eq!(it.dies(2), "forget, ended 2, end");

    let mut it = Try::going();
    assert_eq!(it.give(Input::Terminate), "stop 1");
    assert_eq!(it.give(Input::Terminate), "");
    assert_eq!(it.give(Input::Want(false)), "");
    assert_eq!(it.dies(1), "forget, ended 1, end");
}

#[test]
fn what_a_dead_process_had_is_given_away_at_the_end() {
    let mut it = Try::going();
    assert_eq!(it.dies(1), "died 1 (signal 9) 0, spawn 2, go 2");
    assert_eq!(it.dies(2), "died 2 (signal 9) 100");
    assert_eq!(it.give(Input::Terminate), "spawn 3, go 3, stop 3");
    assert_eq!(it.dies(3), "forget, ended 3, end");

    let mut it = Try::going();
    assert_eq!(it.after(5 * SECOND), "hung 1, kill 1");
    assert_eq!(it.give(Input::Terminate), "");
    assert_eq!(it.dies(1), "died 1 (it hung) 0, spawn 2, go 2, stop 2");
    assert_eq!(it.dies(2), "forget, ended 2, end");
}

#[test]
fn the_last_vip_that_goes_takes_the_process_with_it_and_the_next_brings_another() {
    let mut it = Try::going();
    assert_eq!(it.give(Input::Want(true)), "");
    assert_eq!(it.give(Input::Want(false)), "stop 1");
    assert_eq!(it.give(Input::Want(true)), "");
    assert_eq!(it.dies(1), "forget, ended 1, spawn 2, go 2");
    assert_eq!(it.give(Input::Want(false)), "stop 2");
    assert_eq!(it.dies(2), "forget, ended 2");
    assert_eq!(it.give(Input::Want(true)), "spawn 3, go 3");
}

#[test]
fn another_programs_process_is_ready_before_the_first_one_leaves() {
    let before = Try::going();
    let mut it = Try::new();
    it.machine = Machine::take_over(before.machine.carried(), it.now);
    assert_eq!(it.machine.going(), Some(ChildId(1)));
    assert_eq!(it.give(Input::Want(true)), "");
    assert_eq!(it.give(Input::Replace), "spawn 2");
    assert_eq!(it.give(Input::Replace), "");
    assert_eq!(it.give(Input::Ready(ChildId(2))), "leave 1");
    assert_eq!(it.give(Input::Left(ChildId(1))), "go 2, ended 1");
    assert_eq!(it.dies(1), "");
    assert_eq!(it.give(Input::Began(ChildId(2))), "began 2");
    assert_eq!(it.machine.going(), Some(ChildId(2)));
}

#[test]
fn a_successor_that_fails_leaves_everything_as_it_is() {
    let mut it = Try::going();
    assert_eq!(it.give(Input::Replace), "spawn 2");
    assert_eq!(it.give(Input::Failed(ChildId(2), "no socket".to_owned())), "");
    assert_eq!(it.dies(2), "not replaced 2 (no socket)");
    assert_eq!(it.machine.going(), Some(ChildId(1)));
    assert_eq!(it.give(Input::Replace), "spawn 3");
    assert_eq!(it.give(Input::Beat(ChildId(1))), "");
    assert_eq!(it.after(4 * SECOND), "");
    assert_eq!(it.give(Input::Beat(ChildId(1))), "");
    assert_eq!(it.after(4 * SECOND), "");
    assert_eq!(it.give(Input::Beat(ChildId(1))), "");
    assert_eq!(it.after(2 * SECOND), "slow 3, kill 3");
    assert_eq!(it.dies(3), "not replaced 3 (it was too slow)");
}

#[test]
fn a_successor_goes_on_also_for_one_that_dies_or_does_not_leave() {
    let mut it = Try::going();
    assert_eq!(it.give(Input::Replace), "spawn 2");
    assert_eq!(it.give(Input::Ready(ChildId(2))), "leave 1");
    assert_eq!(it.after(2 * SECOND), "slow 1, kill 1");
    assert_eq!(it.dies(1), "ended 1, go 2");

    let mut it = Try::going();
    assert_eq!(it.give(Input::Replace), "spawn 2");
    assert_eq!(it.dies(1), "died 1 (signal 9) 0, spawn 3, go 3");
    assert_eq!(it.give(Input::Began(ChildId(3))), "began 3");
    assert_eq!(it.give(Input::Ready(ChildId(2))), "leave 3");
    assert_eq!(it.give(Input::Left(ChildId(3))), "go 2, ended 3");
}

#[test]
fn the_end_is_the_successors_too() {
    let mut it = Try::going();
    assert_eq!(it.give(Input::Replace), "spawn 2");
    assert_eq!(it.give(Input::Terminate), "kill 2, stop 1");
    assert_eq!(it.dies(2), "");
    assert_eq!(it.dies(1), "forget, ended 1, end");
}
