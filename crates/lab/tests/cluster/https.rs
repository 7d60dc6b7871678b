//! With its certificates: names are addresses, and checks come sooner.

use std::fs;

use lab::{Authority, SOON};

use crate::site::Cluster;

/// By TLS, where clients come in that know nothing of TLS yet, and the director's other address.
const URLS: [&str; 3] =
    ["https://10.20.0.11/images/node.img", "http://10.20.0.11/images/node.img", "https://10.20.0.12/images/node.img"];

#[test]
fn each_island_is_served_by_its_own_by_tls_and_by_the_worker_when_its_own_are_dead() {
    let mut cluster = lab::require!(Cluster::secure("cluster-https"));
    cluster.assert_each_island_has_its_own(&URLS, &URLS[..2], |address| format!("https://{address}/"));
}

#[test]
fn an_origin_whose_certificate_is_another_authoritys_gets_nobody() {
    let cluster = lab::require!(Cluster::secure("cluster-https-stranger"));
    cluster.wait_until_redirectable();
    let folder = cluster.clients[0].new_folder("tls");
    let stranger = lab::require!(Authority::new(&folder, "stranger"));
    let own = cluster.authority().certificate().with_file_name("island1-a.pem");
    fs::copy(stranger.server("island1-a", &["10.20.1.1"]), &own).expect("the file is ours");
    cluster.director.wait_for_status("mirrors/island1-a", "down", SOON);
    let check = cluster.director.server("mirrors/island1-a")["check"]["text"].to_string();
    assert!(check.contains("certificate"), "{check}");
    assert!(!cluster.fetch(0, URLS[0]).0.contains("10.20.1.1"));
}
