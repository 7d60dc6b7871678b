//! The cluster's two directors as `examples/cluster-http.toml` has them, in clear text: both active at once with an address
//! each, and one of them dies under load.

mod cluster;

use lab::{Host, Lab, Load, LoadShape, Perron, SOON, wait_for};

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

fn shape() -> LoadShape {
    LoadShape { clients: 4, path: "/images/node.img".to_owned(), fresh: true, ..LoadShape::default() }
}

#[test]
fn one_director_of_two_active_ones_dies_and_comes_back_under_load() {
    let lab = lab::require!(Lab::new("cluster-failover"));
    let client = lab.host("client1", "10.20.1.100/16");
    let hosts = [lab.host("front-1", "10.20.0.1/16"), lab.host("front-2", "10.20.0.2/16")];
    let root = cluster::tree(&hosts[0]);
    let _origins = cluster::origins(&lab, &root);
    let first = cluster::director_text();
    let swapped = first.replace("priority = 150", "priority = 99").replace("priority = 100", "priority = 150");
    let start = |host: &Host, text: &str| Perron::start_with(host, text, &["--without", "dns"]);
    let mut dying = start(&hosts[0], &first);
    let surviving = start(&hosts[1], &swapped);
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

    let throughout = DOORS.map(|door| Load::start(&client, door, &shape()));
    for load in &throughout {
        load.wait_for_more(50);
    }
    dying.kill();
    hosts[0].link_down();
    wait_for(SOON, "both addresses live on the other", || ADDRESSES.iter().all(|address| has(&hosts[1], address)));
    assert_all_are_served(&client);
    for load in &throughout {
        load.wait_for_more(50);
    }
    let [_, other] = throughout.map(Load::finish);
    assert_eq!(other.failed(), 0, "the other address has not noticed: {other:?}");

    hosts[0].link_up();
    let _back = start(&hosts[0], &first);
    wait_for(SOON, "each director has one address again", each_has_its_own);
    assert_all_are_served(&client);
}
