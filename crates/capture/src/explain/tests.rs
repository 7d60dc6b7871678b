use std::time::Duration;

use vrrp_proto::{
    AddressList, Advert, Centiseconds, Checksum, Family, Password, Priority, Protocol, multicast_group, write,
};

use super::*;

/// Routers are 10.0.0.N; they have 10.0.0.9.
struct Told {
    explainer: Explainer,
    events: Vec<Event>,
}

const MS: Duration = Duration::from_millis(1);
const V3: Protocol = Protocol::V3 { interval: Centiseconds::new(10).expect("not 0"), checksum: Checksum::PseudoHeader };

/// From here on; what comes before it would be before 1970.
fn at(millis: u32) -> Instant {
    Instant::from_millis(1_000_000) + MS * millis
}

fn v2(seconds: u8, password: &str) -> Protocol {
    let seconds = std::num::NonZeroU8::new(seconds).unwrap();
    Protocol::V2 { seconds, password: Some(Password::new(password.as_bytes()).unwrap()) }
}

fn frame(router: u8, vrid: u8, priority: u8, protocol: Protocol, vip: u8) -> Vec<u8> {
    let source = IpAddr::from([10, 0, 0, router]);
    let group = multicast_group(Family::V4);
    let list = AddressList::new(Family::V4, &[IpAddr::from([10, 0, 0, vip])]).unwrap();
    let addresses = list.as_addresses();
    let vrid = Vrid::new(vrid).unwrap();
    let mut payload = Vec::new();
    write(&mut payload, &Advert { vrid, priority: Priority::from_wire(priority), protocol, addresses }, source, group);
    ethernet(router, &payload)
}

fn ethernet(router: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x01, 0, 0x5e, 0, 0, 0x12, 0x02, 0, 0, 0, 0, router, 0x08, 0x00];
    let length = (20 + payload.len()) as u16;
    frame.extend([0x45, 0xc0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 1, 0, 0, 255, 112, 0, 0, 10, 0, 0, router, 224, 0, 0, 18]);
    frame.extend(payload);
    frame
}

impl Told {
    fn new(scope: Scope) -> Told {
        Told { explainer: Explainer::new(scope), events: Vec::new() }
    }

    fn packet(&mut self, millis: u32, bytes: &[u8]) -> Verdict {
        let packet = Packet { time: at(millis), interface: 0, bytes, length: bytes.len() as u32 };
        self.explainer.explain(Link::ETHERNET, &packet, false, &mut self.events)
    }

    /// An advert of version 3, each 100 ms; and what is said of it.
    fn advert(&mut self, millis: u32, router: u8, priority: u8) -> String {
        match self.packet(millis, &frame(router, 51, priority, V3, 9)) {
            Verdict::Comment(comment) => comment,
            Verdict::Plain => String::new(),
            Verdict::Other => "other".to_owned(),
        }
    }

    /// What was told that no packet said, with its time.
    fn unsaid(&mut self, millis: u32) -> Vec<(f64, String)> {
        self.events.clear();
        self.explainer.handle_deadline(at(millis), &mut self.events);
        let start = at(0);
        let events = self.events.drain(..);
        events.map(|event| (event.time.since(start).as_secs_f64() * 1000.0, event.text)).collect()
    }

    /// 10.0.0.3 (100) was active, 10.0.0.2 (150) took over and is active since 400: both are known.
    fn pair() -> Told {
        let mut told = Told::new(Scope::default());
        told.advert(0, 3, 100);
        told.advert(100, 3, 100);
        told.advert(200, 2, 150);
        told.advert(300, 2, 150);
        told.advert(400, 2, 150);
        told
    }
}

/// Priority 100 at 100 ms: 3 × 100 + 156/256 × 100 = 360.9375 ms.
#[test]
fn a_known_backup_is_expected_at_its_time() {
    let mut told = Told::pair();
    assert_eq!(told.unsaid(599), []);
    assert_eq!(told.unsaid(600), [(600.0, "first advert of 10.0.0.2 missed".to_owned())]);
    assert_eq!(told.unsaid(760), [(700.0, "second advert of 10.0.0.2 missed".to_owned())]);
    let third =
        "third advert of 10.0.0.2 missed: 3 × 100 ms + skew 60.938 ms is up, 10.0.0.3 (priority 100) is to take over";
    assert_eq!(told.unsaid(761), [(760.9375, third.to_owned())]);
    assert_eq!(
        told.advert(762, 3, 100),
        "third advert of 10.0.0.2 missed: 3 × 100 ms + skew 60.938 ms is up; 10.0.0.3 (priority 100) takes over, 362 ms \
         after that one's last"
    );
}

#[test]
fn one_that_does_not_take_over_is_told() {
    let mut told = Told::pair();
    told.unsaid(800);
    let absent = "10.0.0.3 (priority 100) has not taken over: it is gone, or is told to wait";
    assert_eq!(told.unsaid(2000), [(860.9375, absent.to_owned())]);
    assert_eq!(told.unsaid(100_000), []);
    assert_eq!(told.advert(100_000, 2, 150), "10.0.0.2 is heard again, 99.6 s after its last advert");
}

/// The longest that any backup waits: (256 - 2) / 256 × 100 ms of skew.
#[test]
fn silence_without_a_known_backup() {
    let mut told = Told::new(Scope::default());
    told.advert(0, 2, 150);
    let mut told = told.unsaid(1000).into_iter().skip(2);
    let (time, text) = told.next().unwrap();
    assert_eq!(time, 399.21875);
    assert!(text.ends_with("no backup waits longer (3 × 100 ms + skew 99.219 ms)"), "{text}");
    assert_eq!(told.next(), None);
}

#[test]
fn who_leaves_names_who_comes() {
    let mut told = Told::pair();
    assert_eq!(
        told.advert(450, 2, 0),
        "priority 0: 10.0.0.2 leaves; the others wait only their skew: 10.0.0.3 (priority 100) takes over in 60.938 ms"
    );
    assert_eq!(told.unsaid(512), []);
    assert_eq!(
        told.advert(512, 3, 100),
        "10.0.0.2 has left and skew 60.938 ms is up: 10.0.0.3 (priority 100) takes over, 62 ms after it left"
    );
}

#[test]
fn a_lowered_priority_is_told_and_preempted() {
    let mut told = Told::pair();
    assert_eq!(told.advert(500, 2, 50), "10.0.0.2 has priority 50 now, and had 150");
    for millis in [600, 700] {
        assert_eq!(told.advert(millis, 2, 50), "");
    }
    // Its timer ran on from the advert at 400, which was the last with a higher priority.
    assert_eq!(
        told.advert(761, 3, 100),
        "10.0.0.3 (priority 100) takes over from 10.0.0.2 (priority 50), which is lower; \
         10.0.0.2 gives way when it hears this: 10.0.0.3 has priority 100"
    );
    assert_eq!(told.unsaid(900), []);
}

#[test]
fn an_owner_waits_for_nobody() {
    let mut told = Told::new(Scope::default());
    told.advert(0, 3, 100);
    assert_eq!(
        told.advert(50, 2, 255),
        "10.0.0.2 (priority 255) owns the addresses and takes over at once; \
         10.0.0.3 gives way when it hears this: 10.0.0.2 has priority 255"
    );
}

#[test]
fn passwords_that_differ_make_two_active_routers() {
    let mut told = Told::new(Scope::default());
    told.packet(0, &frame(2, 51, 150, v2(1, "one"), 9));
    told.packet(1000, &frame(2, 51, 150, v2(1, "one"), 9));
    let verdict = told.packet(1500, &frame(3, 51, 100, v2(1, "other"), 9));
    let Verdict::Comment(comment) = verdict else { panic!("{verdict:?}") };
    assert_eq!(
        comment,
        "two active routers: 10.0.0.3 (priority 100) does not take the adverts of 10.0.0.2: its password is not ours; \
         10.0.0.2 stays active when it hears this; 10.0.0.2 does not take it: its password is not ours"
    );
}

#[test]
fn what_nobody_takes_is_said_once() {
    let mut told = Told::pair();
    let mut wrong = frame(2, 51, 150, V3, 9);
    // Its priority says another thing than its checksum.
    wrong[14 + 20 + 2] = 200;
    let text = "a packet of 10.0.0.2: ignored by all: its checksum is wrong";
    assert_eq!(told.packet(450, &wrong), Verdict::Comment(text.to_owned()));
    assert_eq!(told.packet(460, &wrong), Verdict::Comment(text.to_owned()));
    let said: Vec<bool> =
        told.events.iter().filter(|event| event.kind == Kind::Ignored).map(|e| e.is_routine).collect();
    assert_eq!(said, [false, true]);
    let mut passed = frame(2, 51, 150, V3, 9);
    passed[14 + 8] = 254;
    let text = "a packet of 10.0.0.2: ignored by all: it has passed a router";
    assert_eq!(told.packet(470, &passed), Verdict::Comment(text.to_owned()));
    // None of them has moved a timer.
    assert_eq!(told.advert(500, 2, 150), "");
    let short = &frame(2, 51, 150, V3, 9)[..40];
    let text = "a packet of 10.0.0.2: the capture has cut it off";
    assert_eq!(told.packet(510, short), Verdict::Comment(text.to_owned()));
}

#[test]
fn only_what_is_asked_for() {
    let mut told = Told::new(Scope { routers: vec![Vrid::new(51).unwrap()], ..Scope::default() });
    assert_eq!(told.packet(0, &frame(2, 52, 150, V3, 9)), Verdict::Other);
    assert!(matches!(told.packet(0, &frame(2, 51, 150, V3, 9)), Verdict::Comment(_)));
    assert_eq!(told.events.last().unwrap().packet, Some(1));
    let mut told = Told::new(Scope { addresses: vec![IpAddr::from([10, 0, 0, 9])], ..Scope::default() });
    assert_eq!(told.packet(0, &frame(2, 51, 150, V3, 10)), Verdict::Other);
    assert!(matches!(told.packet(0, &frame(2, 52, 150, V3, 9)), Verdict::Comment(_)));
    let topics = Topics { vrrp: false, ..Topics::default() };
    let mut told = Told::new(Scope { topics, ..Scope::default() });
    assert_eq!(told.packet(0, &frame(2, 52, 150, V3, 9)), Verdict::Other);
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let mut told = Told::pair();
    assert_eq!(told.advert(100, 2, 150), "");
    assert_eq!(told.advert(500, 2, 150), "");
    assert_eq!(told.unsaid(599), []);
}

#[test]
fn of_too_many_routers_the_one_that_is_silent_longest_is_forgotten() {
    let mut told = Told::new(Scope::default());
    let each = |told: &mut Told, number: usize| {
        let bytes = frame(2, (number % 255 + 1) as u8, 150, V3, 9);
        let packet = Packet { time: at(number as u32), interface: (number / 255) as u32, bytes: &bytes, length: 60 };
        told.explainer.explain(Link::ETHERNET, &packet, false, &mut told.events)
    };
    for number in 0..=ROUTERS_MAX {
        each(&mut told, number);
        assert!(told.explainer.routers.len() <= ROUTERS_MAX);
    }
    assert_eq!(told.explainer.routers.len(), ROUTERS_MAX);
    assert!(!told.explainer.routers.contains_key(&((0, None), false, Vrid::new(1).unwrap())));
    assert!(told.explainer.routers.contains_key(&((0, None), false, Vrid::new(2).unwrap())));
    assert!(told.explainer.addresses.len() <= ADDRESSES_MAX);
}

#[test]
fn of_too_many_members_the_one_that_is_silent_longest_is_forgotten() {
    let mut told = Told::new(Scope::default());
    for router in 1..=router::MEMBERS_MAX as u8 + 1 {
        told.advert(u32::from(router), router, 100 + router);
    }
    let followed = told.explainer.routers.values().next().unwrap();
    assert_eq!(followed.members().len(), router::MEMBERS_MAX);
    assert!(followed.members().iter().all(|member| member.source != IpAddr::from([10, 0, 0, 1])));
}

#[test]
fn of_too_many_addresses_the_further_ones_have_no_router() {
    let mut told = Told::new(Scope::default());
    for number in 0..ADDRESSES_MAX as u32 + 10 {
        let [_, _, third, fourth] = number.to_be_bytes();
        let source = IpAddr::from([10, 0, 0, 2]);
        let list = AddressList::new(Family::V4, &[IpAddr::from([10, 9, third, fourth])]).unwrap();
        let addresses = list.as_addresses();
        let advert = Advert { vrid: Vrid::new(1).unwrap(), priority: Priority::DEFAULT, protocol: V3, addresses };
        let mut payload = Vec::new();
        write(&mut payload, &advert, source, multicast_group(Family::V4));
        told.packet(number, &ethernet(2, &payload));
    }
    assert_eq!(told.explainer.addresses.len(), ADDRESSES_MAX);
}

#[test]
fn of_too_many_senders_of_nonsense_the_further_ones_are_not_told() {
    let mut told = Told::new(Scope::default());
    for sender in 0..IGNORED_MAX + 20 {
        let mut wrong = ethernet(2, &[0x31, 1, 100, 1, 0, 100, 0, 0, 10, 0, 0, 9]);
        wrong[14 + 12..14 + 16].copy_from_slice(&[10, 1, (sender >> 8) as u8, sender as u8]);
        told.packet(0, &wrong);
    }
    assert_eq!(told.events.iter().filter(|event| !event.is_routine).count(), IGNORED_MAX);
    assert_eq!(told.explainer.ignored.len(), IGNORED_MAX);
}

/// ARP of the host with this last byte (RFC 826): 1 asks and 2 answers, of or about 10.0.0.9.
fn arp(operation: u8, host: u8, sender: u8, target: u8) -> Vec<u8> {
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, host, 0x08, 0x06];
    frame.extend([0, 1, 8, 0, 6, 4, 0, operation, 0x02, 0, 0, 0, 0, host, 10, 0, 0, sender]);
    frame.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, target]);
    frame
}

#[test]
fn an_answer_from_elsewhere_than_the_announcement_is_a_conflict() {
    let mut told = Told::new(Scope::default());
    told.advert(0, 1, 100);
    assert!(matches!(told.packet(1, &arp(1, 1, 9, 9)), Verdict::Comment(_)));
    let Verdict::Comment(same) = told.packet(2, &arp(2, 1, 9, 7)) else { panic!("it is told") };
    assert_eq!(same, "10.0.0.7 is told that 10.0.0.9 is at 02:00:00:00:00:01");
    let Verdict::Comment(other) = told.packet(3, &arp(2, 3, 9, 7)) else { panic!("it is told") };
    let was = "though it was at 02:00:00:00:00:01";
    assert_eq!(other, format!("10.0.0.7 is told that 10.0.0.9 is at 02:00:00:00:00:03, {was}"));
    assert_eq!(told.events.last().map(|event| event.kind), Some(Kind::Conflict));
}

/// Of gratuitous ARP, SYNs and questions for names: as many as there are, and more.
#[test]
fn what_hosts_say_is_forgotten_too() {
    let server = "10.0.0.21:80".parse().unwrap();
    let mut told = Told::new(Scope { servers: vec![server], ..Scope::default() });
    for number in 0..=neighbours::PLACES_MAX as u32 {
        let [_, _, third, fourth] = number.to_be_bytes();
        let mut arp = vec![0xff; 6];
        arp.extend([0x02, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
        arp.extend([0x02, 0, 0, 0, 0, 1, 10, 8, third, fourth]);
        arp.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 10, 8, third, fourth]);
        told.packet(number, &arp);
        let mut syn = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
        syn.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 8, third, fourth, 10, 0, 0, 21]);
        syn.extend([0x80, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0]);
        told.packet(number, &syn);
        let name = format!("n{number}");
        let mut dns = vec![0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
        dns.extend(name.as_bytes());
        dns.extend([0, 0, 1, 0, 1]);
        let mut udp = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
        udp.extend([0x45, 0, 0, 28 + dns.len() as u8, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 21, 10, 0, 0, 1]);
        udp.extend([0, 53, 0x80, 0, 0, 8 + dns.len() as u8, 0, 0]);
        udp.extend(dns);
        told.packet(number, &udp);
        told.events.clear();
    }
    assert_eq!(told.explainer.neighbours.len(), neighbours::PLACES_MAX);
    assert_eq!(told.explainer.connections.len(), connections::CONNECTIONS_MAX);
    assert_eq!(told.explainer.names.len(), names::NAMES_MAX);
}
