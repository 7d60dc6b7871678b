use super::*;
use crate::example::{MAC, ip};

fn spot(link: bool) -> Spot {
    Spot { interface: 2, link: wire::link::Link::new(&MAC, &[0xff; 6]).filter(|_| link) }
}

fn of(vip: usize, count: u8) -> Vec<Announcement> {
    (0..count).map(|number| Announcement { vip, ip: IpAddr::from([10, 0, 0, number]), spot: spot(true) }).collect()
}

/// Whoever misses one hears of all in the next round.
#[test]
fn each_once_before_any_twice() {
    let mut announcements = Announcements::default();
    announcements.add(&of(0, 2), 2);
    let order: Vec<String> = announcements.burst().map(|each| each.ip.to_string()).collect();
    assert_eq!(order, ["10.0.0.0", "10.0.0.1", "10.0.0.0", "10.0.0.1"]);
    assert!(announcements.is_empty());
}

#[test]
fn a_few_at_a_time_and_no_more_than_there_is_room_for() {
    let mut announcements = Announcements::default();
    announcements.add(&of(0, 255), 255);
    announcements.add(&of(1, 255), 255);
    assert_eq!(announcements.waiting.len(), WAITING_MAX);
    assert_eq!(announcements.burst().count(), BURST);
    announcements.forget(0);
    assert!(announcements.burst().all(|announcement| announcement.vip == 1));
}

#[test]
fn an_interface_without_arp_is_told_nothing() {
    let mut announcements = Announcements::default();
    announcements.add(&[Announcement { vip: 0, ip: ip("10.0.0.9"), spot: spot(false) }], 5);
    assert!(announcements.is_empty());
}

#[test]
fn what_is_in_a_frame() {
    let protocol = |text: &str| Announcement { vip: 0, ip: ip(text), spot: spot(true) }.frame().unwrap().1;
    assert_eq!((protocol("10.0.0.9"), protocol("fd00::9")), (0x0806, 0x86dd));
}
