use std::fmt;

use units::Network;

use crate::codec::{
    Attributes, CHANGE, CREATE, DELETE_RULE, IPV4, IPV6, Malformed, NEW_RULE, Requests, byte, ip, number, text,
};
use crate::route::network;
use crate::setting::Family;

/// struct fib_rule_hdr: family, lengths of destination and source, TOS, table, two reserved bytes, action, flags.
const FIXED: usize = 12;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;

/// The table is looked up (FR_ACT_TO_TBL).
const TO_TABLE: u8 = 1;

/// A packet's mark that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its value.
    pub value: u32,
    /// The bits that are compared.
    pub mask: u32,
}

/// A rule: which packets are looked up in which table of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of which packets.
    pub family: Family,
    /// From these addresses.
    pub from: Option<Network>,
    /// To these addresses.
    pub to: Option<Network>,
    /// That came in over the link of this name, which need not exist.
    pub incoming: Option<String>,
    /// With this mark.
    pub mark: Option<Mark>,
    /// The table; 0 of one that is listed and does something else.
    pub table: u32,
    /// Rules are asked in the order of this number.
    pub priority: u32,
    /// Who added it, as those who add rules mark them; 0: nobody says.
    pub protocol: u8,
}

impl Rule {
    /// A rule that is for all packets.
    pub fn new(family: Family, priority: u32, table: u32) -> Rule {
        Rule { family, from: None, to: None, incoming: None, mark: None, table, priority, protocol: 0 }
    }

    pub(crate) fn add<'a>(&self, requests: &'a mut Requests) -> &'a mut Requests {
        requests.begin(NEW_RULE, CREATE, &self.fixed());
        self.attributes(requests)
    }

    /// The kernel removes the first rule that has all that is in the request; what the request leaves out it may have besides.
    pub(crate) fn remove<'a>(&self, requests: &'a mut Requests) -> &'a mut Requests {
        requests.begin(DELETE_RULE, CHANGE, &self.fixed());
        self.attributes(requests)
    }

    fn fixed(&self) -> [u8; FIXED] {
        let mut fixed = [0; FIXED];
        fixed[0] = match self.family {
            Family::Ipv4 => IPV4,
            Family::Ipv6 => IPV6,
        };
        fixed[1] = self.to.map_or(0, |network| network.prefix());
        fixed[2] = self.from.map_or(0, |network| network.prefix());
        fixed[4] = u8::try_from(self.table).unwrap_or(0);
        fixed[7] = TO_TABLE;
        fixed
    }

    fn attributes<'a>(&self, requests: &'a mut Requests) -> &'a mut Requests {
        for (kind, network) in [(FRA_DST, self.to), (FRA_SRC, self.from)] {
            if let Some(network) = network.filter(|network| network.prefix() > 0) {
                requests.ip(kind, network.address());
            }
        }
        if let Some(name) = &self.incoming {
            requests.text(FRA_IIFNAME, name);
        }
        if let Some(mark) = self.mark {
            requests.number(FRA_FWMARK, mark.value).number(FRA_FWMASK, mark.mask);
        }
        if self.protocol != 0 {
            requests.attribute(FRA_PROTOCOL, &[self.protocol]);
        }
        requests.number(FRA_TABLE, self.table).number(FRA_PRIORITY, self.priority)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the rule {}", self.priority)?;
        for (word, network) in [("from", self.from), ("to", self.to)] {
            if let Some(network) = network {
                write!(formatter, " {word} {}/{}", network.address(), network.prefix())?;
            }
        }
        write!(formatter, " for table {}", self.table)
    }
}

/// `None` for families that are not ours.
pub(crate) fn parse(body: &[u8]) -> Result<Option<Rule>, Malformed> {
    let (number_of_family, action) = (byte(body, 0)?, byte(body, 7)?);
    let family = match number_of_family {
        IPV4 => Family::Ipv4,
        IPV6 => Family::Ipv6,
        _ => return Ok(None),
    };
    let (mut from, mut to) = (None, None);
    let (mut mark, mut mask) = (None, None);
    let mut rule = Rule::new(family, 0, u32::from(byte(body, 4)?));
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (FRA_DST, value) => to = Some(network(number_of_family, Some(ip(value)?), byte(body, 1)?)?),
            (FRA_SRC, value) => from = Some(network(number_of_family, Some(ip(value)?), byte(body, 2)?)?),
            (FRA_IIFNAME, value) => rule.incoming = Some(text(value)),
            (FRA_PRIORITY, value) => rule.priority = number(value, 0)?,
            (FRA_FWMARK, value) => mark = Some(number(value, 0)?),
            (FRA_FWMASK, value) => mask = Some(number(value, 0)?),
            (FRA_TABLE, value) => rule.table = number(value, 0)?,
            (FRA_PROTOCOL, value) => rule.protocol = byte(value, 0)?,
            _ => {}
        }
    }
    rule.from = from;
    rule.to = to;
    // A value of zero is left out, and a mask of all bits may be.
    if mark.is_some() || mask.is_some() {
        rule.mark = Some(Mark { value: mark.unwrap_or(0), mask: mask.unwrap_or(u32::MAX) });
    }
    if action != TO_TABLE {
        rule.table = 0;
    }
    Ok(Some(rule))
}
