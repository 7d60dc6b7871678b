//! Three controllers behind one address, as `examples/openstack-api.toml` has them: nginx, Apache httpd and Python's
//! server, asked by curl. The floating address is put on the host by the lab.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::{ApacheHttpd, BadServer, Host, Lab, Load, LoadShape, Nginx, Perron, PythonHttp, SOON, Skip, wait_for};

const SERVICE: &str = "172.16.9.200:4242";
const URL: &str = "http://172.16.9.200:4242/";

/// The example's three servers; the first may be a test's own.
struct Cluster {
    client: Host,
    controller: Host,
    first: Host,
    nginx: Option<Nginx>,
    _apache: ApacheHttpd,
    _python: PythonHttp,
    _lab: Lab,
}

#[test]
fn source_keeps_a_client_at_one_server() {
    let cluster = lab::require!(cluster("openstack-source", First::Nginx));
    let _perron = start(&cluster, &example());
    let answers: BTreeSet<String> = (0..30).map(|_| cluster.client.curl(&[URL]).text()).collect();
    assert_eq!(answers.len(), 1, "thirty requests of one client reached {answers:?}");
}

#[test]
fn turns_after_a_reload_under_load_without_a_failed_request() {
    let cluster = lab::require!(cluster("openstack-reload", First::Nginx));
    let perron = start(&cluster, &example());
    let load = Load::start(&cluster.client, SERVICE, &LoadShape::default());
    load.wait_for_more(200);
    assert_eq!(load.tally().bodies.len(), 1, "one client, one server: {:?}", load.tally());
    perron.reload(&swap(&example(), "\"source\"", "\"round-robin\"")).expect("the new text is right");
    load.wait_for_more(500);
    let tally = load.finish();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(tally.bodies.len(), 3, "every server took part after the reload: {tally:?}");

    let turns: Vec<String> = (0..6).map(|_| cluster.client.curl(&[URL]).text()).collect();
    assert_eq!(turns[..3].iter().collect::<BTreeSet<_>>().len(), 3, "three requests reach three servers: {turns:?}");
    assert_eq!(turns[..3], turns[3..], "in turn");
}

#[test]
fn a_server_leaves_after_five_failed_checks_and_is_back_after_two_good_ones() {
    let cluster = lab::require!(cluster("openstack-checks", First::TheTest));
    let (checks, server) = CheckedServer::start(&cluster.first);
    let text = swap(&swap(&example(), "\"source\"", "\"round-robin\""), "\"2s\"", "\"500ms\"");
    let perron = start(&cluster, &text);
    let name = "controllers/9lpo134";

    for _ in 0..4 {
        checks.answer_next(500);
    }
    checks.await_next();
    assert_eq!(perron.server(name)["status"], "up", "four failures are not enough");
    checks.answer(500);
    perron.wait_for_status(name, "down", SOON);
    assert_eq!(checks.answered.load(Ordering::SeqCst), 5, "the fifth failure was the last");
    let answers: BTreeSet<String> = (0..6).map(|_| cluster.client.curl(&[URL]).text()).collect();
    assert_eq!(answers, BTreeSet::from(["9lpo135\n".to_owned(), "9lpo192\n".to_owned()]));

    checks.answer_next(204);
    checks.await_next();
    assert_eq!(perron.server(name)["status"], "down", "one good check is not enough");
    checks.answer(204);
    perron.wait_for_status(name, "up", SOON);
    let answers: BTreeSet<String> = (0..3).map(|_| cluster.client.curl(&[URL]).text()).collect();
    assert!(answers.contains("9lpo134\n"), "{answers:?}");
    assert!(server.requests().iter().any(|line| line.starts_with("OPTIONS / HTTP/1.")));
}

#[test]
fn a_killed_server_costs_its_next_clients_nothing() {
    let mut cluster = lab::require!(cluster("openstack-kill", First::Nginx));
    let text = swap(&swap(&example(), "\"source\"", "\"round-robin\""), "\"2s\"", "\"200ms\"");
    let perron = start(&cluster, &text);
    cluster.nginx.take().expect("it was started").kill();
    for _ in 0..6 {
        let answer = cluster.client.curl(&["--fail", URL]).text();
        assert_ne!(answer, "9lpo134\n");
    }
    perron.wait_for_status("controllers/9lpo134", "down", SOON);
    cluster.nginx = Some(Nginx::start(&cluster.first, "9lpo134").expect("it ran before"));
    perron.wait_for_status("controllers/9lpo134", "up", SOON);
    let answers: BTreeSet<String> = (0..3).map(|_| cluster.client.curl(&[URL]).text()).collect();
    assert_eq!(answers.len(), 3, "{answers:?}");
}

#[test]
fn one_connection_too_many_waits_and_is_not_reset() {
    let cluster = lab::require!(cluster("openstack-max-connections", First::Nginx));
    let _perron = start(&cluster, &swap(&example(), "= 10000", "= 3"));
    let request = "GET / HTTP/1.1\r\nHost: api\r\n\r\n";
    let mut admitted = Vec::new();
    for _ in 0..3 {
        let mut wire = cluster.client.connect(SERVICE);
        wire.send(request);
        assert_eq!(wire.answer().status(), 200);
        admitted.push(wire);
    }
    let mut waiting: Vec<_> = (0..5).map(|_| cluster.client.connect(SERVICE)).collect();
    for wire in &mut waiting {
        wire.send(request);
    }
    for wire in &mut waiting {
        assert!(wire.is_quiet_for(Duration::from_millis(60)), "three are served, the others wait: {}", wire.seen());
    }
    for wire in &mut admitted {
        wire.send(request);
        assert_eq!(wire.answer().status(), 200, "the first three go on");
    }
    drop(admitted);
    // Each that is answered makes room for the next by leaving.
    let answered = Mutex::new(0);
    std::thread::scope(|scope| {
        for mut wire in waiting {
            let answered = &answered;
            scope.spawn(move || {
                assert_eq!(wire.answer().status(), 200);
                *answered.lock().expect("no client panicked") += 1;
            });
        }
    });
    assert_eq!(*answered.lock().expect("no client panicked"), 5);
}

#[derive(PartialEq)]
enum First {
    Nginx,
    TheTest,
}

fn cluster(name: &str, first: First) -> Result<Cluster, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "172.16.9.10/24");
    let controller = lab.host("controller", "172.16.9.11/24");
    controller.add_address("172.16.9.200/24");
    let hosts = ["134", "135", "192"].map(|last| lab.host(&format!("9lpo{last}"), &format!("172.16.9.{last}/24")));
    let nginx = if first == First::Nginx { Some(Nginx::start(&hosts[0], "9lpo134")?) } else { None };
    let apache = ApacheHttpd::start(&hosts[1], "9lpo135")?;
    let python = PythonHttp::start(&hosts[2], "9lpo192")?;
    let [first, ..] = hosts;
    Ok(Cluster { client, controller, first, nginx, _apache: apache, _python: python, _lab: lab })
}

fn example() -> String {
    fs::read_to_string(lab::examples().join("openstack-api.toml")).expect("the example is in the repository")
}

/// The text with the one place of `from` replaced.
fn swap(text: &str, from: &str, to: &str) -> String {
    // The comments speak of the values too.
    let code: String = text.lines().map(|line| line.split('#').next().unwrap_or_default().to_owned() + "\n").collect();
    assert_eq!(code.matches(from).count(), 1, "{from} is in the example once");
    code.replace(from, to)
}

fn start(cluster: &Cluster, text: &str) -> Perron {
    let perron = Perron::start_with(&cluster.controller, text, &["--without", "vip"]);
    perron.wait_until_up();
    perron
}

/// A server whose checks are answered as the test says, one by one, after a good one at its start.
struct CheckedServer {
    answered: Arc<AtomicUsize>,
    asked: Mutex<Receiver<()>>,
    statuses: Sender<u16>,
}

impl CheckedServer {
    fn start(host: &Host) -> (CheckedServer, BadServer) {
        let (ask, asked) = channel();
        let (statuses, told) = channel::<u16>();
        let (ask, told) = (Mutex::new(ask), Mutex::new(told));
        let answered = Arc::new(AtomicUsize::new(0));
        let (count, started) = (Arc::clone(&answered), AtomicUsize::new(0));
        let server = BadServer::start(host, 80, move |wire| {
            while let Ok(request) = wire.request() {
                if request.start.starts_with("GET") {
                    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n9lpo134\n");
                    continue;
                }
                let mut status = 204;
                if started.fetch_add(1, Ordering::SeqCst) >= 2 {
                    let _ = ask.lock().expect("no script panicked").send(());
                    let Ok(next) = told.lock().expect("no script panicked").recv() else {
                        return;
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                    status = next;
                }
                let _ = wire.try_send(format!(
                    "HTTP/1.1 {status} Told\r\nConnection: close\r\n{}\r\n",
                    if status == 204 { "" } else { "Content-Length: 0\r\n" }
                ));
            }
        });
        (CheckedServer { answered, asked: Mutex::new(asked), statuses }, server)
    }

    fn await_next(&self) {
        let asked = self.asked.lock().expect("no test thread panicked");
        wait_for(SOON, "the next check comes", || asked.try_recv().is_ok());
    }

    fn answer(&self, status: u16) {
        self.statuses.send(status).expect("the server runs");
    }

    fn answer_next(&self, status: u16) {
        self.await_next();
        self.answer(status);
    }
}
