//! HAProxy's names for the numbers that dashboards made for it ask most.
//!
//! A limit that is not set has no sample, where HAProxy writes NaN.

use super::text::Kind::{Counter, Gauge};
use super::text::Number::{Count, Micros};
use super::text::{Family, Number, Text};
use super::{Labelled, backends, classes, frontends, servers};
use crate::haproxy::{backend_state, server_state, usable, usable_weight};
use crate::model::{Backend, Frontend, Mode, Server, Status};

/// Adds the families to `text`.
pub(super) fn render(text: &mut Text, status: &Status) {
    text.family("haproxy_process_build_info", Gauge, "Always 1; Perron's version is a label.");
    text.sample("haproxy_process_build_info", &[("version", &status.version)], Count(1));
    text.families("haproxy_process_", PROCESS, &[(Vec::new(), status)]);
    render_frontends(text, &frontends(status, "proxy"));
    render_backends(text, &backends(status, "proxy"));
    render_servers(text, &servers(status, "proxy"));
}

fn render_frontends(text: &mut Text, frontends: &Labelled<'_, Frontend>) {
    text.families("haproxy_frontend_", FRONTEND, frontends);
    let family = ("haproxy_frontend_status", Gauge, "1 for its state.");
    text.family_by(family, frontends, "state", |_| states("UP", &["DOWN", "UP"]));
    let family = ("haproxy_frontend_http_responses_total", Counter, "Answers by class.");
    text.family_by(family, frontends, "code", |f| http(f.mode, classes(&f.responses)));
}

fn render_backends(text: &mut Text, backends: &Labelled<'_, Backend>) {
    text.families("haproxy_backend_", BACKEND, backends);
    let family = ("haproxy_backend_status", Gauge, "1 for its state.");
    text.family_by(family, backends, "state", |b| states(backend_state(b), &["DOWN", "UP"]));
    let family = ("haproxy_backend_http_responses_total", Counter, "Answers by class.");
    text.family_by(family, backends, "code", |b| http(b.mode, classes(&b.traffic.responses)));
    let family = ("haproxy_backend_agg_server_status", Gauge, "Servers by state.");
    text.family_by(family, backends, "state", |b| {
        let of = |state| b.servers.iter().filter(|server| server_state(server) == state).count();
        SERVER_STATES.map(|state| (state, Count(of(state) as u64))).to_vec()
    });
}

fn render_servers(text: &mut Text, servers: &Labelled<'_, Server>) {
    text.families("haproxy_server_", SERVER, servers);
    let family = ("haproxy_server_status", Gauge, "1 for its state.");
    text.family_by(family, servers, "state", |s| states(server_state(s), &SERVER_STATES));
    let family = ("haproxy_server_http_responses_total", Counter, "Answers by class.");
    text.family_by(family, servers, "code", |s| classes(&s.traffic.responses));
}

const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

const PROCESS: &[Family<Status>] = &[
    ("nbthread", Gauge, "Worker threads.", |s| Some(Count(s.process.workers))),
    ("uptime_seconds", Gauge, "How long the process has run.", |s| Some(Count(s.uptime_s))),
    ("start_time_seconds", Gauge, "When the process started, in seconds since 1970.", |s| Some(Count(s.started_unix))),
    ("max_fds", Gauge, "File descriptors allowed.", |s| Some(Count(s.process.max_fds))),
    ("current_connections", Gauge, "Client connections open.", |s| {
        Some(Count(s.frontends.iter().map(|frontend| frontend.connections.now).sum()))
    }),
    ("connections_total", Counter, "Client connections accepted.", |s| {
        Some(Count(s.frontends.iter().map(|frontend| frontend.connections_total).sum()))
    }),
    ("requests_total", Counter, "Requests begun.", |s| {
        let http = s.frontends.iter().filter(|frontend| frontend.mode == Mode::Http);
        Some(Count(http.map(|frontend| frontend.requests).sum()))
    }),
];

const FRONTEND: &[Family<Frontend>] = &[
    ("current_sessions", Gauge, "Client connections open.", |f| Some(Count(f.connections.now))),
    ("max_sessions", Gauge, "Most client connections open at once.", |f| Some(Count(f.connections.max))),
    ("limit_sessions", Gauge, "Client connections allowed at once.", |f| f.connections.limit.map(Count)),
    ("sessions_total", Counter, "Client connections accepted.", |f| Some(Count(f.connections_total))),
    ("connections_total", Counter, "Client connections accepted.", |f| Some(Count(f.connections_total))),
    ("connections_rate_max", Gauge, "Most new connections in a second.", |f| Some(Count(f.connection_rate.max))),
    ("bytes_in_total", Counter, "Bytes from clients.", |f| Some(Count(f.bytes_in))),
    ("bytes_out_total", Counter, "Bytes to clients.", |f| Some(Count(f.bytes_out))),
    ("request_errors_total", Counter, "Requests refused.", |f| Some(Count(f.refused.values().sum()))),
    ("http_requests_total", Counter, "Requests begun.", |f| http_count(f.mode, f.requests)),
    ("http_requests_rate_max", Gauge, "Most requests begun in a second.", |f| http_count(f.mode, f.request_rate.max)),
];

const BACKEND: &[Family<Backend>] = &[
    ("current_queue", Gauge, "Requests waiting for a server.", |b| Some(Count(b.queue.now))),
    ("max_queue", Gauge, "Most requests waiting at once.", |b| Some(Count(b.queue.max))),
    ("current_sessions", Gauge, "Requests at its servers.", |b| Some(Count(b.in_flight.now))),
    ("max_sessions", Gauge, "Most requests at its servers at once.", |b| Some(Count(b.in_flight.max))),
    ("limit_sessions", Gauge, "Requests allowed at its servers at once.", |b| b.in_flight.limit.map(Count)),
    ("sessions_total", Counter, "Requests given to it.", |b| Some(Count(b.traffic.requests))),
    ("bytes_in_total", Counter, "Bytes to servers.", |b| Some(Count(b.traffic.bytes_in))),
    ("bytes_out_total", Counter, "Bytes from servers.", |b| Some(Count(b.traffic.bytes_out))),
    ("connection_errors_total", Counter, "Connections that could not be made.", |b| {
        Some(Count(b.traffic.connection_errors))
    }),
    ("response_errors_total", Counter, "Answers that were malformed, late or cut off.", |b| {
        Some(Count(b.traffic.response_errors))
    }),
    ("retry_warnings_total", Counter, "Requests sent again.", |b| Some(Count(b.traffic.retries))),
    ("redispatch_warnings_total", Counter, "Requests sent again to another server.", |b| {
        Some(Count(b.traffic.redispatches))
    }),
    ("client_aborts_total", Counter, "Requests that the client gave up.", |b| Some(Count(b.traffic.client_aborts))),
    ("connection_attempts_total", Counter, "Connections made.", |b| Some(Count(b.traffic.connections_opened))),
    ("connection_reuses_total", Counter, "Requests sent on a connection that had served before.", |b| {
        Some(Count(b.traffic.connections_reused))
    }),
    ("http_requests_total", Counter, "Requests given to it.", |b| http_count(b.mode, b.traffic.requests)),
    ("weight", Gauge, "The weights of its usable servers.", |b| Some(Count(usable_weight(b)))),
    ("active_servers", Gauge, "Usable servers of tier 0.", |b| Some(Count(usable(b).0))),
    ("backup_servers", Gauge, "Usable servers of the backup tiers.", |b| Some(Count(usable(b).1))),
];

const SERVER: &[Family<Server>] = &[
    ("current_sessions", Gauge, "Requests at it.", |s| Some(Count(s.in_flight.now))),
    ("max_sessions", Gauge, "Most requests at it at once.", |s| Some(Count(s.in_flight.max))),
    ("limit_sessions", Gauge, "Requests allowed at it at once.", |s| s.in_flight.limit.map(Count)),
    ("sessions_total", Counter, "Requests given to it.", |s| Some(Count(s.traffic.requests))),
    ("bytes_in_total", Counter, "Bytes to it.", |s| Some(Count(s.traffic.bytes_in))),
    ("bytes_out_total", Counter, "Bytes from it.", |s| Some(Count(s.traffic.bytes_out))),
    ("connection_errors_total", Counter, "Connections that could not be made.", |s| {
        Some(Count(s.traffic.connection_errors))
    }),
    ("response_errors_total", Counter, "Answers that were malformed, late or cut off.", |s| {
        Some(Count(s.traffic.response_errors))
    }),
    ("retry_warnings_total", Counter, "Requests sent again.", |s| Some(Count(s.traffic.retries))),
    ("redispatch_warnings_total", Counter, "Requests sent again to another server.", |s| {
        Some(Count(s.traffic.redispatches))
    }),
    ("client_aborts_total", Counter, "Requests that the client gave up.", |s| Some(Count(s.traffic.client_aborts))),
    ("connection_attempts_total", Counter, "Connections made.", |s| Some(Count(s.traffic.connections_opened))),
    ("connection_reuses_total", Counter, "Requests sent on a connection that had served before.", |s| {
        Some(Count(s.traffic.connections_reused))
    }),
    ("idle_connections_current", Gauge, "Idle connections kept to it.", |s| Some(Count(s.idle_connections))),
    ("weight", Gauge, "Its share now.", |s| Some(Count(s.effective_weight))),
    ("check_failures_total", Counter, "Checks that failed.", |s| s.check.as_ref().map(|c| Count(c.failures))),
    ("check_up_down_total", Counter, "How often its checks took it down.", |s| {
        s.check.as_ref().map(|c| Count(c.downs))
    }),
    ("check_last_change_seconds", Gauge, "How long its state has been what it is.", |s| Some(Count(s.last_change_s))),
    ("check_code", Gauge, "The status of its last check.", |s| {
        s.check.as_ref().and_then(|c| c.http_status).map(|code| Count(code.into()))
    }),
    ("check_duration_seconds", Gauge, "How long its last check took.", |s| {
        s.check.as_ref().map(|c| Micros(c.duration_us))
    }),
];

fn states(is: &str, all: &[&'static str]) -> Vec<(&'static str, Number)> {
    all.iter().map(|&state| (state, Number::from(state == is))).collect()
}

fn http<T>(mode: Mode, samples: Vec<T>) -> Vec<T> {
    match mode {
        Mode::Http => samples,
        Mode::Tcp => Vec::new(),
    }
}

fn http_count(mode: Mode, count: u64) -> Option<Number> {
    match mode {
        Mode::Http => Some(Count(count)),
        Mode::Tcp => None,
    }
}
