use std::fmt;

use crate::codec::{
    ANY_FAMILY, Attributes, CHANGE, CREATE, DELETE_LINK, LIST_LINKS, Malformed, NEW_LINK, Requests, byte, number,
    short, text,
};

/// struct ifinfomsg: family, padding, kind, index, flags, which flags are meant.
const FIXED: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const AF_INET6: u16 = 10;

/// Frames pass between the link and the network, never to its siblings on this machine.
const MACVLAN_MODE_PRIVATE: u32 = 1;
/// No link-local address is made up for it.
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_LOWER_UP: u32 = 0x1_0000;

const ARPHRD_ETHER: u16 = 1;
const ARPHRD_INFINIBAND: u16 = 32;
const ARPHRD_LOOPBACK: u16 = 772;

/// What driver makes a link a macvlan.
const MACVLAN: &str = "macvlan";

/// The kernel's longest hardware address (MAX_ADDR_LEN).
const HARDWARE_MAX: usize = 32;

/// A link's hardware address: 6 bytes on Ethernet, 20 on InfiniBand, none on some.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct HardwareAddress {
    bytes: [u8; HARDWARE_MAX],
    length: u8,
}

impl HardwareAddress {
    /// These bytes; `None` of more than 32, the kernel's own limit.
    pub fn new(bytes: &[u8]) -> Option<HardwareAddress> {
        let mut address = HardwareAddress::default();
        address.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        address.length = bytes.len() as u8;
        Some(address)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.bytes().iter().enumerate() {
            write!(formatter, "{}{byte:02x}", if place == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for HardwareAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HardwareAddress({self})")
    }
}

/// What a link's frames are (ARPHRD_…).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Ethernet, and what looks like it: bridges, VLANs, veth.
    Ethernet,
    /// IP over InfiniBand.
    InfiniBand,
    /// `lo`.
    Loopback,
    /// Another kind, by its number.
    Other(u16),
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, by which everything else names it: a link of the same name that is made anew has another one.
    pub index: u32,
    /// Its name, which can change.
    pub name: String,
    /// What its frames are.
    pub kind: LinkKind,
    /// Its hardware address.
    pub hardware: HardwareAddress,
    /// Where frames for everybody go.
    pub broadcast: HardwareAddress,
    /// An administrator wants it up (IFF_UP).
    pub up: bool,
    /// It can carry traffic (IFF_RUNNING): up, with a carrier, and not held back.
    pub running: bool,
    /// It has a carrier (IFF_LOWER_UP): a cable with somebody at the other end.
    pub carrier: bool,
    /// It does without ARP and neighbour discovery (IFF_NOARP).
    pub no_arp: bool,
    /// The longest packet, in bytes.
    pub mtu: u32,
    /// The link that it stands on, or its other end, if that is in the same namespace.
    pub parent: Option<u32>,
    /// It is a macvlan.
    pub is_macvlan: bool,
}

/// Asks for one link by its name.
pub(crate) fn find<'a>(name: &str, requests: &'a mut Requests) -> &'a mut Requests {
    requests.begin(LIST_LINKS, CHANGE, &fixed(0, 0, 0)).text(IFLA_IFNAME, name)
}

pub(crate) fn set_up(index: u32, up: bool, requests: &mut Requests) -> &mut Requests {
    requests.begin(NEW_LINK, CHANGE, &fixed(index, if up { IFF_UP } else { 0 }, IFF_UP))
}

pub(crate) fn remove(index: u32, requests: &mut Requests) -> &mut Requests {
    requests.begin(DELETE_LINK, CHANGE, &fixed(index, 0, 0))
}

/// Makes a macvlan in private mode, down.
pub(crate) fn add_macvlan<'a>(
    name: &str,
    parent: u32,
    hardware: HardwareAddress,
    requests: &'a mut Requests,
) -> &'a mut Requests {
    requests.begin(NEW_LINK, CREATE, &fixed(0, 0, 0));
    requests.text(IFLA_IFNAME, name).number(IFLA_LINK, parent).attribute(IFLA_ADDRESS, hardware.bytes());
    requests.nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, MACVLAN);
        info.nest(IFLA_INFO_DATA, |data| {
            data.number(IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
        });
    })
}

/// Keeps the kernel from making up a link-local address. It listens to this only of a link that is there.
pub(crate) fn without_own_addresses(index: u32, requests: &mut Requests) -> &mut Requests {
    requests.begin(NEW_LINK, CHANGE, &fixed(index, 0, 0)).nest(IFLA_AF_SPEC, |families| {
        families.nest(AF_INET6, |inet6| {
            inet6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
        });
    })
}

fn fixed(index: u32, flags: u32, meant: u32) -> [u8; FIXED] {
    let mut fixed = [0; FIXED];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..].copy_from_slice(&meant.to_ne_bytes());
    fixed
}

/// `None` for what a bridge says of its ports in messages of the same kind.
pub(crate) fn parse(body: &[u8]) -> Result<Option<Link>, Malformed> {
    if byte(body, 0)? != ANY_FAMILY {
        return Ok(None);
    }
    let flags = number(body, 8)?;
    let mut link = Link {
        index: number(body, 4)?,
        name: String::new(),
        kind: match short(body, 2)? {
            ARPHRD_ETHER => LinkKind::Ethernet,
            ARPHRD_INFINIBAND => LinkKind::InfiniBand,
            ARPHRD_LOOPBACK => LinkKind::Loopback,
            other => LinkKind::Other(other),
        },
        hardware: HardwareAddress::default(),
        broadcast: HardwareAddress::default(),
        up: flags & IFF_UP != 0,
        running: flags & IFF_RUNNING != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        no_arp: flags & IFF_NOARP != 0,
        mtu: 0,
        parent: None,
        is_macvlan: false,
    };
    let mut parent_is_elsewhere = false;
    for attribute in Attributes::after(body, FIXED) {
        match attribute? {
            (IFLA_ADDRESS, value) => link.hardware = HardwareAddress::new(value).ok_or(Malformed)?,
            (IFLA_BROADCAST, value) => link.broadcast = HardwareAddress::new(value).ok_or(Malformed)?,
            (IFLA_IFNAME, value) => link.name = text(value),
            (IFLA_MTU, value) => link.mtu = number(value, 0)?,
            // Zero: of a tunnel that stands on no link.
            (IFLA_LINK, value) => link.parent = Some(number(value, 0)?).filter(|&index| index != 0),
            (IFLA_LINK_NETNSID, _) => parent_is_elsewhere = true,
            (IFLA_LINKINFO, value) => link.is_macvlan = driver(value)?.as_deref() == Some(MACVLAN),
            _ => {}
        }
    }
    if parent_is_elsewhere {
        link.parent = None;
    }
    Ok(Some(link))
}

fn driver(info: &[u8]) -> Result<Option<String>, Malformed> {
    for attribute in Attributes::after(info, 0) {
        if let (IFLA_INFO_KIND, value) = attribute? {
            return Ok(Some(text(value)));
        }
    }
    Ok(None)
}
