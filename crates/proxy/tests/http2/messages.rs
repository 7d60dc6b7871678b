//! Requests and answers: what becomes of them on their way between the versions (RFC 9113 §8).

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::client::{connect, fetch, get, post, run, whole};
use crate::server;
use crate::site::site;

#[test]
fn requests_are_relayed_and_answered_here_on_one_connection() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        let own = fetch(&send, get("/own")).await.unwrap();
        assert_eq!((own.status, own.text().as_str()), (200, "own"));
        assert!(own.headers.contains_key("date") && !own.headers.contains_key("connection"));
        let request = Request::get("http://test/a?b").header("cookie", "x=1").header("cookie", "y=2").body(());
        let relayed = fetch(&send, request.unwrap()).await.unwrap();
        assert_eq!((relayed.status, relayed.headers["x-server"].to_str().unwrap()), (200, "one"));
        let seen = relayed.text();
        assert!(seen.starts_with("GET /a?b HTTP/1.1\r\nHost: test\r\n"), "{seen}");
        assert!(seen.contains("cookie: x=1; y=2\r\n") && seen.contains("X-Forwarded-Proto: http\r\n"), "{seen}");
        let many: Vec<_> = (0..100)
            .map(|n| {
                tokio::spawn({
                    let send = send.clone();
                    async move { fetch(&send, get(&format!("/{n}"))).await.unwrap().text() }
                })
            })
            .collect();
        for (n, answer) in many.into_iter().enumerate() {
            assert!(answer.await.unwrap().starts_with(&format!("GET /{n} HTTP/1.1\r\n")));
        }
    });
    site.wait_for_line("GET /a?b HTTP/2.0");
}

#[test]
fn bodies_come_with_their_lengths_or_in_chunks_with_trailers() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        let request = Request::post("http://test/").header("content-length", "5").body(()).unwrap();
        let seen = post(&send, request, &[b"ab", b"cde"], None).await.unwrap().text();
        assert!(seen.contains("content-length: 5\r\n") && seen.ends_with("\r\n\r\nabcde"), "{seen}");

        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let request = || Request::post("http://test/").body(()).unwrap();
        let seen = post(&send, request(), &[b"ab", b"cde"], Some(trailers)).await.unwrap().text();
        assert!(seen.contains("transfer-encoding: chunked\r\n"), "{seen}");
        assert!(seen.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{seen}");
        let seen = post(&send, request(), &[b"", b""], None).await.unwrap().text();
        assert!(seen.ends_with("\r\n\r\n0\r\n\r\n"), "{seen}");

        let mut forbidden = HeaderMap::new();
        forbidden.insert("content-length", HeaderValue::from_static("7"));
        assert!(post(&send, request(), &[b"ab"], Some(forbidden)).await.is_err());
        let large = vec![b'y'; 1 << 20];
        let request = Request::post("http://test/").header("content-length", large.len()).body(()).unwrap();
        let seen = post(&send, request, &[&large], None).await.unwrap().body;
        assert!(seen.ends_with(&large[..]) && seen.len() < large.len() + 1000);
    });
}

#[test]
fn answers_become_frames() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        let answer = fetch(&send, get("/trailers")).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"));
        let trailers = answer.trailers.unwrap();
        assert_eq!(
            (trailers["grpc-status"].as_bytes(), trailers["grpc-message"].as_bytes()),
            (&b"0"[..], &b"well done"[..])
        );
        for name in ["transfer-encoding", "connection", "x-hop"] {
            assert!(!answer.headers.contains_key(name), "{name}");
        }
        assert_eq!(fetch(&send, get("/until-close")).await.unwrap().text(), "all of it");
        assert_eq!(fetch(&send, get("/big")).await.unwrap().body.len(), 4 << 20);
        let head = Request::head("http://test/x").body(()).unwrap();
        let answer = fetch(&send, head).await.unwrap();
        assert!(answer.headers.contains_key("content-length") && answer.body.is_empty());
        let hinted = fetch(&send, get("/hints")).await.unwrap();
        assert_eq!((hinted.status, hinted.headers["x-a"].to_str().unwrap()), (204, "b"));
        // An answer that its server cut off is cut off here too, and the connection goes on.
        for path in ["/cut", "/cut-chunks"] {
            let error = fetch(&send, get(path)).await.unwrap_err();
            assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{path}: {error}");
        }
        assert_eq!(fetch(&send, get("/own")).await.unwrap().text(), "own");
    });
}

#[test]
fn an_answer_before_the_body_ends_the_stream_and_not_the_connection() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        let mut ready = send.clone().ready().await.unwrap();
        let request = Request::post("http://test/early").body(()).unwrap();
        let (response, mut stream) = ready.send_request(request, false).unwrap();
        stream.send_data(Bytes::from_static(b"begun"), false).unwrap();
        let answer = whole(response).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (403, "early"));
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
        assert_eq!(reset, Reason::NO_ERROR);
        assert_eq!(fetch(&send, get("/own")).await.unwrap().text(), "own");
    });
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        let mut ready = send.clone().ready().await.unwrap();
        let (mut response, _) = ready.send_request(get("/hints"), true).unwrap();
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!((interim.status().as_u16(), interim.headers()["link"].as_bytes()), (103, &b"</a.css>"[..]));
        assert_eq!(response.await.unwrap().status(), 204);
        // The body is sent when the server has asked for it.
        let request = Request::post("http://test/").header("expect", "100-continue").header("content-length", "2");
        let (mut response, mut stream) =
            ready.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(interim.status().as_u16(), 100);
        stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
        assert!(whole(response).await.unwrap().text().ends_with("\r\n\r\nok"));
    });
}

#[test]
fn a_tunnel_goes_through_connect() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        let mut ready = send.clone().ready().await.unwrap();
        let request = Request::builder().method(Method::CONNECT).uri("tunnel:1").body(()).unwrap();
        let (response, mut stream) = ready.send_request(request, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        for piece in [&b"one"[..], b"two"] {
            stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), piece);
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert!(body.data().await.is_none_or(|last| last.unwrap().is_empty()) && body.is_end_stream());
    });
}

/// What a library of good manners does not send is sent in `limits`; this is what it lets through.
#[test]
fn a_request_that_http1_would_refuse_is_refused() {
    let site = site(server::start());
    run(async {
        let send = connect(site.address).await;
        for (request, status) in [
            (Request::get("http://test/").header("host", "other"), 400),
            (Request::get("http://test/%zz"), 400),
            (Request::get("http://user@test/"), 400),
            (Request::get(format!("http://test/{}", "x".repeat(20_000))), 414),
            (Request::get("http://test/").header("x", "y".repeat(40_000)), 431),
        ] {
            let answer = fetch(&send, request.body(()).unwrap()).await.unwrap();
            assert_eq!(answer.status, status);
        }
        // A body that is not as long as it says.
        for pieces in [&[&b"abc"[..]][..], &[b"abcdefgh"]] {
            let request = Request::post("http://test/").header("content-length", "5").body(()).unwrap();
            let error = post(&send, request, pieces, None).await.unwrap_err();
            assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
        }
        assert_eq!(fetch(&send, get("/own")).await.unwrap().text(), "own");
    });
}
