//! Against the real kernel, in a namespace of its own; what is there is told by nft(8).

use lab::{Host, Lab, program, require};

use super::*;

fn shown(host: &Host) -> String {
    host.run(&["nft", "list", "ruleset"]).success().text()
}

fn map(name: &str) -> NewSet {
    let (key, data) = (SetKind::NUMBER, SetKind::IPV4.and(SetKind::PORT));
    NewSet { name: name.to_owned(), key, data, pins: None, counts: true }
}

fn element(key: u32, data: [u8; 8]) -> NewElement {
    NewElement { key: key.to_ne_bytes().to_vec(), data: data.to_vec(), comment: Some(format!("number {key}")) }
}

#[test]
fn what_is_committed_is_there_and_is_read_again() {
    let lab = require!(Lab::new("netlink-nft"));
    require!(program("nft"));
    let host = lab.host("one", "10.0.0.1/24");
    let mut nft = host.in_namespace(|| Nft::open().unwrap());
    let before = nft.generation().unwrap();
    let mut transaction = Transaction::new();
    transaction.add_table(Family::Inet, "ours");
    transaction.add_chain(Family::Inet, "ours", "in", Some(&Hook::RewriteDestination { priority: -90 }));
    transaction.add_set(Family::Inet, "ours", &map("places"));
    let elements: Vec<NewElement> = (0..200u8).map(|at| element(at.into(), [10, 0, 0, at, 0, 80, 0, 0])).collect();
    transaction.add_elements(Family::Inet, "ours", "places", &elements);
    let (number, place, port) = (Register(0), Register(1), Some(Register(2)));
    let rule = [
        Expression::Count { modulus: 200, to: number },
        Expression::Lookup { set: "places".to_owned(), key: number, to: Some(place) },
        Expression::RewriteDestination { family: 2, address: place, port },
    ];
    transaction.add_rule(Family::Inet, "ours", "in", &rule, "whither");
    nft.commit(transaction).unwrap();
    assert_eq!(nft.generation().unwrap(), before + 1);
    let text = shown(&host);
    for line in [
        "type nat hook prerouting priority dstnat + 10; policy accept;",
        "dnat ip to numgen inc mod 200 map @places comment \"whither\"",
        "0x000000c7 counter packets 0 bytes 0 comment \"number 199\" : 10.0.0.199 . 80",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let rules = nft.rules(Family::Inet, "ours").unwrap();
    assert_eq!((rules[0].chain.as_str(), rules[0].comment.as_deref()), ("in", Some("whither")));
    assert_eq!(nft.chains(Family::Inet, "ours").unwrap(), [Chain { name: "in".to_owned(), priority: Some(-90) }]);
    let mut listed = nft.elements(Family::Inet, "ours", "places").unwrap();
    listed.sort_by_key(|element| element.data.clone());
    assert_eq!(listed.len(), 200);
    assert_eq!(listed[199].data, [10, 0, 0, 199, 0, 80, 0, 0]);
    assert_eq!(listed[199].comment.as_deref(), Some("number 199"));
}

#[test]
fn a_transaction_is_made_whole_or_not_at_all() {
    let lab = require!(Lab::new("netlink-nft-whole"));
    require!(program("nft"));
    let host = lab.host("one", "10.0.0.1/24");
    let mut nft = host.in_namespace(|| Nft::open().unwrap());
    let mut transaction = Transaction::new();
    transaction.add_table(Family::Inet, "ours");
    transaction.add_set(Family::Inet, "ours", &map("places"));
    transaction.delete_elements(Family::Inet, "ours", "places", &[element(7, [0; 8])]);
    let refused = nft.commit(transaction).unwrap_err();
    assert_eq!(refused.errno(), Some(2), "{refused}");
    assert_eq!(shown(&host), "");
    assert_eq!(nft.sets(Family::Inet, "ours").unwrap(), []);
    assert_eq!(nft.rules(Family::Inet, "ours").unwrap(), []);
    let mut transaction = Transaction::new();
    transaction.add_table(Family::Inet, "ours");
    nft.commit(transaction).unwrap();
    assert_eq!(nft.sets(Family::Inet, "ours").unwrap(), []);
}
