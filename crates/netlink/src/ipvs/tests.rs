//! `captures.txt` holds what ipvsadm 1.31 and Debian's kernel 6.1 said to each other, as strace saw it; what the commands of
//! its lines mean stands in ipvsadm(8).

mod guest;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::codec::Messages;
use crate::setting::Family as Of;

/// Kind, flags, command and version; then the attributes, and what is nested in them.
type Tree = (u16, u16, u8, u8, Vec<(u16, Vec<(u16, Vec<u8>)>)>);

/// IPVS_SVC_ATTR_FWMARK, the last one of a service's key, and IPVS_DEST_ATTR_TUN_TYPE, the first one of tunnels.
const MARK: u16 = 5;
const TUNNEL_TYPE: u16 = 13;

/// The captured datagram of this name.
fn captured(name: &str) -> Vec<u8> {
    let line = include_str!("captures.txt").lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let digits = line.unwrap_or_else(|| panic!("{name} was not captured")).as_bytes();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// What a datagram of one request means, in whatever order its attributes are. Less what ipvsadm says besides: of tunnels
/// where there is none, of a service more than its key where that names it, of a destination also where it goes.
fn tree(bytes: &[u8]) -> Tree {
    let message = Messages(bytes).next().unwrap().unwrap();
    let command = message.body[0];
    let mut attributes: Vec<_> = Attributes::after(message.body, 4)
        .map(Result::unwrap)
        .map(|(kind, value)| match kind {
            SERVICE | DESTINATION | DAEMON => {
                let inner = Attributes::after(value, 0).map(Result::unwrap);
                let mut inner: Vec<_> = inner.map(|(kind, value)| (kind, value.to_vec())).collect();
                inner.sort();
                let no_tunnel = inner.iter().any(|one| *one == (TUNNEL_TYPE, vec![0]));
                inner.retain(|(inside, _)| match (kind, command) {
                    (SERVICE, NEW_SERVICE | SET_SERVICE) => true,
                    (SERVICE, _) => *inside <= MARK,
                    (DESTINATION, DELETE_DESTINATION) => [1, 2, 11].contains(inside),
                    (DESTINATION, _) => !(no_tunnel && *inside >= TUNNEL_TYPE),
                    _ => true,
                });
                (kind, inner)
            }
            kind => (kind, vec![(0, value.to_vec())]),
        })
        .collect();
    attributes.sort();
    (message.kind, message.flags, command, message.body[1], attributes)
}

#[track_caller]
fn same(name: &str, encode: impl FnOnce(u16, &mut Requests)) {
    let captured = captured(name);
    let mut requests = Requests::default();
    encode(u16::from_le_bytes([captured[4], captured[5]]), &mut requests);
    requests.end(1);
    assert_eq!(tree(requests.bytes()), tree(&captured), "{name}");
}

#[track_caller]
fn same_change(name: &str, change: &Change) {
    same(name, |family, requests| change.encode(family, requests));
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn tcp(address: &str) -> Key {
    Key::Address { protocol: Protocol::Tcp, address: at(address) }
}

fn persistent() -> Service {
    Service {
        scheduler_flags: [true, true, false],
        persistence: Some(Persistence { seconds: 300, prefix: 64 }),
        ..Service::new(tcp("[2001:db8::1]:443"), "mh")
    }
}

fn marked() -> Service {
    let key = Key::Mark { family: Of::Ipv4, mark: 7 };
    Service { persistence: Some(Persistence { seconds: 50, prefix: 24 }), ..Service::new(key, "wrr") }
}

fn limited() -> Destination {
    Destination { upper: 100, lower: 80, ..Destination::new(at("10.0.0.2:8080"), Method::Nat, 3) }
}

fn gue() -> Method {
    Method::Tunnel(Encapsulation::Gue { port: 6080, checksum: Checksum::Full })
}

fn master() -> Daemon {
    Daemon {
        role: Role::Master,
        interface: "eth0".into(),
        id: 51,
        length: Some(1400),
        group: Some("224.0.0.90".parse().unwrap()),
        port: Some(8849),
        ttl: Some(3),
    }
}

#[test]
fn services_are_changed_as_ipvsadm_does_it() {
    same_change("add-tcp", &Change::AddService(Service::new(tcp("192.0.2.1:80"), "wlc")));
    same_change("add-persistent", &Change::AddService(persistent()));
    let dns = Key::Address { protocol: Protocol::Udp, address: at("192.0.2.1:53") };
    same_change("add-one-packet", &Change::AddService(Service { one_packet: true, ..Service::new(dns, "rr") }));
    same_change("add-mark", &Change::AddService(marked()));
    same_change("edit-service", &Change::SetService(Service::new(tcp("192.0.2.1:80"), "rr")));
    same_change("delete-service", &Change::RemoveService(dns));
}

#[test]
fn destinations_are_changed_as_ipvsadm_does_it() {
    let web = tcp("192.0.2.1:80");
    same_change("add-nat", &Change::AddDestination(web, limited()));
    let direct = Destination::new(at("10.0.0.3:80"), Method::Direct, 1);
    same_change("add-direct", &Change::AddDestination(web, direct));
    let tunnel = Destination::new(at("10.0.0.4:80"), gue(), 1);
    same_change("add-gue", &Change::AddDestination(web, tunnel));
    let six = Destination::new(at("[2001:db8::2]:443"), Method::Nat, 2);
    same_change("add-six", &Change::AddDestination(tcp("[2001:db8::1]:443"), six));
    let marked_one = Destination::new(at("10.0.0.5:0"), Method::Direct, 5);
    same_change("add-to-mark", &Change::AddDestination(marked().key, marked_one));
    let quiet = Destination::new(at("10.0.0.3:80"), Method::Direct, 0);
    same_change("edit-destination", &Change::SetDestination(web, quiet));
    same_change("delete-destination", &Change::RemoveDestination(web, quiet.target));
}

#[test]
fn lists_are_asked_for_as_ipvsadm_does_it() {
    // It wants an end that says so twice: NLM_F_ACK beside NLM_F_DUMP.
    let asked = |name: &str| {
        let captured = captured(name);
        let mut tree = tree(&captured);
        tree.1 &= !0x04;
        (u16::from_le_bytes([captured[4], captured[5]]), tree)
    };
    for (name, command) in
        [("list-services", LIST_SERVICES), ("list-destinations", LIST_DESTINATIONS), ("list-daemons", LIST_DAEMONS)]
    {
        let (family, tree_of_captured) = asked(name);
        let mut requests = Requests::default();
        requests.begin(family, DUMP, &generic::fixed(command, VERSION));
        if command == LIST_DESTINATIONS {
            key(&tcp("192.0.2.1:80"), &mut requests);
        }
        requests.end(1);
        assert_eq!(tree(requests.bytes()), tree_of_captured, "{name}");
    }
}

#[test]
fn time_outs_and_daemons_are_set_as_ipvsadm_does_it() {
    let timeouts = Timeouts { tcp_seconds: 900, tcp_fin_seconds: 60, udp_seconds: 30 };
    same("set-timeouts", |family, requests| set_timeouts(family, timeouts, requests));
    same("start-master", |family, requests| start_daemon(family, &master(), requests));
    let six = Daemon {
        role: Role::Backup,
        id: 0,
        length: None,
        group: Some("ff02::60".parse().unwrap()),
        port: None,
        ttl: None,
        ..master()
    };
    same("start-backup", |family, requests| start_daemon(family, &six, requests));
}

/// The bodies of the kernel's messages in a captured answer.
fn bodies(name: &str) -> Vec<Vec<u8>> {
    let captured = captured(name);
    let messages = Messages(&captured).map(Result::unwrap);
    messages.filter(|message| message.kind > 0x10).map(|message| message.body.to_vec()).collect()
}

#[test]
fn what_the_kernel_lists_is_what_was_added() {
    let services: Vec<ListedService> =
        bodies("services").iter().map(|body| parse_service(body).unwrap().unwrap()).collect();
    let mut found: Vec<Service> = services.into_iter().map(|listed| listed.service).collect();
    found.sort_by_key(|service| service.key.to_string());
    let dns = Key::Address { protocol: Protocol::Udp, address: at("192.0.2.1:53") };
    let wanted = [
        marked(),
        Service::new(tcp("192.0.2.1:80"), "wlc"),
        persistent(),
        Service { one_packet: true, ..Service::new(dns, "rr") },
    ];
    assert_eq!(found, wanted);
    let destinations: Vec<Destination> =
        bodies("destinations").iter().map(|body| parse_destination(body).unwrap().unwrap().destination).collect();
    let by_place: BTreeMap<SocketAddr, Destination> =
        destinations.into_iter().map(|destination| (destination.target, destination)).collect();
    assert_eq!(by_place[&at("10.0.0.2:8080")], limited());
    assert_eq!(by_place[&at("10.0.0.3:80")], Destination::new(at("10.0.0.3:80"), Method::Direct, 1));
    assert_eq!(by_place[&at("10.0.0.4:80")], Destination::new(at("10.0.0.4:80"), gue(), 1));
}

#[test]
fn daemons_and_time_outs_are_read_as_they_were_set() {
    let daemons: Vec<Daemon> = bodies("daemons").iter().map(|body| parse_daemon(body).unwrap().unwrap()).collect();
    assert_eq!(daemons[0], master());
    assert_eq!((daemons[1].role, daemons[1].id), (Role::Backup, 0));
    assert_eq!(daemons[1].group, Some("ff02::60".parse().unwrap()));
    assert_eq!((daemons[1].port, daemons[1].ttl), (Some(8848), Some(1)));
    let timeouts = parse_timeouts(&bodies("timeouts")[0]).unwrap().unwrap();
    assert_eq!(timeouts, Timeouts { tcp_seconds: 900, tcp_fin_seconds: 60, udp_seconds: 30 });
}

#[test]
fn counters_of_either_width_are_read() {
    // Attributes 1 (connections), 4 and 5 (bytes), 10 (bytes out a second); of four bytes and of eight.
    let narrow = b"\x08\0\x01\0\x07\0\0\0\x0c\0\x04\0\x01\0\0\0\x01\0\0\0\x08\0\x0a\0\x09\0\0\0";
    let counters = counters::parse(narrow).unwrap();
    assert_eq!((counters.connections, counters.bytes_in, counters.rates.bytes_out), (7, 0x1_0000_0001, 9));
    let wide = b"\x0c\0\x01\0\0\0\0\0\x02\0\0\0\x0c\0\x05\0\x03\0\0\0\0\0\0\0\x04\0\x0b\0";
    let counters = counters::parse(wide).unwrap();
    assert_eq!((counters.connections, counters.bytes_out), (0x2_0000_0000, 3));
    assert_eq!(counters::parse(b"\x06\0\x01\0\x07\0\0\0"), Err(Malformed));
}

#[test]
fn what_is_there_or_gone_is_so_already_and_what_is_missing_is_named() {
    let judged = |change: Change, errno| change.judge(Answer::Errno(errno));
    let (web, direct) = (tcp("192.0.2.1:80"), Destination::new(at("10.0.0.3:80"), Method::Direct, 1));
    let already = [
        judged(Change::AddService(Service::new(web, "wlc")), Errno::EXIST),
        judged(Change::AddDestination(web, direct), Errno::EXIST),
        judged(Change::RemoveService(web), Errno::SRCH),
        judged(Change::RemoveDestination(web, direct.target), Errno::SRCH),
        judged(Change::RemoveDestination(web, direct.target), Errno::NOENT),
    ];
    assert!(already.iter().all(|result| matches!(result, Ok(Outcome::AlreadySo))), "{already:?}");
    let missing = judged(Change::AddService(Service::new(web, "wlc")), Errno::NOENT).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "adding the service tcp 192.0.2.1:80 to IPVS: this kernel has no scheduler wlc: no module ip_vs_wlc"
    );
    let gone = judged(Change::SetDestination(web, direct), Errno::NOENT).unwrap_err();
    assert_eq!(gone.errno(), Some(2));
    assert!(gone.to_string().starts_with("changing the destination 10.0.0.3:80 of tcp 192.0.2.1:80 in IPVS: No such"));
}

/// Bytes of the kernel's, with some changed and the end cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec!["services", "destinations", "daemons", "timeouts"]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (names, changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(name, changes, cut, is_cut)| {
        let mut body = bodies(name).swap_remove(0);
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if is_cut {
            body.truncate(cut.index(body.len()));
        }
        body
    })
}

fn parse_all(body: &[u8]) {
    let _ = parse_service(body);
    let _ = parse_destination(body);
    let _ = parse_daemon(body);
    let _ = parse_timeouts(body);
}

proptest! {
    #[test]
    fn nothing_that_the_kernel_says_panics(bytes in prop::collection::vec(any::<u8>(), 0..512), damaged in damaged()) {
        parse_all(&bytes);
        parse_all(&damaged);
    }
}
