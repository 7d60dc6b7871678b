//! Applications that do what they must not.

use lab::{End, Perron, SOON, wait_for};

use crate::application::{END, answer, asked, body, record, serve, stdout};
use crate::{FRONT, Site};

#[track_caller]
fn counted(perron: &Perron, reason: &str, count: u64) {
    wait_for(SOON, &format!("{reason} is counted {count} times: {}", perron.status()["reasons"]), || {
        perron.status()["reasons"][reason] == count
    });
}

#[test]
fn bytes_that_are_no_answer_are_502_and_counted() {
    let site = lab::require!(Site::new("fastcgi-garbage"));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("fastcgi_version", b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ("fastcgi_record_type", record(11, [0; 8])),
        ("fastcgi_record_type", record(4, "")),
        ("fastcgi_request_id", vec![1, 6, 0, 2, 0, 0, 0, 0]),
        ("fastcgi_request_id", vec![1, 6, 0, 0, 0, 0, 0, 0]),
        ("fastcgi_end_length", vec![1, 3, 0, 1, 0, 0, 0, 0]),
        ("fastcgi_no_head", END.to_vec()),
        ("fastcgi_no_head", answer("Status: 200 OK\n")),
        ("fastcgi_head_line", answer("no head at all\n\n")),
        ("fastcgi_status", answer("Status: many\n\n")),
        ("fastcgi_head_too_large", stdout("A: b\n").repeat(8000)),
        ("fastcgi_cannot_multiplex", record(3, [0, 0, 0, 0, 1, 0, 0, 0])),
        ("fastcgi_unknown_role", record(3, [0, 0, 0, 0, 3, 0, 0, 0])),
        ("fastcgi_end_status", record(3, [0, 0, 0, 0, 77, 0, 0, 0])),
        // What records are right of is still no answer of HTTP.
        ("server_malformed", answer("Bad name: x\n\n")),
        ("server_malformed", answer("Content-Length: 1\nTransfer-Encoding: chunked\n\n1\r\nx\r\n0\r\n\r\n")),
    ];
    let answers: Vec<Vec<u8>> = cases.iter().map(|(_, bytes)| bytes.clone()).collect();
    let _app = site.application("app.sock", move |wire| {
        let Ok(asked) = asked(wire) else { return };
        let _ = body(wire);
        let case: usize = asked.get("QUERY_STRING").and_then(|text| text.parse().ok()).expect("a number");
        let _ = wire.try_send(&answers[case]);
        let _ = wire.rest();
    });
    let perron = site.perron("");
    let mut client = site.connect();
    for (case, (reason, _)) in cases.iter().enumerate() {
        client.send(format!("GET /app?{case} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.answer().status(), 502, "{reason}");
    }
    for (reason, _) in &cases {
        let count = cases.iter().filter(|(other, _)| other == reason).count();
        counted(&perron, reason, count as u64);
    }
}

#[test]
fn an_application_that_ends_early_is_502_or_cuts_its_client_off() {
    let site = lab::require!(Site::new("fastcgi-short"));
    let _app = site.application("app.sock", |wire| {
        let Ok(asked) = asked(wire) else { return };
        let _ = body(wire);
        let _ = match asked.get("QUERY_STRING").unwrap_or_default() {
            "head" => wire.try_send(stdout("A: b\n")),
            "body" => wire.try_send(stdout("A: b\n\nsome")),
            "length" => wire.try_send(stdout("Content-Length: 9\n\nsome")),
            // It says that this is all.
            "said" => wire.try_send(answer("Content-Length: 9\n\nsome")),
            "record" => wire.try_send(&stdout("A: b\n\nsome")[..15]),
            _ => Ok(()),
        };
    });
    let _perron = site.perron("");
    for query in ["nothing", "head"] {
        let mut client = site.connect();
        client.send(format!("POST /app?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.answer().status(), 502, "{query}");
    }
    for query in ["body", "length", "said", "record"] {
        let mut client = site.connect();
        client.send(format!("GET /app?{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && !text.contains("\r\n0\r\n"), "{query}: {text}");
        assert_ne!(end, End::Open, "{query}");
    }
}

#[test]
fn who_has_too_much_to_do_leaves_it_to_another() {
    let site = lab::require!(Site::new("fastcgi-overloaded"));
    let busy = site.application("busy.sock", |wire| serve(wire, |_, _| record(3, [0, 0, 0, 0, 2, 0, 0, 0])));
    let idle = site.application("idle.sock", |wire| serve(wire, |_, body| answer([b"X: y\n\n", body].concat())));
    let config = |addresses: &str| {
        format!("[frontend.web]\nbind = \"{FRONT}\"\nfastcgi = {{ address = [{addresses}], name = \"app\" }}\n")
    };
    let (busy_at, idle_at) = (site.socket("busy.sock"), site.socket("idle.sock"));
    let perron = Perron::start(&site.front, &config(&format!("\"unix:{busy_at}\", \"unix:{idle_at}\"")));
    for _ in 0..4 {
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.answer().text(), "body");
    }
    assert!(busy.accepted() > 0 && idle.accepted() == 4);
    perron.reload(&config(&format!("\"unix:{busy_at}\""))).expect("it is right");
    wait_for(SOON, "the other one is gone", || {
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.answer().status() == 503
    });
}

#[test]
fn what_an_application_complains_of_is_in_the_log() {
    let site = lab::require!(Site::new("fastcgi-stderr"));
    let _app = site.application("app.sock", |wire| {
        serve(wire, |_, _| {
            let endless = record(7, vec![b'x'; 60_000]).repeat(20);
            [record(7, "disk on fire\n"), stdout("Content-Length: 2\n\nok"), endless, END.to_vec()].concat()
        });
    });
    let mut perron = site.perron("keep-connection = true");
    for _ in 0..3 {
        assert_eq!(site.client.curl(&["http://10.0.0.2/app"]).text(), "ok");
    }
    wait_for(SOON, "the log tells", || perron.process().stderr().contains("disk on fire"));
    let log = perron.process().stderr();
    let line = log.lines().find(|line| line.contains("disk on fire")).expect("it is there");
    assert!(line.contains("web.route0.fastcgi") && line.contains("app.sock"), "{line}");
    // Three requests of 1.2 MB each leave what is allowed of them.
    assert!(log.len() < 100_000, "{} bytes of log", log.len());
}
