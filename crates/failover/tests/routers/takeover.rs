//! Who has the addresses, as roles move.

use std::num::NonZeroU8;
use std::time::Duration;

use linux::{EVERY_PROTOCOL, PacketSocket};
use rustix::net::netdevice::name_to_index;
use vrrp_proto::{AnnouncePolicy, Password, Protocol};

use crate::director::{Director, active_and_backup, has_address, two, vip, vip_address};

const ADDRESS: &str = "10.0.0.100/32";

#[test]
fn the_higher_priority_has_the_addresses_and_leaves_them_when_it_stops() {
    let (_lab, one, other) = lab::require!(two("engine-stop"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    first.wait_for_address(ADDRESS, true);
    assert!(!has_address(&other, ADDRESS));
    assert_eq!(second.vip().active, Some(("10.0.0.1".parse().unwrap(), 250)));
    first.engine.stop();
    assert!(!has_address(&one, ADDRESS), "removed before stop returns");
    second.wait_for_state("active");
    second.wait_for_address(ADDRESS, true);
    assert_eq!(second.vip().why, "the active one has left");
}

#[test]
fn a_link_that_fails_moves_the_addresses_and_one_that_comes_back_brings_them_back() {
    let (_lab, one, other) = lab::require!(two("engine-link"));
    let (first, second) = active_and_backup(&one, &other, |priority| vip("web", 51, priority, ADDRESS));
    one.run(&["ip", "link", "set", "eth0", "down"]).text();
    second.wait_for_address(ADDRESS, true);
    first.wait_for_state("fault");
    assert!(!has_address(&one, ADDRESS));
    one.run(&["ip", "link", "set", "eth0", "up"]).text();
    first.wait_for_address(ADDRESS, true);
    second.wait_for_address(ADDRESS, false);
}

#[test]
fn version_2_with_a_password() {
    let (_lab, one, other) = lab::require!(two("engine-v2"));
    let password = Password::new(b"s3cret");
    let make = |priority| {
        let protocol = Protocol::V2 { seconds: NonZeroU8::new(1).unwrap(), password };
        failover::Vip { protocol, ..vip("web", 51, priority, ADDRESS) }
    };
    let (first, second) = active_and_backup(&one, &other, make);
    assert_eq!((first.vip().version, second.vip().state.as_str()), (2, "backup"));
    first.engine.stop();
    second.wait_for_address(ADDRESS, true);
}

#[test]
fn several_vips_with_labels_and_excluded_addresses_of_another_family() {
    let (_lab, one, _other) = lab::require!(two("engine-several"));
    let mut labelled = vip("web", 51, 100, "10.0.0.100/24");
    labelled.addresses[0].label = Some("eth0:web".to_owned());
    labelled.excluded = vec![vip_address("10.9.9.9/32"), vip_address("2001:db8::9/128")];
    let director = Director::running(&one, vec![labelled, vip("db", 52, 100, "10.0.0.101/32")]);
    for address in ["10.0.0.100/24", "10.9.9.9/32", "2001:db8::9/128", "10.0.0.101/32"] {
        director.wait_for_address(address, true);
    }
    let listed = one.run(&["ip", "-o", "address", "show", "label", "eth0:web"]).text();
    assert!(listed.contains("10.0.0.100/24"), "{listed}");
    director.engine.stop();
    for address in ["10.0.0.100/24", "10.9.9.9/32", "2001:db8::9/128", "10.0.0.101/32"] {
        assert!(!has_address(&one, address), "{address}");
    }
    assert!(has_address(&one, "10.0.0.1/24"));
}

/// RFC 9568 §6.4.2: whoever has the addresses hears the advert before hosts hear where they are. Each is told so often at
/// once, and again later.
#[test]
fn hosts_are_told_after_the_advert_and_again() {
    let (_lab, one, other) = lab::require!(two("engine-garp"));
    let ears = other.in_namespace(|| {
        let index = name_to_index(PacketSocket::sender().unwrap(), "eth0").unwrap();
        PacketSocket::receiver(index, EVERY_PROTOCOL, None, 1 << 20).unwrap()
    });
    let again = Some(Duration::from_millis(300));
    let announce = AnnouncePolicy { repeat: 3, again, ..AnnouncePolicy::default() };
    let mut several = failover::Vip { announce, ..vip("web", 51, 100, ADDRESS) };
    several.excluded = vec![vip_address("10.0.0.101/32")];
    let director = Director::running(&one, vec![several]);
    let (mut told, mut buffer) = (Vec::new(), [0; 256]);
    lab::wait_for(lab::SOON, "two rounds of three for each of two", || {
        while let Some(frame) = ears.receive(&mut buffer).unwrap() {
            // Ethernet and IPv4's protocol; Ethernet and ARP's sender (RFC 826).
            match (&frame.bytes[12..14], frame.bytes.get(23), frame.bytes.get(28..32)) {
                ([0x08, 0x00], Some(112), _) => told.push("advert"),
                ([0x08, 0x06], _, Some([10, 0, 0, 100])) => told.push("100"),
                ([0x08, 0x06], _, Some([10, 0, 0, 101])) => told.push("101"),
                _ => {}
            }
        }
        told.iter().filter(|&&what| what != "advert").count() == 12
    });
    assert_eq!(told[0], "advert");
    let announced: Vec<_> = told.into_iter().filter(|&what| what != "advert").collect();
    assert_eq!(announced, ["100", "101"].repeat(6));
    assert_eq!(director.vip().announced, 12);
}
