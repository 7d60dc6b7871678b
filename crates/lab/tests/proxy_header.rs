//! The PROXY protocol with the field's programs: HAProxy before the program, nginx and HAProxy behind it.

use std::fs;
use std::time::Duration;

use lab::{BadServer, End, Host, Lab, Nginx, Perron, Process, SOON, Skip, wait_for};

const FRONT: &str = "10.0.0.2:8080";

/// As the specification writes it, for a client that is nowhere.
const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.9 1025 443\r\n";

/// The same in version 2, with PP2_TYPE_NOOP behind it.
const BLOCK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\xc6\x33\x64\x09\x04\x01\x01\xbb\x04\0\0";

/// LOCAL.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client, a balancer before the program, the program's host and a server's host.
struct Hosts {
    client: Host,
    balancer: Host,
    front: Host,
    server: Host,
    lab: Lab,
}

fn hosts(name: &str) -> Result<Hosts, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    let balancer = lab.host("balancer", "10.0.0.4/24");
    Ok(Hosts { client, balancer, front, server, lab })
}

/// The program with these lines in its frontend and its server.
fn perron(hosts: &Hosts, frontend: &str, port: u16, server: &str) -> Perron {
    let text = format!(
        "[frontend.web]\nbind = \"{FRONT}\"\nbackend = \"web\"\n{frontend}\n[backend.web]\n\
         [[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:{port}\"\n{server}\n"
    );
    Perron::start_ready(&hosts.front, &text)
}

/// HAProxy with these sections, once it listens at `port`.
fn haproxy(hosts: &Hosts, host: &Host, port: u16, sections: &str) -> Result<Process, Skip> {
    let haproxy = lab::program("haproxy")?;
    let config = hosts.lab.folder().join(format!("haproxy-{}.cfg", host.name()));
    let defaults = "defaults\nmode http\ntimeout client 10s\ntimeout server 10s\ntimeout connect 2s\n";
    fs::write(&config, format!("{defaults}{sections}\n")).expect("the folder is ours");
    let process = host.spawn(&[&haproxy.to_string_lossy(), "-db", "-f", &config.to_string_lossy()]);
    wait_for(SOON, "haproxy listens", || host.try_connect(&host.at(port)).is_ok());
    Ok(process)
}

/// nginx that tells who asked: port 80 by what the request says, port 81 by what the PROXY header says.
fn telling_nginx(host: &Host) -> Result<Nginx, Skip> {
    Nginx::start_with(
        host,
        "nginx",
        "listen 81 proxy_protocol; set_real_ip_from 0.0.0.0/0; real_ip_header proxy_protocol;
         location /who { default_type text/plain; return 200 \"$remote_addr $proxy_protocol_server_port $http_x_forwarded_for\"; }
         location /keep { default_type text/plain; return 200 \"$connection_requests\"; }",
    )
}

/// Waits until this reason was counted so often.
fn await_count(perron: &Perron, reason: &str, count: u64) {
    wait_for(SOON, &format!("{reason} is counted {count} times"), || perron.status()["reasons"][reason] == count);
}

#[test]
fn haproxy_before_us_names_its_clients() {
    let hosts = lab::require!(hosts("pp-haproxy-before"));
    let _nginx = lab::require!(telling_nginx(&hosts.server));
    let perron = perron(&hosts, "accept-proxy = \"10.0.0.4\"", 80, "");
    let sections = format!(
        "listen a\nbind :8001\nserver s {FRONT} send-proxy\nlisten b\nbind :8002\nserver s {FRONT} send-proxy-v2\n\
         listen c\nbind :8003\nserver s {FRONT} send-proxy-v2 proxy-v2-options crc32c,unique-id check inter 100ms\n\
         listen d\nmode tcp\nbind :8004\nserver s {FRONT} send-proxy-v2\n"
    );
    let _haproxy = lab::require!(haproxy(&hosts, &hosts.balancer, 8001, &sections));
    for port in 8001..=8004 {
        let url = format!("http://10.0.0.4:{port}/who");
        // Twice on one connection: the header comes once.
        let told = hosts.client.curl(&[&url, &url]).text();
        assert_eq!(told, "10.0.0.2  10.0.0.110.0.0.2  10.0.0.1", "port {port}");
    }
    wait_for(SOON, "the access log names the client", || {
        let written = perron.written();
        written.matches("\"client\":\"10.0.0.1:").count() == 8 && written.matches("\"status\":200").count() == 8
    });
    assert!(!perron.written().contains("10.0.0.4"), "{}", perron.written());
    // Who is not a balancer is a client, and may not claim to be another.
    assert_eq!(hosts.client.curl(&[&format!("http://{FRONT}/who")]).text(), "10.0.0.2  10.0.0.1");
    let mut liar = hosts.client.connect(FRONT);
    liar.send(format!("{LINE}GET /who HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(liar.answer().status(), 400);
}

#[test]
fn servers_behind_us_learn_the_client() {
    let hosts = lab::require!(hosts("pp-servers-behind"));
    let _nginx = lab::require!(telling_nginx(&hosts.server));
    let sections = "frontend a\nbind :82 accept-proxy\nhttp-request return status 200 content-type text/plain lf-string \"%[src] %[dst_port] %[req.hdr(x-forwarded-for)]\"\n\
                    frontend b\nmode tcp\nbind :83 accept-proxy\ndefault_backend b\nbackend b\nmode tcp\nserver s 127.0.0.1:81 send-proxy\n";
    let _haproxy = lab::require!(haproxy(&hosts, &hosts.server, 82, sections));
    let check = "checks = [{ type = \"http\", path = \"/who\", interval = \"50ms\", fall = 1 }]";
    let url = format!("http://{FRONT}/who");
    for version in ["\"v1\"", "\"v2\"", "true"] {
        for port in [81, 82, 83] {
            let mut perron = perron(&hosts, "", port, &format!("send-proxy = {version}\n{check}"));
            let told = hosts.client.curl(&[&url, &url]).text();
            assert_eq!(told, "10.0.0.1 8080 10.0.0.110.0.0.1 8080 10.0.0.1", "{version} to {port}");
            perron.stop();
        }
        let mut tcp = perron(&hosts, "mode = \"tcp\"", 81, &format!("send-proxy = {version}\n{check}"));
        assert_eq!(hosts.client.curl(&[&url]).text(), "10.0.0.1 8080 ", "{version} in TCP mode");
        tcp.stop();
    }
    // A server connection speaks for one client: the next one's request goes over another.
    let _perron = perron(&hosts, "", 81, "send-proxy = \"v2\"");
    let keep = format!("http://{FRONT}/keep");
    assert_eq!(hosts.client.curl(&[&keep, &keep, &keep]).text(), "111");
    assert_eq!(hosts.balancer.curl(&[&url]).text(), "10.0.0.4 8080 10.0.0.4");
}

#[test]
fn what_comes_in_goes_out() {
    let hosts = lab::require!(hosts("pp-through"));
    // It answers with the header that it got; a check's connection has one too, and no request.
    let _server = BadServer::start(&hosts.server, 80, |wire| {
        let line = wire.read_until("\r\n");
        if wire.request().is_ok() {
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()));
        } else {
            assert_eq!(line, "PROXY UNKNOWN\r\n");
        }
    });
    let own = "PROXY TCP4 10.0.0.1 10.0.0.2 ";
    let cases = [(LINE.as_bytes(), LINE), (BLOCK, LINE), (LOCAL, own), (b"PROXY UNKNOWN\r\n", own)];
    for mode in ["http", "tcp"] {
        let frontend = format!("mode = \"{mode}\"\naccept-proxy = [\"10.0.0.0/30\"]");
        let mut perron = perron(&hosts, &frontend, 80, "send-proxy = \"v1\"\nchecks = [{ type = \"tcp\" }]");
        for (header, line) in cases {
            let mut client = hosts.client.connect(FRONT);
            client.send([header, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"].concat());
            let told = client.answer().text();
            assert!(told.starts_with(line), "{mode}: {told:?}");
            assert!(line == LINE || told.ends_with(" 8080\r\n"), "{mode}: {told:?}");
        }
        perron.stop();
    }
}

#[test]
fn headers_in_pieces_keep_every_byte() {
    let hosts = lab::require!(hosts("pp-pieces"));
    let _nginx = lab::require!(telling_nginx(&hosts.server));
    let _perron = perron(&hosts, "accept-proxy = true", 80, "");
    let request = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n";
    for header in [LINE.as_bytes(), BLOCK] {
        let bytes = [header, request, request].concat();
        for cut in 0..=header.len() + request.len() {
            let mut client = hosts.client.connect(FRONT);
            client.send(&bytes[..cut]);
            // What was sent is taken as it is before the rest comes, most often.
            client.is_quiet_for(Duration::from_millis(2));
            client.send(&bytes[cut..]);
            for _ in 0..2 {
                assert_eq!(client.answer().text(), "10.0.0.2  192.0.2.7", "cut at {cut}");
            }
        }
    }
    for local in [LOCAL, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 192.0.2.7 whatever\r\n"] {
        let mut client = hosts.client.connect(FRONT);
        client.send([local, request].concat());
        assert_eq!(client.answer().text(), "10.0.0.2  10.0.0.1");
    }
}

#[test]
fn malformed_missing_and_slow_headers_are_refused_and_counted() {
    let hosts = lab::require!(hosts("pp-refused"));
    let server = BadServer::answering(&hosts.server, 80, OK);
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for mode in ["http", "tcp"] {
        let frontend = format!("mode = \"{mode}\"\naccept-proxy = \"10.0.0.1\"\ntimeouts = {{ header = \"500ms\" }}");
        let mut perron = perron(&hosts, &frontend, 80, "checks = []");
        let asked = server.accepted();
        let refused = |bytes: &[u8]| {
            let mut client = hosts.client.connect(FRONT);
            // It may have been closed before all was sent.
            let _ = client.try_send(bytes);
            let (rest, end) = client.rest();
            assert_eq!(rest, b"", "{mode}: nothing is answered");
            assert_ne!(end, End::Open, "{mode}");
        };
        refused(request.as_bytes());
        await_count(&perron, "proxy_header_missing", 1);
        refused(format!("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n{request}").as_bytes());
        await_count(&perron, "proxy_header_line", 1);
        refused(format!("PROXY TCP4 1.2.3.4 5.6.7.256 1 2\r\n{request}").as_bytes());
        await_count(&perron, "proxy_header_address", 1);
        refused(&[b'P', b'R', b'O', b'X', b'Y', b' '].into_iter().chain([b'x'; 200]).collect::<Vec<u8>>());
        refused(b"\r\n\r\n\0\r\nQUIT\n\x20\0\xff\xff");
        await_count(&perron, "proxy_header_too_long", 2);
        refused(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02\0\0");
        await_count(&perron, "proxy_header_length", 1);
        refused(&LINE.as_bytes()[..20]);
        refused(b"");
        await_count(&perron, "slow_proxy_header", 2);
        assert_eq!(server.accepted(), asked, "{mode}");
        // Who only looks whether somebody is at home is not counted; the log has one line for each of the others.
        drop(hosts.client.connect(FRONT));
        wait_for(SOON, "each refusal is logged", || perron.written().matches("proxy_header").count() == 8);
        // Nobody else's connection has to begin so.
        let mut ordinary = hosts.balancer.connect(FRONT);
        ordinary.send(request);
        assert_eq!(ordinary.answer().text(), "ok");
        drop(ordinary);
        perron.stop();
    }
}
