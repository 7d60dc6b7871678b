//! The lab itself: its network, servers, clients and faults, with a foreign proxy in the product's place.

use std::fs;
use std::time::{Duration, Instant};

use lab::{
    ApacheHttpd, Authority, BadServer, End, Host, HungMount, Lab, Load, LoadShape, Nginx, Process, PythonHttp, SOON,
    wait_for,
};

#[test]
fn a_proxy_balances_three_kinds_of_servers() {
    let lab = lab::require!(Lab::new("proxy-three-servers"));
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let hosts = ["10.0.0.11/24", "10.0.0.12/24", "10.0.0.13/24"]
        .map(|address| lab.host(&format!("s{}", &address[8..9]), address));
    let _nginx = lab::require!(Nginx::start(&hosts[0], "nginx"));
    let _apache = lab::require!(ApacheHttpd::start(&hosts[1], "apache"));
    let mut python = lab::require!(PythonHttp::start(&hosts[2], "python"));
    let _haproxy =
        lab::require!(haproxy(&lab, &front, "server a 10.0.0.11:80\nserver b 10.0.0.12:80\nserver c 10.0.0.13:80"));

    let load = Load::start(&client, "10.0.0.2:8080", &LoadShape::default());
    load.wait_for_more(300);
    let tally = load.finish();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(tally.bodies.keys().collect::<Vec<_>>(), ["apache", "nginx", "python"]);

    for server in &hosts {
        let asked = client.curl(&[
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            "OPTIONS",
            &format!("http://{}/", server.address()),
        ]);
        assert!(["200", "204"].contains(&asked.text().as_str()), "OPTIONS on {}", server.name());
    }
    python.kill();
    assert!(client.try_connect("10.0.0.13:80").is_err());
}

#[test]
fn an_authority_signs_and_revokes() {
    let folder = tempfile::tempdir().expect("there is room");
    let authority = lab::require!(Authority::new(folder.path(), "ours"));
    let other = lab::require!(Authority::new(folder.path(), "theirs"));
    let server = authority.server("front", &["front.example", "10.0.0.1"]);
    let client = authority.client("alice", "/O=Lab/CN=alice");
    let list = authority.revoke("gone", &[&client]);
    let verify = |authority: &Authority, more: &[&std::path::Path]| {
        let mut command = std::process::Command::new("openssl");
        command.args(["verify", "-CAfile"]).arg(authority.certificate()).args(more);
        command.output().expect("openssl is there").status.success()
    };
    assert!(verify(&authority, &[&server]) && verify(&authority, &[&client]));
    assert!(!verify(&other, &[&server]), "another authority's");
    let checked = ["-crl_check".as_ref(), "-CRLfile".as_ref(), list.as_path()];
    assert!(!verify(&authority, &[&checked[..], &[&client]].concat()), "revoked");
    assert!(verify(&authority, &[&checked[..], &[&server]].concat()));
}

#[test]
fn a_load_tells_failures_apart() {
    let lab = lab::require!(Lab::new("load-kinds"));
    let client = lab.host("client", "10.0.0.1/24");
    let server = lab.host("server", "10.0.0.2/24");
    let shape = LoadShape { clients: 1, ..LoadShape::default() };
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    let asked_once = BadServer::closing_after(&server, 80, whole);
    let load = Load::start(&client, "10.0.0.2:80", &shape);
    load.wait_for_more(20);
    let tally = load.finish();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert!(tally.closed_idle + tally.closed_under_request >= 19, "{tally:?}");
    assert!(tally.connections >= 20, "{tally:?}");
    drop(asked_once);

    let half = BadServer::closing_after(&server, 81, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let load = Load::start(&client, "10.0.0.2:81", &shape);
    wait_for(SOON, "an answer is cut", || load.tally().cut >= 3);
    assert_eq!(load.finish().ok, 0);
    drop(half);

    let load = Load::start(&client, "10.0.0.2:81", &shape);
    wait_for(SOON, "a connection is refused", || load.tally().refused >= 3);

    let _busy =
        BadServer::answering(&server, 82, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let load = Load::start(&client, "10.0.0.2:82", &shape);
    wait_for(SOON, "a status is counted", || load.tally().statuses.get(&503).is_some_and(|count| *count >= 3));
    assert!(load.finish().closed_announced >= 3);
}

#[test]
fn wires_carry_what_a_test_wants() {
    let lab = lab::require!(Lab::new("wires"));
    let here = lab.host("here", "10.0.0.1/24");
    let server = BadServer::start(&here, 80, |wire| {
        let request = wire.request().expect("the test asks");
        assert_eq!(request.text(), "hello");
        wire.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nSum: 5\r\n\r\n",
        );
        wire.reset_at_close();
    });
    let mut wire = here.connect("127.0.0.1:80");
    assert!(wire.is_quiet_for(Duration::from_millis(20)));
    wire.send("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "abcde"));
    assert_eq!(answer.trailers, [("Sum".to_owned(), "5".to_owned())]);
    assert_eq!(wire.rest(), (Vec::new(), End::Reset));
    assert_eq!(server.requests(), ["POST /x HTTP/1.1"]);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn links_fail_as_told() {
    let lab = lab::require!(Lab::new("links"));
    let client = lab.host("client", "10.0.0.1/24");
    let server = lab.host("server", "10.0.0.2/24");
    client.add_address("fd00::1/64");
    server.add_address("fd00::2/64");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 500_000, "x".repeat(500_000));
    let _answers = BadServer::answering(&server, 80, answer);
    let curl = |limit: &str, url: &str| client.run(&["curl", "-sS", "-o", "/dev/null", "--max-time", limit, url]).code;
    let download = |url: &str| curl("20", url);
    let hangs = |url: &str| curl("1", url) == Some(28);
    assert_eq!(download("http://[fd00::2]/"), Some(0));

    lab::require!(lab::program("tc"));
    server.limit_sending("10mbit");
    let start = Instant::now();
    assert_eq!(download("http://10.0.0.2/"), Some(0));
    // 4 Mbit at 10 Mbit/s, less the bucket.
    assert!(start.elapsed() > Duration::from_millis(250), "{:?}", start.elapsed());
    // Two downloads, with what frames and acknowledgements add to them.
    let (sent, received) = (server.traffic().sent, client.traffic().received);
    assert!((1_000_000..1_200_000).contains(&sent), "{sent}");
    assert!((1_000_000..1_200_000).contains(&received), "{received}");
    server.set("net.ipv4.tcp_congestion_control", "reno").expect("every kernel has it");
    server.set("net.ipv4.tcp_congestion_control", "none").expect_err("no kernel has it");

    lab::require!(lab::program("nft"));
    server.drop_incoming("tcp dport 80");
    assert!(hangs("http://10.0.0.2/"));
    server.drop_nothing();
    assert_eq!(download("http://10.0.0.2/"), Some(0));

    server.link_down();
    assert!(hangs("http://10.0.0.2/"));
    server.link_up();
    assert_eq!(download("http://10.0.0.2/"), Some(0));
}

#[test]
fn a_mount_hangs_and_recovers() {
    let lab = lab::require!(Lab::new("mount"));
    let here = lab.host("here", "10.0.0.1/24");
    let mount = lab::require!(HungMount::mount(&here, "content\n"));
    let file = mount.folder().join("file.txt").to_string_lossy().into_owned();
    assert_eq!(here.run(&["cat", &file]).text(), "content\n");
    assert_eq!(here.run(&["ls", mount.folder().to_str().expect("plain")]).text(), "file.txt\n");
    mount.hang();
    let mut reader = here.spawn(&["cat", &file]);
    assert!(!lab::eventually(Duration::from_millis(100), || !reader.is_running()), "{}", reader.stderr());
    mount.recover();
    assert_eq!(reader.output().text(), "content\n");
    mount.hang();
    let mut reader = here.spawn(&["cat", &file]);
    assert!(!lab::eventually(Duration::from_millis(100), || !reader.is_running()), "{}", reader.stderr());
    drop(mount);
    assert!(!reader.wait(SOON).success());
}

#[test]
fn nothing_is_left_behind() {
    let lab = lab::require!(Lab::new("left-behind"));
    let here = lab.host("here", "10.0.0.1/24");
    let mut sleeper = here.spawn(&["sh", "-c", "setsid sleep 1000 & echo $!; wait"]);
    wait_for(SOON, "the grandchild's number is written", || sleeper.stdout().ends_with('\n'));
    let grandchild = format!("/proc/{}", sleeper.stdout().trim());
    let folder = lab.folder().to_owned();
    assert!(sleeper.is_running() && fs::exists(&grandchild).expect("proc is readable"));
    drop((sleeper, here, lab));
    let is_gone = || fs::read_to_string(format!("{grandchild}/stat")).map_or(true, |stat| stat.contains(") Z "));
    wait_for(SOON, "the grandchild is gone", is_gone);
    assert!(!folder.exists());
    let name = folder.file_name().expect("it has one").to_string_lossy().into_owned();
    let left = fs::read_dir("/run/netns").into_iter().flatten().filter_map(Result::ok);
    let left: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{name}-"))).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn haproxy(lab: &Lab, host: &Host, servers: &str) -> Result<Process, lab::Skip> {
    let haproxy = lab::program("haproxy")?;
    let config = lab.folder().join("haproxy.cfg");
    let text = format!(
        "defaults\nmode http\ntimeout client 10s\ntimeout server 10s\ntimeout connect 2s\n\
         listen web\nbind :8080\nbalance roundrobin\n{servers}\n"
    );
    fs::write(&config, text).expect("the folder is ours");
    let process = host.spawn(&[&haproxy.to_string_lossy(), "-db", "-f", &config.to_string_lossy()]);
    wait_for(SOON, "haproxy listens", || host.try_connect("127.0.0.1:8080").is_ok());
    Ok(process)
}
