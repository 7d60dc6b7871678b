use super::*;

/// By hand: it waits 255/256 s for priority 1, and its own 156/256 s, beyond three adverts. Whoever can serve takes the
/// addresses from a last resort, without preemption and before its delay is over.
#[test]
fn one_that_cannot_serve_is_a_last_resort() {
    const STANDS_BY: &str = "backup 4.60546875s TakeOver | ";
    const NOTE: &str = "note: it cannot serve, and has the addresses because nobody else takes them";
    check(
        &settings(),
        &[
            ("d d l", &format!("{STANDS_BY}send 0, remove, active>backup: it cannot serve")),
            ("d d l l", STANDS_BY),
            ("d l", STANDS_BY),
            ("l", "initialize 0ns Start | "),
            ("l d", &format!("{STANDS_BY}initialize>backup: it has started")),
            ("d t l", &format!("{STANDS_BY}fault>backup: it lacks nothing any more")),
            ("d l t", "fault - | backup>fault: what it tracks is not well"),
            ("d d l +1000 9:50", STANDS_BY),
            ("d d l +1000 9:0", "backup 1.60546875s TakeOver | "),
            (
                "d d l d",
                &format!("active 1s Advert | send 1, add, announce 5, backup>active: no advert came in time, {NOTE}"),
            ),
            ("d d l d l", "active 1s Advert | "),
            ("d d l d d", "active 1s Advert | send 1"),
            (
                "d d l d +400 9:50",
                "backup 4.60546875s TakeOver | send 1, remove, active>backup: 10.0.0.9 has priority 50",
            ),
            ("d d l d p90", "active 1s Advert | "),
            ("d d l d p90 d", "active 1s Advert | send 90"),
            ("d d l +1000 p100", "backup 2.609375s TakeOver | "),
        ],
    );
    let never = Settings { preempt: Preempt::No, ..settings() };
    let later = Settings { preempt: Preempt::After(Duration::from_secs(300)), ..settings() };
    for settings in [never, later] {
        check(
            &settings,
            &[("d +1000 9:2", "backup 3.609375s TakeOver | "), ("d +1000 9:1", "backup 2.609375s TakeOver | ")],
        );
        let mut both = Play::new(settings);
        both.play("d l +1000 9:1");
        assert!(both.summary().starts_with(STANDS_BY), "neither can serve: who came first stays");
    }
    let owner = Settings { priority: Priority::OWNER, ..settings() };
    check(
        &owner,
        &[
            ("d l", "fault - | send 0, remove, active>fault: what it tracks is not well"),
            ("d l p90", "active 1s Advert | send 255, add, announce 5, fault>active: it owns the addresses"),
        ],
    );
}

#[test]
fn one_that_gives_up_waits_whole() {
    check(
        &settings(),
        &[
            ("g", "initialize 0ns Start | "),
            ("d +1000 g", "backup 2.609375s TakeOver | "),
            (
                "d d +400 g",
                "backup 3.609375s TakeOver | send 0, remove, active>backup: it was told to leave the addresses to another",
            ),
            ("d d +400 g d", "active 1s Advert | send 100, add, announce 5, backup>active: no advert came in time"),
            (
                "d d +400 p50 g",
                "backup 3.8046875s TakeOver | send 0, remove, active>backup: it was told to leave the addresses to another",
            ),
            ("d f g", "fault - | "),
        ],
    );
}

/// RFC 9568 §6.1. An owner that is a backup has become one by its configuration.
#[test]
fn an_owner_preempts_whatever_is_configured() {
    let settings = Settings { preempt: Preempt::No, ..settings() };
    let mut play = Play::new(settings.clone());
    play.play("d");
    let owner = Config::new(Settings { priority: Priority::OWNER, ..settings }).unwrap();
    assert!(play.router.handle_config(play.now, owner, &mut Vec::new()));
    play.play("+1000 9:254");
    assert_eq!(play.summary(), "backup 2.00390625s TakeOver | ");
}

/// By hand: three adverts of a second, 156/256 s; and of half a second as the active one's are.
#[test]
fn the_times_are_told() {
    let mut play = Play::new(settings());
    play.play("d");
    let times = |play: &Play| format!("{:?}", play.router.timing());
    assert_eq!(times(&play), "Timing { interval: 1s, skew: 609.375ms, down: 3.609375s }");
    play.play("9:150/50");
    assert_eq!(times(&play), "Timing { interval: 500ms, skew: 304.6875ms, down: 1.8046875s }");
}
