//! What servers' links have to carry: promises, settled by what the servers report.

use std::time::Duration;

use admin::model;
use balance::{Algorithm, Gauges, ServerIndex};
use proxy::config::{Backend, BackendIndex, DeliverMode};
use proxy::{BackendShared, Shared};
use units::Instant;
use wire::load_report::LoadReport;

use super::assembly::Assembly;
use super::carry::CarriedLink;

/// How often promises are settled with the passing of time, and those who wait for room are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The links of all servers.
pub(super) struct Links {
    /// `None` where nobody counts.
    backends: Vec<Option<OfBackend>>,
}

struct OfBackend {
    gauges: Gauges,
    servers: Vec<Link>,
}

struct Link {
    configured_rate: u64,
    /// What the server said last, unless it went down since.
    report: Option<LoadReport>,
}

impl Links {
    /// Takes over what the predecessor knew.
    pub(super) fn new(assembly: &Assembly, now: Instant) -> Links {
        let backends = (0..).map(BackendIndex).zip(&assembly.config.proxy.backends);
        let of_backend = |(index, backend): (BackendIndex, &Backend)| {
            let shared = assembly.shared.backend(index);
            let servers = (0..).map(ServerIndex).zip(&backend.pool.servers);
            let servers = servers.map(|(server, configured)| {
                let carried = assembly.carried.server(&backend.name, &configured.name).and_then(|c| c.link);
                let configured_rate = configured.rate();
                if let Some(carried) = carried.filter(|carried| carried.configured_rate == configured_rate) {
                    shared.account(server).settle(now + Duration::from_micros(carried.busy_us), carried.rate);
                }
                Link { configured_rate, report: None }
            });
            counts(backend).then(|| OfBackend { gauges: Gauges::new(&backend.pool), servers: servers.collect() })
        };
        Links { backends: backends.map(of_backend).collect() }
    }

    /// A server has said what it has to send.
    pub(super) fn handle_report(
        &mut self,
        shared: &Shared,
        (backend, server): (BackendIndex, ServerIndex),
        report: LoadReport,
        now: Instant,
    ) {
        let Some(links) = &mut self.backends[usize::from(backend.0)] else { return };
        links.servers[usize::from(server.0)].report = Some(report);
        links.gauges.handle_report(server, report, shared.backend(backend).account(server), now);
    }

    /// A server does not send any more.
    pub(super) fn handle_down(
        &mut self,
        shared: &Shared,
        (backend, server): (BackendIndex, ServerIndex),
        now: Instant,
    ) {
        let Some(links) = &mut self.backends[usize::from(backend.0)] else { return };
        links.servers[usize::from(server.0)].report = None;
        links.gauges.handle_down(server, shared.backend(backend).account(server), now);
    }

    /// Some time has passed; to be called every [`TICK`].
    pub(super) fn handle_tick(&mut self, shared: &Shared, now: Instant) {
        for (backend, links) in (0..).map(BackendIndex).zip(&mut self.backends) {
            let shared = shared.backend(backend);
            if let Some(OfBackend { gauges, servers }) = links {
                for server in (0..servers.len() as u16).map(ServerIndex) {
                    let clients = gauges.handle_tick(server, shared.account(server), now);
                    shared.set_abroad(server, clients.saturating_sub(shared.relayed(server)), now);
                }
            }
            shared.tick(now);
        }
    }

    /// A server's link as an operator sees it.
    pub(super) fn link(&self, shared: &BackendShared, at: (usize, usize), now: Instant) -> Option<model::Link> {
        let links = self.backends[at.0].as_ref()?;
        let (server, link) = (ServerIndex(at.1 as u16), &links.servers[at.1]);
        let account = shared.account(server);
        Some(model::Link {
            promised_bytes: account.promised(),
            backlog_us: micros(account.free_at().since(now)),
            rate: account.rate(),
            rate_believed: links.gauges.capacity(server),
            rate_seen: links.gauges.rate_seen(server),
            report: link.report.map(|LoadReport { sent, left, requests }| model::Report {
                sent,
                left,
                requests: u64::from(requests),
            }),
        })
    }

    /// What the next serving process should know of it.
    pub(super) fn carried(&self, shared: &BackendShared, at: (usize, usize), now: Instant) -> Option<CarriedLink> {
        let link = &self.backends[at.0].as_ref()?.servers[at.1];
        let account = shared.account(ServerIndex(at.1 as u16));
        let busy_us = micros(account.free_at().since(now));
        Some(CarriedLink { busy_us, rate: account.rate(), configured_rate: link.configured_rate })
    }
}

/// Whether anybody counts what servers of this backend have to send.
fn counts(backend: &Backend) -> bool {
    backend.pool.algorithm == Algorithm::Bandwidth || backend.deliver.mode != DeliverMode::Proxy
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
