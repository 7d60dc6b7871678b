//! Bodies of requests: with and without a length, large both ways, and applications that read them when they like.

use std::sync::mpsc::channel;

use lab::{SOON, Wire, wait_for};

use crate::Site;
use crate::application::{END, answer, asked, body, read_record, record, serve, stdout};

/// Numbers that do not repeat within a record.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32 / 4).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn a_body_comes_whole_however_it_is_framed() {
    let site = lab::require!(Site::new("fastcgi-bodies"));
    let _app = site.application("app.sock", |wire| {
        serve(wire, |asked, body| {
            let length = asked.get("CONTENT_LENGTH").unwrap_or("none");
            let coding = asked.get("HTTP_TRANSFER_ENCODING").unwrap_or("none");
            answer([format!("X: y\n\n{length} {coding} ").as_bytes(), body].concat())
        });
    });
    let _perron = site.perron("keep-connection = true");
    let mut client = site.connect();
    let mut ask = |request: &[&str]| {
        for piece in request {
            client.send(piece);
        }
        client.answer().text()
    };
    assert_eq!(ask(&["POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"]), "5 none hello");
    assert_eq!(ask(&["POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "he", "llo"]), "5 none hello");
    assert_eq!(ask(&["POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"]), "0 none ");
    assert_eq!(ask(&["POST /app HTTP/1.1\r\nHost: a\r\n\r\n"]), "none none ");
    let chunked = "POST /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(ask(&[chunked, "2;x=y\r\nhe\r", "\n3\r\nl", "lo\r\n0\r\nX-T: t\r\n", "\r\n"]), "none none hello");
    let whole = format!("{chunked}5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(ask(&[&whole]), "none none hello");
    assert_eq!(ask(&[chunked, "0\r\n\r\n"]), "none none ");
}

#[test]
fn large_answers_come_whole_whatever_is_between_their_records() {
    const RECORDS: [(usize, u8); 9] = [
        (65535, 1),
        (65535, 0),
        (16, 7),
        (40_000, 255),
        (65_532, 4),
        (16_384, 0),
        (16_380, 3),
        (65_535, 8),
        (60_000, 0),
    ];
    let site = lab::require!(Site::new("fastcgi-large"));
    let _app = site.application("app.sock", |wire| {
        serve(wire, |asked, _| {
            let part = asked.get("QUERY_STRING").expect("told").parse().unwrap_or(RECORDS.len());
            let all = content(RECORDS.iter().map(|(length, _)| length.next_multiple_of(4)).sum());
            let length = RECORDS.iter().map(|(length, _)| length).sum::<usize>();
            let mut records = stdout(format!("Content-Length: {length}\n\n"));
            let mut at = 0;
            for (place, (length, padding)) in RECORDS.into_iter().take(part).enumerate() {
                if place % 4 == 3 {
                    records.extend(record(7, "a word in between"));
                }
                let mut padded = stdout(&all[at..at + length]);
                padded[6] = padding;
                padded.resize(padded.len() + usize::from(padding), b'#');
                records.extend(padded);
                at += length;
            }
            records.extend(END);
            records
        });
    });
    let _perron = site.perron("keep-connection = true");
    let length = RECORDS.iter().map(|(length, _)| length).sum::<usize>();
    let mut client = site.connect();
    for _ in 0..3 {
        client.send("GET /app?all HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer();
        assert!(
            answer.body == content(length.next_multiple_of(4))[..length],
            "{} bytes of {length}",
            answer.body.len()
        );
    }
    // It ends the request with less than it has promised: the client must not take that for the whole.
    for part in [1, 2, 3, 5] {
        let mut client = site.connect();
        client.send(format!("GET /app?{part} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.read_until("\r\n\r\n");
        assert!(client.try_read_exact(length).is_err(), "{part} records are all");
    }
}

#[test]
fn a_client_that_waits_to_be_told_is_told() {
    let site = lab::require!(Site::new("fastcgi-continue"));
    let _app = site.application("app.sock", |wire| {
        serve(wire, |asked, body| {
            assert_eq!(asked.get("HTTP_EXPECT"), None);
            answer([b"X: y\n\n", body].concat())
        });
    });
    let _perron = site.perron("");
    let mut client = site.connect();
    client.send("POST /app HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
    client.send("ok");
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn much_goes_both_ways_at_once() {
    const LENGTH: usize = 12 << 20;
    let site = lab::require!(Site::new("fastcgi-much"));
    // It sends back each record as it comes, and reads no more before that is gone.
    let _app = site.application("app.sock", |wire| {
        while let Ok(asked) = asked(wire) {
            wire.send(stdout("Content-Type: a/b\n\n"));
            while let Ok((5, piece)) = read_record(wire) {
                if piece.is_empty() {
                    break;
                }
                if wire.try_send(stdout(&piece)).is_err() {
                    return;
                }
            }
            wire.send(END);
            if !asked.keep {
                return;
            }
        }
    });
    let _perron = site.perron("keep-connection = true");
    let sent = site.client.new_folder("much").join("sent");
    std::fs::write(&sent, content(LENGTH)).expect("the folder is ours");
    let data = format!("@{}", sent.display());
    for more in [&[][..], &["-H", "Transfer-Encoding: chunked"], &["-0"]] {
        let came = sent.with_file_name("came");
        let arguments = ["--data-binary", &data, "-o", came.to_str().expect("plain"), "http://10.0.0.2/app"];
        site.client.curl(&[more, &arguments].concat()).success();
        assert!(std::fs::read(&came).expect("it is there") == content(LENGTH), "{more:?}");
    }
}

#[test]
fn an_application_may_answer_before_it_has_read_or_never_read() {
    let site = lab::require!(Site::new("fastcgi-early"));
    let _app = site.application("app.sock", |wire| {
        let Ok(asked) = asked(wire) else { return };
        if asked.get("QUERY_STRING") == Some("never") {
            let _ = wire.try_send(answer("Status: 413 Too much\nContent-Length: 2\n\nno"));
            return;
        }
        wire.send(stdout("Content-Length: 5\n\nearly"));
        let _ = body(wire);
        let _ = wire.try_send(END);
    });
    let _perron = site.perron("");
    let large = "x".repeat(8 << 20);
    let mut client = site.connect();
    client.send("POST /app?early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(client.answer().text(), "early");

    let mut client = site.connect();
    client.send("POST /app?never HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n");
    let _ = client.try_send(&large);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (413, "no"));
}

#[test]
fn an_application_that_wants_a_length_is_not_asked_without_one() {
    let site = lab::require!(Site::new("fastcgi-length"));
    let app = site.application("app.sock", |wire| serve(wire, |_, _| answer("X: y\n\nno")));
    let perron = site.perron("length-required = true");
    let mut client = site.connect();
    client.send("POST /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status(), 411);
    assert!(answer.text().contains("Content-Length"), "{}", answer.text());
    assert_eq!(app.accepted(), 0);
    wait_for(SOON, "it is counted", || perron.status()["reasons"]["length_required"] == 1);
}

#[test]
fn an_application_is_told_that_its_client_has_gone() {
    let site = lab::require!(Site::new("fastcgi-abort"));
    let (tell, told) = channel();
    let _app = site.application("app.sock", move |wire: &mut Wire| {
        asked(wire).expect("it is asked");
        body(wire).expect("a request ends");
        wire.send(stdout("X: y\n\nbegun"));
        tell.send(read_record(wire)).expect("the test waits");
    });
    let _perron = site.perron("keep-connection = true");
    let mut client = site.connect();
    client.send("GET /app HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("begun");
    drop(client);
    // ABORT_REQUEST (FastCGI 1.0 §5.4).
    assert_eq!(told.recv().expect("it is told"), Ok((2, Vec::new())));
}
