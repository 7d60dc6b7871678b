//! HAProxy's lines here were printed by HAProxy 2.6.12 with `option httplog` and `option tcplog` for the same requests.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

const PROCESS_FRONTEND_BACKEND_SERVER: [u32; 4] = [1, 1, 0, 0];

fn record(began: Instant) -> Record {
    let mut record = Record::new(began, true);
    record.wall = Some(UNIX_EPOCH + Duration::from_millis(1_795_226_164_501));
    record.version = Some(http_proto::Version::Http11);
    record
}

fn place<'a>(port: u16, frontend: &'a str, backend: Option<&'a str>, server: Option<&'a str>) -> Place<'a> {
    let peer = Some(([127, 0, 0, 1], port).into());
    Place { peer, frontend, mode: Mode::Http, backend, server, load: PROCESS_FRONTEND_BACKEND_SERVER }
}

fn line(format: LogFormat, record: &Record, place: &Place<'_>, took: Duration) -> String {
    let mut out = Vec::new();
    write_line(&mut out, format, record, place, record.began + took);
    String::from_utf8(out).unwrap()
}

fn answered(began: Instant) -> Record {
    let mut record = record(began);
    record.request = "GET /small".to_owned();
    record.queued = Some(Duration::ZERO);
    record.connected = Some(Duration::ZERO);
    record.first_byte = Some(Duration::from_micros(300));
    record.status = 200;
    record.bytes_in = 90;
    record.bytes_out = 401;
    record.backend = Some(crate::config::BackendIndex(0));
    record.phase = Phase::Ended;
    record
}

#[test]
fn an_answer_of_a_server_reads_as_haproxys() {
    let record = answered(Instant::now());
    let place = place(37096, "http-in", Some("static"), Some("srv1"));
    assert_eq!(
        line(LogFormat::Haproxy, &record, &place, Duration::ZERO),
        "127.0.0.1:37096 [21/Nov/2026:01:56:04.501] http-in static/srv1 0/0/0/0/0 200 401 - - ---- 1/1/0/0/0 0/0 \
         \"GET /small HTTP/1.1\"\n"
    );
}

#[test]
fn a_redirect_made_here_reads_as_haproxys() {
    let mut record = record(Instant::now());
    record.request = "GET /old".to_owned();
    record.status = 302;
    record.bytes_out = 83;
    record.phase = Phase::Ended;
    let place = place(37108, "http-in", None, None);
    assert_eq!(
        line(LogFormat::Haproxy, &record, &place, Duration::ZERO),
        "127.0.0.1:37108 [21/Nov/2026:01:56:04.501] http-in http-in/<NOSRV> 0/-1/-1/-1/0 302 83 - - LR-- 1/1/0/0/0 \
         0/0 \"GET /old HTTP/1.1\"\n"
    );
}

#[test]
fn a_server_that_cannot_be_reached_reads_as_haproxys() {
    let mut record = record(Instant::now());
    record.request = "GET /dead".to_owned();
    record.queued = Some(Duration::ZERO);
    record.backend = Some(crate::config::BackendIndex(1));
    record.retries = 3;
    record.status = 503;
    record.bytes_out = 217;
    record.phase = Phase::Connect;
    record.fail(Reason::Connect);
    let place = place(37118, "http-in", Some("dead"), Some("s"));
    assert_eq!(
        line(LogFormat::Haproxy, &record, &place, Duration::from_millis(3007)),
        "127.0.0.1:37118 [21/Nov/2026:01:56:04.501] http-in dead/s 0/0/-1/-1/3007 503 217 - - SC-- 1/1/0/0/3 0/0 \
         \"GET /dead HTTP/1.1\"\n"
    );
}

#[test]
fn a_tcp_connection_reads_as_haproxys() {
    let mut record = record(Instant::now());
    record.queued = Some(Duration::from_millis(1));
    record.connected = Some(Duration::ZERO);
    record.backend = Some(crate::config::BackendIndex(0));
    record.bytes_out = 438;
    record.phase = Phase::Ended;
    let place = Place { mode: Mode::Tcp, ..place(44498, "tcp-in", Some("tcpb"), Some("srv1")) };
    assert_eq!(
        line(LogFormat::Haproxy, &record, &place, Duration::from_millis(1)),
        "127.0.0.1:44498 [21/Nov/2026:01:56:04.501] tcp-in tcpb/srv1 1/0/1 438 -- 1/1/0/0/0 0/0\n"
    );
}

#[test]
fn what_would_break_a_line_is_escaped_as_haproxy_does() {
    let mut record = answered(Instant::now());
    record.request = "GET /small?q=\"%22".to_owned();
    let place = place(37120, "http-in", Some("static"), Some("srv1"));
    let line = line(LogFormat::Haproxy, &record, &place, Duration::ZERO);
    assert!(line.ends_with("\"GET /small?q=#22%22 HTTP/1.1\"\n"), "{line}");
}

#[test]
fn json_lines_are_json_and_say_why() {
    let mut record = answered(Instant::now());
    record.request = "GET /\"quoted\\".to_owned();
    record.status = 504;
    record.phase = Phase::Headers;
    record.fail(Reason::ServerTimeout);
    let place = place(37096, "http-in", Some("static"), Some("srv1"));
    let line = line(LogFormat::Json, &record, &place, Duration::from_micros(1500));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["time"], "2026-11-21T01:56:04.501Z");
    assert_eq!(value["client"], "127.0.0.1:37096");
    assert_eq!(value["request"], "GET /\"quoted\\");
    assert_eq!(value["status"], 504);
    assert_eq!(value["total_us"], 1500);
    assert_eq!(value["state"], "sH");
    assert_eq!(value["reason"], "server_timeout");
}
