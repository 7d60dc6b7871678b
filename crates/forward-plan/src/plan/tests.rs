use proptest::prelude::*;

use super::*;
use crate::{Method, Persistence, Scheduler};

const TURNS: Settings = Settings { scheduler: Scheduler::WeightedRoundRobin, persistence: None };

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn server(endpoint: &str, weight: u16) -> Destination {
    Destination { endpoint: endpoint.parse().unwrap(), method: Method::Nat, weight, max_connections: None }
}

fn service(name: &str, destinations: &[Destination]) -> Service {
    Service { key: key(name), settings: TURNS, destinations: destinations.to_vec() }
}

fn wanted(services: &[Service]) -> Vec<Wanted> {
    services.iter().map(|service| Wanted { service: service.clone(), undecided: Vec::new() }).collect()
}

const WEB: &str = "tcp 192.168.10.100:80";
const DNS: &str = "udp 192.168.10.100:53";

#[test]
fn an_empty_table_gets_services_and_then_their_servers() {
    let one = server("192.168.20.11:80", 3);
    let operations = plan(&wanted(&[service(WEB, &[one])]), &[], &BTreeSet::new());
    assert_eq!(
        operations,
        [
            Operation::AddService { key: key(WEB), settings: TURNS },
            Operation::AddDestination { key: key(WEB), destination: one },
        ]
    );
}

#[test]
fn all_that_is_added_or_changed_comes_before_all_that_goes() {
    let (one, two, three) = (server("10.0.0.1:80", 1), server("10.0.0.2:80", 1), server("10.0.0.3:53", 1));
    let observed = [service(DNS, &[three]), service(WEB, &[one, two])];
    let heavier = Destination { weight: 5, ..two };
    let new = server("10.0.0.4:80", 1);
    let settings = Settings { persistence: Some(Persistence { seconds: 50, prefix: 32 }), ..TURNS };
    let wanted = [Wanted { service: Service { settings, ..service(WEB, &[heavier, new]) }, undecided: Vec::new() }];
    let operations = plan(&wanted, &observed, &BTreeSet::from([key(DNS), key(WEB)]));
    assert_eq!(
        operations,
        [
            Operation::EditService { key: key(WEB), settings },
            Operation::EditDestination { key: key(WEB), destination: heavier },
            Operation::AddDestination { key: key(WEB), destination: new },
            Operation::RemoveDestination { key: key(WEB), endpoint: one.endpoint },
            Operation::RemoveService { key: key(DNS) },
        ]
    );
}

#[test]
fn what_we_did_not_make_is_left_alone() {
    let foreign = service("tcp 192.168.10.100:22", &[server("10.0.0.9:22", 1)]);
    let web = service(WEB, &[server("10.0.0.1:80", 1)]);
    let observed = [foreign, web.clone()];
    assert_eq!(plan(&wanted(&[web]), &observed, &BTreeSet::from([key(WEB)])), []);
    assert_eq!(plan(&[], &observed, &BTreeSet::from([key(WEB)])), [Operation::RemoveService { key: key(WEB) }]);
}

#[test]
fn a_server_of_which_nothing_is_known_stays_as_it_is_and_is_not_added() {
    let (one, two) = (server("10.0.0.1:80", 7), server("10.0.0.2:80", 1));
    let observed = [service(WEB, &[one])];
    let wanted = [Wanted { service: service(WEB, &[]), undecided: vec![one.endpoint, two.endpoint] }];
    assert_eq!(plan(&wanted, &observed, &BTreeSet::new()), []);
}

#[test]
fn a_change_of_one_of_five_thousand_servers_is_one_operation() {
    let all: Vec<Destination> =
        (0..5000u32).map(|at| server(&format!("10.1.{}.{}:80", at / 250, at % 250 + 1), 10)).collect();
    let before = service(WEB, &all);
    let mut drained = before.clone();
    drained.destinations[4321].weight = 0;
    let observed = [before.clone()];
    assert_eq!(
        plan(&wanted(&[drained.clone()]), &observed, &BTreeSet::new()),
        [Operation::EditDestination { key: key(WEB), destination: drained.destinations[4321] }]
    );
    let mut fewer = before;
    let gone = fewer.destinations.remove(17);
    assert_eq!(
        plan(&wanted(&[fewer]), &observed, &BTreeSet::new()),
        [Operation::RemoveDestination { key: key(WEB), endpoint: gone.endpoint }]
    );
}

fn any_service() -> impl Strategy<Value = Service> {
    let destinations = prop::collection::btree_map(1u8..8, (0u16..3, any::<bool>()), 0..6);
    (1u16..6, any::<bool>(), prop::option::of(1u32..3), destinations).prop_map(|(port, hash, seconds, servers)| {
        Service {
            key: format!("tcp 192.168.0.1:{port}").parse().unwrap(),
            settings: Settings {
                scheduler: if hash { Scheduler::SourceHash } else { Scheduler::RoundRobin },
                persistence: seconds.map(|seconds| Persistence { seconds, prefix: 24 }),
            },
            destinations: servers
                .into_iter()
                .map(|(host, (weight, direct))| Destination {
                    method: if direct { Method::Direct } else { Method::Nat },
                    ..server(&format!("10.0.0.{host}:80"), weight)
                })
                .collect(),
        }
    })
}

fn any_table() -> impl Strategy<Value = Vec<Service>> {
    prop::collection::vec(any_service(), 0..6).prop_map(|services| {
        services.into_iter().map(|service| (service.key, service)).collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn sorted(mut table: Vec<Service>) -> Vec<Service> {
    table.sort_by_key(|service| service.key);
    for service in &mut table {
        service.destinations.sort_by_key(|destination| destination.endpoint);
    }
    table
}

proptest! {
    #[test]
    fn a_plan_carried_out_leaves_nothing_to_do(to in any_table(), from in any_table()) {
        let ours: BTreeSet<Key> = from.iter().map(|service| service.key).collect();
        let mut table = from;
        for operation in plan(&wanted(&to), &table, &ours) {
            apply(&mut table, &operation);
        }
        prop_assert_eq!(plan(&wanted(&to), &table, &ours), []);
        prop_assert_eq!(sorted(table), sorted(to));
    }

    #[test]
    fn nothing_is_added_after_something_is_removed(to in any_table(), from in any_table()) {
        let ours: BTreeSet<Key> = from.iter().map(|service| service.key).collect();
        let removes = |operation: &Operation| {
            matches!(operation, Operation::RemoveDestination { .. } | Operation::RemoveService { .. })
        };
        let operations = plan(&wanted(&to), &from, &ours);
        prop_assert!(operations.is_sorted_by_key(removes));
    }
}
