//! Who directs, and what each is told: the same servers, the same checks, the same knowledge of the clients.

use std::fmt::Write as _;

use anyhow::Context;
use clap::ValueEnum;
use lab::Process;

use super::client::KINDS;
use super::site::{self, DIRECTORS, ORIGINS, Origin, Site, WORKERS_SHARE, ZONES};
use crate::program::{Kind, Program};

/// A program and the way that it chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Director {
    /// balance = "bandwidth", deliver = "auto"
    Perron,
    /// balance = "least-connections", deliver = "auto"
    PerronLeastConnections,
    /// balance roundrobin, redir
    HaproxyRoundRobin,
    /// balance leastconn, redir
    HaproxyLeastConn,
    /// balance roundrobin, redir, weights in proportion to the links
    HaproxyWeighted,
}

impl Director {
    /// In the tables.
    pub(crate) fn title(self, program: &Program) -> String {
        let way = match self {
            Director::Perron => "`balance = \"bandwidth\"`",
            Director::PerronLeastConnections => "`balance = \"least-connections\"`",
            Director::HaproxyRoundRobin => "`balance roundrobin`",
            Director::HaproxyLeastConn => "`balance leastconn`",
            Director::HaproxyWeighted => "`balance roundrobin`, weights as the links",
        };
        format!("{}, {way}", program.name)
    }

    /// The program, of those installed.
    pub(crate) fn program(self, programs: &[Program]) -> anyhow::Result<&Program> {
        let kind = match self {
            Director::Perron | Director::PerronLeastConnections => Kind::Perron,
            _ => Kind::Haproxy,
        };
        programs.iter().find(|program| program.kind == kind).with_context(|| format!("{kind:?} is not installed"))
    }

    /// Starts it on both directors' hosts.
    pub(crate) fn start(self, site: &Site, program: &Program) -> anyhow::Result<Vec<Process>> {
        let both = site.directors.iter().zip(DIRECTORS);
        both.map(|(host, address)| {
            let haproxy = |balance, weighted| {
                site::start(host, &program.path, &["-db", "-f"], &haproxy(address, balance, weighted))
            };
            match self {
                Director::Perron => site::start_perron(host, &program.path, &perron(address, "bandwidth")),
                Director::PerronLeastConnections => {
                    site::start_perron(host, &program.path, &perron(address, "least-connections"))
                }
                Director::HaproxyRoundRobin => haproxy("roundrobin", false),
                Director::HaproxyLeastConn => haproxy("leastconn", false),
                Director::HaproxyWeighted => haproxy("roundrobin", true),
            }
        })
        .collect()
    }
}

fn perron(address: &str, balance: &str) -> String {
    let mut text =
        String::from("[admin]\nbind = \"off\"\n\n[process]\nworkers = 1\naccess-log = \"off\"\nuser = \"root\"\n\n");
    for (name, network) in ZONES {
        let _ = writeln!(text, "[zone.{name}]\nnetworks = [\"{network}\"]\n");
    }
    let _ = write!(
        text,
        "[frontend.cluster]\nbind = \"{address}:80\"\nbackend = \"origins\"\nlog = \"off\"\n\n[backend.origins]\n\
         balance = \"{balance}\"\ndeliver = \"auto\"\nproxy-clients = [\"iPXE/\", \"curl/\"]\n\
         check = {{ type = \"http\", path = \"/health\", interval = \"500ms\", rise = 2, fall = 2 }}\n"
    );
    let mut classes: Vec<String> = ORIGINS.iter().map(class).collect();
    classes.dedup();
    for (origin, class) in ORIGINS.iter().zip(ORIGINS.iter().map(class)) {
        if !classes.contains(&class) {
            continue;
        }
        classes.retain(|other| *other != class);
        let _ = write!(text, "\n[backend.origins.class.{class}]\nbandwidth = \"{}Mbit\"\n", origin.mbit);
        if origin.is_worker {
            let _ = writeln!(text, "max-share = \"{WORKERS_SHARE}%\"");
        }
    }
    for origin in ORIGINS {
        let Origin { name, address, zone, .. } = origin;
        let (class, zone) = (class(&origin), ZONES[zone].0);
        let _ = write!(
            text,
            "\n[[backend.origins.server]]\nname = \"{name}\"\naddress = \"{address}:80\"\nclass = \"{class}\"\nzone = \"{zone}\"\n\
             redirect-to = \"http://{address}\"\n"
        );
    }
    text
}

/// Servers of one link and one kind are of one class.
fn class(origin: &Origin) -> String {
    format!("{}-{}", if origin.is_worker { "worker" } else { "island" }, origin.mbit)
}

/// Two backends of the same servers, with `redir` for clients that follow, and without.
fn haproxy(address: &str, balance: &str, weighted: bool) -> String {
    let mut text = String::from(
        "global\n    nbthread 1\n    maxconn 4000\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    \
         timeout server 60s\n    timeout queue 30s\n    retries 3\n    option redispatch\n    option splice-response\n",
    );
    let _ = write!(text, "frontend cluster\n    bind {address}:80\n");
    for kind in KINDS.iter().filter(|kind| kind.follows) {
        // What stands before the version: "Wget", "Debian APT-HTTP".
        let program = kind.agent.split('/').next().unwrap_or_default();
        let _ = writeln!(text, "    acl follows hdr_beg(User-Agent) -i \"{program}/\"");
    }
    text += "    use_backend redirected if follows\n    default_backend proxied\n";
    for (backend, redirects) in [("redirected", true), ("proxied", false)] {
        let _ = write!(text, "backend {backend}\n    balance {balance}\n    option httpchk GET /health\n");
        for Origin { name, address, mbit, .. } in ORIGINS {
            let redir = if redirects { format!(" redir http://{address}") } else { String::new() };
            // A weight is at most 256.
            let weight = if weighted { format!(" weight {}", mbit / 10) } else { String::new() };
            let check = if redirects {
                " check inter 500ms rise 2 fall 2".to_owned()
            } else {
                format!(" track redirected/{name}")
            };
            let _ = writeln!(text, "    server {name} {address}:80{redir}{weight}{check}");
        }
    }
    text
}
