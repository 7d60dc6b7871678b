use crate::codec::Requests;
use crate::netfilter::{ACKNOWLEDGE, InNetworkOrder, fixed};
use crate::nft::{Expression, NFTABLES};

/// A table's family (NFPROTO_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// Frames, link by link.
    Netdev = 5,
}

/// Where a base chain sees packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Type `nat`: the first packet of each connection that comes in; lower priorities come first.
    RewriteDestination {
        /// Destination NAT is at -100 by convention.
        priority: i32,
    },
    /// Type `nat`: the first packet of each connection that goes out.
    RewriteSource {
        /// Source NAT is at 100 by convention.
        priority: i32,
    },
    /// Type `filter`: each frame that comes in at a link.
    Ingress {
        /// The link's name.
        device: String,
        /// Lower ones come first.
        priority: i32,
    },
}

/// What a set's keys, or a map's data, are: what nft(8) shows them as, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetKind {
    /// nft(8)'s number of the type, six bits for each part of a concatenation.
    pub number: u32,
    /// In bytes.
    pub length: u32,
}

impl SetKind {
    /// An IPv4 address.
    pub const IPV4: SetKind = SetKind { number: 7, length: 4 };
    /// An IPv6 address.
    pub const IPV6: SetKind = SetKind { number: 8, length: 16 };
    /// A port, with what a register has behind it.
    pub const PORT: SetKind = SetKind { number: 13, length: 4 };
    /// A number of ours, in the machine's order: shown as a mark.
    pub const NUMBER: SetKind = SetKind { number: 19, length: 4 };
    /// A link's index, in the machine's order.
    pub const LINK: SetKind = SetKind { number: 20, length: 4 };

    /// Both, one after the other.
    pub const fn and(self, other: SetKind) -> SetKind {
        SetKind { number: self.number << 6 | other.number, length: self.length + other.length }
    }
}

/// A map that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSet {
    /// Unique in its table.
    pub name: String,
    /// What its keys are.
    pub key: SetKind,
    /// What it has for each.
    pub data: SetKind,
    /// Packets change it: elements have a time, and there are so many at most.
    pub pins: Option<u32>,
    /// Each element counts the packets that found it.
    pub counts: bool,
}

/// An element of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// What it is found by.
    pub key: Vec<u8>,
    /// What it has; nothing where it is to be removed.
    pub data: Vec<u8>,
    /// For people, at most 254 bytes; what is longer is left out.
    pub comment: Option<String>,
}

/// Changes that are made together, in this order.
#[derive(Debug, Default)]
pub struct Transaction {
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    message: u8,
    flags: u16,
    family: Family,
    attributes: Requests,
}

const NEW_TABLE: u8 = 0;
const DELETE_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
const DELETE_CHAIN: u8 = 5;
const NEW_RULE: u8 = 6;
const DELETE_RULE: u8 = 8;
const NEW_SET: u8 = 9;
const DELETE_SET: u8 = 11;
const NEW_ELEMENTS: u8 = 12;
const DELETE_ELEMENTS: u8 = 14;

pub(super) const TABLE_OF_CHAIN: u16 = 1;
pub(super) const TABLE_OF_RULE: u16 = 1;
pub(super) const TABLE_OF_SET: u16 = 1;
pub(super) const TABLE_OF_ELEMENTS: u16 = 1;

/// NLM_F_CREATE, NLM_F_APPEND.
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// NFT_SET_MAP, NFT_SET_TIMEOUT, NFT_SET_EVAL.
const MAP: u32 = 0x08;
const TIMEOUT: u32 = 0x10;
const EVALUATED: u32 = 0x20;

/// Elements in a message: it stays some KiB.
const ELEMENTS_MAX: usize = 64;

/// A comment's bytes with its end, as one byte says its length.
const COMMENT_MAX: usize = 254;

impl Hook {
    /// NFTA_CHAIN_TYPE and what NFTA_CHAIN_HOOK holds: number, priority, device.
    fn parts(&self) -> (&'static str, u32, i32, Option<&str>) {
        match self {
            Hook::RewriteDestination { priority } => ("nat", 0, *priority, None),
            Hook::RewriteSource { priority } => ("nat", 4, *priority, None),
            Hook::Ingress { device, priority } => ("filter", 0, *priority, Some(device)),
        }
    }
}

impl Transaction {
    /// No change yet.
    pub fn new() -> Transaction {
        Transaction::default()
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many messages it is.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Makes the other's changes as well, after these.
    pub fn extend(&mut self, other: Transaction) {
        self.changes.extend(other.changes);
    }

    /// There is a table of this name, as it may have been already.
    pub fn add_table(&mut self, family: Family, table: &str) {
        self.push(NEW_TABLE, CREATE, family, |request| {
            request.text(1, table).be32(2, 0);
        });
    }

    /// There is no such table, with all that is in it. There must be one.
    pub fn delete_table(&mut self, family: Family, table: &str) {
        self.push(DELETE_TABLE, 0, family, |request| {
            request.text(1, table);
        });
    }

    /// There is a chain, as it may have been already; one without a hook is only gone to.
    pub fn add_chain(&mut self, family: Family, table: &str, chain: &str, hook: Option<&Hook>) {
        self.push(NEW_CHAIN, CREATE, family, |request| {
            request.text(1, table).text(3, chain);
            if let Some((kind, number, priority, device)) = hook.map(Hook::parts) {
                request.nest(4, |nest| {
                    nest.be32(1, number).be32(2, priority.cast_unsigned());
                    if let Some(device) = device {
                        nest.text(3, device);
                    }
                });
                // NF_ACCEPT.
                request.be32(5, 1).text(7, kind);
            }
        });
    }

    /// There is no such chain. There must be one, and nothing goes to it.
    pub fn delete_chain(&mut self, family: Family, table: &str, chain: &str) {
        self.push(DELETE_CHAIN, 0, family, |request| {
            request.text(1, table).text(3, chain);
        });
    }

    /// A chain that is there has no rules.
    pub fn flush_chain(&mut self, family: Family, table: &str, chain: &str) {
        self.push(DELETE_RULE, 0, family, |request| {
            request.text(1, table).text(2, chain);
        });
    }

    /// A rule at a chain's end.
    pub fn add_rule(&mut self, family: Family, table: &str, chain: &str, expressions: &[Expression], comment: &str) {
        self.push(NEW_RULE, CREATE | APPEND, family, |request| {
            request.text(1, table).text(2, chain);
            rule(expressions, comment, request);
        });
    }

    /// There is a map, as it may have been already; one of the name that is another is refused.
    pub fn add_set(&mut self, family: Family, table: &str, set: &NewSet) {
        let number = self.changes.len() as u32 + 1;
        self.push(NEW_SET, CREATE, family, |request| {
            let flags = MAP | set.pins.map_or(0, |_| TIMEOUT | EVALUATED);
            request.text(1, table).text(2, &set.name).be32(3, flags);
            request.be32(4, set.key.number).be32(5, set.key.length);
            request.be32(6, set.data.number).be32(7, set.data.length);
            if let Some(most) = set.pins {
                request.nest(9, |nest| {
                    nest.be32(1, most);
                });
            }
            request.be32(10, number).attribute(13, &[byte_order(0, set.key), byte_order(1, set.data)].concat());
            if set.counts {
                request.nest(17, |nest| {
                    nest.text(1, "counter");
                });
            }
        });
    }

    /// There is no such set. There must be one, and no rule uses it.
    pub fn delete_set(&mut self, family: Family, table: &str, set: &str) {
        self.push(DELETE_SET, 0, family, |request| {
            request.text(1, table).text(2, set);
        });
    }

    /// A set that is there has no elements.
    pub fn flush_set(&mut self, family: Family, table: &str, set: &str) {
        self.push(DELETE_ELEMENTS, 0, family, |request| {
            request.text(1, table).text(2, set);
        });
    }

    /// A map has these elements too. None of these keys may be there with something else.
    pub fn add_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element]) {
        self.elements(NEW_ELEMENTS, CREATE, (family, table, set), elements);
    }

    /// A set has none of these elements, of which only the keys count. They must be there.
    pub fn delete_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element]) {
        self.elements(DELETE_ELEMENTS, 0, (family, table, set), elements);
    }

    fn elements(&mut self, message: u8, flags: u16, (family, table, set): (Family, &str, &str), elements: &[Element]) {
        for elements in elements.chunks(ELEMENTS_MAX) {
            self.push(message, flags, family, |request| {
                request.text(1, table).text(2, set).nest(3, |list| {
                    for one in elements {
                        list.nest(1, |nest| element(one, nest));
                    }
                });
            });
        }
    }

    /// Everything as messages, each ended with its number.
    pub(super) fn write(&self, requests: &mut Requests, number: &mut dyn FnMut() -> u32) {
        for Change { message, flags, family, attributes } in &self.changes {
            let flags = 0x01 | ACKNOWLEDGE | flags;
            requests.begin(NFTABLES.kind(*message), flags, &fixed(*family as u8, 0));
            requests.append(attributes).end(number());
        }
    }

    fn push(&mut self, message: u8, flags: u16, family: Family, fill: impl FnOnce(&mut Requests)) {
        let mut attributes = Requests::default();
        fill(&mut attributes);
        self.changes.push(Change { message, flags, family, attributes });
    }
}

/// How nft(8) is to read keys (NFTNL_UDATA_SET_KEYBYTEORDER) or data (…_DATABYTEORDER): ours are in the machine's order, all
/// others in the network's.
fn byte_order(what: u8, kind: SetKind) -> Vec<u8> {
    let order: u32 = if [SetKind::NUMBER, SetKind::LINK].contains(&kind) { 1 } else { 2 };
    [vec![what, 4], order.to_ne_bytes().to_vec()].concat()
}

fn rule(expressions: &[Expression], comment: &str, request: &mut Requests) {
    request.nest(4, |list| {
        for expression in expressions {
            list.nest(1, |nest| expression.write(nest));
        }
    });
    if let Some(bytes) = user_data(comment) {
        request.attribute(7, &bytes);
    }
}

fn element(element: &Element, nest: &mut Requests) {
    nest.nest(1, |key| {
        key.attribute(1, &element.key);
    });
    if !element.data.is_empty() {
        nest.nest(2, |data| {
            data.attribute(1, &element.data);
        });
    }
    if let Some(bytes) = element.comment.as_deref().and_then(user_data) {
        nest.attribute(6, &bytes);
    }
}

/// A comment as nft(8) writes it: its kind, its length, its text and a zero.
fn user_data(comment: &str) -> Option<Vec<u8>> {
    let length = comment.len() + 1;
    if comment.is_empty() || length > COMMENT_MAX {
        return None;
    }
    let mut bytes = vec![0, length as u8];
    bytes.extend_from_slice(comment.as_bytes());
    bytes.push(0);
    Some(bytes)
}
