use forward_plan::Settings;
use lab::{Guest, GuestPlan, Lab, in_guest, require};

use super::*;

mod guest;
mod traffic;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn to(text: &str, method: Method, weight: u16) -> Destination {
    Destination { endpoint: endpoint(text), method, weight, max_connections: None }
}

fn settings(scheduler: Scheduler) -> Settings {
    Settings { scheduler, persistence: None }
}

#[test]
fn what_goes_to_the_kernel_is_read_back_as_it_was_asked_for() {
    let sixty = Persistence { seconds: 60, prefix: 24 };
    for text in ["tcp 192.0.2.1:80", "udp [2001:db8::1]:53", "mark 5", "mark 7 ipv6"] {
        assert_eq!(key_from(&key_of(&key(text)).unwrap()), Some(key(text)));
        for scheduler in Scheduler::ALL {
            for persistence in [None, Some(sixty)] {
                let settings = Settings { scheduler, persistence };
                let service = service_of(&key(text), &settings).unwrap();
                assert_eq!(settings_from(&key(text), &service), Some(settings), "{service:?}");
            }
        }
    }
}

#[test]
fn what_nobody_can_ask_for_is_not_taken_for_what_was_asked_for() {
    let web = key("tcp 192.0.2.1:80");
    let ours = service_of(&web, &settings(Scheduler::WeightedLeastConnections)).unwrap();
    for foreign in [
        ipvs::Service { scheduler: "lblc".into(), ..ours.clone() },
        ipvs::Service { one_packet: true, ..ours.clone() },
        ipvs::Service { persistence_engine: Some("sip".into()), ..ours.clone() },
        ipvs::Service { scheduler_flags: [false, false, true], ..ours.clone() },
    ] {
        assert_eq!(settings_from(&web, &foreign), None, "{foreign:?}");
    }
    let sctp = ipvs::Key::Address { protocol: ipvs::Protocol::Sctp, address: "192.0.2.1:80".parse().unwrap() };
    assert_eq!(key_from(&sctp), None);
    let error = key_of(&key("tcp 192.0.2.1:80-81")).unwrap_err();
    assert_eq!(error.to_string(), "telling IPVS of tcp 192.0.2.1:80-81: IPVS has no such thing");
    assert!(destination_of(&to("10.0.0.2:80", Method::Masquerade, 1)).is_err());
}

#[test]
fn what_was_thought_to_be_otherwise_is_done_the_other_way() {
    let web = key_of(&key("tcp 192.0.2.1:80")).unwrap();
    let one = destination_of(&to("10.0.0.2:80", Method::Direct, 1)).unwrap();
    let service = ipvs::Service::new(web, "wlc");
    let refused = |errno: i32| {
        let reason = io::Error::from_raw_os_error(errno);
        Err(Error::Refused { tried: "trying".into(), reason })
    };
    let add = Change::AddDestination(web, one);
    let set = Change::SetDestination(web, one);
    assert_eq!(other_way(&add, &Ok(Outcome::AlreadySo)), Some(set.clone()));
    assert_eq!(other_way(&add, &Ok(Outcome::Changed)), None);
    assert_eq!(other_way(&set, &refused(2)), Some(add));
    // Without its service there is nowhere to add it.
    assert_eq!(other_way(&set, &refused(3)), None);
    let (add, set) = (Change::AddService(service.clone()), Change::SetService(service));
    assert_eq!(other_way(&add, &Ok(Outcome::AlreadySo)), Some(set.clone()));
    assert_eq!(other_way(&set, &refused(3)), Some(add));
    let remove = Change::RemoveDestination(web, one.target);
    assert_eq!(other_way(&remove, &Ok(Outcome::AlreadySo)), None);
}
