//! gRPC's own server and client for Python, through the program: in TLS on both sides, and in clear text.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use lab::{Perron, Process, SOON, Skip, wait_for};
use serde_json::{Value, json};

use crate::{CLEAR, Hosts, SECURE, frontends, hosts, text};

/// What a slow machine takes to load Python's gRPC.
const START: Duration = Duration::from_secs(30);

/// The server, on its two ports.
fn server(hosts: &Hosts) -> Result<Process, Skip> {
    lab::python_module("grpc").map_err(|_| Skip::new("Python has no module grpc (Debian: python3-grpcio)"))?;
    let python = lab::python()?;
    let script = hosts.server.new_folder("grpc").join("server.py");
    fs::write(&script, include_str!("server.py")).expect("the folder is ours");
    let keys = hosts.authority.server("grpc", &["10.0.0.3"]);
    let arguments = [text(&python), text(&script), "10.0.0.3:50051", "10.0.0.3:50052", text(&keys)];
    let server = hosts.server.spawn(&arguments);
    wait_for(START, "gRPC's server is ready", || server.stdout().contains("ready"));
    Ok(server)
}

/// What the client says came.
fn called(hosts: &Hosts, target: &str, authority: &str) -> HashMap<String, Value> {
    let python = lab::python().expect("the server runs on it");
    let script = hosts.client.new_folder("grpc").join("client.py");
    fs::write(&script, include_str!("client.py")).expect("the folder is ours");
    let output = hosts.client.run(&[text(&python), text(&script), target, authority]);
    assert_eq!(output.code, Some(0), "{}\n{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    let lines = output.text();
    let objects = lines.lines().map(|line| serde_json::from_str::<HashMap<String, Value>>(line).expect("JSON"));
    objects.flatten().collect()
}

fn hold(name: &str, server_keys: &str, is_secure: bool) {
    let hosts = lab::require!(hosts(name));
    let server = lab::require!(server(&hosts));
    let authority = hosts.authority.certificate();
    let backend = format!("[backend.grpc]\nprotocol = \"http2\"\n{}\n", server_keys.replace("CA", text(&authority)));
    let config = frontends(&hosts, "route = [{ path = \"/lab.Echo/\", backend = \"grpc\", stream = true }]");
    let perron = Perron::start(&hosts.front, &(config + &backend));
    let target = if is_secure { (SECURE, text(&authority)) } else { (CLEAR, "-") };
    let told = called(&hosts, target.0, target.1);
    for (what, came) in [
        ("unary", json!("cba")),
        ("begins", json!("here")),
        ("code", json!("OK")),
        ("token", json!("secret")),
        ("bytes", json!("00ff")),
        ("empty", json!("")),
        ("large", json!(3_000_000)),
        ("down", json!(true)),
        ("nothing", json!([])),
        ("up", json!(6_000_000)),
        ("talk", json!(true)),
        ("fail", json!(["NOT_FOUND", "no such thing: é %", "because"])),
        ("before", json!("one")),
        ("late", json!(["DATA_LOSS", "half of it", null])),
        ("unknown", json!("UNIMPLEMENTED")),
        ("deadline", json!("DEADLINE_EXCEEDED")),
        ("cancelled", json!(true)),
        ("many", json!(true)),
    ] {
        assert_eq!(told.get(what), Some(&came), "{what} in {told:#?}");
    }
    wait_for(SOON, "the server hears that nobody waits", || {
        ["given up deadline", "given up cancel"].iter().all(|line| server.stdout().contains(line))
    });
    let written = perron.written();
    assert!(written.contains("POST /lab.Echo/Talk HTTP/2.0"), "{written}");
}

#[test]
fn grpc_passes_in_tls_on_both_sides() {
    hold("http2-grpc-tls", "tls = { ca = \"CA\" }\nserver = [{ name = \"one\", address = \"10.0.0.3:50052\" }]", true);
}

#[test]
fn grpc_passes_in_clear_text() {
    hold("http2-grpc-clear", "server = [{ name = \"one\", address = \"10.0.0.3:50051\" }]", false);
}
