//! The cluster's one URL as `examples/cluster-http.toml` and `cluster-http-origin.toml` have it, with its certificates:
//! names are addresses, checks come sooner, and the lab puts the addresses on the hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lab::{Authority, Host, Lab, Perron, SOON, Skip, wait_for};

const URL: &str = "https://10.20.0.11/images/node.img";
/// Where clients come in that know nothing of TLS yet, and the director's other address.
const OTHER_URLS: [&str; 2] = ["http://10.20.0.11/images/node.img", "https://10.20.0.12/images/node.img"];

const SERVERS: [(&str, &str); 3] = [("island1-a", "10.20.1.1"), ("island2-a", "10.20.2.1"), ("worker1", "10.20.0.31")];

struct Cluster {
    /// One client on each island.
    clients: [Host; 2],
    director: Perron,
    /// In step with [`SERVERS`].
    origins: Vec<Perron>,
    authority: Authority,
    root: PathBuf,
    _lab: Lab,
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// An example, with these words in the place of others.
fn example(name: &str, swaps: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(lab::examples().join(name)).expect("the example is there");
    swaps.iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old), "{name} has no {old}");
        text.replace(old, new)
    })
}

/// A certificate with its key for a host of these addresses, which only root may read.
fn certificate(authority: &Authority, name: &str, addresses: &[&str]) -> PathBuf {
    let path = authority.server(name, addresses);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    path
}

fn cluster(name: &str) -> Result<Cluster, Skip> {
    let lab = Lab::new(name)?;
    lab::program("wget")?;
    let clients = [lab.host("client1", "10.20.1.100/16"), lab.host("client2", "10.20.2.100/16")];
    let front = lab.host("front", "10.20.0.11/16");
    front.add_address("10.20.0.12/16");
    let authority = Authority::new(&front.new_folder("tls"), "ca")?;
    let root = front.new_folder("cluster");
    fs::create_dir(root.join("images")).expect("the folder is ours");
    fs::write(root.join("images/node.img"), vec![b'1'; 100_000]).expect("the folder is ours");
    let origins = SERVERS.map(|(name, address)| {
        let own = certificate(&authority, name, &[address]);
        let swaps = [("/srv/cluster", plain(&root)), ("tls/origin.pem", plain(&own))];
        Perron::start(&lab.host(name, &format!("{address}/16")), &example("cluster-http-origin.toml", &swaps))
    });
    let own = certificate(&authority, "front", &["10.20.0.11", "10.20.0.12"]);
    let ca = authority.certificate();
    let mut swaps = vec![("\"2s\"", "\"200ms\""), ("tls/front.pem", plain(&own)), ("tls/ca.pem", plain(&ca))];
    let names = SERVERS.map(|(name, address)| (format!("{name}.cluster.example"), address));
    swaps.extend(names.iter().map(|(name, address)| (name.as_str(), *address)));
    let text = example("cluster-http.toml", &swaps);
    let director = Perron::start_with(&front, &text, &["--without", "vip", "--without", "dns"]);
    director.wait_until_up();
    Ok(Cluster { clients, director, origins: origins.into(), authority, root, _lab: lab })
}

impl Cluster {
    fn wait_until_redirectable(&self) {
        let open = || {
            let why_not = |(name, _): &(&str, &str)| {
                self.director.server(&format!("mirrors/{name}"))["redirect"]["why_not"].clone()
            };
            SERVERS.iter().all(|server| why_not(server).is_null())
        };
        wait_for(SOON, "clients may be redirected", open);
    }

    /// Where a client ends that follows redirects, and what it gets there.
    fn fetch(&self, client: usize, url: &str) -> (String, Vec<u8>) {
        let client = &self.clients[client];
        let file = client.new_folder("fetched").join("file");
        let trust = format!("--ca-certificate={}", plain(&self.authority.certificate()));
        let said = client.run(&["wget", "-nv", "--tries=1", &trust, "-O", plain(&file), url]).success().stderr;
        (said, fs::read(file).expect("wget wrote it"))
    }
}

#[test]
fn each_island_is_served_by_its_own_by_tls_and_by_the_worker_when_its_own_are_dead() {
    let mut cluster = lab::require!(cluster("cluster-https"));
    cluster.wait_until_redirectable();
    for url in [URL, OTHER_URLS[0], OTHER_URLS[1]] {
        for (client, origin) in [(0, "https://10.20.1.1/"), (1, "https://10.20.2.1/")] {
            let (said, content) = cluster.fetch(client, url);
            assert!(said.contains(origin), "client {client} was sent elsewhere: {said}");
            assert_eq!(content, vec![b'1'; 100_000]);
        }
    }

    fs::write(cluster.root.join("images/node.img"), "changed").expect("the folder is ours");
    assert_eq!(cluster.fetch(0, URL).1, b"changed");
    let ca = cluster.authority.certificate();
    for agent in ["curl/8.5.0", "iPXE/1.21.1+"] {
        for url in [URL, OTHER_URLS[0]] {
            let relayed = cluster.clients[0].curl(&["--cacert", plain(&ca), "-A", agent, url]);
            assert_eq!(relayed.text(), "changed", "{agent} is served without noticing");
        }
    }

    for island in 0..2 {
        cluster.origins[island].stop();
        let name = format!("mirrors/island{}-a", island + 1);
        cluster.director.wait_for_status(&name, "down", SOON);
    }
    let (said, content) = cluster.fetch(0, URL);
    assert!(said.contains("https://10.20.0.31/"), "{said}");
    assert_eq!(content, b"changed");
}

#[test]
fn an_origin_whose_certificate_is_another_authoritys_gets_nobody() {
    let cluster = lab::require!(cluster("cluster-https-stranger"));
    cluster.wait_until_redirectable();
    let folder = cluster.clients[0].new_folder("tls");
    let stranger = lab::require!(Authority::new(&folder, "stranger"));
    let own = cluster.authority.certificate().with_file_name("island1-a.pem");
    fs::copy(stranger.server("island1-a", &["10.20.1.1"]), &own).expect("the file is ours");
    cluster.director.wait_for_status("mirrors/island1-a", "down", SOON);
    let check = cluster.director.server("mirrors/island1-a")["check"]["text"].to_string();
    assert!(check.contains("certificate"), "{check}");
    assert!(!cluster.fetch(0, URL).0.contains("10.20.1.1"));
}
