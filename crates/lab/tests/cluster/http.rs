//! In clear text, on ports of its own.

use std::fs;

use lab::SOON;

use crate::site::Cluster;

const URL: &str = "http://10.20.0.11/images/node.img";
/// The director's other address, on the port that is TLS's otherwise.
const OTHER_URL: &str = "http://10.20.0.12:443/images/node.img";

#[test]
fn each_island_is_served_by_its_own_and_by_the_worker_when_its_own_are_dead() {
    let mut cluster = lab::require!(Cluster::clear("cluster-http"));
    cluster.assert_each_island_has_its_own(&[URL, OTHER_URL], &[URL], |address| format!("http://{address}:443/"));
}

#[test]
fn a_file_system_that_is_gone_takes_its_origins_out() {
    let cluster = lab::require!(Cluster::clear("cluster-gone"));
    fs::rename(&cluster.root, cluster.root.with_extension("away")).expect("the folder is ours");
    for server in ["mirrors/island1-a", "mirrors/island2-a", "mirrors/worker1"] {
        cluster.director.wait_for_status(server, "down", SOON);
    }
    let answer = cluster.clients[0].curl(&["-i", URL]).text();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
}
