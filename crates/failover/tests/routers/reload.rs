//! From one plan, or one process, to the next.

use failover::{Plan, Setup, VipGroup};
use lab::Host;
use vrrp_proto::{Centiseconds, Checksum, Protocol};

use crate::director::{Director, active_and_backup, has_address, two, vip, vip_address};

const WEB: &str = "10.0.0.100/32";
const DB: &str = "10.0.0.101/32";

/// What the kernel tells of addresses while `work` runs.
fn address_changes(host: &Host, work: impl FnOnce()) -> String {
    let monitor = host.spawn(&["ip", "monitor", "address"]);
    // It tells of this one once it listens.
    lab::wait_for(lab::SOON, "the monitor listens", || {
        host.run(&["ip", "address", "add", "10.99.0.1/32", "dev", "lo"]);
        host.run(&["ip", "address", "del", "10.99.0.1/32", "dev", "lo"]);
        monitor.stdout().contains("10.99.0.1")
    });
    work();
    monitor.stdout()
}

#[test]
fn a_reload_keeps_role_and_addresses_and_moves_one_between_vips() {
    let (_lab, one, _other) = lab::require!(two("engine-reload"));
    let (web, db) = (vip("web", 51, 100, WEB), vip("db", 52, 100, DB));
    let director = Director::running(&one, vec![web.clone(), db.clone()]);
    director.wait_for_address(WEB, true);
    director.wait_for_address(DB, true);
    let extra = "10.0.0.102/32";
    let with_extra = |mut vip: failover::Vip| {
        vip.addresses.push(vip_address(extra));
        vip
    };
    director.plan(vec![with_extra(web.clone()), db.clone()]);
    director.wait_for_address(extra, true);
    let changes = address_changes(&one, || {
        director.plan(vec![web, with_extra(db)]);
        director.wait_for("the plan is carried out", |director| director.report().vips[1].addresses.len() == 2);
    });
    assert!(!changes.contains(extra), "{changes}");
    assert!(has_address(&one, extra));
    let report = director.report();
    let states: Vec<_> = report.vips.iter().map(|vip| (vip.state.as_str(), vip.became_active)).collect();
    assert_eq!(states, [("active", 1), ("active", 1)]);
}

#[test]
fn a_vip_that_is_no_more_is_left_to_others_at_once() {
    let (_lab, one, other) = lab::require!(two("engine-gone"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, WEB));
    first.plan(vec![vip("db", 52, 250, DB)]);
    second.wait_for_address(WEB, true);
    first.wait_for_address(DB, true);
    assert!(!has_address(&one, WEB));
    assert_eq!(second.vip().why, "the active one has left");
}

#[test]
fn a_process_that_takes_the_place_of_another_is_active_as_it_was() {
    let (_lab, one, other) = lab::require!(two("engine-adopt"));
    // Time enough to take over, also on a busy machine.
    let interval = Centiseconds::new(50).unwrap();
    let protocol = Protocol::V3 { interval, checksum: Checksum::PseudoHeader };
    let make = |priority| failover::Vip { protocol, ..vip("web", 51, priority, WEB) };
    let (first, second) = active_and_backup(&one, &other, make);
    first.wait_for_address(WEB, true);
    let mut next = None;
    let Director { engine, .. } = first;
    let changes = address_changes(&one, || {
        let roles = engine.leave();
        assert!(roles[0].active);
        let director = Director::start_with(&one, Setup { roles, beats: None });
        director.plan(vec![make(250)]);
        director.wait_for_state("active");
        next = Some(director);
    });
    assert!(!changes.contains("10.0.0.100"), "{changes}");
    assert_eq!((second.vip().state.as_str(), second.vip().became_active), ("backup", 0));
    assert!(next.unwrap().vip().why.contains("the process before it was active"));
}

#[test]
fn a_role_that_is_too_old_is_not_adopted() {
    let (_lab, one, other) = lab::require!(two("engine-old"));
    let make = |priority| vip("web", 51, priority, WEB);
    let (first, second) = active_and_backup(&one, &other, make);
    let roles = first.engine.leave();
    second.wait_for_address(WEB, true);
    assert!(has_address(&one, WEB), "it was left in place");
    let director = Director::start_with(&one, Setup { roles, beats: None });
    director.plan(vec![make(100)]);
    director.wait_for_address(WEB, false);
    director.wait_for_state("backup");
}

/// A stop that comes while a plan is prepared for: what its preparation puts there goes as well.
#[test]
fn who_stops_while_a_plan_is_prepared_leaves_no_address_behind() {
    let (_lab, one, other) = lab::require!(two("engine-halfway"));
    let interval = Centiseconds::new(50).unwrap();
    let protocol = Protocol::V3 { interval, checksum: Checksum::PseudoHeader };
    let make = |priority| failover::Vip { protocol, ..vip("web", 51, priority, WEB) };
    let (first, second) = active_and_backup(&one, &other, make);
    first.wait_for_address(WEB, true);
    let roles = first.engine.leave();
    let next = Director::start_with(&one, Setup { roles, beats: None });
    next.plan(vec![make(250)]);
    next.engine.stop();
    assert!(!has_address(&one, WEB), "it was adopted and let go");
    second.wait_for_address(WEB, true);
    // Another plan, and no time to carry it out.
    second.plan(vec![make(240), vip("db", 52, 240, DB)]);
    second.engine.stop();
    assert!(!has_address(&other, WEB) && !has_address(&other, DB));
}

#[test]
fn what_a_reload_has_not_mended_is_told_once() {
    let (_lab, one, other) = lab::require!(two("engine-noted"));
    let make = |priority| vip("web", 51, priority, if priority == 250 { WEB } else { DB });
    let (_first, second) = active_and_backup(&one, &other, make);
    for times in 1..4 {
        second.wait_for("it is noted", |second| second.notes().len() == times);
        assert_eq!(second.vip().diagnosis.len(), 1, "{:?}", second.vip().diagnosis);
        second.plan(vec![make(240)]);
    }
    second.plan(vec![vip("web", 51, 240, WEB)]);
    second.wait_for("all is well", |second| second.vip().diagnosis.is_empty());
}

#[test]
fn roles_that_were_not_taken_up_yet_are_handed_on() {
    let (_lab, one, _other) = lab::require!(two("engine-handed-on"));
    let director = Director::running(&one, vec![vip("web", 51, 250, WEB)]);
    director.wait_for_address(WEB, true);
    let roles = director.engine.leave();
    assert!(roles[0].active);
    let next = Director::start_with(&one, Setup { roles: roles.clone(), beats: None });
    assert_eq!(next.engine.leave(), roles);
}

#[test]
fn vips_of_a_group_move_together_and_a_group_is_formed_without_a_gap() {
    let (_lab, one, other) = lab::require!(two("engine-group"));
    let vips = |priority| vec![vip("web", 51, priority, WEB), vip("db", 52, priority, DB)];
    let groups = || vec![VipGroup { name: "all".to_owned(), members: vec![0, 1] }];
    let first = Director::running(&one, vips(250));
    first.wait_for_address(WEB, true);
    first.wait_for_address(DB, true);
    let second = Director::start(&other);
    second.engine.plan(Plan { vips: vips(240), groups: groups() });
    second.wait_for("it hears both", |second| second.report().vips.iter().all(|vip| vip.active.is_some()));
    let changes = address_changes(&one, || {
        first.engine.plan(Plan { vips: vips(250), groups: groups() });
        first.wait_for("the group is formed", |first| first.vip().group.is_some());
    });
    assert!(!changes.contains("10.0.0.10"), "{changes}");
    first.wait_for("both are active", |first| first.report().vips.iter().all(|vip| vip.state == "active"));
    // One that lacks its interface takes the other along.
    let mut vips = vips(250);
    vips[1].interface = "eth7".to_owned();
    first.engine.plan(Plan { vips, groups: groups() });
    second.wait_for_address(WEB, true);
    first.wait_for_address(WEB, false);
}
