//! Two directors in clear text: both active at once with an address each, and one of them dies under load; and what the
//! cluster's name is answered with meanwhile.

use lab::{Host, Lab, Load, LoadShape, Perron, SOON, wait_for};

use crate::site::{director_text, origins, tree};

const ADDRESSES: [&str; 2] = ["10.20.0.11", "10.20.0.12"];

/// The port that will be TLS's, at the second.
const DOORS: [&str; 2] = ["10.20.0.11:80", "10.20.0.12:443"];

fn has(host: &Host, address: &str) -> bool {
    host.has_address(&format!("{address}/24"))
}

/// On requests of a connection each, so that every one of them begins after this call.
#[track_caller]
fn assert_all_are_served(client: &Host) {
    for door in DOORS {
        let load = Load::start(client, door, &shape());
        load.wait_for_more(200);
        let tally = load.finish();
        assert_eq!(tally.failed(), 0, "{door}: {tally:?}");
    }
}

/// What a director answers for the cluster's name, in the order of the addresses.
fn named(client: &Host, director: &str) -> Vec<String> {
    let asked = ["+short", "+tries=1", "+timeout=5", "+norecurse", "http.cluster.example"];
    let text = client.run(&[&["dig", &format!("@{director}")], &asked[..]].concat()).text();
    let mut addresses: Vec<String> = text.lines().map(str::to_owned).collect();
    addresses.sort();
    addresses
}

#[track_caller]
fn wait_for_name(client: &Host, expected: &[&str]) {
    for director in ADDRESSES {
        wait_for(SOON, "the name is answered with what is up", || named(client, director) == expected);
    }
}

fn shape() -> LoadShape {
    LoadShape { clients: 4, path: "/images/node.img".to_owned(), fresh: true, ..LoadShape::default() }
}

#[test]
fn one_director_of_two_active_ones_dies_and_comes_back_under_load() {
    let lab = lab::require!(Lab::new("cluster-failover"));
    lab::require!(lab::program("dig"));
    let client = lab.host("client1", "10.20.1.100/16");
    let hosts = [lab.host("front-1", "10.20.0.1/16"), lab.host("front-2", "10.20.0.2/16")];
    let root = tree(&hosts[0]);
    let _origins = origins(&lab, &root, None);
    let first = director_text(None);
    let swapped = first.replace("priority = 150", "priority = 99").replace("priority = 100", "priority = 150");
    let mut dying = Perron::start(&hosts[0], &first);
    let surviving = Perron::start(&hosts[1], &swapped);
    for director in [&dying, &surviving] {
        director.wait_until_up();
    }
    let each_has_its_own = || {
        has(&hosts[0], ADDRESSES[0])
            && !has(&hosts[0], ADDRESSES[1])
            && has(&hosts[1], ADDRESSES[1])
            && !has(&hosts[1], ADDRESSES[0])
    };
    wait_for(SOON, "each director has one address", each_has_its_own);
    assert_all_are_served(&client);
    wait_for_name(&client, &ADDRESSES);

    let throughout = DOORS.map(|door| Load::start(&client, door, &shape()));
    for load in &throughout {
        load.wait_for_more(50);
    }
    dying.kill();
    hosts[0].link_down();
    wait_for(SOON, "both addresses live on the other", || {
        assert!(named(&client, ADDRESSES[1]).iter().any(|address| address == ADDRESSES[1]), "the name is answered");
        ADDRESSES.iter().all(|address| has(&hosts[1], address))
    });
    wait_for_name(&client, &ADDRESSES);
    assert_all_are_served(&client);
    for load in &throughout {
        load.wait_for_more(50);
    }
    let [_, other] = throughout.map(Load::finish);
    assert_eq!(other.failed(), 0, "the other address has not noticed: {other:?}");

    surviving.ask(&["vip", "hold", "front-a"]).text();
    wait_for(SOON, "what is up nowhere is not answered", || named(&client, ADDRESSES[1]) == ADDRESSES[1..]);
    surviving.ask(&["vip", "resume", "front-a"]).text();
    wait_for(SOON, "the address is back", || has(&hosts[1], ADDRESSES[0]));
    wait_for_name(&client, &ADDRESSES);

    hosts[0].link_up();
    let _back = Perron::start(&hosts[0], &first);
    wait_for(SOON, "each director has one address again", each_has_its_own);
    assert_all_are_served(&client);
    wait_for_name(&client, &ADDRESSES);
}
