//! §6: each kind of frame.

use super::*;
use crate::raw::code::{CANCEL, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED};
use crate::raw::flag::{ACK, END_HEADERS, END_STREAM, PADDED};
use crate::raw::kind::{
    CONTINUATION, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};

const WINDOW_MAX: u32 = 0x7fff_ffff;

#[test]
fn data_is_as_section_6_1_says() {
    hold(&[
        sends("6.1: DATA", &[&post(1), &data(END_STREAM, 1, b"test")], answered(1)),
        sends(
            "6.1: several",
            &[&post(1), &data(0, 1, b"te"), &data(0, 1, b""), &data(END_STREAM, 1, b"st")],
            answered(1),
        ),
        sends("6.1: with padding", &[&post(1), &data(END_STREAM | PADDED, 1, b"\x06test\0\0\0\0\0\0")], answered(1)),
        sends("6.1: with nothing but padding", &[&post(1), &data(END_STREAM | PADDED, 1, b"\x02\0\0")], answered(1)),
        sends("6.1: on stream 0", &[&data(0, 0, b"test")], connection(PROTOCOL_ERROR)),
        sends("6.1: on a stream that is not open", &[&half_closed(1), &data(0, 1, b"test")], stream(1, STREAM_CLOSED)),
        sends(
            "6.1: more padding than there are bytes",
            &[&post(1), &data(PADDED, 1, b"\x06test")],
            connection(PROTOCOL_ERROR),
        ),
        sends(
            "6.1: as much padding as there are bytes",
            &[&post(1), &data(PADDED, 1, b"\x05test")],
            connection(PROTOCOL_ERROR),
        ),
        sends("6.1: padding without its length", &[&post(1), &data(PADDED, 1, b"")], padding_missing()),
    ]);
}

/// §4.2 for a frame that is too small for what it must have, §6.1 for padding that is as long as the payload.
fn padding_missing() -> Vec<End> {
    [stream(1, FRAME_SIZE_ERROR), connection(PROTOCOL_ERROR)].concat()
}

#[test]
fn headers_are_as_section_6_2_says() {
    let padded = |bytes: u8| [&[bytes][..], OWN, &[0; 6]].concat();
    let weighted = [&b"\0\0\0\0\xff"[..], OWN].concat();
    let exclusive = [&b"\x80\0\0\x05\x10"[..], OWN].concat();
    let all = [&b"\x06\0\0\0\0\xff"[..], OWN, &[0; 6]].concat();
    let whole = END_STREAM | END_HEADERS;
    hold(&[
        sends("6.2: HEADERS", &[&get(1)], answered(1)),
        sends("6.2: with padding", &[&frame(HEADERS, whole | PADDED, 1, &padded(6))], answered(1)),
        sends("6.2: with a priority", &[&frame(HEADERS, whole | flag::PRIORITY, 1, &weighted)], answered(1)),
        sends(
            "6.2: exclusive, of a later stream",
            &[&frame(HEADERS, whole | flag::PRIORITY, 1, &exclusive)],
            answered(1),
        ),
        sends("6.2: with both", &[&frame(HEADERS, whole | flag::PRIORITY | PADDED, 1, &all)], answered(1)),
        sends("6.2: on stream 0", &[&get(0)], connection(PROTOCOL_ERROR)),
        sends(
            "6.2: more padding than there are bytes",
            &[&frame(HEADERS, whole | PADDED, 1, &padded(200))],
            connection(PROTOCOL_ERROR),
        ),
        sends(
            "6.2: a block that goes on on another stream",
            &[&frame(HEADERS, END_STREAM, 1, OWN), &frame(CONTINUATION, END_HEADERS, 3, OWN)],
            connection(PROTOCOL_ERROR),
        ),
        sends(
            "6.2: a block that another frame follows",
            &[&frame(HEADERS, END_STREAM, 1, OWN), &ping(b"between!")],
            connection(PROTOCOL_ERROR),
        ),
        // RFC 7540 §5.3.1 had it for a stream error; RFC 9113 §5.3.2 has no use for dependencies.
        sends(
            "6.2: a stream that depends on itself",
            &[&frame(HEADERS, whole | flag::PRIORITY, 1, &[&b"\0\0\0\x01\xff"[..], OWN].concat())],
            answered(1),
        ),
    ]);
}

#[test]
fn priority_and_reset_are_as_sections_6_3_and_6_4_say() {
    hold(&[
        sends("6.3: PRIORITY", &[&frame(PRIORITY, 0, 1, b"\0\0\0\0\0"), &get(1)], answered(1)),
        sends("6.3: exclusive", &[&frame(PRIORITY, 0, 1, b"\x80\0\0\0\xff"), &get(1)], answered(1)),
        sends("6.3: of a later stream", &[&frame(PRIORITY, 0, 7, b"\0\0\0\0\x0f"), &get(1)], answered(1)),
        sends("6.3: on a later one", &[&frame(PRIORITY, 0, 1, b"\0\0\0\x07\x0f"), &get(1)], answered(1)),
        sends("6.3: on itself", &[&frame(PRIORITY, 0, 1, b"\0\0\0\x01\x0f")], ignored()),
        sends("6.3: on stream 0", &[&frame(PRIORITY, 0, 0, b"\0\0\0\0\xff")], connection(PROTOCOL_ERROR)),
        sends("6.3: of four bytes", &[&open(1), &frame(PRIORITY, 0, 1, b"\0\0\0\0")], stream(1, FRAME_SIZE_ERROR)),
        sends("6.4: RST_STREAM", &[&open(1), &reset(1, CANCEL)], ignored()),
        sends("6.4: on stream 0", &[&reset(0, CANCEL)], connection(PROTOCOL_ERROR)),
        sends("6.4: on an idle stream", &[&reset(1, CANCEL)], connection(PROTOCOL_ERROR)),
        sends("6.4: of three bytes", &[&open(1), &frame(RST_STREAM, 0, 1, b"\0\0\0")], connection(FRAME_SIZE_ERROR)),
        sends("6.4: of five bytes", &[&open(1), &frame(RST_STREAM, 0, 1, &[0; 5])], connection(FRAME_SIZE_ERROR)),
    ]);
}

#[test]
fn settings_are_as_section_6_5_says() {
    hold(&[
        case("6.5: SETTINGS", [send(&[&settings(&[(3, 100)])]), Step::Acknowledged(2)], vec![]),
        sends(
            "6.5: every one that is defined",
            &[&settings(&[(1, 0), (2, 0), (3, 0), (4, 65_535), (5, 16_384), (6, 99)])],
            ignored(),
        ),
        sends(
            "6.5: an acknowledgement with a payload",
            &[&frame(SETTINGS, ACK, 0, &[0; 6])],
            connection(FRAME_SIZE_ERROR),
        ),
        sends("6.5: on a stream", &[&frame(SETTINGS, 0, 1, b"\0\x03\0\0\0\x64")], connection(PROTOCOL_ERROR)),
        sends("6.5: of three bytes", &[&frame(SETTINGS, 0, 0, b"\0\x03\0")], connection(FRAME_SIZE_ERROR)),
        sends("6.5: of seven bytes", &[&frame(SETTINGS, 0, 0, &[0; 7])], connection(FRAME_SIZE_ERROR)),
        sends("6.5.2: ENABLE_PUSH of 2", &[&settings(&[(2, 2)])], connection(PROTOCOL_ERROR)),
        sends("6.5.2: ENABLE_PUSH of 1", &[&settings(&[(2, 1)])], ignored()),
        sends("6.5.2: a window of 2^31", &[&settings(&[(4, 0x8000_0000)])], connection(FLOW_CONTROL_ERROR)),
        sends("6.5.2: a window of 2^31 - 1", &[&settings(&[(4, WINDOW_MAX)])], ignored()),
        sends("6.5.2: frames of 2^14 - 1 bytes", &[&settings(&[(5, 16_383)])], connection(PROTOCOL_ERROR)),
        sends("6.5.2: frames of 2^24 bytes", &[&settings(&[(5, 1 << 24)])], connection(PROTOCOL_ERROR)),
        sends("6.5.2: frames of 2^24 - 1 bytes", &[&settings(&[(5, (1 << 24) - 1)])], ignored()),
        sends("6.5.2: one that is not known", &[&settings(&[(0xff, 1)])], ignored()),
        case(
            "6.5.3: of several values the last holds",
            [send(&[&settings(&[(4, 100), (4, 1)]), &get(1)]), Step::Bytes(1, 1)],
            vec![],
        ),
        case(
            "6.5.3: each is acknowledged",
            [send(&[&settings(&[]), &settings(&[(6, 65_536)]), &settings(&[])]), Step::Acknowledged(4)],
            vec![],
        ),
    ]);
}

#[test]
fn what_serves_the_connection_is_as_sections_6_6_to_6_8_say() {
    let goaway = |stream: u32, code: u32| frame(GOAWAY, 0, stream, &[0_u32.to_be_bytes(), code.to_be_bytes()].concat());
    hold(&[
        sends(
            "6.6, 8.4: PUSH_PROMISE of a client",
            &[&open(1), &frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes()[..], OWN].concat())],
            connection(PROTOCOL_ERROR),
        ),
        case("6.7: PING", [send(&[&ping(b"12345678")]), Step::Pong(b"12345678")], vec![]),
        case(
            "6.7: an acknowledgement is not answered",
            [send(&[&frame(PING, ACK, 0, b"unasked!"), &ping(b"12345678")]), Step::Pong(b"12345678")],
            vec![],
        ),
        sends("6.7: on a stream", &[&open(1), &frame(PING, 0, 1, &[0; 8])], connection(PROTOCOL_ERROR)),
        sends("6.7: of seven bytes", &[&frame(PING, 0, 0, &[0; 7])], connection(FRAME_SIZE_ERROR)),
        sends("6.7: of nine bytes", &[&frame(PING, 0, 0, &[0; 9])], connection(FRAME_SIZE_ERROR)),
        sends("6.8: GOAWAY on a stream", &[&open(1), &goaway(1, 0)], connection(PROTOCOL_ERROR)),
        sends("6.8: of seven bytes", &[&frame(GOAWAY, 0, 0, &[0; 7])], connection(FRAME_SIZE_ERROR)),
        sends("6.8: what is under way is answered", &[&post(1), &goaway(0, 0), &data(END_STREAM, 1, b"")], answered(1)),
        sends(
            "7: GOAWAY of a code that is not known",
            &[&post(1), &goaway(0, 0xff), &data(END_STREAM, 1, b"")],
            told_to_go(),
        ),
        sends("7: RST_STREAM of a code that is not known", &[&open(1), &reset(1, 0xff)], ignored()),
    ]);
}

/// A peer's error is reason enough to end the connection, and none to do anything else.
fn told_to_go() -> Vec<End> {
    [answered(1), vec![End::Closed]].concat()
}

#[test]
fn windows_are_as_section_6_9_says() {
    // 16 KiB less one, sixteen times and more: beyond what a window is to begin with.
    let over = (1_u32 << 31) - 65_535;
    hold(&[
        sends("6.9: WINDOW_UPDATE of the connection", &[&window(0, 1)], ignored()),
        sends("6.9: of a stream", &[&open(1), &window(1, 1)], ignored()),
        sends(
            "6.9: the reserved bit",
            &[&open(1), &frame(WINDOW_UPDATE, 0, 1, &0x8000_0001_u32.to_be_bytes())],
            ignored(),
        ),
        sends("6.9: of 0, of the connection", &[&window(0, 0)], connection(PROTOCOL_ERROR)),
        sends("6.9: of 0, of a stream", &[&open(1), &window(1, 0)], stream(1, PROTOCOL_ERROR)),
        sends("6.9: of three bytes", &[&frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01")], connection(FRAME_SIZE_ERROR)),
        case("6.9.1: a window of one byte", [send(&[&settings(&[(4, 1)]), &get(1)]), Step::Bytes(1, 1)], vec![]),
        sends(
            "6.9.1: the connection's beyond 2^31 - 1",
            &[&window(0, WINDOW_MAX), &window(0, WINDOW_MAX)],
            connection(FLOW_CONTROL_ERROR),
        ),
        sends("6.9.1: by one byte", &[&window(0, over)], connection(FLOW_CONTROL_ERROR)),
        sends("6.9.1: not by one byte", &[&window(0, over - 1)], ignored()),
        sends("6.9.1: a stream's beyond 2^31 - 1", &[&open(1), &window(1, WINDOW_MAX)], stream(1, FLOW_CONTROL_ERROR)),
        case(
            "6.9.2: a window that opens by SETTINGS",
            [
                send(&[&settings(&[(4, 0)]), &get(1)]),
                Step::Acknowledged(2),
                send(&[&settings(&[(4, 1)])]),
                Step::Bytes(1, 1),
            ],
            vec![],
        ),
        case(
            "6.9.2: a window that becomes less than nothing",
            [
                send(&[&settings(&[(4, 2)]), &get(1)]),
                Step::Bytes(1, 2),
                send(&[&settings(&[(4, 1)]), &window(1, 1)]),
                Step::Bytes(1, 0),
                send(&[&window(1, 1)]),
                Step::Bytes(1, 1),
            ],
            vec![],
        ),
        sends(
            "6.9.2: a stream's beyond 2^31 - 1 by SETTINGS",
            &[&open(1), &window(1, over - 1), &settings(&[(4, 65_536)])],
            connection(FLOW_CONTROL_ERROR),
        ),
    ]);
}

#[test]
fn blocks_go_on_as_section_6_10_says() {
    let (first, last) = OWN.split_at(5);
    let (second, third) = last.split_at(2);
    let head = frame(HEADERS, END_STREAM, 1, first);
    let goes_on = |flags, stream, part: &[u8]| frame(CONTINUATION, flags, stream, part);
    hold(&[
        sends("6.10: CONTINUATION", &[&head, &goes_on(END_HEADERS, 1, last)], answered(1)),
        sends(
            "6.10: several",
            &[&head, &goes_on(0, 1, second), &goes_on(0, 1, b""), &goes_on(END_HEADERS, 1, third)],
            answered(1),
        ),
        sends(
            "6.10: DATA instead",
            &[&frame(HEADERS, 0, 1, first), &goes_on(0, 1, second), &data(END_STREAM, 1, b"x")],
            connection(PROTOCOL_ERROR),
        ),
        sends("6.10: on stream 0", &[&head, &goes_on(END_HEADERS, 0, last)], connection(PROTOCOL_ERROR)),
        sends("6.10: after a whole block", &[&get(1), &goes_on(END_HEADERS, 1, b"")], connection(PROTOCOL_ERROR)),
        sends(
            "6.10: after the last",
            &[&head, &goes_on(END_HEADERS, 1, last), &goes_on(END_HEADERS, 1, b"")],
            connection(PROTOCOL_ERROR),
        ),
        sends(
            "6.10: after DATA",
            &[&post(1), &data(0, 1, b"x"), &goes_on(END_HEADERS, 1, b"")],
            connection(PROTOCOL_ERROR),
        ),
    ]);
}
