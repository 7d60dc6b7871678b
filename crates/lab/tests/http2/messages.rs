//! Streams of messages to clients that speak HTTP/2 or TLS: none waits for the next one.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use lab::{BadServer, Perron, SOON, wait_for};

use crate::{CLEAR, SECURE, frontends, hosts, text};

/// Messages of a stream, each ended by the byte that no JSON text can hold.
const MESSAGES: usize = 30;

#[test]
fn a_message_is_at_the_client_before_the_next_is_made() {
    let hosts = lab::require!(hosts("http2-messages"));
    let config = frontends(&hosts, "route = [{ path = \"/rpc/\", backend = \"node\", stream = true }]");
    let backend = "[backend.node]\n[[backend.node.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n";
    let (tell, told): (_, Receiver<()>) = channel();
    let told = Mutex::new(told);
    let _server = BadServer::start(&hosts.server, 80, move |wire| {
        while wire.request().is_ok() {
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for number in 0..MESSAGES {
                let told = told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.recv().is_err() || wire.try_send(format!("12\r\n{{\"progress\":{number:04}}}\x03\r\n")).is_err()
                {
                    return;
                }
            }
            wire.send("0\r\n\r\n");
        }
    });
    let perron = Perron::start(&hosts.front, &(config + backend));
    let ca = hosts.authority.certificate();
    for (version, url) in [
        ("--http2", format!("https://{SECURE}/rpc/")),
        ("--http1.1", format!("https://{SECURE}/rpc/")),
        ("--http2-prior-knowledge", format!("http://{CLEAR}/rpc/")),
    ] {
        // -N: each piece is written to the file as it comes.
        let mut client =
            hosts.client.spawn(&["curl", "-sSN", "--max-time", "30", "--cacert", text(&ca), version, &url]);
        for number in 0..MESSAGES {
            tell.send(()).expect("the server waits");
            wait_for(SOON, "a message is here", || client.stdout().ends_with(&format!("{number:04}}}\x03")));
        }
        assert!(client.wait(SOON).success(), "{version}");
    }
    let status = perron.status();
    let held = |frontend: usize| {
        let streams = &status["frontends"][frontend]["streams"];
        let count = |which: &str| {
            streams[which]["counts"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).sum::<u64>()
        };
        (count("at_once"), count("after_client"))
    };
    let names = [0, 1].map(|index| status["frontends"][index]["name"].clone());
    let reads = |name: &str| held(names.iter().position(|other| other == name).expect("it is there"));
    for (name, streams) in [("secure", 2), ("clear", 1)] {
        let (at_once, after_client) = reads(name);
        assert!(at_once >= streams * MESSAGES as u64, "{name}: {status}");
        assert_eq!(after_client, 0, "{name}: {status}");
    }
}
