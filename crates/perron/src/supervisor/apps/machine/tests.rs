use super::*;

/// A machine, its clock in milliseconds, and what it wants done, in short words.
struct Run {
    machine: Machine,
    now_ms: u64,
}

impl Run {
    fn new() -> Run {
        Run { machine: Machine::new(), now_ms: 0 }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + Duration::from_millis(self.now_ms)
    }

    fn give(&mut self, input: Input) -> String {
        let mut actions = Vec::new();
        self.machine.handle(input, self.now(), &mut actions);
        words(&actions)
    }

    fn want(&mut self, processes: u16, renewed: bool) -> String {
        self.give(Input::Want { processes, renewed, stop_timeout: Duration::from_secs(10) })
    }

    fn dies(&mut self, id: u64) -> String {
        self.give(Input::Exited(ProcessId(id), End::Badly("x".to_owned())))
    }

    fn ends(&mut self, id: u64) -> String {
        self.give(Input::Exited(ProcessId(id), End::Well))
    }

    /// Goes on to this time, doing what is due at each deadline on the way.
    fn until(&mut self, at_ms: u64) -> String {
        let mut done = Vec::new();
        while let Some(due) = self.machine.deadline().map(|due| due.since(Instant::ZERO).as_millis() as u64) {
            if due > at_ms {
                break;
            }
            self.now_ms = self.now_ms.max(due);
            let mut actions = Vec::new();
            self.machine.handle_deadline(self.now(), &mut actions);
            assert!(!actions.is_empty(), "nothing was due at {due} ms");
            done.push(format!("{due}: {}", words(&actions)));
        }
        self.now_ms = at_ms;
        done.join("; ")
    }
}

fn words(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::Spawn(id) => format!("+{}", id.0),
        Action::Terminate(id) => format!("-{}", id.0),
        Action::Kill(id) => format!("!{}", id.0),
        Action::Gone => "gone".to_owned(),
        Action::Log(Notice::Begun { processes, renewed }) => format!("begun({processes},{renewed})"),
        Action::Log(Notice::Died(id, _, wait, last)) => {
            format!("died({},{}{})", id.0, wait.as_millis(), if *last { ",last" } else { "" })
        }
        Action::Log(Notice::TooSlow(id)) => format!("slow({})", id.0),
    };
    actions.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn as_many_processes_are_started_as_are_wanted() {
    let mut run = Run::new();
    assert_eq!(run.want(3, false), "+1 +2 +3 begun(3,false)");
    assert_eq!((run.machine.running(), run.machine.wanted(), run.machine.restarts()), (3, 3, 0));
    assert_eq!(run.want(3, false), "");
    assert_eq!(run.want(4, false), "+4 begun(1,false)");
    assert_eq!(run.want(2, false), "-3 -4");
    assert_eq!(run.machine.running(), 2);
    assert_eq!(run.dies(3), "");
    assert_eq!(run.until(10_000), "10000: slow(4) !4");
    assert_eq!(run.dies(4), "");
    assert_eq!(run.machine.deadline(), None);
}

#[test]
fn one_that_lived_is_replaced_at_once_and_one_that_did_not_ever_later() {
    let mut run = Run::new();
    run.want(1, false);
    run.until(1_000);
    assert_eq!(run.dies(1), "died(1,0) +2");
    assert_eq!(run.machine.restarts(), 1);
    // 100 ms, doubled each time, 5 s at the most.
    assert_eq!(run.dies(2), "died(2,100)");
    assert_eq!(run.machine.running(), 0);
    assert_eq!(run.until(1_100), "1100: +3");
    assert_eq!(run.dies(3), "died(3,200)");
    assert_eq!(run.until(1_300), "1300: +4");
    // It lived: all is forgotten.
    run.until(2_300);
    assert_eq!(run.dies(4), "died(4,0) +5");
    assert_eq!(run.dies(5), "died(5,100)");
    assert_eq!(run.machine.restarts(), 4);
}

#[test]
fn deaths_without_end_are_told_until_the_wait_is_the_longest() {
    let mut run = Run::new();
    run.want(1, false);
    let mut told = Vec::new();
    for id in 1..=10 {
        told.push(run.dies(id));
        let at = run.now_ms + 5_000;
        run.until(at - 1);
        // Only a wait of 5 s is not over by then.
        if run.machine.running() == 0 {
            run.until(at);
        } else {
            // It is to have lived for less than a second.
            run.machine.places[0].child.as_mut().unwrap().since = run.now();
        }
    }
    let waits = ["0", "100", "200", "400", "800", "1600", "3200", "5000,last"];
    let expected: Vec<String> = waits.iter().enumerate().map(|(at, wait)| format!("died({},{wait})", at + 1)).collect();
    let short: Vec<String> = told.iter().map(|words| words.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(short[..8], expected);
    assert_eq!(told[8..], ["", ""]);
}

#[test]
fn one_that_ends_well_after_its_share_of_work_is_no_news() {
    let mut run = Run::new();
    run.want(2, false);
    run.until(1_000);
    assert_eq!(run.ends(2), "+3");
    // At once after its start it is.
    assert_eq!(run.ends(3), "died(3,100)");
    assert_eq!(run.until(1_100), "1100: +4");
}

#[test]
fn others_take_their_place_before_those_that_are_there_end() {
    let mut run = Run::new();
    run.want(2, false);
    run.until(5_000);
    assert_eq!(run.want(2, true), "+3 +4 begun(2,true)");
    assert_eq!(run.machine.running(), 4);
    // One of the new dies: the old go on until both have lived.
    run.until(5_500);
    assert_eq!(run.dies(4), "died(4,0) +5");
    assert_eq!(run.until(6_499), "");
    assert_eq!(run.until(6_500), "6500: -1 -2");
    assert_eq!((run.machine.running(), run.dies(1)), (2, String::new()));
    assert_eq!(run.until(16_500), "16500: slow(2) !2");
    assert_eq!(run.dies(2), "");
    assert_eq!(run.machine.deadline(), None);
}

#[test]
fn those_that_never_lived_are_not_waited_for_by_those_after_them() {
    let mut run = Run::new();
    run.want(1, false);
    run.until(5_000);
    assert_eq!(run.want(1, true), "+2 begun(1,true)");
    run.until(5_500);
    assert_eq!(run.want(1, true), "-2 +3 begun(1,true)");
    assert_eq!(run.until(6_500), "6500: -1");
    // An old one that dies while it waits has no place to be replaced in.
    run.want(1, true);
    assert_eq!(run.dies(3), "");
}

#[test]
fn nothing_is_left_of_one_that_is_wanted_no_more() {
    let mut run = Run::new();
    run.want(2, false);
    assert_eq!(run.dies(2), "died(2,0) +3");
    assert_eq!(run.dies(3), "died(3,100)");
    assert_eq!(run.give(Input::Retire), "-1");
    assert_eq!(run.dies(1), "gone");
    assert_eq!(run.machine.deadline(), None, "nothing is started any more");
    // It may come back, also while it ends.
    assert_eq!(run.want(1, true), "+4 begun(1,false)");
    assert_eq!(run.give(Input::Retire), "-4");
    assert_eq!(run.want(1, true), "+5 begun(1,false)");
    assert_eq!(run.dies(4), "");
    let mut empty = Run::new();
    assert_eq!(empty.give(Input::Retire), "gone");
}

#[test]
fn the_next_supervisor_goes_on() {
    let mut run = Run::new();
    run.want(2, false);
    run.until(2_000);
    run.want(2, true);
    run.dies(4);
    run.dies(5);
    let carried: Carried = serde_json::from_str(&serde_json::to_string(&run.machine.carried()).unwrap()).unwrap();
    let machine = Machine::take_over(carried, Duration::from_secs(10), Instant::ZERO);
    let mut next = Run { machine, now_ms: 0 };
    assert_eq!(next.machine.running(), 3);
    assert_eq!(next.want(2, false), "+6 begun(1,false)");
    assert_eq!(next.until(1_000), "1000: -1 -2");
    assert_eq!(next.machine.restarts(), 1);
}
