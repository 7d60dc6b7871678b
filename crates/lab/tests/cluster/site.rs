//! The cluster on hosts of the lab: with its certificates, or in clear text on ports of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lab::{Authority, Host, Lab, Perron, SOON, Skip, wait_for};

/// Of island 1, of island 2, and the worker.
const SERVERS: [(&str, &str); 3] = [("island1-a", "10.20.1.1"), ("island2-a", "10.20.2.1"), ("worker1", "10.20.0.31")];

/// A client on each island, one director with both addresses, and an origin on each of [`SERVERS`]; the lab puts the
/// addresses on the hosts, and nothing answers names.
pub(crate) struct Cluster {
    pub(crate) clients: [Host; 2],
    pub(crate) director: Perron,
    /// In step with [`SERVERS`].
    pub(crate) origins: Vec<Perron>,
    /// Whose certificates all have; `None`: clear text.
    authority: Option<Authority>,
    pub(crate) root: PathBuf,
    _lab: Lab,
}

impl Cluster {
    /// In clear text.
    pub(crate) fn clear(name: &str) -> Result<Cluster, Skip> {
        Cluster::start(name, |_| Ok(None))
    }

    /// With certificates.
    pub(crate) fn secure(name: &str) -> Result<Cluster, Skip> {
        Cluster::start(name, |front| Authority::new(&front.new_folder("tls"), "ca").map(Some))
    }

    fn start(name: &str, authority: impl Fn(&Host) -> Result<Option<Authority>, Skip>) -> Result<Cluster, Skip> {
        let lab = Lab::new(name)?;
        lab::program("wget")?;
        let clients = [lab.host("client1", "10.20.1.100/16"), lab.host("client2", "10.20.2.100/16")];
        let front = lab.host("front", "10.20.0.11/16");
        front.add_address("10.20.0.12/16");
        let authority = authority(&front)?;
        let root = tree(&front);
        let origins = origins(&lab, &root, authority.as_ref());
        let text = director_text(authority.as_ref());
        let director = Perron::start_with(&front, &text, &["--without", "vip", "--without", "dns"]);
        director.wait_until_up();
        Ok(Cluster { clients, director, origins, authority, root, _lab: lab })
    }

    /// The authority that all trust.
    #[track_caller]
    pub(crate) fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a cluster with certificates")
    }

    pub(crate) fn wait_until_redirectable(&self) {
        let open = || {
            let why_not = |(name, _): &(&str, &str)| {
                self.director.server(&format!("mirrors/{name}"))["redirect"]["why_not"].clone()
            };
            SERVERS.iter().all(|server| why_not(server).is_null())
        };
        wait_for(SOON, "clients may be redirected", open);
    }

    /// Where a client ends that follows redirects, and what it gets there.
    pub(crate) fn fetch(&self, client: usize, url: &str) -> (String, Vec<u8>) {
        let client = &self.clients[client];
        let file = client.new_folder("fetched").join("file");
        let trust = self.authority.as_ref().map(|ca| format!("--ca-certificate={}", plain(&ca.certificate())));
        let mut arguments = vec!["wget", "-nv", "--tries=1", "-O", plain(&file), url];
        arguments.extend(trust.as_deref());
        let said = client.run(&arguments).success().stderr;
        (said, fs::read(file).expect("wget wrote it"))
    }

    /// What a client gets that calls itself `agent`.
    pub(crate) fn fetch_as(&self, agent: &str, url: &str) -> String {
        let ca = self.authority.as_ref().map(Authority::certificate);
        let mut arguments = vec!["-A", agent, url];
        arguments.extend(ca.iter().flat_map(|ca| ["--cacert", plain(ca)]));
        self.clients[0].curl(&arguments).text()
    }

    /// Whoever follows redirects from `urls` ends at the origin of its island, `place` of its address, or at the worker
    /// when that is dead; whoever does not is relayed from `relayed`.
    pub(crate) fn assert_each_island_has_its_own(
        &mut self,
        urls: &[&str],
        relayed: &[&str],
        place: fn(&str) -> String,
    ) {
        self.wait_until_redirectable();
        for url in urls {
            for (client, (_, address)) in SERVERS[..2].iter().enumerate() {
                let (said, content) = self.fetch(client, url);
                assert!(said.contains(&place(address)), "client {client} was sent elsewhere: {said}");
                assert_eq!(content, vec![b'1'; 100_000]);
            }
        }

        fs::write(self.root.join("images/node.img"), "changed").expect("the folder is ours");
        assert_eq!(self.fetch(0, urls[0]).1, b"changed");
        for agent in ["curl/8.5.0", "iPXE/1.21.1+"] {
            for url in relayed {
                assert_eq!(self.fetch_as(agent, url), "changed", "{agent} is served without noticing");
            }
        }

        for (island, (name, _)) in SERVERS[..2].iter().enumerate() {
            self.origins[island].stop();
            self.director.wait_for_status(&format!("mirrors/{name}"), "down", SOON);
        }
        let (said, content) = self.fetch(0, urls[0]);
        assert!(said.contains(&place(SERVERS[2].1)), "{said}");
        assert_eq!(content, b"changed");
    }
}

/// One tree for all: the shared file system.
pub(crate) fn tree(host: &Host) -> PathBuf {
    let root = host.new_folder("cluster");
    fs::create_dir(root.join("images")).expect("the folder is ours");
    fs::write(root.join("images/node.img"), vec![b'1'; 100_000]).expect("the folder is ours");
    root
}

/// One on each of [`SERVERS`].
#[track_caller]
pub(crate) fn origins(lab: &Lab, root: &Path, authority: Option<&Authority>) -> Vec<Perron> {
    let origin = |(name, address): (&str, &str)| {
        let host = lab.host(name, &format!("{address}/16"));
        let mut swaps = vec![("/srv/cluster".to_owned(), plain(root).to_owned())];
        swaps.extend(authority.map(|ca| ("tls/origin.pem".to_owned(), certificate(ca, name, &[address]))));
        Perron::start(&host, &example("cluster-http-origin.toml", authority.is_some(), &swaps))
    };
    SERVERS.map(origin).into()
}

/// What a director is told.
#[track_caller]
pub(crate) fn director_text(authority: Option<&Authority>) -> String {
    let port = if authority.is_some() { "" } else { ":443" };
    let mut swaps = vec![("\"2s\"".to_owned(), "\"200ms\"".to_owned())];
    swaps.extend(SERVERS.map(|(name, address)| (format!("{name}.cluster.example"), format!("{address}{port}"))));
    if let Some(authority) = authority {
        let own = certificate(authority, "front", &["10.20.0.11", "10.20.0.12"]);
        swaps.push(("tls/front.pem".to_owned(), own));
        swaps.push(("tls/ca.pem".to_owned(), plain(&authority.certificate()).to_owned()));
    }
    example("cluster-http.toml", authority.is_some(), &swaps)
}

/// A path as text.
#[track_caller]
fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A certificate with its key for a host of these addresses, which only root may read.
fn certificate(authority: &Authority, name: &str, addresses: &[&str]) -> String {
    let path = authority.server(name, addresses);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    plain(&path).to_owned()
}

/// An example with these words in the place of others; in clear text without what needs TLS, on the same ports.
#[track_caller]
fn example(name: &str, is_secure: bool, swaps: &[(String, String)]) -> String {
    let mut text = fs::read_to_string(lab::examples().join(name)).expect("the example is there");
    if !is_secure {
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("tls = ")).collect();
        assert!(lines.len() < text.lines().count(), "{name} has no TLS to leave out");
        text = lines.join("\n");
        for (old, new) in
            [("https://", "http://"), ("type = \"https\"", "type = \"http\""), (", ca = \"tls/ca.pem\"", "")]
        {
            text = text.replace(old, new);
        }
    }
    swaps.iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old.as_str()), "{name} has no {old}");
        text.replace(old, new)
    })
}
