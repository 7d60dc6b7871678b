use super::*;
use crate::Finding;

const POLICY: Policy = Policy {
    interval: Duration::from_secs(10),
    fast_interval: Duration::from_secs(1),
    down_interval: Duration::from_secs(30),
    timeout: Duration::from_secs(5),
    retries: 0,
    retry_delay: Duration::from_secs(2),
    warmup: None,
    rise: 2,
    fall: 3,
    observe_failures: Some(2),
};

/// A probe's answer takes so long here.
const TOOK: Duration = Duration::from_millis(100);

fn outcome(finding: Finding) -> Outcome {
    Outcome::new(finding, TOOK)
}

struct Play {
    monitor: Monitor,
    now: Instant,
    actions: Vec<Action>,
}

impl Play {
    fn new(policy: Policy) -> Play {
        let now = Instant::from_millis(1_000_000);
        Play { monitor: Monitor::new(policy, None, now), now, actions: Vec::new() }
    }

    /// `P`, `F`, `L`, `K`: the next probe passes, fails, cannot be made, says nothing against the server; `o`, `x`: a request goes well, fails;
    /// `s`, `r`: suspend, resume.
    fn play(&mut self, script: &str) {
        for step in script.chars() {
            match step {
                'P' => self.probe(Finding::Answered),
                'F' => self.probe(Finding::WrongStatus),
                'L' => self.probe(Finding::LocalFault),
                'K' => self.probe(Finding::Advised),
                'o' => self.monitor.handle_traffic(self.now, true, &mut self.actions),
                'x' => self.monitor.handle_traffic(self.now, false, &mut self.actions),
                's' => self.monitor.suspend(self.now, &mut self.actions),
                'r' => self.monitor.resume(self.now),
                _ => panic!("no step {step}"),
            }
        }
    }

    fn probe(&mut self, finding: Finding) {
        let (due, Wake::Probe) = self.monitor.deadline().expect("a deadline");
        let mut actions = Vec::new();
        self.monitor.handle_deadline(due, &mut actions);
        assert_eq!(actions, [Action::Probe]);
        assert_eq!(self.monitor.deadline(), None, "one probe at a time");
        self.now = due + TOOK;
        self.monitor.handle_outcome(self.now, outcome(finding), &mut self.actions);
    }

    /// Status, streak, milliseconds until the next probe (`-`: none), and the changes on the way.
    fn summary(&self) -> String {
        let known = self.monitor.known();
        let due =
            self.monitor.deadline().map_or("-".to_owned(), |(due, _)| due.since(self.now).as_millis().to_string());
        let mut summary = format!("{} {} {due}", known.status, known.streak);
        for action in &self.actions {
            let Action::Became { to, why, .. } = action else { panic!("{action:?}") };
            let why = match why {
                Why::Probed(_) => "probed",
                Why::Traffic(_) => "traffic",
                Why::Suspended => "suspended",
            };
            summary += &format!(", {to} {why}");
        }
        summary
    }
}

fn played(policy: Policy, script: &str) -> String {
    let mut play = Play::new(policy);
    play.play(script);
    play.summary()
}

/// Every state with every input: rise 2, fall 3, traffic 2; 10 s, 1 s in between, 30 s when down.
#[test]
fn every_state_with_every_input() {
    let table = [
        // Nothing known.
        ("", "unknown 0 0"),
        ("P", "up 0 9900, up probed"),
        ("F", "down 0 29900, down probed"),
        ("L", "unknown 0 900"),
        ("o", "unknown 0 0"),
        ("xx", "unknown 0 0"),
        ("s", "unknown 0 -"),
        ("r", "unknown 0 0"),
        // Up, settled.
        ("PP", "up 0 9900, up probed"),
        ("PF", "up 1 900, up probed"),
        ("PL", "up 0 9900, up probed"),
        ("Po", "up 0 9900, up probed"),
        ("Px", "up 0 9900, up probed"),
        ("Pxx", "down 0 1000, up probed, down traffic"),
        ("Pxox", "up 0 9900, up probed"),
        ("Ps", "unknown 0 -, up probed, unknown suspended"),
        ("Pr", "up 0 9900, up probed"),
        // Up, once and twice spoken against.
        ("PFP", "up 0 9900, up probed"),
        ("PFF", "up 2 900, up probed"),
        ("PFL", "up 1 900, up probed"),
        ("PFo", "up 1 900, up probed"),
        ("PFxx", "down 0 900, up probed, down traffic"),
        ("PFs", "unknown 0 -, up probed, unknown suspended"),
        ("PFFP", "up 0 9900, up probed"),
        ("PFFF", "down 0 29900, up probed, down probed"),
        ("PFFL", "up 2 900, up probed"),
        // Down, settled.
        ("FP", "down 1 900, down probed"),
        ("FF", "down 0 29900, down probed"),
        ("FL", "down 0 29900, down probed"),
        ("Fo", "down 0 29900, down probed"),
        ("Fxx", "down 0 29900, down probed"),
        ("Fs", "unknown 0 -, down probed, unknown suspended"),
        // Down, once spoken for.
        ("FPP", "up 0 9900, down probed, up probed"),
        ("FPF", "down 0 29900, down probed"),
        ("FPL", "down 1 900, down probed"),
        ("FPxx", "down 1 900, down probed"),
        ("FPs", "unknown 0 -, down probed, unknown suspended"),
        // Suspended.
        ("Pso", "unknown 0 -, up probed, unknown suspended"),
        ("Psxx", "unknown 0 -, up probed, unknown suspended"),
        ("Pss", "unknown 0 -, up probed, unknown suspended"),
        ("Psr", "unknown 0 0, up probed, unknown suspended"),
        ("PsrF", "down 0 29900, up probed, unknown suspended, down probed"),
        // Requests that failed before it was down do not count when it is up again.
        ("PxxPPx", "up 0 9900, up probed, down traffic, up probed"),
        ("PFFFPPx", "up 0 9900, up probed, down probed, up probed"),
    ];
    for (script, expected) in table {
        assert_eq!(played(POLICY, script), expected, "after {script:?}");
    }
}

#[test]
fn gone_after_five_and_back_after_two() {
    let policy = Policy { fall: 5, rise: 2, ..POLICY };
    assert_eq!(played(policy, "PFFFF"), "up 4 900, up probed");
    assert_eq!(played(policy, "PFFFFF"), "down 0 29900, up probed, down probed");
    assert_eq!(played(policy, "PFFFFFP"), "down 1 900, up probed, down probed");
    assert_eq!(played(policy, "PFFFFFPP"), "up 0 9900, up probed, down probed, up probed");
    assert_eq!(played(policy, "PFFFFPFFFF"), "up 4 900, up probed");
}

#[test]
fn traffic_counts_only_where_the_policy_says_so() {
    let policy = Policy { observe_failures: None, ..POLICY };
    assert_eq!(played(policy, "Pxxxxxxxx"), "up 0 9900, up probed");
}

#[test]
fn a_probe_that_took_longer_than_the_interval_is_followed_at_once() {
    let mut play = Play::new(POLICY);
    play.monitor.handle_deadline(play.now, &mut Vec::new());
    play.now = play.now + Duration::from_secs(60);
    play.monitor.handle_outcome(play.now, outcome(Finding::Answered), &mut play.actions);
    assert_eq!(play.summary(), "up 0 0, up probed");
}

#[test]
fn early_deadlines_and_uncalled_outcomes_do_nothing() {
    let mut play = Play::new(POLICY);
    play.monitor.handle_deadline(play.now - Duration::from_nanos(1), &mut play.actions);
    play.monitor.handle_outcome(play.now, outcome(Finding::Answered), &mut play.actions);
    assert_eq!(play.summary(), "unknown 0 0");
    play.monitor.handle_deadline(play.now, &mut Vec::new());
    play.monitor.suspend(play.now, &mut play.actions);
    play.monitor.handle_outcome(play.now, outcome(Finding::Answered), &mut play.actions);
    assert_eq!(play.summary(), "unknown 0 -");
    assert_eq!(play.monitor.known().probes, 0);
}

#[test]
fn who_says_nothing_against_a_server_does_not_bring_it_back() {
    for (script, expected) in [
        ("K", "up 0 9900, up probed"),
        ("PK", "up 0 9900, up probed"),
        ("PFFK", "up 0 9900, up probed"),
        ("FK", "down 0 29900, down probed"),
        ("FPKP", "up 0 9900, down probed, up probed"),
    ] {
        assert_eq!(played(POLICY, script), expected, "{script}");
    }
}

/// As keepalived does it: a server that is up is tried again before its probe has failed; one that is down is probed at
/// its interval, and the first answer of all decides alone.
#[test]
fn a_probe_of_a_server_that_is_up_has_its_retries() {
    let policy = Policy { retries: 2, rise: 1, fall: 1, ..POLICY };
    let table = [
        ("F", "down 0 29900, down probed"),
        ("P", "up 0 9900, up probed"),
        ("PF", "up 0 2000, up probed"),
        ("PFF", "up 0 2000, up probed"),
        // The probe began 4.2 s before.
        ("PFP", "up 0 7800, up probed"),
        ("PFL", "up 0 7800, up probed"),
        ("PFFF", "down 0 25700, up probed, down probed"),
        ("PFFFF", "down 0 29900, up probed, down probed"),
        ("PFFFP", "up 0 9900, up probed, down probed, up probed"),
        ("PFFPFF", "up 0 2000, up probed"),
        ("PFxx", "down 0 1000, up probed, down traffic"),
        ("PFxxF", "down 0 29900, up probed, down traffic"),
        ("PFsr", "unknown 0 0, up probed, unknown suspended"),
        ("PFsrF", "down 0 29900, up probed, unknown suspended, down probed"),
    ];
    for (script, expected) in table {
        assert_eq!(played(policy, script), expected, "{script}");
    }
    let mut play = Play::new(policy);
    play.play("PFFP");
    assert_eq!((play.monitor.known().probes, play.monitor.known().failures), (2, 0), "tries are no probes");
    let patient = Policy { fall: 2, ..policy };
    assert_eq!(played(patient, "PFFFFFF"), "down 0 25700, up probed, down probed");
}

#[test]
fn what_is_said_beside_holds_until_it_is_said_anew() {
    let mut play = Play::new(POLICY);
    let say = |share: Option<u16>, admin| {
        let advice = Advice { share: share.map(units::Share::Number), admin };
        Outcome { advice, ..outcome(Finding::Answered) }
    };
    for (answer, expected) in [
        (say(Some(3), None), say(Some(3), None)),
        (say(None, Some(units::AdminState::Drain)), say(Some(3), Some(units::AdminState::Drain))),
        (say(None, None), say(Some(3), Some(units::AdminState::Drain))),
        (say(Some(0), Some(units::AdminState::Ready)), say(Some(0), Some(units::AdminState::Ready))),
    ] {
        let (due, _) = play.monitor.deadline().expect("a deadline");
        play.monitor.handle_deadline(due, &mut play.actions);
        play.monitor.handle_outcome(due, answer, &mut play.actions);
        assert_eq!(play.monitor.known().advice, expected.advice);
    }
}

#[test]
fn a_reload_keeps_what_is_known() {
    let mut play = Play::new(POLICY);
    play.play("PFFFPPFF");
    let known = *play.monitor.known();
    assert_eq!((known.status, known.streak), (Status::Up, 2));
    assert_eq!((known.probes, known.failures, known.downs), (8, 5, 1));
    assert_eq!(known.last, Some(outcome(Finding::WrongStatus)));
    assert!(known.changed.is_some());

    let first_probe = play.now + Duration::from_secs(3);
    play.monitor = Monitor::new(POLICY, Some(known), first_probe);
    play.actions.clear();
    assert_eq!(play.summary(), "up 2 3000");
    play.play("F");
    assert_eq!(play.summary(), "down 0 29900, down probed");
    assert_eq!(play.monitor.known().downs, 2);
}

#[test]
fn a_server_is_up_when_all_its_checks_are() {
    use Status::{Down, Unknown, Up};
    let table: [(&[Status], Status); 7] = [
        (&[], Up),
        (&[Up], Up),
        (&[Up, Up], Up),
        (&[Up, Unknown], Unknown),
        (&[Unknown, Unknown], Unknown),
        (&[Unknown, Down], Down),
        (&[Down, Up], Down),
    ];
    for (checks, expected) in table {
        assert_eq!(combine(checks), expected, "{checks:?}");
    }
}

#[test]
fn words_for_people() {
    let answer = Outcome { status: Some(503), ..Outcome::new(Finding::WrongStatus, TOOK) };
    assert_eq!(answer.to_string(), "answered with another status (503) after 100ms");
    let of_several = Outcome { page: Some(2), ..answer };
    assert_eq!(of_several.to_string(), "answered with another status (503) on page 2 after 100ms");
    assert_eq!(Why::Probed(answer).to_string(), answer.to_string());
    assert_eq!(Why::Traffic(4).to_string(), "4 requests in a row failed");
}
