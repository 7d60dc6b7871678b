//! What is read of frontends that the kernel forwards for.

use config::{Config, Sources};
use forward::{Frontend, Plan, Sync, SyncPlan};
use forward_plan::{Choice, Engine, Key, Method, Persistence, Scheduler, Settings};

fn load(text: &str) -> Config {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}")).config
}

fn keys(keys: &[&str]) -> Vec<Key> {
    keys.iter().map(|key| key.parse().expect("a key")).collect()
}

const SERVER: &str = "[[backend.web.server]]\naddress = \"10.0.0.1:80\"\n";

#[test]
fn a_frontend_is_forwarded_by_nat_unless_it_says_otherwise() {
    let text = "[frontend.web]\nmode = \"forward\"\nbind = \"192.0.2.1:80\"\nbackend = \"web\"\n";
    let Plan { frontends, .. } = load(&format!("{text}{SERVER}")).forward;
    let expected = Frontend {
        name: "web".to_owned(),
        keys: keys(&["tcp 192.0.2.1:80"]),
        settings: Settings { scheduler: Scheduler::WeightedRoundRobin, persistence: None },
        method: Method::Nat,
        choice: Choice::Auto,
        inhibit: false,
        end_connections: true,
        backend: 0,
    };
    assert_eq!(frontends, [expected]);
}

#[test]
fn everything_that_can_be_said_of_forwarding() {
    let text = r#"
        [frontend.web]
        mode = "forward"
        bind = ["192.0.2.1:80", "192.0.2.1:8000-8010"]
        backend = "web"
        forward = { method = "masquerade", engine = "nftables", protocol = "udp", persistence = "50s", granularity = 24, inhibit = true, end-connections = false }
        [frontend.marked]
        mode = "forward"
        backend = "web"
        forward = { mark = 5 }
        [backend.web]
        balance = "mh"
    "#;
    let Plan { frontends, .. } = load(&format!("{text}{SERVER}")).forward;
    let [web, marked] = frontends.as_slice() else { panic!("{frontends:?}") };
    assert_eq!(web.keys, keys(&["udp 192.0.2.1:80", "udp 192.0.2.1:8000-8010"]));
    let persistence = Some(Persistence { seconds: 50, prefix: 24 });
    assert_eq!(web.settings, Settings { scheduler: Scheduler::Maglev { ports: false }, persistence });
    assert_eq!((web.method, web.choice), (Method::Masquerade, Choice::Only(Engine::Nftables)));
    assert!(web.inhibit && !web.end_connections);
    assert_eq!(marked.keys, keys(&["mark 5"]));
}

#[test]
fn every_word_of_balance_is_a_scheduler() {
    for (word, scheduler) in [
        ("round-robin", "round-robin"),
        ("weighted-round-robin", "round-robin"),
        ("wrr", "round-robin"),
        ("rr", "rr"),
        ("least-connections", "least-connections"),
        ("weighted-least-connections", "least-connections"),
        ("wlc", "least-connections"),
        ("lc", "lc"),
        ("source", "source-hash"),
        ("source-hash", "source-hash"),
        ("sh", "source-hash"),
        ("maglev", "maglev"),
        ("mh", "mh"),
        ("shortest-expected-delay", "shortest-expected-delay"),
        ("sed", "shortest-expected-delay"),
        ("never-queue", "never-queue"),
        ("nq", "never-queue"),
        ("failover", "failover"),
        ("fo", "failover"),
    ] {
        let frontend = "[frontend.web]\nmode = \"forward\"\nbind = \"192.0.2.1:80\"\nbackend = \"web\"\n";
        let config = load(&format!("{frontend}[backend.web]\nbalance = \"{word}\"\n{SERVER}"));
        assert_eq!(config.forward.frontends[0].settings.scheduler.as_str(), scheduler, "{word}");
    }
}

#[test]
fn connections_are_shared_as_the_vip_goes_that_has_the_frontends_address() {
    let text = r#"
        [frontend.web]
        mode = "forward"
        bind = "192.0.2.1:80"
        backend = "web"
        sync = { interface = "eth1", id = 7, group = "224.0.0.82", port = 8849, ttl = 2, max-length = 1400 }
        [frontend.other]
        mode = "forward"
        bind = "192.0.2.2:80"
        backend = "web"
        [vip.first]
        interface = "eth0"
        router-id = 1
        addresses = ["192.0.2.7/24"]
        [vip.second]
        interface = "eth0"
        router-id = 2
        addresses = ["192.0.2.8/24", "192.0.2.1/24"]
    "#;
    let mut config = load(&format!("{text}{SERVER}"));
    let plan = SyncPlan {
        interface: "eth1".to_owned(),
        id: 7,
        length: Some(1400),
        group: Some([224, 0, 0, 82].into()),
        port: Some(8849),
        ttl: Some(2),
    };
    assert_eq!(config.forward.sync, Some(Sync { plan, vip: "second".to_owned() }));
    config.leave_out(&["vip".to_owned()]);
    assert_eq!(config.forward.sync, None, "another program moves them");
}
