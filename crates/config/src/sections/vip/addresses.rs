//! The addresses that move.

use std::net::{IpAddr, Ipv4Addr};

use failover::VipAddress;
use vrrp_proto::{ADDRESSES_MAX, Family};

use crate::context::Context;
use crate::read::{At, Line, Read, Some1};
use crate::schema::{Schema, form, optional, required, says};
use crate::section::Section;
use crate::tree::{Node, Value};

/// A label's bytes: IFNAMSIZ less the final zero.
const LABEL_MAX: usize = 15;

/// An interface's name in bytes: IFNAMSIZ less the final zero.
const INTERFACE_MAX: usize = 15;

/// What an address is good for, as rtnetlink(7) numbers it.
const SCOPES: [(&str, u8); 4] = [("global", 0), ("site", 200), ("link", 253), ("host", 254)];

pub(crate) static ADDRESS: Schema = Schema {
    path: "address",
    about: "An address of a vip, when more is to be said of it than `\"IP/prefix\"`.",
    keys: &[
        required("address", "`\"IP/prefix\"`", "The address and its network's prefix."),
        says("interface", form::TEXT, "the vip's", "Where it is put."),
        optional(
            "label",
            form::TEXT,
            "A name such as `eth0:web`, for tools that know addresses by their labels. IPv4 only.",
        ),
        says(
            "scope",
            "`\"global\"`, `\"site\"`, `\"link\"`, `\"host\"`",
            "\"global\"",
            "What the kernel uses it for. IPv4 only.",
        ),
    ],
};

/// A network interface's name, as the kernel takes it.
pub(crate) struct Interface(pub(crate) String);

/// An address with all that belongs to it.
pub(crate) struct Written(VipAddress);

/// An address that moves, and where it is put.
pub(crate) struct Known {
    address: At<IpAddr>,
    interface: String,
}

impl Read for Interface {
    fn read(node: &Node, cx: &mut Context) -> Option<Interface> {
        let Line(name) = Line::read(node, cx)?;
        let fine = |c: char| !c.is_whitespace() && c != '/' && c != ':';
        if name.len() > INTERFACE_MAX || !name.chars().all(fine) || name == "." || name == ".." {
            cx.error(node.span, format!("\"{}\" cannot name an interface", name.escape_debug()))
                .help(format!("write a name such as \"eth0\" or \"bond0.100\", {INTERFACE_MAX} bytes at most"));
            return None;
        }
        Some(Interface(name))
    }
}

impl Read for Written {
    fn read(node: &Node, cx: &mut Context) -> Option<Written> {
        let Value::Table(_) = &node.value else {
            let (ip, prefix) = with_prefix(node, cx)?;
            return Some(Written(VipAddress { ip, prefix, interface: None, label: None, scope: scope_of(ip) }));
        };
        let mut section = Section::open(node, &ADDRESS, "address".to_owned(), cx)?;
        let address: Option<WithPrefix> = section.required("address", cx);
        let interface = section.optional("interface", cx).map(|Interface(name)| name);
        let label: Option<At<Line>> = section.optional("label", cx);
        let scope = section.optional_choice("scope", &SCOPES, cx);
        let WithPrefix(ip, prefix) = address?;
        if ip.is_ipv6() {
            let why = "is for IPv4: IPv6 addresses have none that could be set";
            section.refuse(&["label", "scope"], why, "remove it", cx);
        }
        if let Some(label) = &label
            && label.value.0.len() > LABEL_MAX
        {
            cx.error(label.span, format!("a label has {LABEL_MAX} bytes at most")).help("shorten it: \"eth0:web\"");
        }
        let scope = scope.unwrap_or_else(|| scope_of(ip));
        Some(Written(VipAddress { ip, prefix, interface, label: label.map(|label| label.value.0), scope }))
    }
}

struct WithPrefix(IpAddr, u8);

impl Read for WithPrefix {
    fn read(node: &Node, cx: &mut Context) -> Option<WithPrefix> {
        with_prefix(node, cx).map(|(ip, prefix)| WithPrefix(ip, prefix))
    }
}

/// Reads `addresses` and `excluded` of a vip on `interface`; `known` are those of the vips before it.
pub(super) fn read(
    vip: &mut Section<'_>,
    interface: Option<&str>,
    known: &mut Vec<Known>,
    cx: &mut Context,
) -> Option<(Vec<VipAddress>, Vec<VipAddress>)> {
    let addresses: Option<Some1<At<Written>>> = vip.required("addresses", cx);
    let excluded: Vec<At<Written>> = vip.optional("excluded", cx).unwrap_or_default();
    let Some1(addresses) = addresses?;
    for written in addresses.iter().chain(&excluded) {
        check_unique(written, interface.unwrap_or_default(), known, cx);
    }
    let first = &addresses[0];
    for other in &addresses[1..] {
        if other.value.0.ip.is_ipv4() != first.value.0.ip.is_ipv4() {
            cx.error(other.span, "a virtual router's addresses are all IPv4 or all IPv6")
                .help("make two vips and a [vip-group.NAME] of them, or write it in excluded")
                .note(first.span, "the first is of the other family");
            break;
        }
    }
    if let Some(beyond) = addresses.get(ADDRESSES_MAX) {
        cx.error(beyond.span, format!("an advert has {ADDRESSES_MAX} addresses at most"))
            .help("write the others in excluded: they move as well, but adverts do not name them");
    }
    let ip = first.value.0.ip;
    if matches!(ip, IpAddr::V6(six) if !six.is_unicast_link_local()) {
        cx.warn(first.span, "the first IPv6 address of a virtual router should be link-local (RFC 9568 section 5.2.9)")
            .help("write one before it, such as \"fe80::1/64\"");
    }
    let plain = |list: Vec<At<Written>>| list.into_iter().map(|written| written.value.0).collect();
    Some((plain(addresses), plain(excluded)))
}

/// The family of a vip's addresses.
pub(super) fn family(addresses: &[VipAddress]) -> Family {
    Family::of(addresses[0].ip)
}

/// The vip's address `ip`, if it is one that moves.
pub(super) fn find(known: &[Known], ip: IpAddr) -> Option<&At<IpAddr>> {
    known.iter().map(|known| &known.address).find(|address| address.value == ip)
}

/// An address is once on a network; a link-local one once on a link.
fn check_unique(written: &At<Written>, interface: &str, known: &mut Vec<Known>, cx: &mut Context) {
    let Written(address) = &written.value;
    let interface = address.interface.as_deref().unwrap_or(interface);
    let local = matches!(address.ip, IpAddr::V6(six) if six.is_unicast_link_local());
    let same = |known: &&Known| known.address.value == address.ip && (!local || known.interface == interface);
    if let Some(first) = known.iter().find(same) {
        cx.error(written.span, format!("{} moves already", address.ip))
            .help("remove one of the two")
            .note(first.address.span, "first here");
        return;
    }
    known.push(Known { address: At { value: address.ip, span: written.span }, interface: interface.to_owned() });
}

/// Of an address of which nothing is said: as the kernel has it.
fn scope_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V6(six) if six.is_unicast_link_local() => 253,
        _ => 0,
    }
}

fn with_prefix(node: &Node, cx: &mut Context) -> Option<(IpAddr, u8)> {
    let Line(text) = Line::read(node, cx)?;
    let parts =
        text.split_once('/').and_then(|(ip, prefix)| Some((ip.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?)));
    let fits = |ip: IpAddr, prefix| (1..=if ip.is_ipv4() { 32 } else { 128 }).contains(&prefix);
    let Some((ip, prefix)) = parts.filter(|&(ip, prefix)| fits(ip, prefix)) else {
        let problem =
            cx.error(node.span, format!("\"{}\" is no address with its network's prefix", text.escape_debug()));
        match text.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv4() => problem.help(format!("write \"{ip}/24\", or \"{ip}/32\" for it alone")),
            Ok(ip) => problem.help(format!("write \"{ip}/64\", or \"{ip}/128\" for it alone")),
            Err(_) => problem.help("write \"10.0.0.1/24\" or \"2001:db8::1/64\""),
        };
        return None;
    };
    let wrong = if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("is no host's")
    } else if ip.is_loopback() {
        Some("is every host's own")
    } else {
        let host = match ip {
            IpAddr::V4(four) => u32::from(four).checked_shl(u32::from(prefix)).map(|host| host >> prefix),
            IpAddr::V6(_) => None,
        };
        match host {
            Some(0) if prefix < 31 => Some("is its network's, not a host's"),
            Some(host) if prefix < 31 && host == u32::MAX >> prefix => Some("is its network's broadcast address"),
            _ => None,
        }
    };
    if let Some(wrong) = wrong {
        cx.error(node.span, format!("{ip}/{prefix} {wrong}")).help("write a host's address, as it is to be reached");
        return None;
    }
    Some((ip, prefix))
}
