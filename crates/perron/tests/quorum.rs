//! A quorum that is lost and comes back: who serves, who is told, and that each edge is told once.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod service;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use service::{Service, get, signal, wait_for};

/// A server that says its name, and that can go and come back.
struct Site {
    name: &'static str,
    address: SocketAddr,
    serving: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Site {
    fn start(name: &'static str) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut site = Site { name, address: listener.local_addr().unwrap(), serving: None };
        site.serve(listener);
        site
    }

    fn serve(&mut self, listener: TcpListener) {
        let (ending, name) = (Arc::new(AtomicBool::new(false)), self.name);
        let ends = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|read| read > 0) {
                    let length = name.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{name}"
                    );
                }
            }
        });
        self.serving = Some((ending, thread));
    }

    fn go(&mut self) {
        let (ending, thread) = self.serving.take().unwrap();
        ending.store(true, Ordering::Release);
        drop(std::net::TcpStream::connect(self.address));
        thread.join().unwrap();
    }

    fn come(&mut self) {
        let address = self.address;
        let listener = wait_for("the server's address", || TcpListener::bind(address).ok());
        self.serve(listener);
    }
}

fn text(sites: &[Site; 3], sorry: &Site, told: &Path) -> String {
    let [a, b, c] = [&sites[0], &sites[1], &sites[2]].map(|site| site.address);
    let (sorry, told) = (sorry.address, told.display());
    format!(
        "[frontend.web]\nbind = \"ADDRESS\"\nbackend = \"web\"\n[process]\nworkers = 1\naccess-log = \"off\"\n\
         [backend.web]\nquorum = 2\nhysteresis = 1\nomega = true\nsorry-server = \"{sorry}\"\n\
         check = {{ type = \"tcp\", interval = \"20ms\", rise = 1, fall = 1 }}\n\
         on-quorum-up = [\"/bin/sh\", \"-c\", \"echo quorum up >>{told}\"]\n\
         on-quorum-down = [\"/bin/sh\", \"-c\", \"echo quorum down >>{told}\"]\n\
         server = [\n\
         {{ name = \"a\", address = \"{a}\", on-up = [\"/bin/sh\", \"-c\", \"echo a up >>{told}\"], \
         on-down = [\"/bin/sh\", \"-c\", \"echo a down >>{told}\"] }},\n\
         {{ name = \"b\", address = \"{b}\" }},\n{{ name = \"c\", address = \"{c}\" }},\n]\n"
    )
}

#[test]
fn below_the_quorum_the_sorry_server_serves_and_each_edge_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let told = folder.path().join("told");
    fs::write(&told, "").unwrap();
    fs::set_permissions(&told, Permissions::from_mode(0o666)).unwrap();
    let mut sites = [Site::start("a"), Site::start("b"), Site::start("c")];
    let sorry = Site::start("sorry");
    let mut service = Service::start(&text(&sites, &sorry, &told), &[]);
    let lines = || fs::read_to_string(&told).unwrap();
    let sorted = || {
        let mut lines: Vec<String> = lines().lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let answers = |service: &Service, expected: &str| {
        wait_for(expected, || get(service.address).is_ok_and(|body| expected.contains(&body)).then_some(()));
    };

    wait_for("both to be told", || (sorted() == ["a up", "quorum up"]).then_some(()));
    answers(&service, "a b c");
    // Two are one less than comes with a quorum, and not less than keeps it.
    sites[0].go();
    wait_for("the server's end", || lines().contains("a down\n").then_some(()));
    sites[1].go();
    wait_for("one that is left", || (service.status("/backends/0/quorum/weight") == 1).then_some(()));
    assert_eq!(service.status("/backends/0/quorum/is_there"), true);
    assert_eq!(get(service.address).unwrap(), "c");

    sites[2].go();
    wait_for("the quorum's end", || lines().contains("quorum down\n").then_some(()));
    assert_eq!(get(service.address).unwrap(), "sorry");
    sites[1].come();
    sites[2].come();
    wait_for("two that are back", || (service.status("/backends/0/quorum/weight") == 2).then_some(()));
    assert_eq!(get(service.address).unwrap(), "sorry", "two are less than the quorum and its hysteresis");

    // A reload and a death know what was, and tell nothing again.
    assert!(service.perron(&["reload"]).status.success());
    wait_for("the old process's end", || (service.serving().len() == 1).then_some(()));
    signal(service.serving()[0], "KILL");
    answers(&service, "sorry");
    wait_for("the state", || (service.status("/backends/0/quorum/weight") == 2).then_some(()));
    assert_eq!(service.status("/backends/0/quorum/sorry"), true);
    sites[0].come();
    wait_for("the quorum", || (lines().matches("quorum up").count() == 2).then_some(()));
    answers(&service, "a b c");
    let told_by_log = [
        "web has no quorum: usable servers weigh 0 of 2, the sorry server stands in",
        "web has its quorum: usable servers weigh 3, 3 is enough",
    ];
    assert!(told_by_log.iter().all(|line| service.log().contains(line)), "{}", service.log());

    service.signal("TERM");
    assert!(service.end().success());
    let expected = ["a down", "a down", "a up", "a up", "quorum down", "quorum down", "quorum up", "quorum up"];
    assert_eq!(sorted(), expected);
}
