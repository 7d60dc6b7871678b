use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Key;

/// How a packet reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Its destination is rewritten, and the answers' source on their way back, which leads through here.
    Nat,
    /// The same, and its source becomes an address of this machine: answers come back without a route through here, and
    /// servers do not see who asks.
    Masquerade,
    /// As it is, in a frame to the server, which has the service's address too and answers the client itself.
    Direct,
    /// As it is, in another packet (IP in IP) to the server, which has the service's address too.
    Tunnel,
}

/// Which server a new connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// Turns, whatever the weights (IPVS: rr).
    RoundRobin,
    /// Turns by weight (wrr).
    WeightedRoundRobin,
    /// The fewest connections, whatever the weights (lc).
    LeastConnections,
    /// The fewest connections for its weight (wlc).
    WeightedLeastConnections,
    /// The client's address decides (sh).
    SourceHash,
    /// The client's address decides, and few clients move when servers come and go (mh).
    Maglev {
        /// The client's port decides as well.
        ports: bool,
    },
    /// The one that would have the fewest connections for its weight with this one (sed).
    ShortestExpectedDelay,
    /// One without connections; else as the one before (nq).
    NeverQueue,
    /// The one with the greatest weight gets all (fo).
    Failover,
}

/// For how long a client stays with its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Persistence {
    /// After its last new connection; not 0.
    pub seconds: u32,
    /// Leading bits of addresses that make them one client.
    pub prefix: u8,
}

/// What a service does beside having a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which server a new connection gets.
    pub scheduler: Scheduler,
    /// Whether the next one gets the same.
    pub persistence: Option<Persistence>,
}

/// Where a server is reached. No two destinations of a service have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address, of the service's family.
    pub address: IpAddr,
    /// Its port; `None`: the one that the client asked for. Of a service with one port there is always one.
    pub port: Option<u16>,
}

/// A server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How packets get there. Destinations of one service may differ where the engine lets them.
    pub method: Method,
    /// Its share; 0: it keeps what it has and gets nothing new.
    pub weight: u16,
    /// Connections beyond which it gets nothing new; `None`: no limit.
    pub max_connections: Option<u32>,
}

/// What clients reach, and the servers behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Which packets are its own.
    pub key: Key,
    /// What becomes of them.
    pub settings: Settings,
    /// Where they go.
    pub destinations: Vec<Destination>,
}

/// A text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointError;

impl Method {
    /// As the configuration has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Nat => "nat",
            Method::Masquerade => "masquerade",
            Method::Direct => "direct",
            Method::Tunnel => "tunnel",
        }
    }
}

impl Scheduler {
    /// All there are.
    pub const ALL: [Scheduler; 10] = [
        Scheduler::RoundRobin,
        Scheduler::WeightedRoundRobin,
        Scheduler::LeastConnections,
        Scheduler::WeightedLeastConnections,
        Scheduler::SourceHash,
        Scheduler::Maglev { ports: false },
        Scheduler::Maglev { ports: true },
        Scheduler::ShortestExpectedDelay,
        Scheduler::NeverQueue,
        Scheduler::Failover,
    ];

    /// As the configuration has it: a word of ours, or IPVS's where ours says something else.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheduler::RoundRobin => "rr",
            Scheduler::WeightedRoundRobin => "round-robin",
            Scheduler::LeastConnections => "lc",
            Scheduler::WeightedLeastConnections => "least-connections",
            Scheduler::SourceHash => "source-hash",
            Scheduler::Maglev { ports: false } => "mh",
            Scheduler::Maglev { ports: true } => "maglev",
            Scheduler::ShortestExpectedDelay => "shortest-expected-delay",
            Scheduler::NeverQueue => "never-queue",
            Scheduler::Failover => "failover",
        }
    }

    /// What IPVS calls it: the name of its module less `ip_vs_`.
    pub fn ipvs_name(self) -> &'static str {
        match self {
            Scheduler::RoundRobin => "rr",
            Scheduler::WeightedRoundRobin => "wrr",
            Scheduler::LeastConnections => "lc",
            Scheduler::WeightedLeastConnections => "wlc",
            Scheduler::SourceHash => "sh",
            Scheduler::Maglev { .. } => "mh",
            Scheduler::ShortestExpectedDelay => "sed",
            Scheduler::NeverQueue => "nq",
            Scheduler::Failover => "fo",
        }
    }

    /// Whether weights play a part, beyond 0 and the rest.
    pub fn weighs(self) -> bool {
        !matches!(self, Scheduler::RoundRobin | Scheduler::LeastConnections)
    }

    /// Whether the client alone decides, so that two directors with the same servers decide the same.
    pub fn hashes(self) -> bool {
        matches!(self, Scheduler::SourceHash | Scheduler::Maglev { .. } | Scheduler::Failover)
    }
}

impl Service {
    /// The destination at an endpoint.
    pub fn destination(&self, endpoint: Endpoint) -> Option<&Destination> {
        self.destinations.iter().find(|known| known.endpoint == endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (address, None) => address.fmt(formatter),
            (IpAddr::V4(address), Some(port)) => write!(formatter, "{address}:{port}"),
            (IpAddr::V6(address), Some(port)) => write!(formatter, "[{address}]:{port}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Endpoint { address, port: None });
        }
        let whole = text.parse::<std::net::SocketAddr>().map_err(|_| EndpointError)?;
        Ok(Endpoint { address: whole.ip(), port: Some(whole.port()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_and_read() {
        for text in ["10.0.0.1:80", "10.0.0.1", "[2001:db8::1]:80", "2001:db8::1"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("somewhere:80".parse::<Endpoint>(), Err(EndpointError));
    }

    #[test]
    fn each_scheduler_has_a_word_of_its_own() {
        let mut words: Vec<&str> = Scheduler::ALL.iter().map(|scheduler| scheduler.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 10);
    }
}
