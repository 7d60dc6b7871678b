//! The cluster's one URL as `examples/cluster-http.toml` and `cluster-http-origin.toml` have it: in clear text, on ports
//! of its own, without the parts that move addresses and answer names; the lab puts the addresses on the hosts.

use std::fs;
use std::path::Path;

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
    // One tree for all: the shared file system.
    let root = front.new_folder("cluster");
    fs::create_dir(root.join("images")).expect("the folder is ours");
    fs::write(root.join("images/node.img"), vec![b'1'; 100_000]).expect("the folder is ours");
    let hosts = [("island1-a", "10.20.1.1/16"), ("island2-a", "10.20.2.1/16"), ("worker1", "10.20.0.31/16")];
    let text = without_tls("cluster-http-origin.toml", &[("/srv/cluster", plain(&root))]);
    let origins = hosts.map(|(name, address)| Perron::start(&lab.host(name, address), &text)).into();
    let text = without_tls(
        "cluster-http.toml",
        &[
            ("island1-a.cluster.example", "10.20.1.1:443"),
            ("island2-a.cluster.example", "10.20.2.1:443"),
            ("worker1.cluster.example", "10.20.0.31:443"),
            ("\"2s\"", "\"200ms\""),
        ],
    );
    let director = Perron::start_with(&front, &text, &["--without", "vip", "--without", "dns"]);
    director.wait_until_up();
    Ok(Cluster { clients, director, origins, root, _lab: lab })
}

/// An example without what needs TLS, and with these words in the place of others.
fn without_tls(name: &str, swaps: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(lab::examples().join(name)).expect("the example is there");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("tls = ")).collect();
    assert!(lines.len() < text.lines().count(), "{name} has no TLS to leave out");
    let always = [("https://", "http://"), ("type = \"https\"", "type = \"http\""), (", ca = \"tls/ca.pem\"", "")];
    let mut text = lines.join("\n");
    for (old, new) in always.iter().chain(swaps) {
        text = text.replace(old, new);
    }
    text
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
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
