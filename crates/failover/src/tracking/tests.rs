use std::collections::BTreeMap;

use super::*;
use crate::example::vip;
use vrrp_proto::Priority;

fn shown(effect: Effect) -> String {
    match effect {
        Effect::Priority(priority) => priority.to_string(),
        Effect::LastResort => "last".to_owned(),
        Effect::Fault => "fault".to_owned(),
    }
}

/// With priority 100.
fn effect_of(subject: Subject, weight: Option<i16>, reverse: bool, health: Option<Health>, serving: bool) -> String {
    let key = |subject: &Subject| match subject {
        Subject::Interface(name) | Subject::Fact(name) | Subject::Served(name) => name.clone(),
    };
    let known = health.map(|health| (key(&subject), health));
    let facts = Facts { known: BTreeMap::from_iter(known) };
    let vip = Vip { track: vec![Track { subject, weight, reverse }], ..vip("web", 51, &["10.0.0.9/32"]) };
    shown(effect(&vip, &Known { facts: &facts, interfaces: &[("eth1".to_owned(), true)] }, serving, None))
}

#[test]
fn facts_by_what_they_weigh() {
    use Health::{Number, Unknown, Unwell, Well};
    type Row = (Option<i16>, bool, Option<Health>, &'static str);
    let table: [Row; 19] = [
        (None, false, Some(Well), "100"),
        (None, false, Some(Unwell), "last"),
        (None, false, Some(Unknown), "fault"),
        (None, false, None, "fault"),
        (None, true, Some(Well), "last"),
        (None, true, Some(Unwell), "100"),
        (Some(20), false, Some(Well), "120"),
        (Some(20), false, Some(Unwell), "100"),
        (Some(-20), false, Some(Unwell), "80"),
        (Some(-20), false, None, "100"),
        (Some(20), true, Some(Well), "80"),
        (None, false, Some(Number(0)), "100"),
        (None, false, Some(Number(1)), "last"),
        (Some(10), false, Some(Number(3)), "130"),
        (Some(10), false, Some(Number(-3)), "70"),
        (Some(-10), false, Some(Number(-3)), "130"),
        (Some(10), true, Some(Number(3)), "70"),
        (Some(10), false, Some(Number(0)), "100"),
        (Some(254), false, Some(Number(i32::MAX)), "254"),
    ];
    for (weight, reverse, health, expected) in table {
        let told = effect_of(Subject::Fact("script/x".to_owned()), weight, reverse, health, false);
        assert_eq!(told, expected, "{weight:?} {reverse} {health:?}");
    }
}

/// What is served is well only while somebody serves; that nobody has said so yet is no fault of a silent process.
#[test]
fn what_is_served_needs_signs_of_life() {
    let of = |health, serving| effect_of(Subject::Served("frontend/x".to_owned()), None, false, health, serving);
    assert_eq!(of(Some(Health::Well), true), "100");
    assert_eq!(of(Some(Health::Well), false), "last");
    assert_eq!(of(Some(Health::Unwell), true), "last");
    assert_eq!(of(None, false), "fault");
}

#[test]
fn an_interface_is_needed_to_take_part() {
    let of = |name: &str, weight| effect_of(Subject::Interface(name.to_owned()), weight, false, None, true);
    assert_eq!(of("eth1", None), "100");
    assert_eq!(of("eth7", None), "fault");
    assert_eq!(of("eth7", Some(-20)), "80");
}

#[test]
fn what_is_given_up_is_a_last_resort_unless_it_is_a_fault() {
    let facts = Facts::default();
    let of = |vip: &Vip| shown(effect(vip, &Known { facts: &facts, interfaces: &[] }, true, Some(Hold::GivenUp)));
    let plain = vip("web", 51, &["10.0.0.9/32"]);
    assert_eq!(of(&plain), "last");
    let track = vec![Track { subject: Subject::Interface("eth7".to_owned()), weight: None, reverse: false }];
    assert_eq!(of(&Vip { track, ..plain.clone() }), "fault");
    assert_eq!(of(&Vip { priority: Priority::OWNER, ..plain }), "last");
}
