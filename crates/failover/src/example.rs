//! Vips and links for tests.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use netlink::{Address, AddressFlags, HardwareAddress, Link, LinkKind, Scope};
use vrrp_proto::{AnnouncePolicy, Centiseconds, Checksum, Peers, Preempt, Priority, Protocol, Vrid};

use crate::{Plan, Vip, VipAddress};

pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn split(text: &str) -> (IpAddr, u8) {
    let (address, prefix) = text.split_once('/').unwrap();
    (ip(address), prefix.parse().unwrap())
}

/// Version 3 each 100 ms on eth0.
pub(crate) fn vip(name: &str, vrid: u8, addresses: &[&str]) -> Vip {
    Vip {
        name: name.to_owned(),
        interface: "eth0".to_owned(),
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(100).unwrap(),
        protocol: Protocol::V3 { interval: Centiseconds::new(10).unwrap(), checksum: Checksum::PseudoHeader },
        source: None,
        peers: Peers::Multicast,
        addresses: addresses.iter().map(|address| vip_address(address)).collect(),
        excluded: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        preempt: Preempt::After(Duration::ZERO),
        down_adverts: NonZeroU8::new(3).unwrap(),
        startup_delay: Duration::ZERO,
        announce: AnnouncePolicy::default(),
        virtual_mac: false,
        track: Vec::new(),
    }
}

pub(crate) fn vip_address(text: &str) -> VipAddress {
    let (ip, prefix) = split(text);
    VipAddress { ip, prefix, interface: None, label: None, scope: 0 }
}

pub(crate) fn plan(vips: &[Vip]) -> Plan {
    Plan { vips: vips.to_vec(), groups: Vec::new() }
}

/// Up, with a carrier.
pub(crate) fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        kind: LinkKind::Ethernet,
        hardware: HardwareAddress::new(&MAC).unwrap(),
        broadcast: HardwareAddress::new(&[0xff; 6]).unwrap(),
        up: true,
        running: true,
        carrier: true,
        no_arp: false,
        mtu: 1500,
        parent: None,
        is_macvlan: false,
    }
}

/// An administrator's, on the link of this index.
pub(crate) fn address(interface: u32, text: &str) -> Address {
    let (ip, prefix) = split(text);
    let (label, scope, flags) = (None, Scope::GLOBAL, AddressFlags::default());
    Address { interface, ip, prefix, label, scope, flags, protocol: 0 }
}
