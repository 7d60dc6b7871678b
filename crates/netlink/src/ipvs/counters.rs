use crate::codec::{Attributes, Malformed, number};

/// IPVS_STATS_ATTR_*, in the order of their numbers from one on.
const ATTRIBUTES: usize = 10;

/// What went to a service or destination since it was added, or since somebody had it counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections.
    pub connections: u64,
    /// Packets of clients.
    pub packets_in: u64,
    /// Packets of servers; none with methods that let servers answer themselves.
    pub packets_out: u64,
    /// Bytes of the former.
    pub bytes_in: u64,
    /// Bytes of the latter.
    pub bytes_out: u64,
    /// What went lately.
    pub rates: Rates,
}

/// The kernel's estimates, each of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rates {
    /// Connections.
    pub connections: u64,
    /// Packets of clients.
    pub packets_in: u64,
    /// Packets of servers.
    pub packets_out: u64,
    /// Bytes of clients.
    pub bytes_in: u64,
    /// Bytes of servers.
    pub bytes_out: u64,
}

/// Of either width: numbers of four bytes may run over, and are all that kernels before 4.1 tell.
pub(super) fn parse(nested: &[u8]) -> Result<Counters, Malformed> {
    let mut found = [0; ATTRIBUTES];
    for attribute in Attributes::after(nested, 0) {
        let (kind, value) = attribute?;
        if let Some(place) = usize::from(kind).checked_sub(1).and_then(|place| found.get_mut(place)) {
            *place = wide(value)?;
        }
    }
    let [connections, packets_in, packets_out, bytes_in, bytes_out, rates @ ..] = found;
    let rates = Rates {
        connections: rates[0],
        packets_in: rates[1],
        packets_out: rates[2],
        bytes_in: rates[3],
        bytes_out: rates[4],
    };
    Ok(Counters { connections, packets_in, packets_out, bytes_in, bytes_out, rates })
}

fn wide(value: &[u8]) -> Result<u64, Malformed> {
    match <[u8; 8]>::try_from(value) {
        Ok(eight) => Ok(u64::from_ne_bytes(eight)),
        Err(_) => number(value, 0).map(u64::from),
    }
}
