use std::net::IpAddr;

use proptest::prelude::*;

use super::{Connection, Forwarded, HeaderEdits, RequestForward, ResponseForward, write_request, write_response};
use crate::{Framing, Limits, Parsed, Version, field_slots, parse_request, parse_response};

const PLAIN: &str = "GET /a?b HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nX-Empty:\r\n\r\n";

fn edits(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderEdits {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HeaderEdits { remove: remove.iter().map(|name| (*name).to_owned()).collect(), set: pairs(set), add: pairs(add) }
}

fn onward(request: &str, client: Option<&str>, forwarded: &Forwarded, edits: [&HeaderEdits; 2]) -> String {
    let mut slots = field_slots();
    let parsed = parse_request(request.as_bytes(), &mut slots, &Limits::default());
    let Ok(Parsed::Whole(head, _)) = parsed else { panic!("{request:?} gave {parsed:?}") };
    let client: Option<IpAddr> = client.map(|address| address.parse().unwrap());
    let mut out = Vec::new();
    write_request(
        &mut out,
        &head,
        &RequestForward { client, reached: None, scheme: "http", identity: None, forwarded, edits },
    );
    String::from_utf8(out).unwrap()
}

/// Nothing is told of the client and nothing edited.
fn bare(request: &str) -> String {
    onward(request, None, &Forwarded::default(), [&HeaderEdits::default(); 2])
}

fn told(request: &str, client: Option<&str>, forwarded: &Forwarded) -> String {
    onward(request, client, forwarded, [&HeaderEdits::default(); 2])
}

fn answer(response: &str, method: &str, forward: &ResponseForward<'_>) -> String {
    let mut slots = field_slots();
    let parsed = parse_response(response.as_bytes(), &mut slots, &Limits::default(), method);
    let Ok(Parsed::Whole(head, _)) = parsed else { panic!("{response:?} gave {parsed:?}") };
    let mut out = Vec::new();
    write_response(&mut out, &head, forward);
    String::from_utf8(out).unwrap()
}

/// The same without the date that an answer without one is given.
fn dateless(response: &str, method: &str, forward: &ResponseForward<'_>) -> String {
    answer(response, method, forward).replace("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "")
}

fn kept(framing: Framing) -> ResponseForward<'static> {
    static NONE: HeaderEdits = HeaderEdits { remove: Vec::new(), set: Vec::new(), add: Vec::new() };
    ResponseForward {
        edits: [&NONE; 2],
        connection: Connection::KeepAlive,
        client_version: Version::Http11,
        framing,
        came: 784_111_777,
    }
}

#[test]
fn what_is_said_of_a_certificate_is_ours_alone_to_say() {
    let request = "GET / HTTP/1.1\r\nHost: x\r\nSSL-Client-Verify: SUCCESS\r\nssl_client_s_dn: CN=root\r\n\
                   Accept: */*\r\nSsl-Anything: 1\r\nSslX: 2\r\nSSL: 3\r\nConnection: ssl-client-verify\r\n\r\n";
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, _)) = parse_request(request.as_bytes(), &mut slots, &Limits::default()) else {
        panic!("this is a whole request");
    };
    let (forwarded, none) = (Forwarded::default(), HeaderEdits::default());
    for (identity, expected) in [
        (&b""[..], "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nSslX: 2\r\nSSL: 3\r\n\r\n"),
        (
            b"SSL-Client-Verify: NONE\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nSslX: 2\r\nSSL: 3\r\nSSL-Client-Verify: NONE\r\n\r\n",
        ),
    ] {
        let mut out = Vec::new();
        let forward = RequestForward {
            client: None,
            reached: None,
            scheme: "https",
            identity: Some(identity),
            forwarded: &forwarded,
            edits: [&none; 2],
        };
        write_request(&mut out, &head, &forward);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_plain_request_goes_on_to_the_letter() {
    assert_eq!(bare(PLAIN), PLAIN);
    let odd = "POST /%7Ea//b HTTP/1.1\r\nHost:h:1\r\nx-CaSe:\t v \r\nX-Case: w\r\ncontent-LENGTH: 007\r\n\r\n";
    let expected = "POST /%7Ea//b HTTP/1.1\r\nHost: h:1\r\nx-CaSe:\t v \r\nX-Case: w\r\ncontent-LENGTH: 007\r\n\r\n";
    assert_eq!(bare(odd), expected);
}

#[test]
fn host_comes_first_and_from_the_target_if_that_has_one() {
    assert_eq!(
        bare("GET http://a.example:81/x?y HTTP/1.1\r\nA: 1\r\nHost: b.example\r\nB: 2\r\n\r\n"),
        "GET /x?y HTTP/1.1\r\nHost: a.example:81\r\nA: 1\r\nB: 2\r\n\r\n"
    );
    assert_eq!(
        bare("GET http://a.example?y HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        "GET /?y HTTP/1.1\r\nHost: a.example\r\n\r\n"
    );
    assert_eq!(
        bare("OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"
    );
    assert_eq!(
        bare("CONNECT a.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n"),
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
    );
}

#[test]
fn http_1_0_goes_on_as_1_1() {
    assert_eq!(bare("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.1\r\nHost: \r\n\r\n");
    assert_eq!(
        bare("PUT / HTTP/1.0\r\nA: 1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
        "PUT / HTTP/1.1\r\nHost: \r\nA: 1\r\nContent-Length: 1\r\n\r\n"
    );
}

/// RFC 9112 §3.3: the target URI's authority, where the request has none.
#[test]
fn who_names_no_host_is_sent_on_with_the_address_that_it_reached() {
    let to = |request: &str, reached: &str, edits: [&HeaderEdits; 2]| {
        let mut slots = field_slots();
        let Ok(Parsed::Whole(head, _)) = parse_request(request.as_bytes(), &mut slots, &Limits::default()) else {
            panic!("{request:?} is a request")
        };
        let forwarded = &Forwarded::default();
        let reached = Some(reached.parse().unwrap());
        let mut out = Vec::new();
        write_request(
            &mut out,
            &head,
            &RequestForward { client: None, reached, scheme: "http", identity: None, forwarded, edits },
        );
        String::from_utf8(out).unwrap()
    };
    let unedited = HeaderEdits::default();
    let none = [&unedited; 2];
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(to(old, "192.0.2.1:80", none), "GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n");
    assert_eq!(to(old, "[::ffff:192.0.2.1]:8080", none), "GET / HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n");
    assert_eq!(to(old, "[fe80::1%2]:80", none), "GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n");
    let empty = "GET / HTTP/1.1\r\nHost:\r\n\r\n";
    assert_eq!(to(empty, "192.0.2.1:80", none), "GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n");
    let set = edits(&[], &[("Host", "app")], &[]);
    assert_eq!(to(old, "192.0.2.1:80", [&set, none[1]]), "GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(to(PLAIN, "192.0.2.1:80", none), PLAIN);
}

#[test]
fn hop_by_hop_fields_end_here() {
    let request = "POST / HTTP/1.1\r\nKeep-Alive: 5\r\nHost: h\r\nTE: trailers\r\nConnection: close, X-Hop, Te\r\n\
                   A: 1\r\nproxy-connection: x\r\nx-hop: 1\r\nUpgrade: websocket\r\nX-Hop: 2\r\n\
                   Transfer-Encoding: chunked\r\nProxy-Authorization: Basic eA==\r\n\r\n";
    assert_eq!(
        bare(request),
        "POST / HTTP/1.1\r\nHost: h\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\
         Proxy-Authorization: Basic eA==\r\n\r\n"
    );
}

#[test]
fn a_connection_field_cannot_take_away_what_frames_or_tells() {
    let forwarded = Forwarded { x_forwarded: true, forwarded: true, trusted: vec!["192.0.2.0/24".parse().unwrap()] };
    let request = "POST / HTTP/1.1\r\nConnection: Content-Length, Host\r\nHost: h\r\nContent-Length: 3\r\n\
                   Connection: forwarded, X-Forwarded-For, x-forwarded-host , x-forwarded-proto\r\n\
                   X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(
        told(request, Some("192.0.2.1"), &forwarded),
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-For: 10.0.0.1, 192.0.2.1\r\nX-Forwarded-Host: h\r\n\
         Forwarded: for=192.0.2.1;proto=http;host=h\r\n\r\n"
    );
}

#[test]
fn an_upgrade_that_connection_names_goes_on() {
    let request =
        "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nA: 1\r\n\r\n";
    assert_eq!(
        bare(request),
        "GET /ws HTTP/1.1\r\nHost: h\r\nA: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    let hidden =
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n";
    assert_eq!(bare(hidden), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn servers_are_told_of_the_client_and_forgeries_removed() {
    let forged = "GET / HTTP/1.1\r\nHost: h:80\r\nx-forwarded-for: 127.0.0.1\r\nForwarded: for=1\r\n\
                  X-Forwarded-Proto: https\r\nX_Forwarded-For: 1\r\nx_forwarded_host: evil\r\nX-Forwarded-Host: evil\r\n\r\n";
    let both = Forwarded { x_forwarded: true, forwarded: true, trusted: vec!["10.0.0.0/8".parse().unwrap()] };
    assert_eq!(
        told(forged, Some("2001:db8::1"), &both),
        "GET / HTTP/1.1\r\nHost: h:80\r\nX-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: h:80\r\nForwarded: for=\"[2001:db8::1]\";proto=http;host=\"h:80\"\r\n\r\n"
    );
    assert_eq!(
        told(forged, None, &both),
        "GET / HTTP/1.1\r\nHost: h:80\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:80\r\n\
         Forwarded: for=unknown;proto=http;host=\"h:80\"\r\n\r\n"
    );
    assert_eq!(bare(forged), "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n");
}

#[test]
fn a_trusted_clients_word_is_kept_and_added_to() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\nA: 1\r\nForwarded: for=192.0.2.7\r\n\
                   X-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Host: front.example\r\nX_Forwarded_For: 1\r\n\r\n";
    let mut forwarded = Forwarded { x_forwarded: true, forwarded: true, trusted: vec!["10.0.0.0/8".parse().unwrap()] };
    assert_eq!(
        told(request, Some("::ffff:10.0.0.3"), &forwarded),
        "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nX-Forwarded-Host: front.example\r\n\
         X-Forwarded-For: 192.0.2.7, 10.0.0.2, 10.0.0.3\r\nX-Forwarded-Proto: http\r\n\
         Forwarded: for=192.0.2.7, for=10.0.0.3;proto=http;host=h\r\n\r\n"
    );
    (forwarded.x_forwarded, forwarded.forwarded) = (false, false);
    assert_eq!(told(request, Some("10.0.0.3"), &forwarded), request.replace("X_Forwarded_For: 1\r\n", ""));
}

#[test]
fn edits_remove_set_and_add_in_turn() {
    let first = edits(&["ACCEPT"], &[("X-A", "1"), ("X-B", "1")], &[("X-C", "1")]);
    let second = edits(&["x-b"], &[("x-c", "2")], &[("X-A", "2")]);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nAccept: a\r\nx-a: 0\r\nX-D: 0\r\nX-C: 0\r\naccept: b\r\n\r\n";
    assert_eq!(
        onward(request, None, &Forwarded::default(), [&first, &second]),
        "GET / HTTP/1.1\r\nHost: h\r\nX-D: 0\r\nX-A: 1\r\nx-c: 2\r\nX-A: 2\r\n\r\n"
    );
}

#[test]
fn edits_reach_what_is_told_of_the_client() {
    let forwarded = Forwarded { x_forwarded: true, forwarded: true, trusted: Vec::new() };
    let first = edits(&["Forwarded", "X-Forwarded-Host"], &[("X-Forwarded-Proto", "https")], &[]);
    assert_eq!(
        onward(PLAIN, Some("192.0.2.1"), &forwarded, [&first, &HeaderEdits::default()]),
        "GET /a?b HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nX-Empty:\r\n\
         X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    );
}

#[test]
fn edits_set_the_host_and_leave_the_framing() {
    let first = edits(&["content-length", "Host"], &[("host", "inner")], &[("Transfer-Encoding", "chunked")]);
    let second = edits(&[], &[("Connection", "close")], &[("Host", "twice")]);
    assert_eq!(
        onward(
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
            None,
            &Forwarded::default(),
            [&first, &second]
        ),
        "PUT / HTTP/1.1\r\nHost: inner\r\nContent-Length: 3\r\n\r\n"
    );
}

/// RFC 9110 §6.6.1: a recipient with a clock adds the date to what it passes on; interim answers need none.
#[test]
fn an_answer_without_a_date_is_given_one() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let dated = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    assert_eq!(answer(response, "GET", &kept(Framing::Length(3))), dated);
    let own = "HTTP/1.1 200 OK\r\ndate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(answer(own, "GET", &kept(Framing::Length(3))), own);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    assert_eq!(answer(interim, "GET", &kept(Framing::None)), interim);
}

#[test]
fn a_plain_answer_goes_back_to_the_letter() {
    let response = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\nset-COOKIE: a\r\nSet-Cookie: b\r\n\r\n";
    assert_eq!(dateless(response, "GET", &kept(Framing::Length(3))), response);
    let chunked = "HTTP/1.1 404 Not Here\r\ntransfer-encoding: Chunked\r\n\r\n";
    assert_eq!(dateless(chunked, "GET", &kept(Framing::Chunked)), chunked);
}

#[test]
fn answers_lose_hop_by_hop_fields_and_say_http_1_1() {
    let response = "HTTP/1.0 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
                    Upgrade: h2c\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        dateless(response, "GET", &kept(Framing::Length(0))),
        "HTTP/1.1 200 OK\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn answers_say_what_becomes_of_the_connection() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let mut forward = kept(Framing::Length(3));
    forward.client_version = Version::Http10;
    assert!(dateless(response, "GET", &forward).ends_with("3\r\nConnection: keep-alive\r\n\r\n"));
    forward.connection = Connection::Close;
    assert!(dateless(response, "GET", &forward).ends_with("3\r\nConnection: close\r\n\r\n"));
    forward.client_version = Version::Http11;
    assert!(dateless(response, "GET", &forward).ends_with("3\r\nConnection: close\r\n\r\n"));
}

#[test]
fn answers_are_framed_as_the_client_reads_them() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n";
    assert_eq!(dateless(chunked, "GET", &kept(Framing::UntilClose)), "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n");
    let open = "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n";
    assert_eq!(
        dateless(open, "GET", &kept(Framing::Chunked)),
        "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert_eq!(
        dateless(open, "GET", &kept(Framing::Length(10_230))),
        "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 10230\r\n\r\n"
    );
}

#[test]
fn answers_without_body_tell_its_length_where_they_may() {
    let with_length = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\nA: 1\r\n\r\n");
    let without = |status: &str| format!("HTTP/1.1 {status}\r\nA: 1\r\n\r\n");
    let none = kept(Framing::None);
    assert_eq!(dateless(&with_length("200 OK"), "HEAD", &none), with_length("200 OK"));
    assert_eq!(dateless(&with_length("304 Not Modified"), "GET", &none), with_length("304 Not Modified"));
    assert_eq!(dateless(&with_length("204 No Content"), "GET", &none), without("204 No Content"));
    assert_eq!(dateless(&with_length("103 Early Hints"), "GET", &none), without("103 Early Hints"));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n";
    assert_eq!(dateless(chunked, "HEAD", &none), without("200 OK"));
}

#[test]
fn tunnels_open_with_an_upgrade_or_a_connect() {
    let mut forward = kept(Framing::None);
    forward.connection = Connection::Upgrade;
    assert_eq!(
        dateless(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nUpgrade: websocket\r\nA: 1\r\n\r\n",
            "GET",
            &forward
        ),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nA: 1\r\nConnection: Upgrade\r\n\r\n"
    );
    assert_eq!(
        dateless("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\n\r\n", "CONNECT", &forward),
        "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"
    );
}

#[test]
fn answers_are_edited() {
    let first = edits(&["server"], &[("Strict-Transport-Security", "max-age=1")], &[]);
    let mut forward = kept(Framing::Length(3));
    forward.edits[1] = &first;
    assert_eq!(
        dateless("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\n", "GET", &forward),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nStrict-Transport-Security: max-age=1\r\n\r\n"
    );
}

proptest! {
    /// What the next server reads is what we read, whatever Connection names.
    #[test]
    fn an_accepted_request_means_the_same_onward(
        lines in prop::collection::vec(
            "(Content-Length: 5|Transfer-Encoding: chunked|Connection: (close|X|Host|Content-Length|Upgrade)(, (X|Transfer-Encoding|TE))?\
             |Upgrade: websocket|X: y|TE: trailers|x-forwarded-for: 1|Forwarded: for=1|Keep-Alive: 1)\r\n",
            0..8,
        ),
        target in "(/|/a\\?b|http://t.example|http://t.example:1\\?q|http://t.example/x)",
    ) {
        let request = format!("POST {target} HTTP/1.1\r\nHost: h\r\n{}\r\n", lines.concat());
        let mut slots = field_slots();
        let parsed = parse_request(request.as_bytes(), &mut slots, &Limits::default());
        if let Ok(Parsed::Whole(head, _)) = parsed {
            let onward = told(&request, Some("192.0.2.1"), &Forwarded { x_forwarded: true, ..Forwarded::default() });
            let mut slots = field_slots();
            let again = parse_request(onward.as_bytes(), &mut slots, &Limits::default());
            let Ok(Parsed::Whole(again, taken)) = again else { panic!("{onward:?} gave {again:?}") };
            prop_assert_eq!(taken, onward.len());
            prop_assert_eq!((again.host, again.framing), (head.host, head.framing));
            prop_assert_eq!((again.method, again.upgrade), (head.method, head.upgrade));
            prop_assert!(again.keep_alive && again.target.starts_with('/'));
            prop_assert_eq!(again.fields.value("x-forwarded-for"), Some(b"192.0.2.1".as_slice()));
            let ended = ["te", "keep-alive", "forwarded"];
            prop_assert!(ended.iter().all(|name| again.fields.value(name).is_none()));
        }
    }
}
