//! What an application is told, and what its client gets of what it says.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use lab::{Perron, SOON, wait_for};
use serde_json::Value;

use crate::application::{END, answer, asked, body, serve, stdout};
use crate::{FRONT, Site};

#[test]
fn an_application_is_told_who_asks_for_what() {
    let site = lab::require!(Site::new("fastcgi-params"));
    let (tell, told) = channel();
    let _app = site.application("app.sock", move |wire| {
        serve(wire, |asked, _| {
            tell.send((asked.params.clone(), asked.records)).expect("the test waits");
            answer("Content-Length: 0\n\n")
        });
    });
    let big = "b".repeat(70_000);
    let _perron = site.perron(&format!("root = \"/srv/www\", params = {{ BIG = \"{big}\", SERVER_NAME = \"mine\" }}"));
    let mut client = site.connect();
    client.send(
        "GET /app/some%20thing?a=%20b HTTP/1.1\r\nHost: example.org:80\r\nX-Two: 1\r\nx-two: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\
         Proxy: http://evil/\r\nX_Forwarded_For: 1.2.3.4\r\nX_Two: 3\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\n{}",
    );
    assert_eq!(client.answer().status(), 200);
    let (params, records) = told.recv().expect("it was asked");
    let port = params.get("REMOTE_PORT").expect("the client has a port").clone();
    assert!(port.parse::<u16>().is_ok_and(|port| port > 0), "{port}");
    assert!(params["SERVER_SOFTWARE"].starts_with("perron/"), "{}", params["SERVER_SOFTWARE"]);
    let expected = [
        ("AUTH_TYPE", None),
        ("CONTENT_LENGTH", Some("2")),
        ("CONTENT_TYPE", Some("a/b")),
        ("DOCUMENT_ROOT", Some("/srv/www")),
        ("DOCUMENT_URI", Some("/app/some thing")),
        ("GATEWAY_INTERFACE", Some("CGI/1.1")),
        ("HTTPS", None),
        ("HTTP_COOKIE", Some("a=1; b=2")),
        ("HTTP_HOST", Some("example.org:80")),
        ("HTTP_PROXY", None),
        ("HTTP_TRANSFER_ENCODING", None),
        ("HTTP_X_FORWARDED_FOR", Some("10.0.0.1")),
        ("HTTP_X_TWO", Some("1, 2")),
        ("PATH_INFO", Some("/some thing")),
        ("PATH_TRANSLATED", Some("/srv/www/some thing")),
        ("QUERY_STRING", Some("a=%20b")),
        ("REMOTE_ADDR", Some("10.0.0.1")),
        ("REMOTE_USER", None),
        ("REQUEST_METHOD", Some("GET")),
        ("REQUEST_SCHEME", Some("http")),
        ("REQUEST_URI", Some("/app/some%20thing?a=%20b")),
        ("SCRIPT_FILENAME", Some("/srv/www/app")),
        ("SCRIPT_NAME", Some("/app")),
        ("SERVER_ADDR", Some("10.0.0.2")),
        ("SERVER_NAME", Some("mine")),
        ("SERVER_PORT", Some("80")),
        ("SERVER_PROTOCOL", Some("HTTP/1.1")),
    ];
    for (name, value) in expected {
        assert_eq!(params.get(name).map(String::as_str), value, "{name}");
    }
    assert_eq!((&params["BIG"], records), (&big, 2));
}

#[test]
fn what_an_application_says_is_an_answer() {
    let site = lab::require!(Site::new("fastcgi-answers"));
    let _app = site.application("app.sock", |wire| {
        serve(wire, |asked, _| {
            answer(match asked.get("QUERY_STRING").unwrap_or_default() {
                "status" => "Status: 404 Nowhere\nContent-Type: text/plain\n\ngone",
                "moved" => "Location: /app?there\n\n",
                "absolute" => "Status: 303 See Other\nLocation: http://other/\nContent-Length: 0\n\n",
                "whole" => "HTTP/1.0 403 Not you\r\nContent-Length: 3\r\n\r\nno!",
                "nothing" => "Status: 204 No Content\n\nsomething",
                "same" => "Status: 304 Not Modified\nETag: \"x\"\n\nsomething",
                "hints" => "Status: 103 Early Hints\nLink: </a>\n\nContent-Length: 2\n\nok",
                "more" => "Content-Length: 2\n\nok and more",
                _ => "Content-Type: text/plain\n\nbody",
            })
        });
    });
    let _perron = site.perron("keep-connection = true");
    let mut client = site.connect();
    let mut get = |method: &str, query: &str| {
        client.send(format!("{method} /app?{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = if method == "HEAD" { client.answer_to_head() } else { client.answer() };
        (answer.status(), answer.text(), answer)
    };
    assert_eq!(get("GET", "status").1, "gone");
    assert_eq!(get("GET", "status").2.start, "HTTP/1.1 404 Nowhere");
    let moved = get("GET", "moved");
    assert_eq!((moved.0, moved.2.field("location")), (302, Some("/app?there")));
    let absolute = get("GET", "absolute");
    assert_eq!((absolute.0, absolute.2.field("location")), (303, Some("http://other/")));
    let whole = get("GET", "whole");
    assert_eq!((whole.2.start.as_str(), whole.1.as_str()), ("HTTP/1.1 403 Not you", "no!"));
    assert_eq!(get("GET", "nothing").0, 204);
    assert_eq!(get("GET", "same").0, 304);
    assert_eq!(get("GET", "more").1, "ok");
    let plain = get("GET", "");
    assert_eq!((plain.1.as_str(), plain.2.field("transfer-encoding")), ("body", Some("chunked")));
    let head = get("HEAD", "more");
    assert_eq!((head.0, head.2.field("content-length")), (200, Some("2")));
    let head = get("HEAD", "");
    assert_eq!((head.0, head.2.field("content-length")), (200, None));
    // It is still in step.
    assert_eq!(get("GET", "").1, "body");

    let hints = site.client.curl(&["-i", "http://10.0.0.2/app?hints"]).text();
    let (early, last) = hints.split_once("\r\n\r\n").expect("two heads");
    assert!(early.starts_with("HTTP/1.1 103") && early.contains("Link: </a>"), "{hints}");
    assert!(last.starts_with("HTTP/1.1 200") && last.ends_with("ok"), "{hints}");
    let old = site.client.curl(&["-0", "-i", "http://10.0.0.2/app"]).text();
    assert!(old.ends_with("\r\n\r\nbody") && !old.contains("hunked"), "{old}");
}

#[test]
fn what_an_application_has_said_is_at_the_client_before_it_says_more() {
    let site = lab::require!(Site::new("fastcgi-progress"));
    // The application says the next thing only when the client has had the one before.
    let (heard, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let _app = site.application("app.sock", move |wire| {
        let Ok(asked) = asked(wire) else { return };
        body(wire).expect("a request ends");
        let wait = wait.lock().expect("no panic here");
        let head = if asked.get("QUERY_STRING") == Some("length") { "Content-Length: 9\n\n" } else { "A: b\n\n" };
        for said in [head, "one", "two", "end"] {
            wire.send(stdout(said));
            wait.recv().expect("the client has had it");
        }
        wire.send(END);
    });
    let _perron = site.perron("");
    for (query, texts) in [("length", ["one", "two", "end"]), ("", ["3\r\none\r\n", "3\r\ntwo\r\n", "3\r\nend\r\n"])] {
        let mut client = site.connect();
        client.send(format!("GET /app?{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.read_until("\r\n\r\n");
        heard.send(()).expect("the application waits");
        for text in texts {
            assert_eq!(client.read_until(text), text);
            heard.send(()).expect("the application waits");
        }
        if query.is_empty() {
            assert_eq!(client.read_until("\r\n\r\n"), "0\r\n\r\n");
        }
    }
}

#[test]
fn messages_of_an_application_are_a_stream_where_the_route_says_so() {
    let site = lab::require!(Site::new("fastcgi-stream"));
    let (heard, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let _app = site.application("app.sock", move |wire| {
        asked(wire).expect("a request comes");
        body(wire).expect("a request ends");
        let wait = wait.lock().expect("no panic here");
        // A record of its own, a message in two of them, and two messages in one.
        for said in ["Content-Length: 24\n\n", "[1]\x03", "[2", "]\x03", "[3]\x03[4]\x03", "[true,5]"] {
            wire.send(stdout(said));
            wait.recv().expect("the client has had it");
        }
        wire.send(END);
    });
    let perron = Perron::start(
        &site.front,
        &format!(
            "[frontend.web]\nbind = \"{FRONT}\"\ncompress = \"gzip\"\n[[frontend.web.route]]\npath = \"/app\"\n\
             stream = true\nfastcgi = {{ address = \"unix:{}\" }}\n",
            site.socket("app.sock")
        ),
    );
    let mut client = site.connect();
    client.send("GET /app HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    client.read_until("\r\n\r\n");
    heard.send(()).expect("the application waits");
    for text in ["[1]\x03", "[2", "]\x03", "[3]\x03[4]\x03", "[true,5]"] {
        assert_eq!(client.read_until(text), text);
        heard.send(()).expect("the application waits");
    }
    let held = || perron.status()["frontends"][0]["streams"]["at_once"]["counts"].clone();
    let reads = || held().as_array().expect("counts").iter().filter_map(Value::as_u64).sum::<u64>();
    wait_for(SOON, "each read is counted", || reads() >= 6);
}

#[test]
fn connections_are_kept_where_the_application_keeps_them() {
    let site = lab::require!(Site::new("fastcgi-kept"));
    let app = site.application("app.sock", |wire| {
        serve(wire, |asked, body| {
            let keep = asked.keep;
            answer(format!("Content-Type: text/plain\n\n{keep} {}", body.len()))
        });
    });
    for (keys, connections, text) in [("keep-connection = true", 1, "true 3"), ("", 5, "false 3")] {
        let before = app.accepted();
        let mut perron = site.perron(keys);
        let mut client = site.connect();
        for _ in 0..5 {
            client.send("POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
            assert_eq!(client.answer().text(), text);
        }
        assert_eq!(app.accepted() - before, connections, "{keys}");
        perron.stop();
    }
}

#[test]
fn a_file_is_sent_in_the_place_of_an_answer() {
    let site = lab::require!(Site::new("fastcgi-sendfile"));
    let root = site.front.new_folder("files");
    let content: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    std::fs::write(root.join("large.bin"), &content).expect("the folder is ours");
    std::fs::write(root.with_file_name("secret"), "not for clients").expect("the folder is ours");
    let named = root.display().to_string();
    let _app = site.application("app.sock", move |wire| {
        serve(wire, |asked, _| {
            let path = match asked.get("QUERY_STRING").unwrap_or_default() {
                "outside" => "/etc/passwd".to_owned(),
                "above" => format!("{named}/../secret"),
                "gone" => format!("{named}/gone"),
                "relative" => "large.bin".to_owned(),
                _ => format!("{named}/large.bin"),
            };
            answer(format!(
                "X-Sendfile: {path}\nContent-Type: image/png\nContent-Length: 4\nSet-Cookie: c=1\nETag: \"app\"\n\nbody"
            ))
        });
    });
    let mut perron = site.perron(&format!("keep-connection = true, sendfile-root = \"{}\"", root.display()));
    let mut client = site.connect();
    client.set_limit(std::time::Duration::from_secs(20));
    let mut ask = |method: &str, query: &str, fields: &str| {
        client.send(format!("{method} /app?{query} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        if method == "HEAD" { client.answer_to_head() } else { client.answer() }
    };
    for query in ["", "relative"] {
        let whole = ask("GET", query, "");
        assert_eq!(whole.status(), 200);
        assert!(whole.body == content, "{} bytes", whole.body.len());
        assert_eq!((whole.field("content-type"), whole.field("set-cookie")), (Some("image/png"), Some("c=1")));
        assert_eq!(whole.field("x-sendfile"), None);
    }
    let part = ask("GET", "", "Range: bytes=256-1279\r\n");
    assert_eq!((part.status(), part.field("content-range")), (206, Some("bytes 256-1279/3145728")));
    assert!(part.body == content[256..1280]);
    let etag = part.field("etag").expect("files have one").to_owned();
    assert_ne!(etag, "\"app\"");
    assert_eq!(ask("GET", "", &format!("If-None-Match: {etag}\r\n")).status(), 304);
    let head = ask("HEAD", "", "");
    assert_eq!((head.status(), head.field("content-length")), (200, Some("3145728")));
    let posted = ask("POST", "", "Content-Length: 0\r\n");
    assert!(posted.status() == 200 && posted.body == content);
    assert_eq!(ask("GET", "gone", "").status(), 404);
    for query in ["outside", "above"] {
        assert_eq!(ask("GET", query, "").status(), 502, "{query}");
    }
    assert_eq!(ask("GET", "", "").status(), 200, "it is still in step");
    lab::wait_for(lab::SOON, "the log tells", || perron.process().stderr().contains("/etc/passwd"));
}

#[test]
fn files_of_a_folder_that_a_reload_names_are_sent() {
    let site = lab::require!(Site::new("fastcgi-sendfile-reload"));
    let [one, two] = ["one", "two"].map(|name| {
        let root = site.front.new_folder(name).join("files");
        std::fs::create_dir(&root).expect("the folder is ours");
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        std::fs::write(root.join("file"), name).expect("it is ours");
        root.display().to_string()
    });
    let _app = site.application("app.sock", |wire| serve(wire, |_, _| answer("X-Sendfile: file\n\n")));
    let perron = site.perron(&format!("sendfile-root = \"{one}\""));
    let get = || site.client.curl(&["http://10.0.0.2/app"]).text();
    assert_eq!(get(), "one");
    perron.reload(&site.text(&format!("sendfile-root = \"{two}\""))).expect("the text is right");
    assert_eq!(get(), "two");
}
