//! What the service answers, over a real socket.
#![allow(clippy::unwrap_used, reason = "clippy exempts only functions marked as tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use admin::model::Status;
use admin::{Command, CommandError, Source};

mod exposition;
mod sample;

struct Sample;

impl Source for Sample {
    fn status(&self) -> Status {
        sample::status(100.0)
    }

    fn command(&self, command: Command) -> Result<(), CommandError> {
        panic!("TCP must not change anything: {command:?}")
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(admin::serve(listener, Arc::new(Sample)))
    });
    address
}

fn ask(method: &str, target: &str) -> Answer {
    let mut stream = TcpStream::connect(service()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

#[test]
fn every_path_answers() {
    let paths = [
        ("/", 200, "text/html; charset=utf-8"),
        ("/style.css", 200, "text/css; charset=utf-8"),
        ("/app.js", 200, "text/javascript; charset=utf-8"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/api/v1/status", 200, "application/json"),
        ("/healthz", 200, "text/plain; charset=utf-8"),
        ("/nothing", 404, "text/plain; charset=utf-8"),
    ];
    for (path, status, content_type) in paths {
        let answer = ask("GET", path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.head.contains(&format!("content-type: {content_type}\r\n")), "{path}: {}", answer.head);
        assert!(!answer.body.is_empty(), "{path}");
    }
}

#[test]
fn every_answer_is_hardened() {
    for (method, path) in [("GET", "/"), ("GET", "/api/v1/status"), ("GET", "/nothing"), ("POST", "/")] {
        let head = ask(method, path).head;
        assert!(head.contains("\r\nx-content-type-options: nosniff"), "{method} {path}: {head}");
        assert!(
            head.contains("\r\ncontent-security-policy: default-src 'none'; script-src 'self';"),
            "{method} {path}"
        );
        assert!(!head.contains("access-control-allow-origin"), "{method} {path}");
    }
}

#[test]
fn nothing_can_be_changed() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/", "/api/v1/status", "/stats;csv", "/nothing"] {
            let answer = ask(method, path);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.head.contains("\r\nallow: get, head"), "{method} {path}: {}", answer.head);
            assert!(answer.body.contains("control socket"), "{method} {path}: {}", answer.body);
        }
    }
}

#[test]
fn head_has_no_body() {
    let answer = ask("HEAD", "/metrics");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[test]
fn the_csv_is_where_monitors_look_for_it() {
    for target in
        ["/stats;csv", "/stats?;csv", "/stats;csv;norefresh", "/haproxy?stats;csv", "/;csv", "/haproxy_stats;csv"]
    {
        let answer = ask("GET", target);
        assert_eq!(answer.status, 200, "{target}");
        assert!(answer.body.starts_with(include_str!("haproxy-2.6-csv-header.txt")), "{target}");
    }
    let answer = ask("GET", "/stats");
    assert_eq!(answer.status, 303);
    assert!(answer.head.contains("\r\nlocation: /\r\n"));
}

#[test]
fn the_csv_has_haproxys_values() {
    let body = ask("GET", "/stats;csv").body;
    let mut lines = body.lines();
    let header: Vec<&str> = lines.next().unwrap().trim_start_matches("# ").split(',').collect();
    let rows: Vec<BTreeMap<&str, String>> =
        lines.map(|line| header.iter().copied().zip(cells(line)).collect()).collect();
    assert!(body.lines().skip(1).all(|line| cells(line).len() == header.len()));
    let row =
        |proxy: &str, server: &str| rows.iter().find(|row| row["pxname"] == proxy && row["svname"] == server).unwrap();
    let expected = [
        ("web", "FRONTEND", "type", "0"),
        ("web", "FRONTEND", "status", "OPEN"),
        ("web", "FRONTEND", "scur", "218"),
        ("web", "FRONTEND", "slim", "10000"),
        ("web", "FRONTEND", "ereq", "26"),
        ("galera", "FRONTEND", "hrsp_2xx", ""),
        ("galera", "FRONTEND", "mode", "tcp"),
        ("api", "BACKEND", "type", "1"),
        ("api", "BACKEND", "status", "UP"),
        ("api", "BACKEND", "qcur", "3"),
        ("api", "BACKEND", "act", "2"),
        ("api", "BACKEND", "bck", "1"),
        ("api", "BACKEND", "weight", "30"),
        ("uploads", "BACKEND", "status", "DOWN"),
        ("api", "9lpo134", "type", "2"),
        ("api", "9lpo134", "status", "UP"),
        ("api", "9lpo134", "check_status", "L7OK"),
        ("api", "9lpo134", "check_code", "200"),
        ("api", "9lpo134", "check_duration", "2"),
        ("api", "9lpo134", "-", "-"),
        ("api", "9lpo192", "status", "DOWN"),
        ("api", "9lpo192", "chkfail", "29"),
        ("api", "9lpo192", "last_chk", "503 Service Unavailable, \"draining\""),
        ("api", "9lpo192", "addr", "172.16.9.192:80"),
        ("api", "9lpo192", "h1_spliced_bytes_out", ""),
        ("api", "standby", "act", "0"),
        ("api", "standby", "bck", "1"),
        ("files", "store-b", "throttle", "30"),
        ("files", "store-c", "status", "DRAIN"),
        ("files", "store-d", "status", "MAINT"),
        ("galera", "galera-2", "status", "DOWN"),
        ("galera", "galera-3", "status", "no check"),
    ];
    for (proxy, server, column, value) in expected {
        assert_eq!(row(proxy, server)[column], value, "{proxy}/{server} {column}");
    }
}

/// The cells of a line of CSV, by RFC 4180.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut().unwrap();
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}

#[test]
fn json_goes_there_and_back() {
    let body = ask("GET", "/api/v1/status").body;
    assert_eq!(serde_json::from_str::<Status>(&body).unwrap(), sample::status(100.0));

    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let server = &json["backends"][0]["servers"][2];
    assert_eq!(json["latency_bounds_us"][0], 100);
    assert_eq!(json["frontends"][1]["mode"], "tcp");
    assert_eq!(json["frontends"][0]["refused"]["malformed"], 19);
    assert_eq!(server["status"], "down");
    assert_eq!(server["admin"], "ready");
    assert_eq!(server["in_flight"]["limit"], 64);
    assert_eq!(server["responses"]["5xx"], 0);
    assert_eq!(server["check"]["code"], "L7STS");
    assert_eq!(json["backends"][0]["in_flight"]["limit"], serde_json::Value::Null);
}

#[test]
fn a_command_is_readable() {
    let command =
        Command::SetAdmin { backend: "api".into(), server: "9lpo134".into(), admin: units::AdminState::Drain };
    let json = r#"{"command":"set_admin","backend":"api","server":"9lpo134","admin":"drain"}"#;
    assert_eq!(serde_json::to_string(&command).unwrap(), json);
    assert_eq!(serde_json::from_str::<Command>(json).unwrap(), command);
}

#[test]
fn metrics_are_well_formed() {
    let families = exposition::parse(&ask("GET", "/metrics").body);
    assert!(families.len() > 100, "{}", families.len());
    let sample = |family: &str, sample: &str| families[family].samples[sample];
    assert_eq!(sample("perron_server_weight", r#"perron_server_weight{backend="api",server="9lpo134"}"#), 10.0);
    assert_eq!(
        sample("perron_server_status", r#"perron_server_status{backend="api",server="9lpo192",status="down"}"#),
        1.0
    );
    assert_eq!(
        sample("haproxy_server_status", r#"haproxy_server_status{proxy="files",server="store-c",state="DRAIN"}"#),
        1.0
    );
    assert_eq!(sample("haproxy_backend_active_servers", r#"haproxy_backend_active_servers{proxy="api"}"#), 2.0);
    assert_eq!(
        sample(
            "perron_frontend_refused_requests_total",
            r#"perron_frontend_refused_requests_total{frontend="web",reason="malformed"}"#
        ),
        19.0
    );
}

#[test]
fn haproxys_names_are_haproxys() {
    let theirs = include_str!("haproxy-2.6-metrics.txt");
    let theirs: BTreeSet<&str> = theirs.lines().collect();
    let families = exposition::parse(&ask("GET", "/metrics").body);
    for (name, family) in families.iter().filter(|(name, _)| name.starts_with("haproxy_")) {
        assert!(theirs.contains(&*format!("{name} {}", family.kind)), "{name} {} is not HAProxy's", family.kind);
    }
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let document = include_str!("../../../docs/metrics.md");
    let named: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| ["perron_", "haproxy_", "process_"].iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let families = exposition::parse(&ask("GET", "/metrics").body);
    let emitted: BTreeSet<&str> = families.keys().map(String::as_str).collect();
    assert_eq!(named, emitted);
}
