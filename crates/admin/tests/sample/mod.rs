//! A service that does not exist, at any moment of its life: for the tests and for looking at the dashboard.

use std::collections::BTreeMap;

use admin::model::{
    Application, Backend, Certificate, Check, Class, Classes, Frontend, Handshakes, Held, Histogram, Level, Link, Mode,
    NameAddress, NameService, Peer, Peers, ProcessStats, Quorum, Rate, Redirect, Report, Server, Status, Stick,
    Streams, Traffic,
};
use failover::{Hold, TrackReport, VipReport};
use units::latency::{BOUNDS_MICROS, HELD_BOUNDS_MICROS};
use units::{AdminState, Status as Health};

const STARTED: u64 = 1_790_000_000;

/// The service after `seconds` of its life.
pub(crate) fn status(seconds: f64) -> Status {
    let api = api(seconds);
    let files = files(seconds);
    let database = database(seconds);
    let uploads = uploads(seconds);
    Status {
        version: "0.1.0".into(),
        generation: 3,
        pid: 4242,
        started_unix: STARTED,
        uptime_s: seconds as u64,
        taken_unix_ms: STARTED * 1000 + (seconds * 1000.0) as u64,
        latency_bounds_us: BOUNDS_MICROS.to_vec(),
        held_bounds_us: HELD_BOUNDS_MICROS.to_vec(),
        frontends: vec![
            frontend("web", Mode::Http, &["*:80", "[::]:80"], &[&api, &files, &uploads]),
            frontend("galera", Mode::Tcp, &["172.16.9.200:3306"], &[&database]),
        ],
        backends: vec![api, files, uploads, database, images(seconds)],
        reasons: BTreeMap::from([("header_too_large".into(), 7), ("server_silent".into(), 31)]),
        process: ProcessStats {
            workers: 2,
            rss_bytes: 38_400_000,
            virtual_bytes: 410_000_000,
            open_fds: 412,
            max_fds: 65_536,
            cpu_us: (seconds * 612_345.0) as u64,
            log_lost: 0,
        },
        peers: Some(Peers {
            name: "d1".into(),
            peers: vec![Peer { address: "10.0.0.6:7000".into(), connected: true }],
            heard: vec!["d2".into()],
            sent: 70_112,
            received: 69_004,
            news: 68_990,
            overflows: 1,
            refused: BTreeMap::from([("peer_stranger".into(), 2)]),
        }),
        certificates: vec![Certificate {
            file: "/etc/perron/tls/front.pem".into(),
            subject: "CN=www.cluster.example".into(),
            names: vec!["www.cluster.example".into()],
            expires_unix: 1_795_226_164,
        }],
        applications: vec![Application {
            name: "web/noded".into(),
            command: "/usr/sbin/noded --fcgi".into(),
            user: Some("daemon".into()),
            processes: 3,
            wanted: 4,
            restarts: 17,
            since_unix: 1_795_220_000,
            pids: vec![4711, 4712, 4800],
        }],
        name_service: Some(NameService {
            name: "www.cluster.example".into(),
            addresses: vec![
                NameAddress { address: "10.0.0.11".into(), up: true },
                NameAddress { address: "10.0.0.12".into(), up: false },
            ],
            answers: BTreeMap::from([("addresses".into(), 9_120), ("refused".into(), 3)]),
            dropped: BTreeMap::from([("short".into(), 1)]),
        }),
        vips: Some(vips(seconds)),
    }
}

/// Two vips of a pair of directors; one is at the other.
fn vips(seconds: f64) -> failover::Report {
    let adverts = (seconds * 10.0) as u64;
    let vip = |name: &str, number: u8, state: &str, priority: u8| VipReport {
        name: name.into(),
        interface: "eth0".into(),
        vrid: number,
        version: 3,
        state: state.into(),
        since_unix_ms: 1_760_000_000_000,
        up: true,
        active: Some(([172, 16, 9, 10 + number].into(), 150)),
        priority,
        base_priority: 150,
        advert_interval_ms: 100,
        addresses: vec![format!("172.16.9.20{number}/24")],
        became_active: 1,
        ..VipReport::default()
    };
    let track =
        |subject: &str, state: &str| TrackReport { subject: subject.into(), state: state.into(), weight: Some(-60) };
    let front_a = VipReport {
        why: "no advert came in time".into(),
        track: vec![track("frontend/api", "well"), track("backend/api", "well")],
        adverts_sent: adverts,
        announced: 10,
        repaired: 1,
        ..vip("front-a", 1, "active", 150)
    };
    let front_b = VipReport {
        why: "another router has a higher priority".into(),
        track: vec![track("backend/images", "unwell")],
        adverts_received: adverts,
        refused: BTreeMap::from([("checksum".into(), 3)]),
        hold: Some(Hold::GivenUp),
        diagnosis: vec!["two active since 10:00: 172.16.9.12 does not hear us".into()],
        ..vip("front-b", 2, "backup", 90)
    };
    failover::Report {
        vips: vec![front_a, front_b],
        refused: BTreeMap::from([("stranger".into(), 4)]),
        lateness: vec![900, 80, 12, 3, 2, 1, 0, 0, 0, 0, 0, 0, 1],
        lateness_sum_us: 1_061_000,
        realtime: true,
        ..failover::Report::default()
    }
}

fn frontend(name: &str, mode: Mode, binds: &[&str], backends: &[&Backend]) -> Frontend {
    let sum = |number: fn(&Traffic) -> u64| backends.iter().map(|backend| number(&backend.traffic)).sum();
    let classes = |number: fn(&Classes) -> u64| backends.iter().map(|b| number(&b.traffic.responses)).sum();
    let requests = sum(|traffic| traffic.requests);
    let rate = Rate { now: sum(|traffic| traffic.request_rate.now), max: sum(|traffic| traffic.request_rate.max) };
    let http = mode == Mode::Http;
    let mut total_time = Histogram::default();
    for backend in backends {
        total_time.sum_us += backend.traffic.total_time.sum_us;
        for (to, from) in total_time.counts.iter_mut().zip(&backend.traffic.total_time.counts) {
            *to += from;
        }
    }
    let refused: &[(&str, u64)] = if http { &[("header_too_large", 7), ("malformed", 19)] } else { &[] };
    Frontend {
        name: name.into(),
        mode,
        binds: binds.iter().map(|bind| bind.to_string()).collect(),
        connections: Level { now: 218, max: 1_904, limit: Some(10_000) },
        connections_total: if http { requests / 12 } else { requests },
        connection_rate: if http { Rate { now: rate.now / 12, max: rate.max / 12 } } else { rate },
        requests,
        request_rate: rate,
        responses: Classes {
            informational: 0,
            success: classes(|c| c.success),
            redirection: classes(|c| c.redirection),
            client_error: classes(|c| c.client_error),
            server_error: classes(|c| c.server_error),
            other: 0,
        },
        bytes_in: sum(|traffic| traffic.bytes_in),
        bytes_out: sum(|traffic| traffic.bytes_out),
        refused: refused.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect(),
        total_time,
        streams: http.then(|| Streams {
            at_once: Held { counts: counts_of_held(requests), sum_us: requests * 12, max_us: 612 },
            ..Streams::default()
        }),
        handshakes: http.then_some(Handshakes { full: requests / 200, resumed: requests / 30 }),
    }
}

fn counts_of_held(reads: u64) -> Vec<u64> {
    let mut counts = vec![0; HELD_BOUNDS_MICROS.len() + 1];
    (counts[0], counts[1], counts[6]) = (reads / 2, reads - reads / 2, 3);
    counts
}

fn api(seconds: f64) -> Backend {
    let servers = vec![
        server("9lpo134", "172.16.9.134:80", traffic(seconds, 410.0, 0.0, 3_200.0, 1_800)),
        server("9lpo135", "172.16.9.135:80", traffic(seconds, 395.0, 0.7, 3_200.0, 2_100)),
        Server {
            status: Health::Down,
            check: Some(Check {
                code: "L7STS".into(),
                http_status: Some(503),
                duration_us: 1_840,
                failures: 29,
                downs: 2,
                text: "503 Service Unavailable, \"draining\"".into(),
            }),
            last_change_s: 154,
            in_flight: Level { now: 0, max: 61, limit: Some(64) },
            ..server("9lpo192", "172.16.9.192:80", traffic(0.0, 402.0, 1.1, 3_200.0, 1_900))
        },
        Server { tier: 1, ..server("standby", "172.16.9.240:80", traffic(0.0, 0.0, 0.0, 0.0, 0)) },
    ];
    backend("api", Mode::Http, "round-robin", servers, Level { now: 3, max: 88, limit: Some(256) })
}

fn files(seconds: f64) -> Backend {
    let servers = vec![
        server("store-a", "10.4.0.11:8080", traffic(seconds, 64.0, 0.2, 2_600_000.0, 40_000)),
        Server {
            effective_weight: 3,
            weight: 10,
            last_change_s: 14,
            ..server("store-b", "10.4.0.12:8080", traffic(seconds, 21.0, 0.9, 2_400_000.0, 52_000))
        },
        Server {
            admin: AdminState::Drain,
            in_flight: Level { now: 2, max: 40, limit: Some(64) },
            last_change_s: 3_900,
            ..server("store-c", "10.4.0.13:8080", traffic(seconds, 1.5, 0.4, 2_600_000.0, 43_000))
        },
        Server {
            admin: AdminState::Maintenance,
            last_change_s: 200_000,
            ..server("store-d", "unix:/run/store.sock", traffic(0.0, 0.0, 0.0, 0.0, 0))
        },
    ];
    backend("files", Mode::Http, "least-connections", servers, Level::default())
}

fn uploads(_: f64) -> Backend {
    let down = |name: &str, address: &str| Server {
        status: Health::Down,
        check: Some(Check {
            code: "L4CON".into(),
            http_status: None,
            duration_us: 310,
            failures: 77,
            downs: 1,
            text: "connection refused".into(),
        }),
        last_change_s: 75,
        in_flight: Level { now: 0, max: 9, limit: None },
        ..server(name, address, traffic(0.0, 0.0, 0.0, 0.0, 0))
    };
    let servers = vec![down("in-1", "10.4.1.1:9000"), down("<b>in-2</b>", "10.4.1.2:9000")];
    backend("uploads", Mode::Http, "source", servers, Level { now: 12, max: 12, limit: Some(64) })
}

fn database(seconds: f64) -> Backend {
    let tcp = Check { code: "L4OK".into(), duration_us: 220, ..Check::default() };
    let unknown = Check { code: "INI".into(), ..Check::default() };
    let servers = vec![
        Server {
            check: Some(tcp),
            ..server("galera-1", "172.16.9.11:3306", traffic(seconds, 4.0, 0.0, 52_000.0, 900_000))
        },
        Server {
            status: Health::Unknown,
            check: Some(unknown),
            last_change_s: 1,
            ..server("galera-2", "172.16.9.12:3306", traffic(0.0, 0.0, 0.0, 0.0, 0))
        },
        Server { check: None, ..server("galera-3", "172.16.9.13:3306", traffic(seconds, 3.0, 0.5, 52_000.0, 950_000)) },
    ];
    backend("galera", Mode::Tcp, "first", servers, Level::default())
}

fn images(seconds: f64) -> Backend {
    let island = |name: &str, zone: &str, rate: f64, phase: f64, left: u64| {
        let sent = (rate * seconds * 180_000_000.0) as u64;
        let place = format!("http://{name}.cluster.example");
        Server {
            class: Some("island".into()),
            zone: Some(zone.into()),
            in_flight: Level { now: 6, max: 11, limit: Some(12) },
            redirect: Some(Redirect { to: place, why_not: None, in_flight: 5, check: None }),
            link: Some(Link {
                promised_bytes: sent + left,
                backlog_us: left / 1_250,
                rate: 820_000_000,
                rate_believed: 1_250_000_000,
                rate_seen: Some((rate * 180_000_000.0) as u64),
                report: Some(Report { sent, left, requests: 6 }),
            }),
            ..server(name, "10.8.1.11:80", traffic(seconds, rate, phase, 900.0, 700))
        }
    };
    let away = island("island2-a", "island2", 0.4, 0.9, 0);
    let refused = Check { code: "L4CON".into(), duration_us: 310, failures: 12, downs: 1, ..Check::default() };
    let refused = Check { text: "the connection failed after 310us".into(), ..refused };
    let servers = vec![
        island("island1-a", "island1", 2.1, 0.0, 2_600_000_000),
        Server {
            redirect: Some(Redirect {
                to: "http://island2-a.cluster.example".into(),
                why_not: Some("that place is down: the connection failed after 310us".into()),
                in_flight: 0,
                check: Some(refused),
            }),
            link: Some(Link {
                promised_bytes: 80_000_000_000,
                rate: 640_000_000,
                rate_believed: 640_000_000,
                ..Link::default()
            }),
            ..away
        },
        Server {
            class: Some("worker".into()),
            in_flight: Level { now: 2, max: 4, limit: Some(4) },
            link: Some(Link {
                promised_bytes: 1_000_000,
                backlog_us: 12_000,
                rate: 125_000_000,
                rate_believed: 125_000_000,
                ..Link::default()
            }),
            ..server("node0815", "10.8.1.99:80", traffic(seconds, 0.6, 0.3, 40_000_000.0, 9_000))
        },
    ];
    let images = backend("images", Mode::Http, "bandwidth", servers, Level { now: 0, max: 7, limit: Some(1024) });
    let class = |name: &str, in_flight, limit| Class { name: name.into(), in_flight, limit };
    let mut images = images;
    for to in images.servers.iter_mut().filter(|server| server.redirect.is_some()).map(|server| &mut server.traffic) {
        to.redirects = to.requests * 9 / 10;
        images.traffic.redirects += to.redirects;
    }
    let stick = Some(Stick { entries: 812, capacity: 65_536, hits: 91_000, misses: 820 });
    Backend {
        deliver: "auto".into(),
        stick,
        classes: vec![class("island", 12, None), class("worker", 2, Some(3))],
        quorum: Some(Quorum { is_there: Some(true), weight: 30, wanted: 20, hysteresis: 5, sorry: false }),
        ..images
    }
}

fn backend(name: &str, mode: Mode, algorithm: &str, mut servers: Vec<Server>, queue: Level) -> Backend {
    let mut traffic = Traffic::default();
    for server in &mut servers {
        if mode == Mode::Tcp {
            server.traffic.responses = Classes::default();
        }
        add(&mut traffic, &server.traffic);
    }
    let up = servers.iter().any(Server::takes_traffic);
    let in_flight = servers.iter().map(|server| server.in_flight.now).sum();
    Backend {
        name: name.into(),
        mode,
        algorithm: algorithm.into(),
        status: if up { Health::Up } else { Health::Down },
        queued_us: queue.max * 1_200_000,
        queue,
        in_flight: Level { now: in_flight, max: in_flight + 40, limit: None },
        deliver: "proxy".into(),
        traffic,
        stick: None,
        classes: Vec::new(),
        quorum: None,
        servers,
    }
}

fn server(name: &str, address: &str, traffic: Traffic) -> Server {
    Server {
        name: name.into(),
        address: address.into(),
        status: Health::Up,
        admin: AdminState::Ready,
        weight: 10,
        effective_weight: 10,
        tier: 0,
        sorry: false,
        class: None,
        zone: None,
        in_flight: Level { now: traffic.request_rate.now / 20, max: 58, limit: Some(64) },
        idle_connections: traffic.request_rate.now / 40,
        traffic,
        last_change_s: 86_400 * 3 + 7_000,
        check: Some(Check {
            code: "L7OK".into(),
            http_status: Some(200),
            duration_us: 2_400,
            failures: 4,
            downs: 1,
            text: "200 OK".into(),
        }),
        redirect: None,
        handshakes: Some(Handshakes { full: 12, resumed: 88 }),
        link: None,
    }
}

/// Traffic that has waved around `rate` requests a second for so many `seconds`.
fn traffic(seconds: f64, rate: f64, phase: f64, bytes: f64, typical_us: u64) -> Traffic {
    let turns = seconds / 9.0 + phase;
    let requests = rate * (seconds + 9.0 * 0.35 * (phase.cos() - turns.cos())).max(0.0);
    let now = if seconds > 0.0 { (rate * (1.0 + 0.35 * turns.sin())) as u64 } else { 0 };
    let count = |share: f64| (requests * share) as u64;
    Traffic {
        requests: requests as u64,
        request_rate: Rate { now, max: now * 2 },
        responses: Classes {
            informational: 0,
            success: count(0.958),
            redirection: count(0.021),
            client_error: count(0.018),
            server_error: count(0.002),
            other: count(0.001),
        },
        bytes_in: count(420.0),
        bytes_out: count(bytes),
        connection_errors: count(0.0004),
        response_errors: count(0.0003),
        retries: count(0.0004),
        redispatches: count(0.0002),
        redirects: 0,
        client_aborts: count(0.001),
        connections_opened: count(0.08),
        connections_reused: count(0.92),
        first_byte: histogram(requests, typical_us),
        total_time: histogram(requests, typical_us * 3 / 2),
    }
}

fn histogram(requests: f64, typical_us: u64) -> Histogram {
    let mut histogram = Histogram { sum_us: (requests * typical_us as f64) as u64, ..Histogram::default() };
    let middle = BOUNDS_MICROS.partition_point(|&bound| bound < typical_us);
    for (bucket, share) in [(-1, 0.2), (0, 0.55), (1, 0.19), (2, 0.045), (3, 0.012), (4, 0.003)] {
        let bucket = middle.saturating_add_signed(bucket).min(BOUNDS_MICROS.len());
        histogram.counts[bucket] += (requests * share) as u64;
    }
    histogram
}

fn add(to: &mut Traffic, from: &Traffic) {
    to.requests += from.requests;
    to.request_rate.now += from.request_rate.now;
    to.request_rate.max += from.request_rate.max;
    to.responses.success += from.responses.success;
    to.responses.redirection += from.responses.redirection;
    to.responses.client_error += from.responses.client_error;
    to.responses.server_error += from.responses.server_error;
    to.responses.other += from.responses.other;
    to.bytes_in += from.bytes_in;
    to.bytes_out += from.bytes_out;
    to.connection_errors += from.connection_errors;
    to.response_errors += from.response_errors;
    to.retries += from.retries;
    to.redispatches += from.redispatches;
    to.redirects += from.redirects;
    to.client_aborts += from.client_aborts;
    to.connections_opened += from.connections_opened;
    to.connections_reused += from.connections_reused;
    for (to, from) in [(&mut to.first_byte, &from.first_byte), (&mut to.total_time, &from.total_time)] {
        to.sum_us += from.sum_us;
        for (to, from) in to.counts.iter_mut().zip(&from.counts) {
            *to += from;
        }
    }
}
