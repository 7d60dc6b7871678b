//! The cluster's one URL as `examples/cluster-http.toml` and `cluster-http-origin.toml` have it: in clear text, on ports
//! of its own, without the parts that move addresses and answer names; the lab puts the addresses on the hosts.

mod cluster;

use std::fs;

use cluster::{director_text, origins, plain, tree};
use lab::{Host, Lab, Perron, SOON, Skip, wait_for};

const URL: &str = "http://10.20.0.11/images/node.img";
/// The director's other address, on the port that will be TLS's.
const OTHER_URL: &str = "http://10.20.0.12:443/images/node.img";

struct Cluster {
    /// One client on each island.
    clients: [Host; 2],
    director: Perron,
    /// Of island 1, of island 2, and the worker.
    origins: Vec<Perron>,
    root: std::path::PathBuf,
    _lab: Lab,
}

fn cluster(name: &str) -> Result<Cluster, Skip> {
    let lab = Lab::new(name)?;
    lab::program("wget")?;
    let clients = [lab.host("client1", "10.20.1.100/16"), lab.host("client2", "10.20.2.100/16")];
    let front = lab.host("front", "10.20.0.11/16");
    front.add_address("10.20.0.12/16");
    let root = tree(&front);
    let origins = origins(&lab, &root);
    let director = Perron::start_with(&front, &director_text(), &["--without", "vip", "--without", "dns"]);
    director.wait_until_up();
    Ok(Cluster { clients, director, origins, root, _lab: lab })
}

impl Cluster {
    fn wait_until_redirectable(&self) {
        let servers = ["mirrors/island1-a", "mirrors/island2-a", "mirrors/worker1"];
        let open = || servers.iter().all(|server| self.director.server(server)["redirect"]["why_not"].is_null());
        wait_for(SOON, "clients may be redirected", open);
    }

    /// Where a client ends that follows redirects, and what it gets there.
    fn fetch(&self, client: usize, url: &str) -> (String, Vec<u8>) {
        let client = &self.clients[client];
        let file = client.new_folder("fetched").join("file");
        let said = client.run(&["wget", "-nv", "--tries=1", "-O", plain(&file), url]).success().stderr;
        (said, fs::read(file).expect("wget wrote it"))
    }
}

#[test]
fn each_island_is_served_by_its_own_and_by_the_worker_when_its_own_are_dead() {
    let mut cluster = lab::require!(cluster("cluster-http"));
    cluster.wait_until_redirectable();
    for url in [URL, OTHER_URL] {
        for (client, origin) in [(0, "http://10.20.1.1:443/"), (1, "http://10.20.2.1:443/")] {
            let (said, content) = cluster.fetch(client, url);
            assert!(said.contains(origin), "client {client} was sent elsewhere: {said}");
            assert_eq!(content, vec![b'1'; 100_000]);
        }
    }

    fs::write(cluster.root.join("images/node.img"), "changed").expect("the folder is ours");
    assert_eq!(cluster.fetch(0, URL).1, b"changed");
    for agent in ["curl/8.5.0", "iPXE/1.21.1+"] {
        let relayed = cluster.clients[0].curl(&["-A", agent, URL]);
        assert_eq!(relayed.text(), "changed", "{agent} is served without noticing");
    }

    for island in 0..2 {
        cluster.origins[island].stop();
        let name = format!("mirrors/island{}-a", island + 1);
        cluster.director.wait_for_status(&name, "down", SOON);
    }
    let (said, content) = cluster.fetch(0, URL);
    assert!(said.contains("http://10.20.0.31:443/"), "{said}");
    assert_eq!(content, b"changed");
}

#[test]
fn a_file_system_that_is_gone_takes_its_origins_out() {
    let cluster = lab::require!(cluster("cluster-gone"));
    fs::rename(&cluster.root, cluster.root.with_extension("away")).expect("the folder is ours");
    for server in ["mirrors/island1-a", "mirrors/island2-a", "mirrors/worker1"] {
        cluster.director.wait_for_status(server, "down", SOON);
    }
    let answer = cluster.clients[0].curl(&["-i", URL]).text();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
}
