//! The programs that move the address, told the same.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::{Host, Keepalived, Perron, VirtualRouter, kill_family, signal_all};
use rustix::process::Signal;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Perron,
    Keepalived,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Perron, Kind::Keepalived];

    /// In the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::Perron => "Perron",
            Kind::Keepalived => "keepalived",
        }
    }
}

/// One that runs.
#[derive(Debug)]
pub(crate) enum Director {
    Perron(Box<Perron>),
    Keepalived(Keepalived),
}

/// What keepalived says of itself.
pub(crate) fn keepalived_version() -> String {
    let said = Command::new("keepalived").arg("--version").output().map(|output| output.stderr).unwrap_or_default();
    String::from_utf8_lossy(&said).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

impl Director {
    /// Starts it with these virtual routers.
    pub(crate) fn start(kind: Kind, host: &Host, routers: &[VirtualRouter], perron: &Path) -> anyhow::Result<Director> {
        Ok(match kind {
            Kind::Keepalived => {
                let started = Keepalived::start(host, routers);
                Director::Keepalived(started.map_err(|skip| anyhow::anyhow!("{skip}"))?)
            }
            Kind::Perron => {
                let vips: String = routers.iter().map(VirtualRouter::for_perron).collect();
                let text = format!(
                    "[admin]\nbind = \"off\"\n\n[process]\nworkers = 1\n\n[frontend.web]\nbind = \"0.0.0.0:80\"\n\
                     respond = {{ body = \"here\" }}\n\n{vips}"
                );
                Director::Perron(Box::new(Perron::start_program(host, perron, &text)))
            }
        })
    }

    /// Its processes, the one that would start others again last.
    pub(crate) fn pids(&self) -> Vec<u32> {
        match self {
            Director::Perron(perron) => perron.pids(),
            Director::Keepalived(keepalived) => keepalived.pids(),
        }
    }

    /// The process that sends adverts.
    pub(crate) fn mover(&self) -> Option<u32> {
        match self {
            Director::Perron(perron) => perron.network_pids().first().copied(),
            Director::Keepalived(keepalived) => keepalived.pids().first().copied(),
        }
    }

    /// Those that answer clients.
    pub(crate) fn servers(&self) -> Vec<u32> {
        match self {
            Director::Perron(perron) => perron.serve_pids(),
            Director::Keepalived(_) => Vec::new(),
        }
    }

    /// Ends all of it, whatever state it is in.
    pub(crate) fn end(&mut self) {
        let pids = self.pids();
        kill_family(&pids);
        match self {
            Director::Perron(perron) => perron.kill(),
            Director::Keepalived(keepalived) => keepalived.kill(),
        }
    }
}

/// What is done to these processes, of which the last is the others' parent.
pub(crate) fn terminate(pids: &[u32]) {
    signal_all(pids.last().map_or(&[], std::slice::from_ref), Signal::TERM);
}

/// A virtual router with an address on the network of the site.
pub(crate) fn router(priority: u8, interval: Duration) -> VirtualRouter {
    let perron = "track = [{ frontend = \"web\" }]\n".to_owned();
    VirtualRouter { interval, perron, ..VirtualRouter::new("web", 51, priority, &["10.0.0.100/32"]) }
}
