use crate::codec::{Attributes, Malformed, text};
use crate::netfilter::{FIXED, be32, be64, within};

/// A chain that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Unique in its table.
    pub name: String,
    /// Of a base chain: its priority.
    pub priority: Option<i32>,
}

/// A rule that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its chain.
    pub chain: String,
    /// No rule of the table had it before.
    pub handle: u64,
    /// For people.
    pub comment: Option<String>,
}

/// A set or map that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Unique in its table.
    pub name: String,
}

/// An element that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// What it is found by.
    pub key: Vec<u8>,
    /// Of a map: what it has.
    pub data: Vec<u8>,
    /// For people.
    pub comment: Option<String>,
    /// Packets that found it, where it counts them.
    pub packets: u64,
    /// Their bytes, with their IP headers.
    pub bytes: u64,
}

/// NFTA_GEN_ID.
pub(super) fn generation(body: &[u8]) -> Result<u32, Malformed> {
    for attribute in Attributes::after(body, FIXED) {
        if let (1, value) = attribute? {
            return be32(value);
        }
    }
    Err(Malformed)
}

pub(super) fn chain(body: &[u8], table: &str, found: &mut Vec<Chain>) -> Result<(), Malformed> {
    let mut chain = Chain { name: String::new(), priority: None };
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (1, value) if text(value) != table => return Ok(()),
            (3, value) => chain.name = text(value),
            (4, value) => {
                for hook in within(value) {
                    if let (2, value) = hook? {
                        chain.priority = Some(be32(value)?.cast_signed());
                    }
                }
            }
            _ => {}
        }
    }
    found.push(chain);
    Ok(())
}

pub(super) fn rule(body: &[u8], table: &str, found: &mut Vec<Rule>) -> Result<(), Malformed> {
    let mut rule = Rule { chain: String::new(), handle: 0, comment: None };
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (1, value) if text(value) != table => return Ok(()),
            (2, value) => rule.chain = text(value),
            (3, value) => rule.handle = be64(value)?,
            (7, value) => rule.comment = comment(value),
            _ => {}
        }
    }
    found.push(rule);
    Ok(())
}

pub(super) fn set(body: &[u8], table: &str, found: &mut Vec<Set>) -> Result<(), Malformed> {
    let mut set = Set { name: String::new() };
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (1, value) if text(value) != table => return Ok(()),
            (2, value) => set.name = text(value),
            _ => {}
        }
    }
    found.push(set);
    Ok(())
}

/// Those of one message of the list.
pub(super) fn elements(body: &[u8], found: &mut Vec<Element>) -> Result<(), Malformed> {
    for attribute in Attributes::after(body, FIXED) {
        if let (3, list) = attribute? {
            for one in within(list) {
                found.push(element(one?.1)?);
            }
        }
    }
    Ok(())
}

fn element(bytes: &[u8]) -> Result<Element, Malformed> {
    let mut element = Element { key: Vec::new(), data: Vec::new(), comment: None, packets: 0, bytes: 0 };
    for attribute in within(bytes) {
        match attribute? {
            (1, value) => element.key = data(value)?,
            (2, value) => element.data = data(value)?,
            (6, value) => element.comment = comment(value),
            (7, value) => count(value, &mut element)?,
            _ => {}
        }
    }
    Ok(element)
}

/// NFTA_DATA_VALUE; a verdict is passed over.
fn data(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    for attribute in within(bytes) {
        if let (1, value) = attribute? {
            return Ok(value.to_vec());
        }
    }
    Ok(Vec::new())
}

/// A counter: NFTA_EXPR_DATA with NFTA_COUNTER_BYTES and NFTA_COUNTER_PACKETS.
fn count(expression: &[u8], element: &mut Element) -> Result<(), Malformed> {
    for attribute in within(expression) {
        let (2, value) = attribute? else { continue };
        for counter in within(value) {
            match counter? {
                (1, value) => element.bytes = be64(value)?,
                (2, value) => element.packets = be64(value)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The text of the first comment; other programs may have put other things before it.
fn comment(user_data: &[u8]) -> Option<String> {
    let mut rest = user_data;
    while let [kind, length, after @ ..] = rest {
        let value = after.get(..usize::from(*length))?;
        if *kind == 0 {
            return Some(text(value));
        }
        rest = &after[usize::from(*length)..];
    }
    None
}
