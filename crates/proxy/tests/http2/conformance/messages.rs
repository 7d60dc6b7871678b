//! §8: requests.

use super::*;
use crate::raw::flag::{END_HEADERS, END_STREAM};
use crate::raw::kind::HEADERS;
use crate::raw::literal;

/// `GET http://t/own`, and these.
fn with(parts: &[&[u8]]) -> Vec<u8> {
    [&[OWN], parts].concat().concat()
}

/// A block of these.
fn of(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const METHOD: &[u8] = b"\x82";
const SCHEME: &[u8] = b"\x86";
const AUTHORITY: &[u8] = b"\x01\x01t";
const PATH: &[u8] = b"\x04\x04/own";

#[test]
fn messages_are_framed_as_section_8_1_says() {
    let trailers = |flags: u8, block: &[u8]| frame(HEADERS, END_HEADERS | flags, 1, block);
    let sum = literal("x-sum", "1");
    hold(&[
        sends("8.1: GET", &[&get(1)], answered(1)),
        sends("8.1: HEAD", &[&request(1, &of(&[&literal(":method", "HEAD"), SCHEME, AUTHORITY, PATH]))], answered(1)),
        sends("8.1: POST", &[&post(1), &data(END_STREAM, 1, b"test")], answered(1)),
        sends("8.1: POST without a body", &[&request(1, POST)], answered(1)),
        sends("8.1: trailers", &[&post(1), &data(0, 1, b"test"), &trailers(END_STREAM, &sum)], answered(1)),
        sends("8.1: trailers at once", &[&post(1), &trailers(END_STREAM, &sum)], answered(1)),
        sends("8.1: HEADERS after HEADERS that are not the last", &[&post(1), &trailers(0, &sum)], malformed(1)),
        sends("8.1: the same after DATA", &[&post(1), &data(0, 1, b"test"), &trailers(0, &sum)], malformed(1)),
        sends(
            "8.3: pseudo-fields in trailers",
            &[&post(1), &data(0, 1, b"test"), &trailers(END_STREAM, METHOD)],
            malformed(1),
        ),
        sends(
            "8.2.2: connection-specific fields in trailers",
            &[&post(1), &trailers(END_STREAM, &literal("connection", "close"))],
            malformed(1),
        ),
        sends(
            "8.2.1: upper case in trailers",
            &[&post(1), &trailers(END_STREAM, &literal("X-Sum", "1"))],
            malformed(1),
        ),
        sends(
            "8.2.1: a line end in trailers",
            &[&post(1), &trailers(END_STREAM, &literal("x", "1\r\ny: 2"))],
            malformed(1),
        ),
    ]);
}

#[test]
fn requests_are_malformed_as_section_8_2_says() {
    let field = |name: &'static str, field: &str, value: &str| {
        sends(name, &[&request(1, &with(&[&literal(field, value)]))], malformed(1))
    };
    hold(&[
        field("8.2.1: upper case", "X-TEST", "ok"),
        field("8.2.1: a name of nothing", "", "ok"),
        field("8.2.1: a space in a name", "x y", "ok"),
        field("8.2.1: a colon in a name", "x:y", "ok"),
        field("8.2.1: a control character in a name", "x\u{1}", "ok"),
        field("8.2.1: a byte of 0x7f in a name", "x\u{7f}", "ok"),
        field("8.2.1: a byte beyond ASCII in a name", "x\u{e9}", "ok"),
        field("8.2.1: NUL in a value", "x", "a\0b"),
        field("8.2.1: LF in a value", "x", "a\nb"),
        field("8.2.1: CR in a value", "x", "a\rb"),
        field("8.2.1: a space before a value", "x", " a"),
        field("8.2.1: a tab after a value", "x", "a\t"),
        field("8.2.2: Connection", "connection", "keep-alive"),
        field("8.2.2: Keep-Alive", "keep-alive", "timeout=5"),
        field("8.2.2: Proxy-Connection", "proxy-connection", "keep-alive"),
        field("8.2.2: Transfer-Encoding", "transfer-encoding", "chunked"),
        field("8.2.2: Upgrade", "upgrade", "websocket"),
        field("8.2.2: TE other than trailers", "te", "trailers, deflate"),
        sends("8.2.2: TE of trailers", &[&request(1, &with(&[&literal("te", "trailers")]))], answered(1)),
        sends(
            "8.2.3: a cookie in pieces",
            &[&request(1, &with(&[&literal("cookie", "a=b"), &literal("cookie", "c=d")]))],
            answered(1),
        ),
    ]);
}

#[test]
fn control_data_is_as_section_8_3_says() {
    let block = |name: &'static str, parts: &[&[u8]]| sends(name, &[&request(1, &of(parts))], malformed(1));
    let nowhere = literal(":path", "");
    hold(&[
        block("8.3: a pseudo-field that is not known", &[OWN, &literal(":test", "ok")]),
        block("8.3: one of an answer", &[OWN, b"\x88"]),
        block("8.3: one behind a field", &[METHOD, SCHEME, AUTHORITY, &literal("x", "ok"), PATH]),
        block("8.3.1: an empty path", &[METHOD, SCHEME, AUTHORITY, &nowhere]),
        block("8.3.1: no method", &[SCHEME, AUTHORITY, PATH]),
        block("8.3.1: no scheme", &[METHOD, AUTHORITY, PATH]),
        block("8.3.1: no path", &[METHOD, SCHEME, AUTHORITY]),
        block("8.3.1: two methods", &[METHOD, METHOD, SCHEME, AUTHORITY, PATH]),
        block("8.3.1: two schemes", &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH]),
        block("8.3.1: two paths", &[METHOD, SCHEME, AUTHORITY, PATH, PATH]),
        block("8.3.1: two authorities", &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH]),
        block("8.3.1: a path that is a URL", &[METHOD, SCHEME, AUTHORITY, &literal(":path", "http://t/own")]),
        block("8.3.1: an asterisk for GET", &[METHOD, SCHEME, AUTHORITY, &literal(":path", "*")]),
        block("8.3.1: a user in the authority", &[METHOD, SCHEME, &literal(":authority", "me@t"), PATH]),
        block("8.3.1: Host that is not the authority", &[OWN, &literal("host", "other")]),
        block("8.3.1: neither of them", &[METHOD, SCHEME, PATH]),
        block("8.3.1: a method that is no token", &[&literal(":method", "G T"), SCHEME, AUTHORITY, PATH]),
        block("8.3.1: a space in a path", &[METHOD, SCHEME, AUTHORITY, &literal(":path", "/own HTTP/1.1")]),
        sends(
            "8.3.1: Host without an authority",
            &[&request(1, &of(&[METHOD, SCHEME, PATH, &literal("host", "t")]))],
            answered(1),
        ),
        sends("8.3.1: Host that is the authority", &[&request(1, &with(&[&literal("host", "t")]))], answered(1)),
        block("8.5: CONNECT with a scheme and a path", &[&literal(":method", "CONNECT"), SCHEME, AUTHORITY, PATH]),
        block("8.5: CONNECT without an authority", &[&literal(":method", "CONNECT")]),
    ]);
}

/// RFC 9110 §8.6 and RFC 9113 §8.1.1.
#[test]
fn bodies_are_as_long_as_they_say() {
    let head = |length: &str| frame(HEADERS, END_HEADERS, 1, &of(&[POST, &literal("content-length", length)]));
    let end = |payload: &[u8]| data(END_STREAM, 1, payload);
    hold(&[
        sends("8.1.1: as long as it says", &[&head("4"), &data(0, 1, b"te"), &end(b"st")], answered(1)),
        sends("8.1.1: longer", &[&head("1"), &end(b"test")], malformed(1)),
        sends("8.1.1: longer in several frames", &[&head("1"), &data(0, 1, b"test"), &end(b"test")], malformed(1)),
        sends("8.1.1: shorter", &[&head("5"), &end(b"test")], malformed(1)),
        sends(
            "8.1.1: none where one is said",
            &[&request(1, &of(&[POST, &literal("content-length", "1")]))],
            malformed(1),
        ),
        sends(
            "8.1.1: shorter, with trailers",
            &[&head("5"), &data(0, 1, b"test"), &frame(HEADERS, END_HEADERS | END_STREAM, 1, &literal("x", "y"))],
            malformed(1),
        ),
        sends("8.1.1: a length that is none", &[&head("+4"), &end(b"test")], malformed(1)),
        sends("8.1.1: two lengths", &[&head("4, 5"), &end(b"test")], malformed(1)),
        sends("8.1.1: one beyond all numbers", &[&head("99999999999999999999"), &end(b"test")], malformed(1)),
    ]);
}
