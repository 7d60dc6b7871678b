//! Connections that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h): listed, and forgotten.

use std::net::IpAddr;

use crate::Error;
use crate::codec::{Attributes, DUMP, IPV4, IPV6, Malformed, Requests, byte, ip};
use crate::netfilter::{FIXED, InNetworkOrder, Subsystem, Talk, be16, be32, fixed, within};

/// NFNL_SUBSYS_CTNETLINK.
const CONNTRACK: Subsystem = Subsystem(1);
const NEW: u8 = 0;
const GET: u8 = 1;
const DELETE: u8 = 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const MARK: u16 = 8;
const ID: u16 = 12;

/// IPS_ASSURED: traffic was seen both ways.
const ASSURED: u32 = 1 << 2;
/// IPS_DST_NAT.
const DESTINATION_REWRITTEN: u32 = 1 << 5;
/// TCP_CONNTRACK_ESTABLISHED.
const ESTABLISHED: u8 = 3;

/// One way of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// Where its packets are from.
    pub source: IpAddr,
    /// Whom they are for.
    pub destination: IpAddr,
    /// As IANA numbers them: 6 is TCP, 17 is UDP.
    pub protocol: u8,
    /// 0 where the protocol has no ports.
    pub source_port: u16,
    /// Likewise.
    pub destination_port: u16,
}

/// A connection that the kernel tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// As it began.
    pub original: Tuple,
    /// What answers look like when they come.
    pub reply: Tuple,
    /// Whether its destination is rewritten.
    pub rewritten: bool,
    /// TCP: it is open both ways. Else: packets were seen both ways.
    pub active: bool,
    /// What a firewall marked it with.
    pub mark: u32,
    /// The kernel's number of it.
    pub id: u32,
}

/// The connections of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Conntrack {
    talk: Talk,
}

impl Conntrack {
    /// A socket to ask and to change them by; both need CAP_NET_ADMIN.
    ///
    /// # Errors
    /// If there is no descriptor left, or no netfilter in the kernel.
    pub fn open() -> Result<Conntrack, Error> {
        Ok(Conntrack { talk: Talk::open("asking the kernel for connections")? })
    }

    /// Hands each connection to `take`. One that changes meanwhile may come twice, or not at all.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn each(&mut self, mut take: impl FnMut(Flow)) -> Result<(), Error> {
        self.talk.each(
            "listing connections",
            (CONNTRACK.kind(GET), DUMP, CONNTRACK.kind(NEW)),
            |request| {
                request.fixed(&fixed(0, 0));
            },
            |body| {
                if let Some(flow) = parse(body)? {
                    take(flow);
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    /// Forgets a connection: its next packet begins another. That it is gone already is no error.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn forget(&mut self, flow: &Flow) -> Result<(), Error> {
        let forgotten = self.talk.order("forgetting a connection", CONNTRACK.kind(DELETE), |request| {
            let family = if flow.original.source.is_ipv4() { IPV4 } else { IPV6 };
            request.fixed(&fixed(family, 0));
            request.nest(TUPLE_ORIGINAL, |nest| write_tuple(&flow.original, nest)).be32(ID, flow.id);
        });
        match forgotten {
            Err(error) if error.errno() == Some(rustix::io::Errno::NOENT.raw_os_error()) => Ok(()),
            forgotten => forgotten,
        }
    }
}

fn write_tuple(tuple: &Tuple, nest: &mut Requests) {
    nest.nest(1, |addresses| {
        let [source, destination] = if tuple.source.is_ipv4() { [1, 2] } else { [3, 4] };
        addresses.ip(source, tuple.source).ip(destination, tuple.destination);
    });
    nest.nest(2, |ports| {
        ports.attribute(1, &[tuple.protocol]);
        ports.attribute(2, &tuple.source_port.to_be_bytes()).attribute(3, &tuple.destination_port.to_be_bytes());
    });
}

/// `None` for what is neither IPv4 nor IPv6.
fn parse(body: &[u8]) -> Result<Option<Flow>, Malformed> {
    if !matches!(byte(body, 0)?, IPV4 | IPV6) {
        return Ok(None);
    }
    let (mut original, mut reply) = (None, None);
    let (mut status, mut state, mut mark, mut id) = (0, None, 0, 0);
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (TUPLE_ORIGINAL, value) => original = Some(tuple(value)?),
            (TUPLE_REPLY, value) => reply = Some(tuple(value)?),
            (STATUS, value) => status = be32(value)?,
            (PROTOCOL_INFO, value) => state = tcp_state(value)?,
            (MARK, value) => mark = be32(value)?,
            (ID, value) => id = be32(value)?,
            _ => {}
        }
    }
    let (Some(original), Some(reply)) = (original, reply) else { return Err(Malformed) };
    let active = state.map_or(status & ASSURED != 0, |state| state == ESTABLISHED);
    Ok(Some(Flow { original, reply, rewritten: status & DESTINATION_REWRITTEN != 0, active, mark, id }))
}

fn tuple(value: &[u8]) -> Result<Tuple, Malformed> {
    let (mut source, mut destination) = (None, None);
    let (mut protocol, mut source_port, mut destination_port) = (0, 0, 0);
    for part in within(value) {
        match part? {
            (1, addresses) => {
                for address in within(addresses) {
                    match address? {
                        (1 | 3, value) => source = Some(ip(value)?),
                        (2 | 4, value) => destination = Some(ip(value)?),
                        _ => {}
                    }
                }
            }
            (2, ports) => {
                for port in within(ports) {
                    match port? {
                        (1, value) => protocol = byte(value, 0)?,
                        (2, value) => source_port = be16(value)?,
                        (3, value) => destination_port = be16(value)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let (Some(source), Some(destination)) = (source, destination) else { return Err(Malformed) };
    Ok(Tuple { source, destination, protocol, source_port, destination_port })
}

/// CTA_PROTOINFO_TCP and CTA_PROTOINFO_TCP_STATE.
fn tcp_state(value: &[u8]) -> Result<Option<u8>, Malformed> {
    for protocol in within(value) {
        let (1, value) = protocol? else { continue };
        for info in within(value) {
            if let (1, value) = info? {
                return byte(value, 0).map(Some);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
