//! Every form of message, relayed as it was meant.

use std::sync::{Arc, Mutex};

use lab::{BadServer, End, Message};

use crate::{FRONT, GET, OK, Relay, rig};

/// A server that answers each request with its path.
fn echo_path(host: &lab::Host) -> BadServer {
    BadServer::start(host, 80, |wire| {
        while let Ok(request) = wire.request() {
            let path = request.start.split(' ').nth(1).unwrap_or_default();
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
        }
    })
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = lab::require!(rig("pipeline"));
    let _perron = Relay::default().start(&rig);
    let _server = echo_path(&rig.server);
    let mut client = rig.client.connect(FRONT);
    let requests: String = (0..50).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for number in 0..50 {
        assert_eq!(client.answer().text(), format!("/{number}"));
    }
    client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().text(), "/body");
    assert_eq!(client.answer().text(), "/after");
}

#[test]
fn http_1_0_clients_get_what_they_can_read() {
    let rig = lab::require!(rig("http10"));
    let _perron = Relay::default().start(&rig);
    let server = BadServer::answering(&rig.server, 80, OK);
    let mut client = rig.client.connect(FRONT);
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().text(), "ok");
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
    let mut client = rig.client.connect(FRONT);
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.text(), "ok");
        assert!(!answer.closes(), "{answer:?}");
    }
    drop(server);

    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let _server = BadServer::answering(&rig.server, 80, chunks);
    let mut client = rig.client.connect(FRONT);
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.field("transfer-encoding"), answer.text().as_str()), (None, "abcde"));
}

#[test]
fn a_body_that_ends_with_its_connection_is_relayed_whole() {
    let rig = lab::require!(rig("close-delimited"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::closing_after(&rig.server, 80, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert_eq!(client.answer().text(), "until the end");
}

#[test]
fn interim_answers_are_relayed() {
    let rig = lab::require!(rig("interim"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        while let Ok(mut request) = wire.request_head() {
            if request.start.contains("/hints") {
                wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            } else if request.start.contains("/refuse") {
                wire.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return;
            } else {
                wire.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let Ok(()) = wire.request_body(&mut request) else {
                return;
            };
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.body.len(), request.text()));
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = client.answer();
    assert_eq!((hints.status(), hints.field("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(client.answer().status(), 200);

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status(), 100, "before any of the body is sent");
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");

    client.send("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status(), 417);
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let rig = lab::require!(rig("bodiless"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        while let Ok(request) = wire.request() {
            wire.send(match request.start.split(' ').take(2).collect::<Vec<_>>()[..] {
                ["HEAD", _] => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                [_, "/204"] => "HTTP/1.1 204 No Content\r\n\r\n",
                [_, "/304"] => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
                _ => OK,
            });
        }
    });
    let mut client = rig.client.connect(FRONT);
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.answer_to_head();
        assert_eq!((head.status(), head.field("content-length")), (200, Some("5")));
        client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().status(), 204);
        client.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().status(), 304);
        client.send(GET);
        assert_eq!(client.answer().text(), "ok");
    }
}

#[test]
fn chunks_and_trailers_go_both_ways() {
    let rig = lab::require!(rig("trailers"));
    let _perron = Relay::default().start(&rig);
    let seen = Arc::new(Mutex::new(Message::default()));
    let kept = Arc::clone(&seen);
    let _server = BadServer::start(&rig.server, 80, move |wire| {
        while let Ok(request) = wire.request() {
            let size = request.body.len();
            *kept.lock().expect("no script panicked") = request;
            wire.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{size:x}\r\n"));
            wire.send("y".repeat(size));
            wire.send("\r\n1;extension=\"a\"\r\nz\r\n0\r\nX-Sum: 42\r\n\r\n");
        }
    });
    let mut client = rig.client.connect(FRONT);
    for size in [1, 100_000, 3_000_000] {
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n",
        );
        client.send(format!("{size:X}\r\n{}\r\n0\r\nX-Check: 7\r\n\r\n", "x".repeat(size)));
        let answer = client.answer();
        assert_eq!(answer.body.len(), size + 1);
        assert_eq!(answer.trailers, [("X-Sum".to_owned(), "42".to_owned())]);
        let request = seen.lock().expect("no script panicked").clone();
        assert_eq!(request.body, "x".repeat(size).as_bytes());
        assert_eq!(request.trailers, [("X-Check".to_owned(), "7".to_owned())]);
    }
}

#[test]
fn what_a_client_forged_about_itself_does_not_reach_a_server() {
    let rig = lab::require!(rig("forwarded"));
    let _perron =
        Relay { frontend: "forwarded = { x-forwarded = true, forwarded = true }", ..Relay::default() }.start(&rig);
    let seen = Arc::new(Mutex::new(Message::default()));
    let kept = Arc::clone(&seen);
    let _server = BadServer::start(&rig.server, 80, move |wire| {
        while let Ok(request) = wire.request() {
            *kept.lock().expect("no script panicked") = request;
            wire.send(OK);
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send(
        "GET / HTTP/1.1\r\nHost: site\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nForwarded: for=6.6.6.6\r\n\
         Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-Kept: 2\r\n\r\n",
    );
    assert_eq!(client.answer().status(), 200);
    let request = seen.lock().expect("no script panicked").clone();
    let all = |name: &str| request.fields.iter().filter(|(its, _)| its.eq_ignore_ascii_case(name)).count();
    assert_eq!((request.field("x-forwarded-for"), all("x-forwarded-for")), (Some("10.0.0.1"), 1), "{request:?}");
    let forwarded = request.field("forwarded").expect("it was asked for");
    assert!(
        forwarded.contains("for=10.0.0.1") && !forwarded.contains("6.6.6.6") && all("forwarded") == 1,
        "{forwarded}"
    );
    assert_eq!((all("x-hop"), all("keep-alive"), request.field("x-kept")), (0, 0, Some("2")));
    assert_eq!(request.field("host"), Some("site"));
}

#[test]
fn an_answer_may_come_before_the_request_is_whole() {
    let rig = lab::require!(rig("early-answer"));
    let _perron = Relay::default().start(&rig);
    let _server = BadServer::start(&rig.server, 80, |wire| {
        if wire.request_head().is_ok() {
            wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
        }
    });
    for size in [10, 100_000, 5_000_000] {
        let mut client = rig.client.connect(FRONT);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        // All of the body but its end; the program need not take it.
        let _ = client.try_send(vec![b'x'; size - 5]);
        assert_eq!((client.answer().status(), size), (413, size));
    }
}

#[test]
fn every_form_of_target_is_relayed() {
    let rig = lab::require!(rig("targets"));
    let _perron = Relay::default().start(&rig);
    let server = BadServer::answering(&rig.server, 80, OK);
    let mut client = rig.client.connect(FRONT);
    for line in [
        "GET http://site/a?b HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET /a%2Fb//c/./d?e=%20&f HTTP/1.1",
        "PATCH /x HTTP/1.1",
    ] {
        client.send(format!("{line}\r\nHost: site\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.answer().status(), 200, "{line}");
    }
    let seen = server.requests();
    assert!(seen[0] == "GET /a?b HTTP/1.1" || seen[0] == "GET http://site/a?b HTTP/1.1", "{}", seen[0]);
    assert_eq!(seen[1..], ["OPTIONS * HTTP/1.1", "GET /a%2Fb//c/./d?e=%20&f HTTP/1.1", "PATCH /x HTTP/1.1"]);
}
