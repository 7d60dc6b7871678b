use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Endpoint, Key, Method, Ports, Scheduler, Service, Wanted};

/// Ports of a service that IPVS forwards: it knows no ranges, so that each port becomes a service of its own there.
pub const IPVS_RANGE_MAX: u32 = 1024;

/// What in the kernel forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The IP virtual server.
    Ipvs,
    /// nf_tables.
    Nftables,
}

/// Which engine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// IPVS where the kernel has it and it can do it, else nftables.
    Auto,
    /// This one.
    Only(Engine),
}

/// What an engine cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It does not choose so.
    Scheduler {
        /// The engine.
        engine: Engine,
        /// How packets get to the servers.
        method: Method,
        /// What was asked for.
        scheduler: Scheduler,
        /// What it can do that comes nearest.
        instead: Scheduler,
    },
    /// It does not get packets to servers so.
    Method {
        /// The engine.
        engine: Engine,
        /// What was asked for.
        method: Method,
    },
    /// Destinations of one service differ in their method.
    Mixed {
        /// The engine.
        engine: Engine,
    },
    /// It would take too many services.
    Range {
        /// The engine.
        engine: Engine,
        /// What was asked for.
        ports: Ports,
    },
    /// It sees packets before a firewall marks them.
    Mark {
        /// The engine.
        engine: Engine,
        /// How packets get to the servers.
        method: Method,
    },
    /// It does not count connections.
    ConnectionLimit {
        /// The engine.
        engine: Engine,
    },
}

/// Who forwards a service, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The engine.
    pub engine: Engine,
    /// A sentence's end, as in "nftables: ".
    pub why: String,
    /// How it chooses instead of what was asked for, which it cannot do.
    pub stands_in: Option<Scheduler>,
}

impl Engine {
    /// As the configuration has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Ipvs => "ipvs",
            Engine::Nftables => "nftables",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Engine::Ipvs => "IPVS",
            Engine::Nftables => "nftables",
        }
    }

    fn other(self) -> Engine {
        match self {
            Engine::Ipvs => Engine::Nftables,
            Engine::Nftables => Engine::Ipvs,
        }
    }
}

impl Refusal {
    /// What to write instead.
    pub fn instead(&self) -> String {
        match *self {
            Refusal::Scheduler { engine, instead, .. } => {
                format!("write balance = \"{}\", or engine = \"{}\"", instead.as_str(), engine.other().as_str())
            }
            Refusal::Method { engine: Engine::Nftables, .. } => {
                "write method = \"direct\" or \"nat\", or engine = \"ipvs\"".to_owned()
            }
            Refusal::Method { engine: Engine::Ipvs, .. } => {
                "write method = \"nat\" or \"direct\", or engine = \"nftables\"".to_owned()
            }
            Refusal::Mixed { engine } => {
                format!("write one method for all servers, or engine = \"{}\"", engine.other().as_str())
            }
            Refusal::Range { .. } => {
                format!("write at most {IPVS_RANGE_MAX} ports, a firewall mark, or engine = \"nftables\"")
            }
            Refusal::Mark { .. } => {
                "write method = \"nat\", an address and port instead of the mark, or engine = \"ipvs\"".to_owned()
            }
            Refusal::ConnectionLimit { .. } => "remove the limit, or write engine = \"ipvs\"".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Scheduler { engine, method: Method::Direct, scheduler, .. } => write!(
                formatter,
                "{} with method \"direct\" cannot balance by \"{}\"",
                engine.name(),
                scheduler.as_str()
            ),
            Refusal::Scheduler { engine, scheduler, .. } => {
                write!(formatter, "{} cannot balance by \"{}\"", engine.name(), scheduler.as_str())
            }
            Refusal::Method { engine, method } => {
                write!(formatter, "{} has no method \"{}\"", engine.name(), method.as_str())
            }
            Refusal::Mixed { engine } => write!(formatter, "{} has one method for all servers", engine.name()),
            Refusal::Range { engine, ports } => {
                write!(formatter, "{} has no ranges of ports, and {ports} are {}", engine.name(), ports.count())
            }
            Refusal::Mark { engine, method } => write!(
                formatter,
                "{} with method \"{}\" sees packets before a firewall marks them",
                engine.name(),
                method.as_str()
            ),
            Refusal::ConnectionLimit { engine } => {
                write!(formatter, "{} does not limit a server's connections", engine.name())
            }
        }
    }
}

/// Whether the engine can do all that the service asks for. A service without destinations asks for nothing of theirs.
///
/// # Errors
/// The first that it cannot.
pub fn check(engine: Engine, service: &Service) -> Result<(), Refusal> {
    let method = service.destinations.first().map(|destination| destination.method);
    for destination in &service.destinations {
        if !has_method(engine, destination.method) {
            return Err(Refusal::Method { engine, method: destination.method });
        }
        if engine == Engine::Nftables && Some(destination.method) != method {
            return Err(Refusal::Mixed { engine });
        }
        if engine == Engine::Nftables && destination.max_connections.is_some() {
            return Err(Refusal::ConnectionLimit { engine });
        }
    }
    let method = method.unwrap_or(Method::Nat);
    let scheduler = service.settings.scheduler;
    let instead = nearest(engine, method, scheduler);
    if instead != scheduler {
        return Err(Refusal::Scheduler { engine, method, scheduler, instead });
    }
    match service.key {
        Key::Mark { .. } if engine == Engine::Nftables && method == Method::Direct => {
            Err(Refusal::Mark { engine, method })
        }
        Key::Address { ports, .. } if engine == Engine::Ipvs && ports.count() > IPVS_RANGE_MAX => {
            Err(Refusal::Range { engine, ports })
        }
        _ => Ok(()),
    }
}

fn has_method(engine: Engine, method: Method) -> bool {
    match engine {
        Engine::Ipvs => method != Method::Masquerade,
        Engine::Nftables => method != Method::Tunnel,
    }
}

/// The scheduler itself where the engine has it. nftables counts no connections; and since with `direct` it remembers
/// none either, only what the client alone decides can be decided there for each packet anew.
fn nearest(engine: Engine, method: Method, scheduler: Scheduler) -> Scheduler {
    use Scheduler::{
        LeastConnections, Maglev, NeverQueue, RoundRobin, ShortestExpectedDelay, WeightedLeastConnections,
        WeightedRoundRobin,
    };
    match (engine, method) {
        (Engine::Ipvs, _) => scheduler,
        (Engine::Nftables, Method::Direct) if !scheduler.hashes() => Maglev { ports: true },
        (Engine::Nftables, _) => match scheduler {
            LeastConnections => RoundRobin,
            WeightedLeastConnections | ShortestExpectedDelay | NeverQueue => WeightedRoundRobin,
            scheduler => scheduler,
        },
    }
}

/// Who forwards the service, where `ipvs` says whether the kernel has IPVS, and if not, why.
///
/// Left to choose, it is IPVS wherever that can do it. Where only nftables is there and cannot balance as asked, what
/// comes nearest stands in, rather than that nobody is served; whoever asks for nftables by name is refused.
///
/// # Errors
/// What the engine cannot do that was asked for, or the only one that is there.
pub fn choose(choice: Choice, ipvs: Result<(), &str>, service: &Service) -> Result<Chosen, Refusal> {
    let chosen = |engine, why: String| Chosen { engine, why, stands_in: None };
    match (choice, ipvs) {
        (Choice::Only(engine), _) => {
            check(engine, service)?;
            Ok(chosen(engine, "the configuration says so".to_owned()))
        }
        (Choice::Auto, Ok(())) => match check(Engine::Ipvs, service) {
            Ok(()) => Ok(chosen(Engine::Ipvs, "the kernel has it".to_owned())),
            Err(refusal) => {
                let why = refusal.to_string();
                check(Engine::Nftables, service).map(|()| chosen(Engine::Nftables, why)).map_err(|_| refusal)
            }
        },
        (Choice::Auto, Err(absent)) => match check(Engine::Nftables, service) {
            Ok(()) => Ok(chosen(Engine::Nftables, absent.to_owned())),
            Err(Refusal::Scheduler { instead, .. }) => {
                Ok(Chosen { engine: Engine::Nftables, why: absent.to_owned(), stands_in: Some(instead) })
            }
            Err(refusal) => Err(refusal),
        },
    }
}

/// The service as one for each port, as IPVS has it: servers of a range are then asked at the port that the client asked.
pub fn split(wanted: &Wanted) -> Vec<Wanted> {
    let Key::Address { protocol, address, ports } = wanted.service.key else { return vec![wanted.clone()] };
    if ports.single().is_some() {
        return vec![wanted.clone()];
    }
    let of_port = |port: u16| {
        let one = Ports::new(port, port)?;
        let mut of_port = wanted.clone();
        of_port.service.key = Key::Address { protocol, address, ports: one };
        let at_port = |endpoint: &mut Endpoint| endpoint.port = Some(endpoint.port.unwrap_or(port));
        of_port.service.destinations.iter_mut().for_each(|destination| at_port(&mut destination.endpoint));
        of_port.undecided.iter_mut().for_each(at_port);
        Some(of_port)
    };
    (ports.first()..=ports.last()).filter_map(of_port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Destination, Settings};

    fn service(key: &str, scheduler: Scheduler, methods: &[Method]) -> Service {
        let destination = |(host, method): (usize, &Method)| Destination {
            endpoint: format!("10.0.0.{host}:80").parse().unwrap(),
            method: *method,
            weight: 1,
            max_connections: None,
        };
        Service {
            key: key.parse().unwrap(),
            settings: Settings { scheduler, persistence: None },
            destinations: methods.iter().enumerate().map(destination).collect(),
        }
    }

    const WEB: &str = "tcp 192.0.2.1:80";

    /// Of each scheduler: what nftables does with `nat` and with `direct`.
    const NFTABLES: [(Scheduler, &str, &str); 10] = [
        (Scheduler::RoundRobin, "rr", "maglev"),
        (Scheduler::WeightedRoundRobin, "round-robin", "maglev"),
        (Scheduler::LeastConnections, "rr", "maglev"),
        (Scheduler::WeightedLeastConnections, "round-robin", "maglev"),
        (Scheduler::SourceHash, "source-hash", "source-hash"),
        (Scheduler::Maglev { ports: false }, "mh", "mh"),
        (Scheduler::Maglev { ports: true }, "maglev", "maglev"),
        (Scheduler::ShortestExpectedDelay, "round-robin", "maglev"),
        (Scheduler::NeverQueue, "round-robin", "maglev"),
        (Scheduler::Failover, "failover", "failover"),
    ];

    #[test]
    fn ipvs_has_every_scheduler_and_nftables_names_what_it_has_instead() {
        for (scheduler, nat, direct) in NFTABLES {
            for (method, instead) in [(Method::Nat, nat), (Method::Masquerade, nat), (Method::Direct, direct)] {
                let service = service(WEB, scheduler, &[method]);
                match check(Engine::Nftables, &service) {
                    Ok(()) => assert_eq!(scheduler.as_str(), instead),
                    Err(refusal) => {
                        assert_ne!(scheduler.as_str(), instead);
                        let help = format!("write balance = \"{instead}\", or engine = \"ipvs\"");
                        assert_eq!(refusal.instead(), help);
                    }
                }
                let refused = (method == Method::Masquerade)
                    .then_some(Refusal::Method { engine: Engine::Ipvs, method: Method::Masquerade });
                assert_eq!(check(Engine::Ipvs, &service).err(), refused);
            }
        }
    }

    #[test]
    fn what_an_engine_lacks_is_refused_by_name() {
        let turns = Scheduler::WeightedRoundRobin;
        let said = |engine, service: &Service| check(engine, service).unwrap_err().to_string();
        assert_eq!(
            said(Engine::Nftables, &service(WEB, turns, &[Method::Tunnel])),
            "nftables has no method \"tunnel\""
        );
        assert_eq!(
            said(Engine::Nftables, &service(WEB, turns, &[Method::Nat, Method::Direct])),
            "nftables has one method for all servers"
        );
        let mut limited = service(WEB, turns, &[Method::Nat]);
        limited.destinations[0].max_connections = Some(10);
        assert_eq!(said(Engine::Nftables, &limited), "nftables does not limit a server's connections");
        assert_eq!(check(Engine::Ipvs, &limited), Ok(()));
        assert_eq!(
            said(Engine::Nftables, &service("mark 5", Scheduler::SourceHash, &[Method::Direct])),
            "nftables with method \"direct\" sees packets before a firewall marks them"
        );
        assert_eq!(check(Engine::Nftables, &service("mark 5", turns, &[Method::Nat])), Ok(()));
        assert_eq!(
            said(Engine::Ipvs, &service("udp 192.0.2.1:1024-2048", turns, &[Method::Nat])),
            "IPVS has no ranges of ports, and 1024-2048 are 1025"
        );
        assert_eq!(check(Engine::Ipvs, &service("udp 192.0.2.1:1024-2047", turns, &[])), Ok(()));
    }

    #[test]
    fn left_to_choose_it_is_ipvs_where_that_can_do_it() {
        let absent = "this kernel has no IPVS";
        let least = service(WEB, Scheduler::WeightedLeastConnections, &[Method::Nat]);
        let chosen = choose(Choice::Auto, Ok(()), &least).unwrap();
        assert_eq!((chosen.engine, chosen.why.as_str()), (Engine::Ipvs, "the kernel has it"));
        let chosen = choose(Choice::Auto, Err(absent), &least).unwrap();
        assert_eq!((chosen.engine, chosen.why.as_str()), (Engine::Nftables, absent));
        assert_eq!(chosen.stands_in, Some(Scheduler::WeightedRoundRobin));
        assert!(choose(Choice::Only(Engine::Nftables), Err(absent), &least).is_err());
        let masked = service(WEB, Scheduler::WeightedRoundRobin, &[Method::Masquerade]);
        let chosen = choose(Choice::Auto, Ok(()), &masked).unwrap();
        assert_eq!(chosen.engine, Engine::Nftables);
        assert_eq!(chosen.why, "IPVS has no method \"masquerade\"");
        let tunnel = service(WEB, Scheduler::WeightedRoundRobin, &[Method::Tunnel]);
        assert!(choose(Choice::Auto, Err(absent), &tunnel).is_err());
    }

    #[test]
    fn a_range_becomes_a_service_for_each_port() {
        let mut range = service("tcp 192.0.2.1:80-82", Scheduler::RoundRobin, &[Method::Nat]);
        range.destinations[0].endpoint.port = None;
        let wanted = Wanted { service: range, undecided: vec!["10.0.0.9".parse().unwrap()] };
        let split = split(&wanted);
        let shown: Vec<String> = split
            .iter()
            .map(|one| {
                let (service, undecided) = (&one.service, one.undecided[0]);
                format!("{} {} {undecided}", service.key, service.destinations[0].endpoint)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "tcp 192.0.2.1:80 10.0.0.0:80 10.0.0.9:80",
                "tcp 192.0.2.1:81 10.0.0.0:81 10.0.0.9:81",
                "tcp 192.0.2.1:82 10.0.0.0:82 10.0.0.9:82",
            ]
        );
    }
}
