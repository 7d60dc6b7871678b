use proptest::prelude::*;

use super::parse_request;
use crate::head_error::HeadError as E;
use crate::token::is_tchar;
use crate::{FIELDS_MAX, Framing, HeadError, Limits, Parsed, RequestHead, Version, field_slots};

/// The path and host that are understood.
type Judged<'a> = Result<(&'a str, &'a str), HeadError>;

fn outcome_within(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
    let mut slots = field_slots();
    parse_request(bytes, &mut slots, limits).map(|parsed| match parsed {
        Parsed::Whole(_, taken) => Some(taken),
        Parsed::Partial => None,
    })
}

fn outcome(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    outcome_within(bytes, &Limits::default())
}

fn with<T>(bytes: &str, look: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let mut slots = field_slots();
    match parse_request(bytes.as_bytes(), &mut slots, &Limits::default()) {
        Ok(Parsed::Whole(head, _)) => look(&head),
        other => panic!("{bytes:?} gave {other:?}"),
    }
}

/// A request with these lines beside Host.
fn lined(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[test]
fn takes_one_head_and_says_what_it_holds() {
    let request =
        "PUT /a?b HTTP/1.1\r\nHost: h:8080\r\nContent-Length: 5\r\nExpect: 100-Continue\r\nX: \t y z \r\n\r\n";
    let bytes = format!("{request}helloGET / HTTP/1.1");
    assert_eq!(outcome(bytes.as_bytes()), Ok(Some(request.len())));
    with(&bytes, |head| {
        assert_eq!((head.method, head.target, head.host), ("PUT", "/a?b", "h:8080"));
        assert_eq!((head.version, head.framing), (Version::Http11, Framing::Length(5)));
        assert!(head.keep_alive && head.expects_continue && head.upgrade.is_none());
        assert_eq!(head.fields.iter().count(), 4);
        assert_eq!(head.fields.value("x"), Some(b"y z".as_slice()));
        assert_eq!(head.fields.value("y"), None);
    });
}

#[test]
fn every_beginning_of_a_head_is_partial() {
    let request = lined("Transfer-Encoding: chunked\r\nA:\r\nConnection: close\r\n");
    let bytes = format!("\r\n{request}");
    for end in 0..bytes.len() {
        assert_eq!(outcome(&bytes.as_bytes()[..end]), Ok(None), "{end}");
    }
    assert_eq!(outcome(bytes.as_bytes()), Ok(Some(bytes.len())));
}

#[test]
fn passes_over_a_few_empty_lines() {
    let request = lined("");
    assert_eq!(outcome(format!("\r\n\r\n{request}").as_bytes()), Ok(Some(request.len() + 4)));
    assert_eq!(outcome(format!("\r\n\r\n\r\n{request}").as_bytes()), Err(E::EmptyLines));
    assert_eq!(outcome(format!("\n{request}").as_bytes()), Err(E::BareLf));
    assert_eq!(outcome(format!("\r{request}").as_bytes()), Err(E::BareCr));
}

#[test]
fn the_request_line_is_three_words() {
    let table: &[(&str, Result<(), HeadError>)] = &[
        ("GET / HTTP/1.1", Ok(())),
        ("X-!#$%&'*+.^_`|~9 / HTTP/1.1", Ok(())),
        ("get / HTTP/1.1", Ok(())),
        ("GET / HTTP/1.0", Ok(())),
        ("GET  / HTTP/1.1", Err(E::Target)),
        ("GET /  HTTP/1.1", Err(E::RequestLine)),
        ("GET / HTTP/1.1 ", Err(E::RequestLine)),
        (" GET / HTTP/1.1", Err(E::Method)),
        ("GET\t/ HTTP/1.1", Err(E::Method)),
        ("GET /\tHTTP/1.1", Err(E::Target)),
        ("GET / HTTP/1.1\t", Err(E::RequestLine)),
        ("GET / a HTTP/1.1", Err(E::RequestLine)),
        ("GET /", Err(E::Target)),
        ("GET", Err(E::Method)),
        ("G@T / HTTP/1.1", Err(E::Method)),
        ("GÉT / HTTP/1.1", Err(E::Method)),
        ("GET / http/1.1", Err(E::RequestLine)),
        ("GET / HTTP/1.1x", Err(E::RequestLine)),
        ("GET / HTTP/1.10", Err(E::RequestLine)),
        ("GET / HTTP/11", Err(E::UnknownVersion)),
        ("GET / HTTP/1.2", Err(E::UnknownVersion)),
        ("GET / HTTP/0.9", Err(E::UnknownVersion)),
        ("GET / HTTP/2.0", Err(E::UnknownVersion)),
        ("PRI * HTTP/2.0", Err(E::UnknownVersion)),
        ("GET / HTTP/x", Err(E::RequestLine)),
        ("GET / XTTP/1.1", Err(E::RequestLine)),
        ("GET /\rHTTP/1.1", Err(E::Target)),
        ("GET / HTTP/1.1\r", Err(E::BareCr)),
    ];
    for (line, expected) in table {
        let request = format!("{line}\r\nHost: h\r\n\r\n");
        let expected = expected.map(|()| Some(request.len()));
        assert_eq!(outcome(request.as_bytes()), expected, "{line:?}");
    }
}

#[test]
fn targets_have_the_form_of_their_method() {
    let table: &[(&str, Judged<'_>)] = &[
        ("GET /", Ok(("/", "h"))),
        ("GET //x/../y?a=b&c", Ok(("//x/../y?a=b&c", "h"))),
        ("GET /{a}|b\\c\"", Ok(("/{a}|b\\c\"", "h"))),
        ("OPTIONS *", Ok(("*", "h"))),
        ("GET *", Err(E::Target)),
        ("OPTIONS **", Err(E::Target)),
        ("GET http://a.example/x?y", Ok(("/x?y", "a.example"))),
        ("GET HTTPS://a.example:1", Ok(("/", "a.example:1"))),
        ("GET http://[::1]:1/", Ok(("/", "[::1]:1"))),
        ("GET http://a?x=/", Ok(("?x=/", "a"))),
        ("OPTIONS http://a", Ok(("*", "a"))),
        ("OPTIONS http://a/", Ok(("/", "a"))),
        ("GET http:///x", Err(E::Target)),
        ("GET http://u@a/", Err(E::Target)),
        ("GET http://a:x/", Err(E::Target)),
        ("GET http:/a", Err(E::Target)),
        ("GET ftp://a/", Err(E::Target)),
        ("GET a.example/x", Err(E::Target)),
        ("GET a.example:80", Err(E::Target)),
        ("GET /a#b", Err(E::Target)),
        ("GET /é", Err(E::Target)),
        ("GET /a\0", Err(E::Target)),
        ("GET /a\u{7f}", Err(E::Target)),
        ("CONNECT a.example:443", Ok(("", "a.example:443"))),
        ("CONNECT [::1]:443", Ok(("", "[::1]:443"))),
        ("CONNECT a.example", Err(E::Target)),
        ("CONNECT a.example:", Err(E::Target)),
        ("CONNECT :443", Err(E::Target)),
        ("CONNECT /", Err(E::Target)),
        ("CONNECT http://a:1/", Err(E::Target)),
        ("CONNECT a:65536", Err(E::Target)),
    ];
    for (line, expected) in table {
        let request = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
        match expected {
            Err(error) => assert_eq!(outcome(request.as_bytes()), Err(*error), "{line}"),
            Ok(expected) => {
                let found = with(&request, |head| (head.path_and_query == expected.0, head.host == expected.1));
                assert_eq!(found, (true, true), "{line}");
            }
        }
    }
    let invalid_utf8 = b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(outcome(invalid_utf8), Err(E::Target));
}

#[test]
fn one_host_and_a_sound_one() {
    let table: &[(&str, Result<&str, HeadError>)] = &[
        ("Host: example.org\r\n", Ok("example.org")),
        ("hOST:EXAMPLE.org:\r\n", Ok("EXAMPLE.org:")),
        ("Host: a_b-c.1:65535\r\n", Ok("a_b-c.1:65535")),
        ("Host: 192.0.2.1\r\n", Ok("192.0.2.1")),
        ("Host: [2001:db8::1]:80\r\n", Ok("[2001:db8::1]:80")),
        ("Host:\r\n", Ok("")),
        ("", Err(E::HostMissing)),
        ("X-Host: h\r\n", Err(E::HostMissing)),
        ("Host: h\r\nHost: h\r\n", Err(E::HostRepeated)),
        ("Host: h\r\nA: b\r\nhost: i\r\n", Err(E::HostRepeated)),
        ("Host:\r\nHost: h\r\n", Err(E::HostRepeated)),
        ("Host: u@h\r\n", Err(E::HostInvalid)),
        ("Host: h/\r\n", Err(E::HostInvalid)),
        ("Host: h?\r\n", Err(E::HostInvalid)),
        ("Host: http://h\r\n", Err(E::HostInvalid)),
        ("Host: a b\r\n", Err(E::HostInvalid)),
        ("Host: a\tb\r\n", Err(E::HostInvalid)),
        ("Host: h:8o\r\n", Err(E::HostInvalid)),
        ("Host: h:+80\r\n", Err(E::HostInvalid)),
        ("Host: h:65536\r\n", Err(E::HostInvalid)),
        ("Host: h:80:80\r\n", Err(E::HostInvalid)),
        ("Host: ::1\r\n", Err(E::HostInvalid)),
        ("Host: [::1\r\n", Err(E::HostInvalid)),
        ("Host: [::1]x\r\n", Err(E::HostInvalid)),
        ("Host: [h]\r\n", Err(E::HostInvalid)),
        ("Host: [fe80::1%25eth0]\r\n", Err(E::HostInvalid)),
        ("Host: ex%61mple.org\r\n", Err(E::HostInvalid)),
        ("Host: \"h\"\r\n", Err(E::HostInvalid)),
        ("Host: a\\b\r\n", Err(E::HostInvalid)),
        ("Host: é\r\n", Err(E::HostInvalid)),
        ("Host: h\0\r\n", Err(E::FieldValue)),
    ];
    for (lines, expected) in table {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        match expected {
            Err(error) => assert_eq!(outcome(request.as_bytes()), Err(*error), "{lines:?}"),
            Ok(host) => with(&request, |head| assert_eq!(head.host, *host)),
        }
    }
    with("GET / HTTP/1.0\r\n\r\n", |head| assert_eq!(head.host, ""));
    assert_eq!(outcome(b"GET http://a/ HTTP/1.1\r\n\r\n"), Err(E::HostMissing));
    assert_eq!(outcome(b"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"), Err(E::HostRepeated));
}

#[test]
fn the_connection_persists_as_rfc_9112_says() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: foo, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nconnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close, keep-alive\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ];
    for (version, lines, expected) in table {
        let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        with(&request, |head| assert_eq!(head.keep_alive, expected, "{request:?}"));
    }
}

#[test]
fn continue_is_awaited_where_a_body_is() {
    let expects = |request: &str| with(request, |head| head.expects_continue);
    assert!(expects(&lined("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")));
    assert!(!expects(&lined("Expect: 100-continue\r\n")));
    assert!(!expects(&lined("Expect: 100-continue\r\nContent-Length: 0\r\n")));
    assert!(!expects(&lined("Expect: 200-ok\r\nContent-Length: 1\r\n")));
    assert!(!expects("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"));
}

#[test]
fn an_upgrade_needs_both_fields_and_a_protocol_to_tunnel() {
    let table = [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", Some("websocket")),
        ("Upgrade: a/1, b\r\nConnection: close, upgrade\r\n", Some("a/1, b")),
        ("Upgrade: websocket\r\n", None),
        ("Connection: upgrade\r\n", None),
        ("Connection: upgrade\r\nUpgrade:\r\n", None),
        ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", None),
        ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\nUpgrade: c\r\n", None),
        ("Connection: upgrade, http2-settings\r\nUpgrade: H2C\r\n", None),
        ("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", None),
        ("Connection: upgrade\r\nUpgrade: é\r\n", None),
    ];
    for (lines, expected) in table {
        with(&lined(lines), |head| assert_eq!(head.upgrade, expected, "{lines:?}"));
    }
    let old = "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    with(old, |head| assert_eq!(head.upgrade, None));
}

#[test]
fn a_connect_has_no_body() {
    let connect = |lines: &str| format!("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n{lines}\r\n");
    with(&connect("Content-Length: 0\r\n"), |head| assert_eq!(head.method, "CONNECT"));
    for line in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert_eq!(outcome(connect(line).as_bytes()), Err(E::ConnectWithBody));
    }
}

#[test]
fn limits_hold_in_whole_heads_and_partial_ones() {
    let target = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(bytes - 1));
    assert_eq!(outcome(target(16 * 1024).as_bytes()), Ok(Some(16 * 1024 + 26)));
    let long = target(16 * 1024 + 1);
    for end in [16 * 1024 + 5, 16 * 1024 + 6, 16 * 1024 + 12, long.len()] {
        assert_eq!(outcome(&long.as_bytes()[..end]), Err(E::TargetTooLong), "{end}");
    }
    assert_eq!(outcome(&long.as_bytes()[..16 * 1024 + 4]), Ok(None));

    let head = |bytes: usize| lined(&format!("A: {}\r\n", "a".repeat(bytes - lined("A: \r\n").len())));
    assert_eq!(outcome(head(32 * 1024).as_bytes()), Ok(Some(32 * 1024)));
    assert_eq!(outcome(head(32 * 1024 + 1).as_bytes()), Err(E::HeadTooLarge));
    assert_eq!(outcome(&head(32 * 1024).as_bytes()[..32 * 1024 - 1]), Ok(None));
    assert_eq!(outcome(&head(40 * 1024).as_bytes()[..32 * 1024]), Err(E::HeadTooLarge));

    assert_eq!(outcome(lined(&"A:\r\n".repeat(FIELDS_MAX - 1)).as_bytes()), Ok(Some(536)));
    assert_eq!(outcome(lined(&"A:\r\n".repeat(FIELDS_MAX)).as_bytes()), Err(E::TooManyFields));
    let few = Limits { fields: 2, ..Limits::default() };
    assert_eq!(outcome_within(lined("A:\r\nB:\r\n").as_bytes(), &few), Err(E::TooManyFields));
    assert_eq!(outcome(lined(&format!("Connection: {}\r\n", "a,".repeat(31))).as_bytes()), Ok(Some(104)));
    assert_eq!(outcome(lined(&format!("Connection: {}\r\n", "a,".repeat(32))).as_bytes()), Err(E::TooManyOptions));
}

#[test]
fn every_byte_is_judged_wherever_it_stands() {
    for byte in 0..=255_u8 {
        let at = |before: &str, after: &str| {
            let bytes = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            outcome(&bytes).is_ok_and(|taken| taken == Some(bytes.len()))
        };
        let shown = char::from(byte);
        let rest = " HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(at("GE", &format!(" /{rest}")), is_tchar(byte), "method {shown:?}");
        let filler = "a".repeat(40);
        let in_target = byte.is_ascii_graphic() && byte != b'#';
        assert_eq!(at(&format!("GET /{filler}"), &format!("{filler}{rest}")), in_target, "target {shown:?}");
        let line = |before: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{before}");
        // A colon ends the name: what follows is the value then.
        let in_name = is_tchar(byte) || byte == b':';
        assert_eq!(at(&line("X"), "Y: z\r\n\r\n"), in_name, "name {shown:?}");
        assert_eq!(at(&line(&filler), &format!("{filler}: z\r\n\r\n")), in_name, "long name {shown:?}");
        assert_eq!(at(&line(""), ": z\r\n\r\n"), is_tchar(byte), "name of {shown:?}");
        let in_value = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        for (before, after) in [("X:", "\r\n\r\n"), ("X: a", "b\r\n\r\n"), ("X: a", "\r\n\r\n")] {
            assert_eq!(at(&line(before), after), in_value, "value {shown:?}");
        }
        assert_eq!(at(&line(&format!("X: {filler}")), &format!("{filler}\r\n\r\n")), in_value, "{shown:?}");
    }
}

#[test]
fn lists_are_searched_over_all_lines() {
    with(&lined("Accept: a , B\r\naccept: c\r\n"), |head| {
        assert!(head.fields.has_token("ACCEPT", "b") && head.fields.has_token("accept", "C"));
        assert!(!head.fields.has_token("accept", "d") && !head.fields.has_token("b", "a"));
    });
}

#[test]
fn statuses_and_reasons_are_stable() {
    let table = [
        (E::HeadTooLarge, 431, "head_too_large"),
        (E::TargetTooLong, 414, "target_too_long"),
        (E::TooManyFields, 431, "too_many_fields"),
        (E::CodingUnknown, 501, "coding_unknown"),
        (E::UnknownVersion, 505, "unknown_version"),
        (E::BareCr, 400, "bare_cr"),
    ];
    for (error, status, reason) in table {
        assert_eq!((error.status(), error.reason()), (status, reason));
    }
    let mut reasons: Vec<_> = HeadError::ALL.iter().map(|error| error.reason()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), HeadError::ALL.len());
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = outcome(&bytes);
    }

    #[test]
    fn near_misses_never_panic_and_split_anywhere(
        lines in prop::collection::vec("(Host|Content-Length|Transfer-Encoding|Connection|X|\r|\n|:| |0|h|chunked|,|close){0,6}\r\n", 0..5),
        cut in 0.0..1.0_f64,
    ) {
        let bytes = format!("GET / HTTP/1.1\r\n{}\r\n", lines.concat()).into_bytes();
        let whole = outcome(&bytes);
        let end = (bytes.len() as f64 * cut) as usize;
        match (outcome(&bytes[..end]), whole) {
            (Ok(None), _) => {}
            // The reason may differ: where a line goes on decides what is wrong with it.
            (Err(_), Err(_)) => {}
            (beginning, whole) => prop_assert_eq!(beginning, whole),
        }
    }
}
