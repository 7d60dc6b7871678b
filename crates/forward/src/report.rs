use forward_plan::{Key, Method, Settings};
use serde::{Deserialize, Serialize};

/// How forwarding is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they are asked for.
    pub services: Vec<ServiceReport>,
    /// What keeps it from working as it is asked for, in sentences.
    pub troubles: Vec<String>,
    /// The keys of services that the next process is to know as ours.
    pub ours: Vec<Key>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Whose it is.
    pub frontend: String,
    /// Which packets are its own.
    pub key: Key,
    /// As in `tcp 192.0.2.1:80`.
    pub address: String,
    /// As it is carried out.
    pub settings: Settings,
    /// The balance's word.
    pub scheduler: String,
    /// Who forwards it; `None`: nobody.
    pub engine: Option<String>,
    /// Why it is that one, or nobody.
    pub why: String,
    /// Those in the kernel, or wanted there.
    pub destinations: Vec<DestinationReport>,
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DestinationReport {
    /// As in `10.0.0.1:80`.
    pub address: String,
    /// How packets get there.
    pub method: Method,
    /// Its share.
    pub weight: u16,
    /// Connections that are open both ways.
    pub active: u64,
    /// Other connections that are remembered.
    pub inactive: u64,
    /// New connections so far; what is `None`, here and below, is not counted.
    pub connections: Option<u64>,
    /// New connections in the last second or so.
    pub connections_per_second: Option<f64>,
    /// Packets from clients so far.
    pub packets_in: Option<u64>,
    /// Packets to clients so far.
    pub packets_out: Option<u64>,
    /// Bytes from clients so far.
    pub bytes_in: Option<u64>,
    /// Bytes to clients so far.
    pub bytes_out: Option<u64>,
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The frontend that it is about; `None`: all.
    pub frontend: Option<String>,
    /// Whether something is wrong.
    pub trouble: bool,
    /// A sentence.
    pub text: String,
}
