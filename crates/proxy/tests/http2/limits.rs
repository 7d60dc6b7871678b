//! What a client may not do, frame by frame.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proxy::{Http2Error, Reason};

use crate::raw::code::{ENHANCE_YOUR_CALM, PROTOCOL_ERROR, REFUSED_STREAM};
use crate::raw::kind::{CONTINUATION, DATA, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use crate::raw::{HANG, OWN, PREFACE, Raw, frame, literal};
use crate::server;
use crate::site::{Site, site, site_with, wait_for};

/// `:status: 400` in the static table (RFC 7541, appendix A).
const BAD_REQUEST: u8 = 0x8c;

fn ends_with(send: &[u8], code: u32, error: Http2Error) {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.is_served(1);
    raw.send(send);
    assert_eq!(raw.end(), code);
    assert!(raw.next().is_none());
    counted(&site, error);
    site.wait_for_line("<BADREQ>");
}

fn counted(site: &Site, error: Http2Error) {
    wait_for(error.reason(), || site.counted(Reason::Http2(error)) > 0);
}

#[test]
fn frames_that_serve_nobody_end_the_connection() {
    let pings = frame(PING, 0, 0, b"pingpong").repeat(3000);
    let settings = frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64").repeat(3000);
    let priorities = frame(PRIORITY, 0, 1, b"\0\0\0\0\x10").repeat(3000);
    let windows = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01").repeat(3000);
    let unknown = frame(0xbe, 0, 0, b"").repeat(3000);
    for flood in [pings, settings, priorities, windows, unknown] {
        ends_with(&flood, ENHANCE_YOUR_CALM, Http2Error::ControlFlood);
    }
}

#[test]
fn empty_data_ends_the_connection() {
    let hang = frame(HEADERS, 4, 3, b"\x83\x86\x01\x01t\x04\x05/hang");
    ends_with(&[hang, frame(DATA, 0, 3, b"").repeat(3000)].concat(), ENHANCE_YOUR_CALM, Http2Error::ControlFlood);
}

#[test]
fn a_header_block_without_end_ends_the_connection() {
    let mut flood = frame(HEADERS, 0, 3, b"\x82\x86\x04\x01/");
    flood.extend(frame(CONTINUATION, 0, 3, b"").repeat(1000));
    ends_with(&flood, ENHANCE_YOUR_CALM, Http2Error::Excess);
    // One field again and again, from the dynamic table: many bytes of header in few of the wire.
    let mut bomb = frame(HEADERS, 0, 3, &[&b"\x82\x86\x04\x01/\x40\x01x\x7f\xa1\x1e"[..], &[b'y'; 4000]].concat());
    bomb.extend(frame(CONTINUATION, 4, 3, &[0xbe; 4000]));
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.send(&bomb);
    assert_ne!(raw.end(), 0);
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    for stream in (1..).step_by(2).take(1000) {
        raw.send(&frame(HEADERS, 5, stream, HANG));
        raw.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    assert_eq!(raw.end(), ENHANCE_YOUR_CALM);
    wait_for("it is counted", || {
        [Http2Error::ResetFlood, Http2Error::Excess].iter().any(|error| site.counted(Reason::Http2(*error)) > 0)
    });
}

/// A client that makes us reset its streams, again and again (CVE-2025-8671).
#[test]
fn requests_that_have_us_reset_them_end_the_connection() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    for stream in (1..).step_by(2).take(1000) {
        raw.send(&frame(HEADERS, 5, stream, HANG));
        raw.send(&frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
    }
    assert_eq!(raw.end(), ENHANCE_YOUR_CALM);
    counted(&site, Http2Error::Excess);
}

#[test]
fn streams_beyond_those_at_once_are_refused_and_others_served() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    let settings = raw.wait_for(|came| came.kind == SETTINGS && came.flags == 0);
    // SETTINGS_MAX_CONCURRENT_STREAMS.
    assert!(settings.payload.chunks(6).any(|setting| setting == b"\0\x03\0\0\0\x80"));
    raw.send(&frame(SETTINGS, 1, 0, b""));
    for stream in (1..).step_by(2).take(128) {
        raw.send(&frame(HEADERS, 5, stream, HANG));
    }
    raw.send(&frame(HEADERS, 5, 257, OWN));
    assert_eq!(raw.reset(257), REFUSED_STREAM);
    raw.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    raw.is_served(259);
    counted(&site, Http2Error::StreamRefused);
}

/// `GET http://t/` and a field.
fn with(name: &str, value: &str) -> Vec<u8> {
    [base(), literal(name, value)].concat()
}

fn base() -> Vec<u8> {
    b"\x82\x86\x01\x01t\x84".to_vec()
}

/// RFC 9113 §8.1.1, §8.2 and §8.3: malformed requests end their streams, and nothing of them goes on.
#[test]
fn malformed_requests_are_reset() {
    let site = site(server::start());
    let blocks: Vec<(&str, Vec<u8>)> = vec![
        ("no method", b"\x86\x01\x01t\x84".to_vec()),
        ("no scheme", b"\x82\x01\x01t\x84".to_vec()),
        ("no path", b"\x82\x86\x01\x01t".to_vec()),
        ("empty path", b"\x82\x86\x01\x01t\x04\0".to_vec()),
        ("two methods", [b"\x83".to_vec(), base()].concat()),
        ("two paths", [b"\x84".to_vec(), base()].concat()),
        ("status in a request", [b"\x88".to_vec(), base()].concat()),
        ("unknown pseudo", [literal(":x", "y"), base()].concat()),
        ("pseudo after fields", [literal("x", "y"), base()].concat()),
        ("upper case", with("X-Y", "z")),
        ("connection", with("connection", "close")),
        ("keep-alive", with("keep-alive", "1")),
        ("proxy-connection", with("proxy-connection", "close")),
        ("transfer-encoding", with("transfer-encoding", "chunked")),
        ("upgrade", with("upgrade", "h2c")),
        ("te", with("te", "gzip")),
        ("two lengths", [with("content-length", "1"), literal("content-length", "2")].concat()),
        ("a length that is none", with("content-length", "x")),
        ("a length and no body", with("content-length", "3")),
        (
            "extended connect",
            [literal(":protocol", "websocket"), literal(":method", "CONNECT"), base()[1..].to_vec()].concat(),
        ),
        ("connect with a path", [literal(":method", "CONNECT"), base()[1..].to_vec()].concat()),
        ("line end in a value", with("x", "a\r\nb: c")),
        ("null in a value", with("x", "a\0b")),
    ];
    for (what, block) in blocks {
        let mut raw = Raw::connect(site.address);
        raw.send(&frame(HEADERS, 5, 1, &block));
        // What is no header block at all ends the connection too.
        let end = raw.wait_for(|came| matches!(came.kind, RST_STREAM | HEADERS | GOAWAY));
        match end.kind {
            HEADERS => assert_eq!(end.payload[0], BAD_REQUEST, "{what}: {end:?}"),
            _ => assert_eq!(end.code(), PROTOCOL_ERROR, "{what}"),
        }
        if end.kind != GOAWAY {
            raw.is_served(3);
        }
    }
    counted(&site, Http2Error::Malformed);
}

/// RFC 9113 §8.2.1 and §8.3.1: what is answered as HTTP/1's would be.
#[test]
fn requests_that_http1_would_read_otherwise_are_refused() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    let mut stream = 1;
    for (what, block) in [
        ("white space before a value", with("x", " y")),
        ("white space after a value", with("x", "y ")),
        ("another host", with("host", "other")),
        ("two hosts", [with("host", "t"), literal("host", "t")].concat()),
        ("an absolute path", [b"\x82\x86\x01\x01t".to_vec(), literal(":path", "http://other/")].concat()),
        ("a path without a slash", [b"\x82\x86\x01\x01t".to_vec(), literal(":path", "x")].concat()),
        ("another scheme", [b"\x82\x01\x01t\x84".to_vec(), literal(":scheme", "ftp")].concat()),
        ("no host", b"\x82\x86\x84".to_vec()),
    ] {
        raw.send(&frame(HEADERS, 5, stream, &block));
        let head = raw.wait_for(|came| came.stream == stream && matches!(came.kind, RST_STREAM | HEADERS));
        match head.kind {
            HEADERS => assert_eq!(head.payload[0], BAD_REQUEST, "{what}: {head:?}"),
            _ => assert_eq!((head.kind, head.code()), (RST_STREAM, PROTOCOL_ERROR), "{what}"),
        }
        stream += 2;
    }
    raw.is_served(stream);
}

#[test]
fn a_connection_that_breaks_the_protocol_is_told_so() {
    for broken in [
        frame(DATA, 0, 0, b"x"),
        frame(SETTINGS, 0, 1, b""),
        frame(PING, 0, 0, b"short"),
        frame(HEADERS, 5, 2, OWN),
        frame(HEADERS, 5, 3, b"\xff\xff\xff\xff\xff\xff"),
        frame(CONTINUATION, 4, 3, b""),
        frame(WINDOW_UPDATE, 0, 0, &0_u32.to_be_bytes()),
        vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 3],
    ] {
        let site = site(server::start());
        let mut raw = Raw::connect(site.address);
        raw.is_served(1);
        raw.send(&broken);
        assert_ne!(raw.end(), 0, "{broken:?}");
        counted(&site, Http2Error::Protocol);
    }
    let site = site(server::start());
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
}

/// The preface in pieces, and HTTP/1 that begins as it does.
#[test]
fn clear_text_is_told_apart_by_its_first_bytes() {
    let site = site(server::start());
    let mut raw = Raw(TcpStream::connect(site.address).unwrap());
    raw.0.set_nodelay(true).unwrap();
    for byte in PREFACE {
        raw.send(&[*byte]);
    }
    raw.send(&frame(SETTINGS, 0, 0, b""));
    raw.is_served(1);
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(b"PRIME /own HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("own"), "{answer}");
    // Only the first bytes of a connection are looked at so.
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(b"GET /own HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream.write_all(PREFACE).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 505 "), "{answer}");

    let off = site_with(server::start(), |config| config.frontends[0].http2 = false);
    let mut stream = TcpStream::connect(off.address).unwrap();
    stream.write_all(PREFACE).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
}

#[test]
fn whoever_says_nothing_or_takes_nothing_is_left() {
    let short = Duration::from_millis(200);
    let site = site_with(server::start(), |config| {
        let timeouts = &mut config.frontends[0].timeouts;
        (timeouts.keep_alive, timeouts.header, timeouts.idle) = (short, short, short);
    });
    let mut raw = Raw::connect(site.address);
    assert_eq!(raw.end(), 0);
    assert!(raw.next().is_none());
    // A window that is never opened: the answer's stream is ended, and then the connection.
    let mut raw = Raw::connect(site.address);
    raw.send(&frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0"));
    raw.send(&frame(HEADERS, 5, 1, b"\x82\x86\x01\x01t\x04\x04/big"));
    assert_ne!(raw.reset(1), 0);
    assert_eq!(raw.end(), 0);
    // A body that does not come.
    let mut raw = Raw::connect(site.address);
    raw.send(&frame(HEADERS, 4, 1, b"\x83\x86\x01\x01t\x84"));
    assert_ne!(raw.reset(1), 0);
    // A preface that does not end.
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(&PREFACE[..20]).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    stream.shutdown(Shutdown::Both).ok();
}

/// A client that goes away takes its requests with it; one that resets a request takes only that.
#[test]
fn a_request_ends_with_its_client() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.send(&frame(HEADERS, 5, 1, HANG));
    raw.is_served(3);
    wait_for("it is under way", || site.worker.load().1 == 1);
    raw.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    wait_for("it has ended", || site.worker.load() == (1, 0));
    raw.send(&frame(HEADERS, 5, 5, HANG));
    wait_for("it is under way", || site.worker.load().1 == 1);
    drop(raw);
    wait_for("all has ended", || site.worker.load() == (0, 0));
}

#[test]
fn a_worker_that_drains_says_so_and_finishes_what_is_under_way() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.send(&frame(HEADERS, 4, 1, b"\x83\x86\x01\x01t\x84"));
    wait_for("it is under way", || site.worker.load().1 == 1);
    site.shared.begin_draining();
    site.worker.drain();
    assert_eq!(raw.end(), 0);
    raw.send(&frame(DATA, 1, 1, b"the rest"));
    raw.wait_for(|came| came.stream == 1 && came.kind == HEADERS);
    raw.wait_for(|came| came.stream == 1 && came.kind == DATA && came.flags == 1);
    wait_for("the worker ends", || site.worker.is_finished());
}
