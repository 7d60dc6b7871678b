use std::time::Duration;

use crate::codec::Requests;
use crate::netfilter::InNetworkOrder;

/// One of the sixteen registers of four bytes (NFT_REG32_00 and so on). What is longer lies in several of them in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

/// Something that is known of a packet beside its bytes (NFT_META_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// The protocol that its frame names, two bytes in the network's order: 0x0800 is IPv4, 0x86dd IPv6.
    Protocol = 1,
    /// The mark that a firewall gave it.
    Mark = 3,
    /// The family of its addresses, one byte: 2 is IPv4, 10 IPv6.
    Family = 15,
    /// The protocol that its IP header names, one byte.
    Transport = 16,
    /// For whom its frame is, one byte: 0 is this machine.
    Whom = 19,
}

/// Where a payload's offset counts from (NFT_PAYLOAD_*_HEADER).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The IP header.
    Network = 1,
    /// What follows it.
    Transport = 2,
}

/// How a register is compared (NFT_CMP_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is.
    Equal = 0,
    /// It is no more.
    AtMost = 3,
    /// It is no less.
    AtLeast = 5,
}

/// Something that is known of a packet's connection (NFT_CT_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// What became of it, four bytes: 0x20 is that its destination was rewritten.
    Status = 2,
    /// Whom it was for at first (IPv4).
    Destination4 = 20,
    /// Whom it was for at first (IPv6).
    Destination6 = 22,
    /// The port it was for at first.
    DestinationPort = 12,
}

/// A step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Loads what is known of the packet.
    Meta {
        /// What.
        what: Meta,
        /// Where it comes to.
        to: Register,
    },
    /// Loads bytes of the packet.
    Payload {
        /// What the offset counts from.
        base: Base,
        /// In bytes.
        offset: u32,
        /// In bytes.
        length: u32,
        /// Where they come to.
        to: Register,
    },
    /// Loads what is known of the packet's connection, as it was at first.
    Connection {
        /// What.
        what: Connection,
        /// Where it comes to.
        to: Register,
    },
    /// The rule goes on only if this is so.
    Compare {
        /// What is compared.
        register: Register,
        /// How.
        is: Comparison,
        /// With what.
        value: Vec<u8>,
    },
    /// Keeps only the mask's bits.
    Mask {
        /// Of these.
        from: Register,
        /// Where they come to.
        to: Register,
        /// As long as they are.
        mask: Vec<u8>,
    },
    /// The rule goes on only if the set has this, and what a map has for it is loaded.
    Lookup {
        /// The set or map.
        set: String,
        /// What is looked for.
        key: Register,
        /// Of a map: where it comes to.
        to: Option<Register>,
    },
    /// Loads a number below the modulus: one more each time, from the beginning at the end.
    Count {
        /// More than 0.
        modulus: u32,
        /// Where it comes to.
        to: Register,
    },
    /// Loads a hash below the modulus (Jenkins).
    Hash {
        /// Of these bytes.
        from: Register,
        /// So many.
        length: u32,
        /// More than 0.
        modulus: u32,
        /// Another one gives another hash.
        seed: u32,
        /// Where it comes to.
        to: Register,
    },
    /// A map has this element, and its time begins anew.
    Pin {
        /// The map.
        set: String,
        /// The element.
        key: Register,
        /// What it has.
        data: Register,
        /// For how long it stays.
        timeout: Duration,
    },
    /// Rewrites the connection's destination, and ends the rule.
    RewriteDestination {
        /// AF_INET or AF_INET6.
        family: u8,
        /// The address.
        address: Register,
        /// The port; `None`: it stays.
        port: Option<Register>,
    },
    /// The connection's source becomes an address of this machine.
    Masquerade,
    /// Hands the packet to a link's neighbour, and ends the rule.
    Forward {
        /// The link's index.
        device: Register,
        /// AF_INET or AF_INET6.
        family: u8,
        /// The neighbour.
        neighbour: Register,
    },
    /// Counts the packet.
    Counter,
    /// Goes on in another chain, and nowhere after it.
    Goto(String),
}

/// NFTA_DATA_VALUE and NFTA_DATA_VERDICT.
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
/// NFT_GOTO.
const GOTO: i32 = -4;
/// NFT_REG_VERDICT: not one of those with numbers.
const TO_VERDICT: u32 = 0;
/// NFT_REG32_00.
const FIRST_REGISTER: u32 = 8;
/// IP_CT_DIR_ORIGINAL.
const ORIGINAL: u8 = 0;
/// NFT_NAT_DNAT.
const DESTINATION: u32 = 1;
/// NFT_DYNSET_OP_UPDATE.
const UPDATE: u32 = 1;
/// NFT_NG_INCREMENTAL and NFT_HASH_JENKINS.
const INCREMENTAL: u32 = 0;
const JENKINS: u32 = 0;

impl Register {
    fn number(self) -> u32 {
        FIRST_REGISTER + u32::from(self.0)
    }
}

impl Expression {
    /// The kernel's name of it.
    fn name(&self) -> &'static str {
        match self {
            Expression::Meta { .. } => "meta",
            Expression::Payload { .. } => "payload",
            Expression::Connection { .. } => "ct",
            Expression::Compare { .. } => "cmp",
            Expression::Mask { .. } => "bitwise",
            Expression::Lookup { .. } => "lookup",
            Expression::Count { .. } => "numgen",
            Expression::Hash { .. } => "hash",
            Expression::Pin { .. } => "dynset",
            Expression::RewriteDestination { .. } => "nat",
            Expression::Masquerade => "masq",
            Expression::Forward { .. } => "fwd",
            Expression::Counter => "counter",
            Expression::Goto(_) => "immediate",
        }
    }

    /// NFTA_EXPR_NAME and NFTA_EXPR_DATA.
    pub(super) fn write(&self, requests: &mut Requests) {
        requests.text(1, self.name()).nest(2, |data| self.write_data(data));
    }

    fn write_data(&self, data: &mut Requests) {
        match self {
            Expression::Meta { what, to } => {
                data.be32(1, to.number()).be32(2, *what as u32);
            }
            Expression::Payload { base, offset, length, to } => {
                data.be32(1, to.number()).be32(2, *base as u32).be32(3, *offset).be32(4, *length);
            }
            Expression::Connection { what, to } => {
                data.be32(1, to.number()).be32(2, *what as u32);
                if *what != Connection::Status {
                    data.attribute(3, &[ORIGINAL]);
                }
            }
            Expression::Compare { register, is, value } => {
                data.be32(1, register.number()).be32(2, *is as u32).nest(3, |nest| {
                    nest.attribute(VALUE, value);
                });
            }
            Expression::Mask { from, to, mask } => {
                let zeros = vec![0; mask.len()];
                data.be32(1, from.number()).be32(2, to.number()).be32(3, mask.len() as u32);
                data.nest(4, |nest| {
                    nest.attribute(VALUE, mask);
                });
                data.nest(5, |nest| {
                    nest.attribute(VALUE, &zeros);
                });
            }
            Expression::Lookup { set, key, to } => {
                data.text(1, set).be32(2, key.number());
                if let Some(to) = to {
                    data.be32(3, to.number());
                }
            }
            Expression::Count { modulus, to } => {
                data.be32(1, to.number()).be32(2, *modulus).be32(3, INCREMENTAL);
            }
            Expression::Hash { from, length, modulus, seed, to } => {
                data.be32(1, from.number()).be32(2, to.number()).be32(3, *length).be32(4, *modulus);
                data.be32(5, *seed).be32(7, JENKINS);
            }
            Expression::Pin { set, key, data: value, timeout } => {
                data.text(1, set).be32(3, UPDATE).be32(4, key.number()).be32(5, value.number());
                data.be64(6, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
            }
            Expression::RewriteDestination { family, address, port } => {
                data.be32(1, DESTINATION).be32(2, u32::from(*family)).be32(3, address.number());
                if let Some(port) = port {
                    data.be32(5, port.number());
                }
            }
            Expression::Masquerade | Expression::Counter => {}
            Expression::Forward { device, family, neighbour } => {
                data.be32(1, device.number()).be32(2, neighbour.number()).be32(3, u32::from(*family));
            }
            Expression::Goto(chain) => {
                data.be32(1, TO_VERDICT).nest(2, |nest| {
                    nest.nest(VERDICT, |verdict| {
                        verdict.be32(1, GOTO.cast_unsigned()).text(2, chain);
                    });
                });
            }
        }
    }
}
