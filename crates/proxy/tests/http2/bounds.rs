//! The limits that a client meets which sends no more frames than it may, but more of something else.

use proxy::{Http2Error, Reason};

use crate::raw::code::{ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, REFUSED_STREAM};
use crate::raw::flag::{ACK, END_HEADERS, END_STREAM};
use crate::raw::kind::{CONTINUATION, DATA, GOAWAY, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use crate::raw::{HANG, OWN, Raw, frame, literal};
use crate::server;
use crate::site::{Site, site, site_with, wait_for};

fn counted(site: &Site, error: Http2Error) -> u64 {
    site.counted(Reason::Http2(error))
}

/// Streams of a client's, in their order.
fn streams(first: u32, count: usize) -> impl Iterator<Item = u32> {
    (first..).step_by(2).take(count)
}

fn requests(first: u32, count: usize) -> Vec<u8> {
    streams(first, count).flat_map(|stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, HANG)).collect()
}

fn resets(first: u32, count: usize) -> Vec<u8> {
    streams(first, count).flat_map(|stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).collect()
}

/// A client with 128 requests under way that in one breath resets them all, asks as many others, resets 60 of these
/// and asks 60 more: at no moment are there more than 128, and those that nobody has begun to serve cost nothing.
#[test]
fn requests_that_are_reset_make_room_for_others() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.send(&requests(1, 128));
    wait_for("128 are under way", || site.worker.load().1 == 128);
    raw.send(&[resets(1, 128), requests(257, 128), resets(257, 60), requests(513, 60)].concat());
    raw.send(&requests(701, 1));
    assert_eq!(raw.reset(701), REFUSED_STREAM);
    wait_for("the others are ended", || site.worker.load().1 == 128);
    raw.send(&resets(513, 1));
    raw.is_served(703);
    assert_eq!(counted(&site, Http2Error::StreamRefused), 1);
}

/// A worker that has room for one request at its server, which hangs: bodies of the others are not asked for.
fn busy() -> (Site, Raw) {
    let site = site_with(server::start(), |config| config.backends[0].pool.max_in_flight = Some(1));
    let mut raw = Raw::connect(site.address);
    raw.wait_for(|came| came.kind == SETTINGS && came.flags == 0);
    // The window of 256 KiB is there from when the client has agreed (RFC 9113 §6.5.3).
    raw.send(&frame(SETTINGS, ACK, 0, b""));
    raw.send(&requests(1, 1));
    wait_for("it is under way", || site.worker.load().1 == 1);
    (site, raw)
}

/// A request with a body of which so many frames of 16 KiB are here at once.
fn upload(stream: u32, frames: usize) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, b"\x83\x86\x01\x01t\x84");
    [head, frame(DATA, 0, stream, &[b'x'; 16_384]).repeat(frames)].concat()
}

/// 256 KiB of a request, 1 MiB of a connection, and 128 KiB of each that are kept for sending them once more.
#[test]
fn more_of_a_body_than_the_windows_allow_is_an_error() {
    let (site, mut raw) = busy();
    raw.send(&upload(3, 16));
    raw.is_served(5);
    raw.send(&frame(DATA, 0, 3, &[b'x'; 16_384]).repeat(16));
    let end = raw.wait_for(|came| matches!(came.kind, RST_STREAM | GOAWAY));
    assert_eq!(end.code(), FLOW_CONTROL_ERROR);
    drop(site);

    let (_site, mut raw) = busy();
    // As much of each as its own window allows.
    raw.send(&streams(3, 24).flat_map(|stream| upload(stream, 16)).collect::<Vec<_>>());
    assert_eq!(raw.end(), FLOW_CONTROL_ERROR);
}

/// 60,000 bytes of a body that nobody reads, each in a frame.
#[test]
fn tiny_frames_that_nobody_reads_end_the_connection() {
    let (site, mut raw) = busy();
    raw.send(&[upload(3, 0), frame(DATA, 0, 3, b"x").repeat(60_000)].concat());
    assert_eq!(raw.end(), ENHANCE_YOUR_CALM);
    wait_for("it is counted", || counted(&site, Http2Error::Excess) == 1);
}

/// A client that lets bytes through one at a time has as many frames for them as any other that serve nobody.
#[test]
fn a_window_that_opens_byte_by_byte_ends_the_connection() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.send(&frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0"));
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x82\x86\x01\x01t\x04\x04/big"));
    raw.wait_for(|came| came.kind == HEADERS);
    let mut ended = None;
    for _ in 0..3000 {
        raw.send(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()));
        let came = raw.wait_for(|came| matches!(came.kind, DATA | GOAWAY));
        if came.kind == GOAWAY {
            ended = Some(came.code());
            break;
        }
        assert_eq!(came.payload.len(), 1);
    }
    assert_eq!(ended, Some(ENHANCE_YOUR_CALM));
    wait_for("it is counted", || counted(&site, Http2Error::ControlFlood) == 1);
}

/// A header block in frames of 16 KiB.
fn block(stream: u32, block: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = block.chunks(16_384).collect();
    let frames = pieces.iter().enumerate().map(|(index, piece)| {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let last = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
        frame(kind, if index == 0 { last | END_STREAM } else { last }, stream, piece)
    });
    frames.collect::<Vec<_>>().concat()
}

/// `:status: 431`: a name of the static table, and the digits (RFC 7541 §6.2.2, appendix A).
const TOO_LARGE: &[u8] = b"\x08\x03431";

/// A list of fields is as large as its names and values with 32 bytes for each (RFC 9113 §6.5.2).
#[test]
fn fields_beyond_what_was_announced_are_refused_and_far_beyond_end_the_connection() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    let field = literal("x", &"y".repeat(100));
    // 500 times 133 are more than 65,536.
    raw.send(&block(1, &[OWN, &field.repeat(500)].concat()));
    let answer = raw.wait_for(|came| came.stream == 1 && came.kind == HEADERS);
    assert!(answer.payload.starts_with(TOO_LARGE), "{answer:?}");
    raw.is_served(3);
    let mut raw = Raw::connect(site.address);
    // From the dynamic table: few bytes of the wire, 4,033 of the list each.
    let large = [&b"\x40\x01x\x7f\xa1\x1e"[..], &[b'y'; 4000]].concat();
    raw.send(&block(1, &[OWN, &large, &[0xbe; 20]].concat()));
    let answer = raw.wait_for(|came| came.stream == 1 && came.kind == HEADERS);
    assert!(answer.payload.starts_with(TOO_LARGE), "{answer:?}");
    raw.is_served(3);
    raw.send(&block(5, &[OWN, &[0xbe; 4000]].concat()));
    assert_eq!(raw.end(), ENHANCE_YOUR_CALM);
    wait_for("it is counted", || counted(&site, Http2Error::Excess) == 1);
}
