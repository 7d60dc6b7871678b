//! What an operator says, and what directors know of their own service.

use std::collections::BTreeMap;

use failover::{Beats, Engine, Facts, Health, Hold, Order, Plan, Setup, Subject, Track};
use lab::{SOON, wait_for};

use crate::director::{Director, active_and_backup, two, vip};

const ADDRESS: &str = "10.0.0.100/32";

#[test]
fn what_is_given_up_another_takes_and_what_is_held_nobody_here_does() {
    let (_lab, one, other) = lab::require!(two("engine-orders"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    first.engine.order(Some("web"), Order::GiveUp).unwrap();
    second.wait_for_address(ADDRESS, true);
    first.wait_for_address(ADDRESS, false);
    assert_eq!((first.vip().hold, first.vip().priority), (Some(Hold::GivenUp), 1));
    // Nobody else can: the best of what there is.
    second.engine.order(None, Order::Hold).unwrap();
    second.wait_for_address(ADDRESS, false);
    first.wait_for_address(ADDRESS, true);
    assert_eq!((second.vip().state.as_str(), second.vip().hold), ("fault", Some(Hold::Held)));
    // It takes no part, and knows all the same where the addresses are.
    wait_for(SOON, "the other is known", || second.vip().active == Some(("10.0.0.1".parse().unwrap(), 1)));
    assert!(second.vip().up);
    second.engine.order(None, Order::Resume).unwrap();
    second.wait_for_address(ADDRESS, true);
    first.engine.order(None, Order::Resume).unwrap();
    first.wait_for_address(ADDRESS, true);
    assert_eq!(first.engine.order(Some("wbe"), Order::Hold), Err("there is no vip wbe".to_owned()));
}

fn serving(priority: u8) -> failover::Vip {
    let subject = Subject::Served("frontend/web".to_owned());
    let track = vec![Track { subject, weight: None, reverse: false }];
    failover::Vip { track, ..vip("web", 51, priority, ADDRESS) }
}

fn facts(health: Health) -> Facts {
    Facts { known: BTreeMap::from([("frontend/web".to_owned(), health)]) }
}

#[test]
fn a_director_that_cannot_serve_gives_its_addresses_away_unless_nobody_can() {
    let (_lab, one, other) = lab::require!(two("engine-facts"));
    let start = |host, priority| {
        let director = Director::start(host);
        director.engine.facts(facts(Health::Well));
        director.plan(vec![serving(priority)]);
        director
    };
    let first = start(&one, 250);
    first.wait_for_address(ADDRESS, true);
    let second = start(&other, 240);
    second.wait_for_state("backup");
    first.engine.facts(facts(Health::Unwell));
    second.wait_for_address(ADDRESS, true);
    first.wait_for_address(ADDRESS, false);
    assert_eq!(first.vip().diagnosis, ["it stands behind all others, because frontend/web is not well"]);
    second.engine.facts(facts(Health::Unwell));
    wait_for(SOON, "one of them has it", || {
        let active: Vec<_> = [&first, &second].into_iter().filter(|each| each.vip().state == "active").collect();
        let says = "no router is able: it stays active although frontend/web is not well";
        matches!(&active[..], [active] if active.vip().diagnosis.iter().any(|line| line == says))
    });
    second.engine.facts(facts(Health::Well));
    second.wait_for_address(ADDRESS, true);
}

#[test]
fn a_serving_process_that_is_silent_does_not_serve() {
    let (_lab, one, other) = lab::require!(two("engine-beats"));
    let words = (0..Beats::WORDS).map(|_| Default::default()).collect::<Vec<_>>().leak();
    let beats = Beats::new(words).unwrap();
    let first = Director::start_with(&one, Setup { roles: Vec::new(), beats: Some(beats) });
    first.engine.facts(facts(Health::Well));
    first.plan(vec![serving(250)]);
    let second = Director::running(&other, vec![vip("web", 51, 240, ADDRESS)]);
    second.wait_for_address(ADDRESS, true);
    let serve = beats.begin(1, linux::boot_clock());
    let beating = |what: &str, condition: &dyn Fn() -> bool| {
        wait_for(SOON, what, || {
            serve.beat(0, linux::boot_clock());
            condition()
        });
    };
    beating("the first has it while it serves", &|| first.vip().state == "active" && second.vip().state == "backup");
    second.wait_for_address(ADDRESS, true);
    assert_eq!(first.vip().track[0].state, "unwell");
    beating("it comes back", &|| first.vip().state == "active" && second.vip().state == "backup");
}

/// As where a log's disk hangs: adverts go on, and orders are obeyed.
#[test]
fn whoever_reads_events_is_not_waited_for() {
    let (_lab, one, other) = lab::require!(two("engine-events"));
    let second = Director::running(&other, vec![vip("v0", 1, 50, "10.0.1.0/32")]);
    second.wait_for_state("active");
    let (_never, reader) = std::sync::mpsc::channel::<()>();
    let reader = std::sync::Mutex::new(reader);
    let read = move |_event| {
        let _ = reader.lock().unwrap().recv();
    };
    let engine = one.in_namespace(|| Engine::start(Setup::default(), read).unwrap());
    let name = |number: u8| (format!("v{number}"), number + 1, format!("10.0.1.{number}/32"));
    let make = |(name, vrid, address): (String, u8, String)| vip(&name, vrid, 100, &address);
    let vips = (0..200).map(|number| make(name(number))).collect();
    engine.plan(Plan { vips, groups: Vec::new() });
    wait_for(SOON, "it has lost events", || {
        engine.order(None, Order::Hold).unwrap();
        engine.order(None, Order::Resume).unwrap();
        engine.report().events_lost > 0
    });
    second.wait_for_state("backup");
    wait_for(SOON, "all are active", || engine.report().vips.iter().all(|vip| vip.state == "active"));
    assert!(engine.is_alive() && second.vip().active == Some(("10.0.0.1".parse().unwrap(), 100)));
}
