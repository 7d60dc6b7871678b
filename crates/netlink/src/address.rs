use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::codec::{
    Attributes, CHANGE, CREATE, DELETE_ADDRESS, IPV4, IPV6, Malformed, NEW_ADDRESS, Requests, byte, family, ip, number,
    text,
};

/// struct ifaddrmsg: family, prefix length, flags, scope, index.
const FIXED: usize = 8;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
/// Linux 5.18; earlier kernels pass over it.
const IFA_PROTO: u16 = 11;

const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_PERMANENT: u32 = 0x80;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

/// A lifetime without an end, in seconds (INFINITY_LIFE_TIME).
const FOREVER: u32 = u32::MAX;

/// How far away what an address or a route stands for can be (rtm_scope, ifa_scope).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope(pub u8);

impl Scope {
    /// Anywhere.
    pub const GLOBAL: Scope = Scope(0);
    /// This site: IPv6's deprecated site-local addresses.
    pub const SITE: Scope = Scope(200);
    /// The network of the link.
    pub const LINK: Scope = Scope(253);
    /// This machine.
    pub const HOST: Scope = Scope(254);
    /// Nowhere: routes that do not exist.
    pub const NOWHERE: Scope = Scope(255);
}

/// What the kernel says of an address beside its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressFlags {
    /// IPv6: whether another machine has it is still being found out, and it is not used before.
    pub tentative: bool,
    /// IPv6: another machine has it.
    pub dad_failed: bool,
    /// It has no lifetime.
    pub permanent: bool,
    /// IPv4: another address of the same network stands before it, and takes it along when it goes, unless the link
    /// [promotes secondaries](crate::set_promote_secondaries). IPv6: a temporary address.
    pub secondary: bool,
    /// IPv6: it is used without asking whether another machine has it.
    pub no_dad: bool,
    /// It is not chosen as the source of new connections: its preferred lifetime is over.
    pub deprecated: bool,
    /// It brought no route to its network with it.
    pub no_prefix_route: bool,
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The link's index.
    pub interface: u32,
    /// The address.
    pub ip: IpAddr,
    /// How many of its leading bits name its network.
    pub prefix: u8,
    /// IPv4: a name beside the link's, as `eth0:vip`; the link's own if none was given.
    pub label: Option<String>,
    /// How far away those can be who use it.
    pub scope: Scope,
    /// The rest.
    pub flags: AddressFlags,
    /// Who added it, as those who add addresses mark them (IFA_PROTO); 0: nobody says, or a kernel before 5.18.
    pub protocol: u8,
}

/// An address to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAddress {
    /// The address.
    pub ip: IpAddr,
    /// How many of its leading bits name its network.
    pub prefix: u8,
    /// IPv4: a name beside the link's, 15 bytes at most.
    pub label: Option<String>,
    /// How far away those can be who use it.
    pub scope: Scope,
    /// IPv4: the network's broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// IPv6: used at once, without asking whether another machine has it.
    pub no_dad: bool,
    /// No route to its network comes with it.
    pub no_prefix_route: bool,
    /// Its preferred lifetime is zero, so that it is not chosen as the source of new connections.
    pub deprecated: bool,
    /// The mark of who adds it, 0 for none.
    pub protocol: u8,
}

impl NewAddress {
    /// An address as one that moves is wanted: reachable from anywhere, used at once, without anything further.
    pub fn new(ip: IpAddr, prefix: u8) -> NewAddress {
        NewAddress {
            ip,
            prefix,
            label: None,
            scope: Scope::GLOBAL,
            broadcast: None,
            no_dad: true,
            no_prefix_route: false,
            deprecated: false,
            protocol: 0,
        }
    }

    pub(crate) fn add<'a>(&self, interface: u32, requests: &'a mut Requests) -> &'a mut Requests {
        let mut flags = 0;
        for (wanted, flag) in [
            (self.no_dad && self.ip.is_ipv6(), IFA_F_NODAD),
            (self.no_prefix_route, IFA_F_NOPREFIXROUTE),
            (self.deprecated, IFA_F_DEPRECATED),
        ] {
            flags |= if wanted { flag } else { 0 };
        }
        requests.begin(NEW_ADDRESS, CREATE, &fixed(self.ip, self.prefix, self.scope, interface));
        requests.ip(IFA_LOCAL, self.ip).ip(IFA_ADDRESS, self.ip).number(IFA_FLAGS, flags);
        if let Some(label) = &self.label {
            requests.text(IFA_LABEL, label);
        }
        if let Some(broadcast) = self.broadcast {
            requests.attribute(IFA_BROADCAST, &broadcast.octets());
        }
        if self.deprecated {
            // struct ifa_cacheinfo: preferred, valid, and when it was made and changed, which the kernel fills in.
            let lifetimes = [0, FOREVER, 0, 0].map(u32::to_ne_bytes);
            requests.attribute(IFA_CACHEINFO, lifetimes.as_flattened());
        }
        if self.protocol != 0 {
            requests.attribute(IFA_PROTO, &[self.protocol]);
        }
        requests
    }
}

impl fmt::Display for NewAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.ip, self.prefix)
    }
}

/// Removes just this address with just this prefix: the kernel compares whatever is in the request, and nothing else.
pub(crate) fn remove(interface: u32, ip: IpAddr, prefix: u8, requests: &mut Requests) -> &mut Requests {
    requests.begin(DELETE_ADDRESS, CHANGE, &fixed(ip, prefix, Scope::GLOBAL, interface));
    requests.ip(IFA_LOCAL, ip).ip(IFA_ADDRESS, ip)
}

fn fixed(ip: IpAddr, prefix: u8, scope: Scope, interface: u32) -> [u8; FIXED] {
    let [a, b, c, d] = interface.to_ne_bytes();
    [family(ip), prefix, 0, scope.0, a, b, c, d]
}

/// `None` for families that are not ours.
pub(crate) fn parse(body: &[u8]) -> Result<Option<Address>, Malformed> {
    if !matches!(byte(body, 0)?, IPV4 | IPV6) {
        return Ok(None);
    }
    let mut flags = u32::from(byte(body, 2)?);
    let (mut local, mut address, mut label, mut protocol) = (None, None, None, 0);
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (IFA_LOCAL, value) => local = Some(ip(value)?),
            (IFA_ADDRESS, value) => address = Some(ip(value)?),
            (IFA_LABEL, value) => label = Some(text(value)),
            (IFA_FLAGS, value) => flags = number(value, 0)?,
            (IFA_PROTO, value) => protocol = byte(value, 0)?,
            _ => {}
        }
    }
    Ok(Some(Address {
        interface: number(body, 4)?,
        // Of a point-to-point link, IFA_ADDRESS is the other end.
        ip: local.or(address).ok_or(Malformed)?,
        prefix: byte(body, 1)?,
        label,
        scope: Scope(byte(body, 3)?),
        flags: flags_of(flags),
        protocol,
    }))
}

fn flags_of(flags: u32) -> AddressFlags {
    let has = |flag| flags & flag != 0;
    AddressFlags {
        tentative: has(IFA_F_TENTATIVE),
        dad_failed: has(IFA_F_DADFAILED),
        permanent: has(IFA_F_PERMANENT),
        secondary: has(IFA_F_SECONDARY),
        no_dad: has(IFA_F_NODAD),
        deprecated: has(IFA_F_DEPRECATED),
        no_prefix_route: has(IFA_F_NOPREFIXROUTE),
    }
}
