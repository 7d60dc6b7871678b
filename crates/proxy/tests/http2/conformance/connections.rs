//! §3 to §5: how connections begin, frames, streams.

use super::*;
use crate::raw::code::{CANCEL, COMPRESSION_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED};
use crate::raw::flag::{END_HEADERS, END_STREAM};
use crate::raw::kind::{CONTINUATION, HEADERS, PING, PRIORITY};

/// A priority (§6.3): no dependency, the weight of 256.
const WEIGHT: &[u8] = b"\0\0\0\0\xff";

fn priority(stream: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream, WEIGHT)
}

fn bare(name: &'static str, parts: &[&[u8]], ends: Vec<End>) -> Case {
    Case { begins: Begins::Bare, ..sends(name, parts, ends) }
}

#[test]
fn connections_begin_as_section_3_says() {
    hold(&[
        sends("3.4: a preface and SETTINGS", &[&get(1)], answered(1)),
        bare("3.4: a request before the server's SETTINGS", &[PREFACE, &settings(&[]), &get(1)], answered(1)),
        bare("3.4: PING in the place of SETTINGS", &[PREFACE, &ping(b"too soon")], preface_broken()),
        bare("3.4: HEADERS in the place of SETTINGS", &[PREFACE, &get(1)], preface_broken()),
        bare(
            "3.4: an acknowledgement in the place of SETTINGS",
            &[PREFACE, &frame(kind::SETTINGS, flag::ACK, 0, b"")],
            preface_broken(),
        ),
    ]);
}

/// §3.4: GOAWAY may be left out, as the peer may not speak HTTP/2.
fn preface_broken() -> Vec<End> {
    vec![End::GoAway(PROTOCOL_ERROR), End::Closed]
}

#[test]
fn frames_are_read_as_section_4_says() {
    let large = vec![b'x'; 16_384];
    let larger = vec![b'x'; 16_385];
    hold(&[
        sends("4.1: a frame of no known kind", &[&frame(0x16, 0, 0, &[0; 8])], ignored()),
        sends("4.1: the same on an idle stream", &[&frame(0x16, 0, 77, &[0; 8])], ignored()),
        sends("4.1: flags that are not defined", &[&frame(PING, 0xfe, 0, b"flags!!!")], ignored()),
        case(
            "4.1: a reserved bit that is set",
            [send(&[&frame(PING, 0, 0x8000_0000, b"reserved")]), Step::Pong(b"reserved")],
            vec![],
        ),
        sends("4.2: DATA of 2^14 bytes", &[&post(1), &data(END_STREAM, 1, &large)], answered(1)),
        sends("4.2: DATA of 2^14 + 1 bytes", &[&post(1), &data(END_STREAM, 1, &larger)], stream(1, FRAME_SIZE_ERROR)),
        sends("4.2: HEADERS of 2^14 + 1 bytes", &[&request(1, &larger)], connection(FRAME_SIZE_ERROR)),
        sends(
            "4.2: a kind that is not known of 2^14 + 1 bytes",
            &[&frame(0x16, 0, 0, &larger)],
            connection(FRAME_SIZE_ERROR),
        ),
        sends("4.3: a header block that is none", &[&request(1, b"\x40")], connection(COMPRESSION_ERROR)),
        sends(
            "4.3: PRIORITY within a header block",
            &[&frame(HEADERS, END_STREAM, 1, OWN), &priority(1), &frame(CONTINUATION, END_HEADERS, 1, b"")],
            connection(PROTOCOL_ERROR),
        ),
        sends(
            "4.3: HEADERS of another stream within a header block",
            &[&frame(HEADERS, END_STREAM, 1, OWN), &get(3), &frame(CONTINUATION, END_HEADERS, 1, b"")],
            connection(PROTOCOL_ERROR),
        ),
    ]);
}

#[test]
fn streams_are_in_the_states_of_section_5_1() {
    let continuation = frame(CONTINUATION, END_HEADERS, 1, OWN);
    let closed = || stream(1, STREAM_CLOSED);
    let late = || [stream(1, STREAM_CLOSED), ignored()].concat();
    // §5.1.1 besides: an identifier that has been used.
    let used = || [stream(1, STREAM_CLOSED), ignored(), connection(PROTOCOL_ERROR)].concat();
    let after_answer = |name, sent: &[u8], ends| case(name, [send(&[&get(1)]), Step::Ended(1), send(&[sent])], ends);
    hold(&[
        sends("5.1 idle: DATA", &[&data(END_STREAM, 1, b"test")], connection(PROTOCOL_ERROR)),
        sends("5.1 idle: RST_STREAM", &[&reset(1, CANCEL)], connection(PROTOCOL_ERROR)),
        sends("5.1 idle: WINDOW_UPDATE", &[&window(1, 100)], connection(PROTOCOL_ERROR)),
        sends("5.1 idle: CONTINUATION", &[&continuation], connection(PROTOCOL_ERROR)),
        sends("5.1 idle: PRIORITY", &[&priority(1)], ignored()),
        sends("5.1 half-closed: DATA", &[&half_closed(1), &data(END_STREAM, 1, b"test")], closed()),
        sends("5.1 half-closed: HEADERS", &[&half_closed(1), &half_closed(1)], closed()),
        sends("5.1 half-closed: CONTINUATION", &[&half_closed(1), &continuation], connection(PROTOCOL_ERROR)),
        sends("5.1 half-closed: PRIORITY", &[&half_closed(1), &priority(1)], ignored()),
        sends("5.1 half-closed: WINDOW_UPDATE", &[&half_closed(1), &window(1, 1)], ignored()),
        sends("5.1 half-closed: RST_STREAM", &[&half_closed(1), &reset(1, CANCEL)], ignored()),
        case(
            "5.1 half-closed: WINDOW_UPDATE opens a window",
            [send(&[&settings(&[(4, 0)]), &get(1), &priority(1), &window(1, 1)]), Step::Bytes(1, 1)],
            vec![],
        ),
        sends("5.1 reset: DATA", &[&open(1), &reset(1, CANCEL), &data(END_STREAM, 1, b"test")], late()),
        sends("5.1 reset: HEADERS", &[&open(1), &reset(1, CANCEL), &half_closed(1)], used()),
        sends("5.1 reset: CONTINUATION", &[&open(1), &reset(1, CANCEL), &continuation], connection(PROTOCOL_ERROR)),
        after_answer("5.1 closed: DATA", &data(END_STREAM, 1, b"test"), late()),
        after_answer("5.1 closed: HEADERS", &get(1), used()),
        after_answer("5.1 closed: CONTINUATION", &continuation, connection(PROTOCOL_ERROR)),
        after_answer("5.1 closed: PRIORITY", &priority(1), ignored()),
        after_answer("5.1 closed: WINDOW_UPDATE", &window(1, 1), ignored()),
        after_answer("5.1 closed: RST_STREAM", &reset(1, CANCEL), ignored()),
    ]);
}

#[test]
fn streams_are_opened_as_section_5_1_says() {
    let many: Vec<u8> = (1..).step_by(2).take(128).flat_map(half_closed).collect();
    hold(&[
        sends("5.1.1: an even identifier", &[&get(2)], connection(PROTOCOL_ERROR)),
        sends("5.1.1: one smaller than the last", &[&get(5), &get(3)], connection(PROTOCOL_ERROR)),
        sends("5.1.1: one that leaves others out", &[&get(1), &get(101)], answered(101)),
        sends("5.1.1: the largest", &[&get(0x7fff_ffff)], answered(0x7fff_ffff)),
        case(
            "5.1.2: one more than there may be",
            [
                Step::Acknowledged(1),
                send(&[&frame(kind::SETTINGS, flag::ACK, 0, b""), &many, &get(257), &reset(1, CANCEL)]),
            ],
            vec![End::Reset(257, REFUSED_STREAM), End::Reset(257, PROTOCOL_ERROR)],
        ),
    ]);
}

#[test]
fn errors_and_extensions_are_those_of_sections_5_4_and_5_5() {
    hold(&[
        sends(
            "5.4.1: an error of the connection ends it",
            &[&frame(PING, 0, 0, b"six by")],
            connection(FRAME_SIZE_ERROR),
        ),
        sends(
            "5.4.2: an error of a stream leaves the others",
            &[&open(1), &window(1, 0), &open(3)],
            stream(1, PROTOCOL_ERROR),
        ),
        sends("5.5: an extension's frame", &[&frame(0xfe, 0xff, 0, b"whatever")], ignored()),
        sends("5.5: an extension's setting", &[&settings(&[(0xf0f0, 1)])], ignored()),
        sends(
            "5.5: an extension's frame within a header block",
            &[&frame(HEADERS, END_STREAM, 1, OWN), &frame(0xfe, 0, 0, b""), &frame(CONTINUATION, END_HEADERS, 1, b"")],
            connection(PROTOCOL_ERROR),
        ),
    ]);
}

/// §5.4.1, §6.8: the last word names the last stream that was looked at.
#[test]
fn the_last_word_names_the_last_stream() {
    let site = site(server::start());
    let mut raw = Raw::connect(site.address);
    raw.is_served(1);
    raw.is_served(5);
    raw.send(&frame(PING, 0, 0, b"short"));
    let last = raw.wait_for(|came| came.kind == kind::GOAWAY);
    assert_eq!((last.stream, &last.payload[..4], last.code()), (0, &5_u32.to_be_bytes()[..], FRAME_SIZE_ERROR));
    assert!(raw.next().is_none());
}
