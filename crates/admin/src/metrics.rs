//! The answer of `/metrics`: our own families, then the most used of HAProxy's under HAProxy's names.
//!
//! `docs/metrics.md` lists every family; a test holds the two together.

mod applications;
mod mirrored;
mod text;
mod vips;

use units::latency::HELD_BOUNDS_MICROS;
use units::{AdminState, Status as ServerStatus};

use crate::model::{Backend, Class, Frontend, Handshakes, Held, NameService, Peers, Server, Status, Traffic};
use text::Kind::{Counter, Gauge};
use text::Number::{Count, Micros};
use text::{Family, Label, Number, Text};

/// The Content-Type of [`render`]'s text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families, each with all its samples.
pub(crate) fn render(status: &Status) -> String {
    let mut text = Text::default();
    let frontends = frontends(status, "frontend");
    let backends = backends(status, "backend");
    let servers = servers(status, "backend");
    own_process(&mut text, status);
    own_frontends(&mut text, &frontends);
    own_backends(&mut text, &backends);
    own_servers(&mut text, &servers);
    vips::render(&mut text, status.vips.as_ref());
    applications::render(&mut text, &status.applications);
    mirrored::render(&mut text, status);
    text.finish()
}

type Labelled<'a, T> = Vec<(Vec<Label<'a>>, &'a T)>;

fn frontends<'a>(status: &'a Status, label: &'static str) -> Labelled<'a, Frontend> {
    let labelled = |frontend: &'a Frontend| (vec![(label, frontend.name.as_str())], frontend);
    status.frontends.iter().map(labelled).collect()
}

fn backends<'a>(status: &'a Status, label: &'static str) -> Labelled<'a, Backend> {
    let labelled = |backend: &'a Backend| (vec![(label, backend.name.as_str())], backend);
    status.backends.iter().map(labelled).collect()
}

fn servers<'a>(status: &'a Status, label: &'static str) -> Labelled<'a, Server> {
    let mut servers = Vec::new();
    for backend in &status.backends {
        for server in &backend.servers {
            servers.push((vec![(label, backend.name.as_str()), ("server", server.name.as_str())], server));
        }
    }
    servers
}

const PROCESS: &[Family<Status>] = &[
    ("perron_start_time_seconds", Gauge, "When the process started, in seconds since 1970.", |s| {
        Some(Count(s.started_unix))
    }),
    ("perron_uptime_seconds", Gauge, "How long the process has run.", |s| Some(Count(s.uptime_s))),
    ("perron_generation", Gauge, "Configurations that the service has had.", |s| Some(Count(s.generation))),
    ("perron_workers", Gauge, "Worker threads.", |s| Some(Count(s.process.workers))),
    ("perron_log_lines_lost_total", Counter, "Access log lines dropped because nobody took them.", |s| {
        Some(Count(s.process.log_lost))
    }),
    ("process_cpu_seconds_total", Counter, "Processor time, user and system.", |s| Some(Micros(s.process.cpu_us))),
    ("process_resident_memory_bytes", Gauge, "Memory in use.", |s| Some(Count(s.process.rss_bytes))),
    ("process_virtual_memory_bytes", Gauge, "Address space.", |s| Some(Count(s.process.virtual_bytes))),
    ("process_open_fds", Gauge, "File descriptors open.", |s| Some(Count(s.process.open_fds))),
    ("process_max_fds", Gauge, "File descriptors allowed.", |s| Some(Count(s.process.max_fds))),
    ("process_start_time_seconds", Gauge, "When the process started, in seconds since 1970.", |s| {
        Some(Count(s.started_unix))
    }),
];

const FRONTEND: &[Family<Frontend>] = &[
    ("connections", Gauge, "Client connections open.", |f| Some(Count(f.connections.now))),
    ("connections_max", Gauge, "Most client connections open at once.", |f| Some(Count(f.connections.max))),
    ("connections_limit", Gauge, "Client connections allowed at once; absent without a limit.", |f| {
        f.connections.limit.map(Count)
    }),
    ("connections_total", Counter, "Client connections accepted.", |f| Some(Count(f.connections_total))),
    ("requests_total", Counter, "Requests begun; in TCP mode, connections.", |f| Some(Count(f.requests))),
    ("bytes_in_total", Counter, "Bytes from clients.", |f| Some(Count(f.bytes_in))),
    ("bytes_out_total", Counter, "Bytes to clients.", |f| Some(Count(f.bytes_out))),
];

const BACKEND: &[Family<Backend>] = &[
    ("up", Gauge, "1 while one of its servers takes traffic.", |b| Some((b.status == ServerStatus::Up).into())),
    ("queue", Gauge, "Requests waiting for a server.", |b| Some(Count(b.queue.now))),
    ("queue_max", Gauge, "Most requests waiting at once.", |b| Some(Count(b.queue.max))),
    ("queue_limit", Gauge, "Requests that may wait at once; absent without a limit.", |b| b.queue.limit.map(Count)),
    ("queue_seconds_total", Counter, "Time in the queue of all requests together.", |b| Some(Micros(b.queued_us))),
    ("in_flight", Gauge, "Requests at its servers; in TCP mode, connections.", |b| Some(Count(b.in_flight.now))),
    ("in_flight_max", Gauge, "Most requests at its servers at once.", |b| Some(Count(b.in_flight.max))),
    ("in_flight_limit", Gauge, "Requests allowed at its servers at once; absent without a limit.", |b| {
        b.in_flight.limit.map(Count)
    }),
    ("servers", Gauge, "Servers configured.", |b| Some(Count(b.servers.len() as u64))),
    ("servers_usable", Gauge, "Servers that may be given new requests.", |b| {
        Some(Count(b.servers.iter().filter(|server| server.takes_traffic()).count() as u64))
    }),
    ("servers_redirectable", Gauge, "Servers that clients may be redirected to.", |b| {
        let redirectable = |server: &&Server| server.redirect.as_ref().is_some_and(|to| to.why_not.is_none());
        Some(Count(b.servers.iter().filter(redirectable).count() as u64))
    }),
    (
        "quorum",
        Gauge,
        "1 while usable servers are enough; absent where nothing is said of that, or not known yet.",
        |b| b.quorum.and_then(|quorum| quorum.is_there).map(Into::into),
    ),
    ("quorum_weight", Gauge, "What usable servers weigh together; absent where nothing is said of a quorum.", |b| {
        b.quorum.map(|quorum| Count(quorum.weight))
    }),
    ("quorum_wanted", Gauge, "What is enough; absent likewise.", |b| b.quorum.map(|quorum| Count(quorum.wanted))),
    ("sorry", Gauge, "1 while the sorry server stands in for the others; absent likewise.", |b| {
        b.quorum.map(|quorum| quorum.sorry.into())
    }),
    ("stick_entries", Gauge, "Clients whose server is remembered; absent where none stays with its server.", |b| {
        b.stick.map(|stick| Count(stick.entries))
    }),
    ("stick_entries_limit", Gauge, "Clients whose server can be remembered; absent likewise.", |b| {
        b.stick.map(|stick| Count(stick.capacity))
    }),
    ("stick_hits_total", Counter, "Requests of clients whose server was remembered; absent likewise.", |b| {
        b.stick.map(|stick| Count(stick.hits))
    }),
    (
        "stick_misses_total",
        Counter,
        "Requests of clients whose server could have been and was not; absent likewise.",
        |b| b.stick.map(|stick| Count(stick.misses)),
    ),
];

const PEERS: &[Family<Peers>] = &[
    ("heard", Gauge, "Other directors that are listened to.", |p| Some(Count(p.heard.len() as u64))),
    ("entries_sent_total", Counter, "Clients' servers told to other directors.", |p| Some(Count(p.sent))),
    ("entries_received_total", Counter, "Clients' servers told by other directors.", |p| Some(Count(p.received))),
    ("entries_news_total", Counter, "Those of the received that were news.", |p| Some(Count(p.news))),
    ("overflows_total", Counter, "How often one was told everything anew.", |p| Some(Count(p.overflows))),
];

const SERVER: &[Family<Server>] = &[
    ("up", Gauge, "1 while its checks pass, or it has none.", |s| Some((s.status == ServerStatus::Up).into())),
    ("weight", Gauge, "Its share as configured or as set since.", |s| Some(Count(s.weight))),
    ("effective_weight", Gauge, "Its share now; lower than its weight during a slow start.", |s| {
        Some(Count(s.effective_weight))
    }),
    ("tier", Gauge, "0: serves always; n: serves when no server of a lower tier can.", |s| Some(Count(s.tier.into()))),
    ("in_flight", Gauge, "Requests at it; in TCP mode, connections.", |s| Some(Count(s.in_flight.now))),
    ("in_flight_max", Gauge, "Most requests at it at once.", |s| Some(Count(s.in_flight.max))),
    ("in_flight_limit", Gauge, "Requests allowed at it at once; absent without a limit.", |s| {
        s.in_flight.limit.map(Count)
    }),
    ("idle_connections", Gauge, "Idle connections kept to it.", |s| Some(Count(s.idle_connections))),
    ("last_change_seconds", Gauge, "How long its status and administrative state have been what they are.", |s| {
        Some(Count(s.last_change_s))
    }),
    ("check_failures_total", Counter, "Checks that failed; absent without checks.", |s| {
        s.check.as_ref().map(|c| Count(c.failures))
    }),
    ("downs_total", Counter, "How often its checks took it down; absent without checks.", |s| {
        s.check.as_ref().map(|c| Count(c.downs))
    }),
    ("check_duration_seconds", Gauge, "How long its last check took; absent without checks.", |s| {
        s.check.as_ref().map(|c| Micros(c.duration_us))
    }),
    ("redirectable", Gauge, "1 while clients may be redirected to it; absent where they never are.", |s| {
        s.redirect.as_ref().map(|to| to.why_not.is_none().into())
    }),
    ("redirected_in_flight", Gauge, "Clients redirected to it that are thought to be under way there.", |s| {
        s.redirect.as_ref().map(|to| Count(to.in_flight))
    }),
    ("promised_bytes_total", Counter, "Bytes that clients were promised of it; absent where nobody counts.", |s| {
        s.link.as_ref().map(|link| Count(link.promised_bytes))
    }),
    ("backlog_seconds", Gauge, "Until its link will have sent what it has to; absent where nobody counts.", |s| {
        s.link.as_ref().map(|link| Micros(link.backlog_us))
    }),
    ("rate_bytes_per_second", Gauge, "What one more client may expect of its link; absent where nobody counts.", |s| {
        s.link.as_ref().map(|link| Count(link.rate))
    }),
    ("rate_believed_bytes_per_second", Gauge, "What its link is believed to take; absent where nobody counts.", |s| {
        s.link.as_ref().map(|link| Count(link.rate_believed))
    }),
    ("rate_seen_bytes_per_second", Gauge, "What its link was seen to carry; absent without its reports.", |s| {
        s.link.as_ref().and_then(|link| link.rate_seen).map(Count)
    }),
    ("reported_left_bytes", Gauge, "What it says that it has still to send; absent without its reports.", |s| {
        report(s).map(|report| Count(report.left))
    }),
    ("reported_requests", Gauge, "Requests that it says are under way, whoever sent them; absent without.", |s| {
        report(s).map(|report| Count(report.requests))
    }),
];

fn report(server: &Server) -> Option<crate::model::Report> {
    server.link.as_ref()?.report
}

const TRAFFIC: &[Family<Traffic>] = &[
    ("requests_total", Counter, "Requests given to it; in TCP mode, connections.", |t| Some(Count(t.requests))),
    ("bytes_in_total", Counter, "Bytes to servers.", |t| Some(Count(t.bytes_in))),
    ("bytes_out_total", Counter, "Bytes from servers.", |t| Some(Count(t.bytes_out))),
    ("connection_errors_total", Counter, "Connections that could not be made.", |t| Some(Count(t.connection_errors))),
    ("response_errors_total", Counter, "Answers that were malformed, late or cut off.", |t| {
        Some(Count(t.response_errors))
    }),
    ("retries_total", Counter, "Requests sent again.", |t| Some(Count(t.retries))),
    ("redispatches_total", Counter, "Requests sent again to another server.", |t| Some(Count(t.redispatches))),
    ("redirects_total", Counter, "Clients sent to the server itself by a redirect.", |t| Some(Count(t.redirects))),
    ("client_aborts_total", Counter, "Requests that the client gave up.", |t| Some(Count(t.client_aborts))),
    ("connections_opened_total", Counter, "Connections made.", |t| Some(Count(t.connections_opened))),
    ("connections_reused_total", Counter, "Requests sent on a connection that had served before.", |t| {
        Some(Count(t.connections_reused))
    }),
];

const RESPONSES_HELP: &str = "Answers by the class of their status; `other` ended without one.";
const HANDSHAKES_HELP: &str = "TLS handshakes that went well, `full` or `resumed`; absent without TLS.";
const TOTAL_TIME_HELP: &str = "From a request's first byte to its answer's last.";

fn own_process(text: &mut Text, status: &Status) {
    text.family("perron_build_info", Gauge, "Always 1; the version is a label.");
    text.sample("perron_build_info", &[("version", &status.version)], Count(1));
    text.families("", PROCESS, &[(Vec::new(), status)]);
    let name = "perron_ended_early_total";
    let help = "Requests and connections refused or ended early, by reason, over all frontends.";
    text.family_by((name, Counter, help), &[(Vec::new(), status)], "reason", |s| reasons(&s.reasons));
    own_peers(text, &status.peers.iter().map(|peers| (Vec::new(), peers)).collect());
    let expires = (
        "perron_certificate_expires_seconds",
        Gauge,
        "When a certificate that is shown expires, in seconds since 1970.",
    );
    text.family_by(expires, &[(Vec::new(), status)], "file", |s| {
        s.certificates.iter().map(|shown| (shown.file.as_str(), Count(shown.expires_unix))).collect()
    });
    own_names(text, &status.name_service.iter().map(|names| (Vec::new(), names)).collect());
}

fn own_peers(text: &mut Text, peers: &Labelled<'_, Peers>) {
    text.families("perron_peers_", PEERS, peers);
    let connected = ("perron_peers_connected", Gauge, "1 while the other director is told what changes.");
    text.family_by(connected, peers, "peer", |p| {
        p.peers.iter().map(|peer| (peer.address.as_str(), Number::from(peer.connected))).collect()
    });
    let refused = ("perron_peers_refused_total", Counter, "Connections of other directors ended here, by reason.");
    text.family_by(refused, peers, "reason", |p| reasons(&p.refused));
}

fn own_names(text: &mut Text, names: &Labelled<'_, NameService>) {
    let up = ("perron_dns_address_up", Gauge, "1 while an address of the name is known to be up on any director.");
    text.family_by(up, names, "address", |n| {
        n.addresses.iter().map(|address| (address.address.as_str(), Number::from(address.up))).collect()
    });
    let queries = ("perron_dns_queries_total", Counter, "Questions for names, by what they were answered with.");
    text.family_by(queries, names, "answer", |n| reasons(&n.answers));
    let dropped = ("perron_dns_dropped_total", Counter, "Questions and connections that had no answer, by reason.");
    text.family_by(dropped, names, "reason", |n| reasons(&n.dropped));
}

fn own_frontends(text: &mut Text, frontends: &Labelled<'_, Frontend>) {
    text.families("perron_frontend_", FRONTEND, frontends);
    let responses = ("perron_frontend_responses_total", Counter, RESPONSES_HELP);
    text.family_by(responses, frontends, "code", |f| classes(&f.responses));
    let refused = ("perron_frontend_refused_requests_total", Counter, "Requests refused, by reason.");
    text.family_by(refused, frontends, "reason", |f| reasons(&f.refused));
    let shaken = ("perron_frontend_tls_handshakes_total", Counter, HANDSHAKES_HELP);
    text.family_by(shaken, frontends, "kind", |f| handshakes(f.handshakes));
    text.histograms("perron_frontend_total_time_seconds", TOTAL_TIME_HELP, frontends, |f| &f.total_time);
    own_streams(text, frontends);
}

fn own_streams(text: &mut Text, frontends: &Labelled<'_, Frontend>) {
    let mut held: Labelled<'_, Held> = Vec::new();
    for (labels, frontend) in frontends {
        if let Some(streams) = &frontend.streams {
            held.push(([&labels[..], &[("after", "read")]].concat(), &streams.at_once));
            held.push(([&labels[..], &[("after", "client")]].concat(), &streams.after_client));
        }
    }
    let help = "How long the bytes of streams were here, by what they waited for; absent without streams.";
    text.histogram_by("perron_frontend_held_seconds", help, &HELD_BOUNDS_MICROS, &held, |h| (&h.counts, h.sum_us));
    let longest = "The longest of them.";
    text.families(
        "perron_frontend_",
        &[("held_seconds_max", Gauge, longest, |h: &Held| Some(Micros(h.max_us)))],
        &held,
    );
}

fn own_backends(text: &mut Text, backends: &Labelled<'_, Backend>) {
    text.families("perron_backend_", BACKEND, backends);
    let deliver = ("perron_backend_deliver_info", Gauge, "Always 1; how answers come to clients is a label.");
    text.family_by(deliver, backends, "deliver", |b| vec![(b.deliver.as_str(), Count(1))]);
    let in_flight = ("perron_backend_class_in_flight", Gauge, "Requests at the servers of a class.");
    text.family_by(in_flight, backends, "class", |b| of_classes(b, |class| Some(class.in_flight)));
    let limit = "Requests that the servers of a class may have now; absent without a limit.";
    text.family_by(("perron_backend_class_in_flight_limit", Gauge, limit), backends, "class", |b| {
        of_classes(b, |class| class.limit)
    });
    let traffic: Vec<_> = backends.iter().map(|(labels, backend)| (labels.clone(), &backend.traffic)).collect();
    own_traffic(text, "perron_backend_", &traffic);
}

fn own_servers(text: &mut Text, servers: &Labelled<'_, Server>) {
    text.families("perron_server_", SERVER, servers);
    let status = ("perron_server_status", Gauge, "1 for what its checks say, 0 for what they do not.");
    text.family_by(status, servers, "status", |s| {
        let all = [ServerStatus::Up, ServerStatus::Down, ServerStatus::Unknown];
        all.map(|status| (status.as_str(), Number::from(s.status == status))).to_vec()
    });
    let admin = ("perron_server_admin", Gauge, "1 for what an administrator wants of it, 0 for what not.");
    text.family_by(admin, servers, "admin", |s| {
        let all = [AdminState::Ready, AdminState::Drain, AdminState::Maintenance];
        all.map(|admin| (admin.as_str(), Number::from(s.admin == admin))).to_vec()
    });
    let check = ("perron_server_check_info", Gauge, "Always 1; the last check's code is a label.");
    text.family_by(check, servers, "code", |s| s.check.iter().map(|c| (c.code.as_str(), Count(1))).collect());
    let class = ("perron_server_class_info", Gauge, "Always 1; the kind of server that it is is a label.");
    text.family_by(class, servers, "class", |s| s.class.iter().map(|class| (class.as_str(), Count(1))).collect());
    let zone = ("perron_server_zone_info", Gauge, "Always 1; where it stands is a label.");
    text.family_by(zone, servers, "zone", |s| s.zone.iter().map(|zone| (zone.as_str(), Count(1))).collect());
    let shaken = ("perron_server_tls_handshakes_total", Counter, HANDSHAKES_HELP);
    text.family_by(shaken, servers, "kind", |s| handshakes(s.handshakes));
    let traffic: Vec<_> = servers.iter().map(|(labels, server)| (labels.clone(), &server.traffic)).collect();
    own_traffic(text, "perron_server_", &traffic);
}

fn of_classes(backend: &Backend, number: fn(&Class) -> Option<u64>) -> Vec<(&str, Number)> {
    backend.classes.iter().filter_map(|class| Some((class.name.as_str(), Count(number(class)?)))).collect()
}

fn own_traffic(text: &mut Text, prefix: &str, things: &[(Vec<Label<'_>>, &Traffic)]) {
    text.families(prefix, TRAFFIC, things);
    let responses = (&*format!("{prefix}responses_total"), Counter, RESPONSES_HELP);
    text.family_by(responses, things, "code", |t| classes(&t.responses));
    let first_byte = "From a request's last byte sent to its answer's head.";
    text.histograms(&format!("{prefix}first_byte_seconds"), first_byte, things, |t| &t.first_byte);
    text.histograms(&format!("{prefix}total_time_seconds"), TOTAL_TIME_HELP, things, |t| &t.total_time);
}

fn classes(classes: &crate::model::Classes) -> Vec<(&'static str, Number)> {
    classes.named().map(|(class, count)| (class, Count(count))).to_vec()
}

fn handshakes(handshakes: Option<Handshakes>) -> Vec<(&'static str, Number)> {
    let named = |Handshakes { full, resumed }| vec![("full", Count(full)), ("resumed", Count(resumed))];
    handshakes.map(named).unwrap_or_default()
}

fn reasons(reasons: &std::collections::BTreeMap<String, u64>) -> Vec<(&str, Number)> {
    reasons.iter().map(|(reason, &count)| (reason.as_str(), Count(count))).collect()
}
