//! The site: two zones of clients and origins on one network, and two directors.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use lab::{Host, Lab, Process, eventually};

use super::client::ORIGIN_FIELD;

/// A server of files and its link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
    pub(crate) zone: usize,
    pub(crate) mbit: u64,
    pub(crate) is_worker: bool,
}

/// Both zones have the same bandwidth, cut up differently; a fifth of it is the workers'.
pub(crate) const ORIGINS: [Origin; 5] = [
    Origin { name: "a-island", address: "10.1.0.1", zone: 0, mbit: 320, is_worker: false },
    Origin { name: "a-worker", address: "10.1.0.2", zone: 0, mbit: 80, is_worker: true },
    Origin { name: "b-island-1", address: "10.2.0.1", zone: 1, mbit: 160, is_worker: false },
    Origin { name: "b-island-2", address: "10.2.0.2", zone: 1, mbit: 160, is_worker: false },
    Origin { name: "b-worker", address: "10.2.0.3", zone: 1, mbit: 80, is_worker: true },
];

/// The one that is killed.
pub(crate) const KILLED: usize = 2;

/// The zones' names and networks.
pub(crate) const ZONES: [(&str, &str); 2] = [("a", "10.1.0.0/16"), ("b", "10.2.0.0/16")];

/// The directors' addresses.
pub(crate) const DIRECTORS: [&str; 2] = ["10.0.0.11", "10.0.0.12"];

/// Nodes that fetch.
pub(crate) const CLIENTS: usize = 30;

/// The share of all requests that the workers together may have.
pub(crate) const WORKERS_SHARE: u64 = 25;

/// How long a program may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The hosts.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) directors: Vec<Host>,
    pub(crate) origins: Vec<Host>,
    pub(crate) clients: Vec<Host>,
    /// The tree that every origin serves.
    pub(crate) tree: PathBuf,
    _lab: Lab,
}

/// All origins' links together, in bytes a second.
pub(crate) fn bandwidth() -> f64 {
    ORIGINS.iter().map(Origin::bytes_a_second).sum()
}

/// The zone of a client: every other one's.
pub(crate) fn zone_of(client: usize) -> usize {
    client % ZONES.len()
}

impl Origin {
    pub(crate) fn bytes_a_second(&self) -> f64 {
        self.mbit as f64 * 1e6 / 8.0
    }
}

impl Site {
    /// Makes the hosts and limits the origins' links.
    pub(crate) fn new() -> anyhow::Result<Site> {
        let lab = Lab::new("storm").map_err(|skip| anyhow::anyhow!("{skip}"))?;
        let host = |name: &str, address: &str| {
            let host = lab.host(name, &format!("{address}/8"));
            // What the machine's own default is must not matter; where a namespace lacks cubic, it has reno.
            let control = "net.ipv4.tcp_congestion_control";
            host.set(control, "cubic").or_else(|_| host.set(control, "reno")).map(|()| host).context(control)
        };
        let directors = DIRECTORS.iter().enumerate().map(|(at, address)| host(&format!("director-{at}"), address));
        let directors = directors.collect::<anyhow::Result<_>>()?;
        let origins = ORIGINS.iter().map(|origin| host(origin.name, origin.address));
        let origins: Vec<Host> = origins.collect::<anyhow::Result<_>>()?;
        for (host, origin) in origins.iter().zip(ORIGINS) {
            host.limit_sending(&format!("{}mbit", origin.mbit));
        }
        let clients = (0..CLIENTS)
            .map(|client| host(&format!("client-{client}"), &format!("10.{}.1.{}", zone_of(client) + 1, client + 1)));
        let clients = clients.collect::<anyhow::Result<_>>()?;
        let tree = lab.folder().join("tree");
        fs::create_dir(&tree).with_context(|| tree.display().to_string())?;
        Ok(Site { directors, origins, clients, tree, _lab: lab })
    }

    /// Starts perron as an origin on a host.
    pub(crate) fn start_origin(&self, place: usize, perron: &Path) -> anyhow::Result<Process> {
        let tree = self.tree.display();
        let text = format!(
            "[admin]\nbind = \"off\"\n\n[process]\nworkers = 1\naccess-log = \"off\"\nuser = \"root\"\n\n[frontend.files]\n\
             bind = \"{}:80\"\nlog = \"off\"\nresponse-headers = {{ set = {{ {ORIGIN_FIELD} = \"{place}\" }} }}\n\n\
             [[frontend.files.route]]\npath = \"/health\"\nhealth = \"{tree}\"\n\n\
             [[frontend.files.route]]\npath = \"/\"\nfiles = {{ root = \"{tree}\" }}\n",
            ORIGINS[place].address
        );
        start_perron(&self.origins[place], perron, &text)
    }
}

/// Starts perron on a host.
pub(crate) fn start_perron(host: &Host, perron: &Path, text: &str) -> anyhow::Result<Process> {
    let control = host.new_folder("control").join("socket");
    start(host, perron, &["run", "--control", control.to_str().context("a plain path")?, "-c"], text)
}

/// Writes a configuration, starts a program on it, and waits until it takes connections on port 80.
pub(crate) fn start(host: &Host, program: &Path, arguments: &[&str], text: &str) -> anyhow::Result<Process> {
    let folder = host.new_folder("program");
    let file = folder.join("configuration");
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    let (program, file) = (program.to_str().context("a plain path")?, file.to_str().context("a plain path")?);
    let mut process = host.spawn_with(&[&[program], arguments, &[file]].concat(), |command| {
        command.current_dir(&folder);
    });
    let to = host.at(80);
    if !eventually(START_LIMIT, || !process.is_running() || host.try_connect(&to).is_ok()) || !process.is_running() {
        bail!("{program} does not start on {}: {}{}", host.name(), process.stdout(), process.stderr());
    }
    Ok(process)
}
