//! Streams of messages through the program: none waits for the next one, in whichever form it comes.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lab::{Authority, BadServer, End, Host, Lab, Output, Perron, Process, SOON, Skip, Wire, perron_binary, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// Where the program answers.
const FRONT: &str = "10.0.0.2:8080";

/// A plain request.
const GET: &str = "GET /rpc/ HTTP/1.1\r\nHost: a\r\n\r\n";

/// Messages of a stream.
const MESSAGES: usize = 30;

struct Rig {
    client: Host,
    server: Host,
    perron: Perron,
    _lab: Lab,
}

/// A front with a route that says this of streams, and a backend that says this.
fn rig(name: &str, stream: &str, backend: &str) -> Result<Rig, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    let config = format!(
        "[frontend.node]\nbind = \"{FRONT}\"\n[[frontend.node.route]]\npath = \"/rpc/\"\nbackend = \"node\"\n\
         stream = {stream}\n[backend.node]\n{backend}\n[[backend.node.server]]\naddress = \"10.0.0.3:80\"\n"
    );
    let perron = Perron::start(&front, &config);
    Ok(Rig { client, server, perron, _lab: lab })
}

/// What is counted of the frontend's streams.
fn streams(perron: &Perron) -> Value {
    perron.status()["frontends"][0]["streams"].clone()
}

fn count(held: &Value) -> u64 {
    held["counts"].as_array().expect("counts").iter().filter_map(Value::as_u64).sum()
}

/// How an answer goes about its messages.
#[derive(Clone, Copy)]
struct Form {
    name: &'static str,
    request: &'static str,
    head: &'static str,
    message: fn(usize) -> String,
    end: &'static str,
}

const FORMS: [Form; 5] = [
    Form {
        name: "JSON and a reserved byte, in chunks",
        request: GET,
        head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        message: |n| format!("12\r\n{{\"progress\":{n:04}}}\x03\r\n"),
        end: "0\r\n\r\n",
    },
    Form {
        name: "server-sent events, in chunks",
        request: GET,
        head: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        message: |n| format!("1b\r\ndata: {{\"progress\":{n:06}}}\n\n\r\n"),
        end: "0\r\n\r\n",
    },
    Form {
        name: "chunks, to a client that does not know them",
        request: "GET /rpc/ HTTP/1.0\r\n\r\n",
        head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        message: |n| format!("12\r\n{{\"progress\":{n:04}}}\x03\r\n"),
        end: "0\r\n\r\n",
    },
    Form {
        name: "lines, until the server closes",
        request: GET,
        head: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        message: |n| format!("{{\"progress\":{n:04}}}\n"),
        end: "",
    },
    Form {
        name: "a small answer whose length is known",
        request: GET,
        head: "HTTP/1.1 200 OK\r\nContent-Length: 540\r\n\r\n",
        message: |n| format!("{{\"progress\":{n:04}}}\n"),
        end: "",
    },
];

/// A server that makes no message before the client has told that it has the last one.
fn in_step(host: &Host, form: Form) -> (BadServer, Sender<()>) {
    let (told, tells): (_, Receiver<()>) = channel();
    let tells = Mutex::new(tells);
    let server = BadServer::start(host, 80, move |wire| {
        let tells = tells.lock().unwrap_or_else(PoisonError::into_inner);
        if wire.request().is_err() {
            return;
        }
        wire.send(form.head);
        for number in 0..MESSAGES {
            if tells.recv().is_err() || wire.try_send((form.message)(number)).is_err() {
                return;
            }
        }
        let _ = tells.recv();
        let _ = wire.try_send(form.end);
    });
    (server, told)
}

#[test]
fn a_message_is_at_the_client_before_the_next_is_made() {
    let rig = lab::require!(rig("streams-step", "true", ""));
    for form in FORMS {
        let (_server, told) = in_step(&rig.server, form);
        let mut client = rig.client.connect(FRONT);
        client.send(form.request);
        client.read_until("\r\n\r\n");
        for number in 0..MESSAGES {
            told.send(()).expect(form.name);
            client.read_until(&format!("{number:04}}}"));
        }
        told.send(()).expect(form.name);
        let (_, end) = read_to_end(&mut client, form);
        assert_ne!(end, End::Open, "{}", form.name);
    }
    let streams = streams(&rig.perron);
    let reads = FORMS.len() * (MESSAGES + 1);
    assert!(count(&streams["at_once"]) >= reads as u64, "{streams}");
    assert_eq!(count(&streams["after_client"]), 0, "{streams}");
    let [longest, sum] = ["max_us", "sum_us"].map(|key| streams["at_once"][key].as_u64().expect("a number"));
    assert!(0 < longest && longest <= sum, "{streams}");
}

/// Reads on until the connection ends; a kept one is told to end.
fn read_to_end(client: &mut Wire, form: Form) -> (Vec<u8>, End) {
    if !form.end.is_empty() && form.request == GET {
        client.read_until(form.end);
    }
    client.finish_sending();
    client.rest()
}

#[test]
fn what_had_to_wait_for_the_client_is_counted_apart() {
    let rig = lab::require!(rig("streams-slow", "true", ""));
    const BYTES: usize = 32 << 20;
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let _server = BadServer::closing_after(&rig.server, 80, format!("{head}{}", "x".repeat(BYTES)));
    let mut client = rig.client.connect(FRONT);
    client.shrink_receive_buffer(4096);
    client.send(GET);
    client.read_until("\r\n\r\n");
    assert_eq!(client.read_exact(BYTES).len(), BYTES);
    wait_for(SOON, "bytes that waited for the client are counted", || count(&streams(&rig.perron)["after_client"]) > 0);
}

#[test]
fn a_small_answer_is_not_kept_for_another_attempt() {
    let rig = lab::require!(rig("streams-cut", "true", ""));
    let cut = BadServer::closing_after(&rig.server, 80, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhal");
    let mut client = rig.client.connect(FRONT);
    client.send(GET);
    assert!(client.try_answer().is_err());
    assert!(client.received() > 0, "its beginning came");
    assert_eq!(cut.requests().len(), 1);
}

#[test]
fn a_server_may_be_silent_for_as_long_as_the_stream_says() {
    let rig = lab::require!(rig("streams-idle", "{ idle = \"1500ms\" }", "timeouts = { server = \"200ms\" }"));
    let form = FORMS[0];
    let (_server, told) = in_step(&rig.server, form);
    let mut client = rig.client.connect(FRONT);
    client.send(form.request);
    client.read_until("\r\n\r\n");
    assert!(client.is_quiet_for(Duration::from_millis(600)), "the backend's own time-out does not end it");
    told.send(()).expect("the server waits");
    client.read_until("0000}");
    let (rest, end) = client.rest();
    assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"), "it does not end as if it were whole");
    assert_ne!(end, End::Open);
    wait_for(SOON, "it was cut for the server's silence", || rig.perron.status()["reasons"]["server_timeout"] == 1);
}

#[test]
fn a_client_may_be_silent_as_long_in_a_stream_of_its_own() {
    let rig = lab::require!(rig("streams-up", "true", ""));
    let (got, gets) = channel();
    let got = Mutex::new(got);
    let _server = BadServer::start(&rig.server, 80, move |wire| {
        let got = got.lock().unwrap_or_else(PoisonError::into_inner);
        if wire.request_head().is_err() {
            return;
        }
        while let Ok(line) = wire.try_read_until(b"\x03") {
            let _ = got.send(line);
        }
    });
    let mut client = rig.client.connect(FRONT);
    client.send("POST /rpc/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for number in 0..MESSAGES {
        client.send(format!("12\r\n{{\"progress\":{number:04}}}\x03\r\n"));
        let line = gets.recv_timeout(SOON).expect("each message is at the server before the next is made");
        assert!(String::from_utf8_lossy(&line).contains(&format!("{number:04}")));
    }
}

/// `perron call` at the front, with further arguments.
fn call(rig: &Rig, arguments: &[&str]) -> Process {
    let program = perron_binary();
    let program = program.to_str().expect("plain");
    rig.client.spawn(&[&[program, "call", "http://10.0.0.2:8080/rpc/x"], arguments].concat())
}

/// What comes of a call that is answered with these bytes, until the connection ends.
fn called(rig: &Rig, head: &str, body: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
    let _server = BadServer::closing_after(&rig.server, 80, answer);
    let Output { code, stdout, stderr, .. } = call(rig, arguments).output();
    (code, String::from_utf8_lossy(&stdout).into_owned(), stderr)
}

#[test]
fn a_call_shows_each_message_as_it_comes_and_ends_as_its_result_says() {
    let rig = lab::require!(rig("streams-call", "true", ""));
    let form = Form {
        end: "28\r\n{\"success\":true,\"result\":{\"node\":\"n1\"}}\x03\r\n0\r\n\r\n",
        message: |n| format!("1b\r\n{{\"progress\":0.{n:02},\"a\":\"xx\"}}\x03\r\n"),
        ..FORMS[0]
    };
    let (server, told) = in_step(&rig.server, form);
    let mut command = call(&rig, &["--data", "{\"name\":1}", "-H", "X-Job: 7"]);
    for number in 0..MESSAGES {
        told.send(()).expect("the server waits");
        let line = format!("{number} %\n");
        wait_for(SOON, "the message is shown before the next is made", || command.stderr().contains(&line));
        assert!(command.is_running());
    }
    told.send(()).expect("the server waits");
    let output = command.output();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\n  \"node\": \"n1\"\n}\n");
    assert_eq!(server.requests(), ["POST /rpc/x HTTP/1.1"]);
}

#[test]
fn a_call_fails_where_there_is_no_result_or_a_bad_one() {
    let rig = lab::require!(rig("streams-call-bad", "true", ""));
    let events = "200 OK\r\nContent-Type: text/event-stream";
    let chunked = "200 OK\r\nTransfer-Encoding: chunked";
    let text = |text: &str| text.to_owned();
    for (head, body, arguments, ends) in [
        ("200 OK", "{\"progress\":1}\n[true,\"done\"]\n", &[][..], (Some(0), text("done\n"), "100 %\n")),
        ("200 OK", "[false, \"no disk\"]", &[], (Some(1), text("no disk\n"), "")),
        ("200 OK", "{\"success\":false,\"error\":5}\x03", &["--separator", "0x03"], (Some(1), text("5\n"), "")),
        (events, ": hm\n\ndata: [true,\ndata: 7]\n\n", &[], (Some(0), text("7\n"), "")),
        ("200 OK", "[true,1]\nafter all not\n", &[], (Some(1), text(""), "the stream ended without a result")),
        ("200 OK", "", &[], (Some(1), text(""), "the stream ended without a result")),
        ("403 Forbidden", "not you\n", &[], (Some(1), text(""), "the server answers 403 Forbidden: not you")),
        ("302 Found\r\nLocation: /y", "", &[], (Some(1), text(""), "302 Found, which is not followed, to /y")),
        ("200 OK\r\nContent-Length: 90", "{\"progress\":0.5}\n", &[], (Some(1), text(""), "the stream broke off")),
        (chunked, "9\r\n[true,1]\n\r\n", &[], (Some(1), text(""), "the stream broke off")),
        (chunked, "9\r\n[true,1]\n\r\nno size\r\n", &[], (Some(1), text(""), "the server answers 502")),
        (chunked, "9\r\n[true,1]\n\r\n0\r\n\r\n", &[], (Some(0), text("1\n"), "")),
        (
            "200 OK",
            "{\"progress\":7}\n{half\n[true,1]\n",
            &["--separator", "newline"],
            (Some(0), text("1\n"), "{half\n"),
        ),
        ("200 OK", "go\n[true, 1]", &["--json"], (Some(0), text("\"go\"\n[true,1]\n"), "")),
    ] {
        let (code, stdout, stderr) = called(&rig, head, body, arguments);
        assert_eq!((code, &stdout), (ends.0, &ends.1), "{head} {body:?}: {stderr}");
        assert!(stderr.contains(ends.2), "{head} {body:?}: {stderr}");
    }
    let escape = called(&rig, "200 OK", "{\"message\":\"\\u001b[2J\"}\n[true,1]", &[]);
    assert!(!escape.2.contains('\u{1b}'), "a server does not steer the terminal");
    for wrong in [&["--separator", "lines"][..], &["-H", "nothing"], &["--key", "x"], &["-X", "G T"]] {
        assert_eq!(call(&rig, wrong).output().code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_stream_without_end_is_left_by_whoever_has_had_enough() {
    let rig = lab::require!(rig("streams-call-silent", "{ idle = \"1500ms\" }", ""));
    let _server = BadServer::start(&rig.server, 80, |wire| {
        if wire.request().is_ok() {
            wire.send(format!("{}{}", FORMS[0].head, (FORMS[0].message)(0)));
            let _ = wire.rest();
        }
    });
    let patient = call(&rig, &[]).output();
    assert_eq!(patient.code, Some(1), "the front ends it: {}", patient.stderr);
    assert!(patient.stderr.contains("the stream broke off"), "{}", patient.stderr);
    let hasty = call(&rig, &["--patience", "300ms"]).output();
    assert_eq!(hasty.code, Some(1), "{}", hasty.stderr);
    assert!(hasty.stderr.contains("nothing has come for 300ms"), "{}", hasty.stderr);
    let mut interrupted = call(&rig, &[]);
    wait_for(SOON, "its message is shown", || interrupted.stderr().contains("progress"));
    interrupted.signal(Signal::INT);
    assert_eq!(interrupted.wait(SOON).code(), None, "a signal ends it at once");
}

#[test]
fn a_message_without_end_is_given_up() {
    let rig = lab::require!(rig("streams-call-endless", "true", ""));
    let (code, _, stderr) = called(&rig, "200 OK", &"x".repeat((16 << 20) + 1), &["--separator", "0x03"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("a message is longer than 16 MiB"), "{stderr}");
}

/// A front that clients reach by TLS, which asks itself by TLS; answers are coded for who asks, but for those of streams.
fn layers(name: &str) -> Result<(Rig, Authority), Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    let authority = Authority::new(&front.new_folder("certificates"), "ca")?;
    let certificate = authority.server("server", &["10.0.0.2"]);
    let (certificate, ca) = (certificate.display(), authority.certificate());
    let config = format!(
        "[frontend.outer]\nbind = \"10.0.0.2:443\"\ntls = {{ certificate = \"{certificate}\" }}\n\
         compress = [\"zstd\", \"gzip\"]\n\
         [[frontend.outer.route]]\npath = \"/rpc/\"\nbackend = \"inner\"\nstream = true\n\
         [[frontend.outer.route]]\npath = \"/coded/\"\nbackend = \"inner\"\n\
         [backend.inner]\ntls = {{ ca = \"{}\" }}\n[[backend.inner.server]]\naddress = \"10.0.0.2:444\"\n\
         [frontend.inner]\nbind = \"10.0.0.2:444\"\ntls = {{ certificate = \"{certificate}\" }}\n\
         [[frontend.inner.route]]\nbackend = \"node\"\nstream = true\n\
         [[backend.node.server]]\naddress = \"10.0.0.3:80\"\n",
        ca.display()
    );
    let perron = Perron::start(&front, &config);
    Ok((Rig { client, server, perron, _lab: lab }, authority))
}

#[test]
fn no_layer_between_keeps_a_message() {
    let (rig, authority) = lab::require!(layers("streams-layers"));
    let ca = authority.certificate();
    let ca = ca.to_str().expect("plain");
    let program = perron_binary();
    let call = [program.to_str().expect("plain"), "call", "https://10.0.0.2/rpc/x", "--json", "--ca", ca];
    let accepts = ["-H", "Accept-Encoding: gzip, zstd"];
    let curl = ["curl", "-sSN", "--max-time", "60", "--http1.1", "--cacert", ca];
    let coded = ["--compressed", "-D", "/dev/stderr", "https://10.0.0.2/coded/x"];
    let json = Form {
        head: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        end: "8\r\n[true,1]\r\n0\r\n\r\n",
        ..FORMS[0]
    };
    let events = Form { end: "11\r\ndata: [true, 1]\n\n\r\n0\r\n\r\n", ..FORMS[1] };
    let commands = [
        (json, [&call[..], &accepts].concat(), false),
        (events, [&call[..], &accepts].concat(), false),
        (json, [&curl[..], &coded].concat(), true),
        (events, [&curl[..], &coded].concat(), false),
    ];
    for (form, command, is_coded) in commands {
        let (_server, told) = in_step(&rig.server, form);
        let mut client = rig.client.spawn(&command);
        for number in 0..MESSAGES {
            told.send(()).expect(form.name);
            let message = format!("{number:04}}}");
            let seen = || client.stdout().contains(&message) || !client.is_running();
            wait_for(SOON, "a message is at the client before the next is made", seen);
        }
        told.send(()).expect(form.name);
        let output = client.output();
        assert_eq!(output.code, Some(0), "{command:?}: {}", output.stderr);
        assert_eq!(output.stderr.contains("Content-Encoding: "), is_coded, "{command:?}: {}", output.stderr);
    }
    assert_eq!(count(&streams(&rig.perron)["after_client"]), 0, "no client was waited for");
}
