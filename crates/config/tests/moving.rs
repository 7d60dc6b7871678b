//! What a right text of addresses that move becomes.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use config::{Config, Sources};
use failover::{Route, Rule, Subject, Track, VipAddress};
use scripts::{Command, Notify, Watch, What};
use vrrp_proto::{AnnouncePolicy, Centiseconds, Checksum, Password, Peers, Preempt, Priority, Protocol};

fn load(text: &str) -> Config {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    let loaded = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(loaded.warnings.to_string(), "");
    loaded.config
}

/// A vip with these lines.
fn vip(lines: &str) -> Config {
    load(&format!("[vip.a]\ninterface = \"eth0\"\nrouter-id = 7\n{lines}"))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_vip_of_which_little_is_said() {
    let config = vip("addresses = \"10.0.0.9/24\"");
    let [vip] = config.failover.vips.as_slice() else { panic!("one vip") };
    assert_eq!((vip.name.as_str(), vip.interface.as_str(), vip.vrid.get()), ("a", "eth0", 7));
    assert_eq!(vip.priority, Priority::DEFAULT);
    let interval = Centiseconds::new(100).unwrap();
    assert_eq!(vip.protocol, Protocol::V3 { interval, checksum: Checksum::PseudoHeader });
    assert_eq!((vip.source, &vip.peers), (None, &Peers::Multicast));
    let address = VipAddress { ip: "10.0.0.9".parse().unwrap(), prefix: 24, interface: None, label: None, scope: 0 };
    assert_eq!(vip.addresses, [address]);
    assert!(vip.excluded.is_empty() && vip.routes.is_empty() && vip.rules.is_empty() && vip.track.is_empty());
    assert_eq!(vip.preempt, Preempt::After(Duration::ZERO));
    assert_eq!((vip.down_adverts.get(), vip.startup_delay, vip.virtual_mac), (3, Duration::ZERO, false));
    // keepalived's: five packets, five more after five seconds.
    assert_eq!(vip.announce, AnnouncePolicy::default());
    assert_eq!(config.vip_notify, [Notify::default()]);
    assert_eq!((config.watches.len(), config.notify_fifo, config.dns), (0, None, None));
}

const EVERYTHING: &str = r#"
[process]
notify-fifo = "vips"
[vip.a]
interface = "bond0"
router-id = 255
priority = 254
version = 2
advert-interval = "255s"
authentication = { password = "s3cret" }
addresses = ["10.0.0.9/24", { address = "10.0.0.10/32", interface = "lo", label = "lo:a", scope = "host" }]
excluded = "2001:db8::1/64"
routes = [
    { to = "default", via = "10.0.0.1", source = "10.0.0.9", table = 9, metric = 0 },
    { to = "2001:db8:1::/48", interface = "eth9" },
]
rules = [{ from = "10.0.0.9", to = "10.8.0.0/16", table = 9, priority = 100 }]
preempt-delay = "1000s"
down-adverts = 100
startup-delay = "1h"
announce = { repeat = 2, again = "0s", heal-repeat = 7, refresh = "1m", refresh-repeat = 3 }
unicast = { source = "10.0.0.2", peers = ["10.0.0.3", "10.0.0.4"] }
virtual-mac = true
"#;

#[test]
fn everything_that_can_be_said_of_a_vip() {
    let config = load(EVERYTHING);
    let vip = &config.failover.vips[0];
    assert_eq!(vip.priority.get(), 254);
    let password = Password::new(b"s3cret");
    assert_eq!(vip.protocol, Protocol::V2 { seconds: NonZeroU8::new(255).unwrap(), password });
    let more = &vip.addresses[1];
    assert_eq!((more.prefix, more.interface.as_deref(), more.label.as_deref()), (32, Some("lo"), Some("lo:a")));
    assert_eq!(more.scope, 254);
    assert_eq!((vip.excluded[0].ip.to_string().as_str(), vip.excluded[0].prefix), ("2001:db8::1", 64));
    let ip = |text: &str| text.parse().expect("an address");
    let first = Route {
        to: (ip("0.0.0.0"), 0),
        via: Some(ip("10.0.0.1")),
        interface: None,
        source: Some(ip("10.0.0.9")),
        table: 9,
        metric: Some(0),
    };
    let second = Route {
        to: (ip("2001:db8:1::"), 48),
        via: None,
        interface: Some("eth9".into()),
        source: None,
        table: 254,
        metric: None,
    };
    assert_eq!(vip.routes, [first, second]);
    let rule = Rule { from: Some((ip("10.0.0.9"), 32)), to: Some((ip("10.8.0.0"), 16)), table: 9, priority: 100 };
    assert_eq!(vip.rules, [rule]);
    assert_eq!(vip.preempt, Preempt::After(secs(1000)));
    assert_eq!((vip.down_adverts.get(), vip.startup_delay), (100, secs(3600)));
    let announce = AnnouncePolicy {
        repeat: 2,
        again: None,
        heal_repeat: 7,
        heal_again: None,
        refresh: Some(secs(60)),
        refresh_repeat: 3,
    };
    assert_eq!(vip.announce, announce);
    assert_eq!(vip.source, Some(ip("10.0.0.2")));
    assert_eq!(vip.peers, Peers::Unicast(vec![ip("10.0.0.3"), ip("10.0.0.4")]));
    assert!(vip.virtual_mac);
    assert_eq!(config.notify_fifo, Some(PathBuf::from("/etc/perron/vips")));
}

#[test]
fn the_two_families_may_share_a_number_and_a_link_local_address_is_of_its_link() {
    let config = load(
        "[vip.four]\ninterface = \"eth0\"\nrouter-id = 1\naddresses = \"10.0.0.9/24\"\nchecksum = \"message\"\n\
         advert-interval = \"40950ms\"\n\
         [vip.six]\ninterface = \"eth0\"\nrouter-id = 1\naddresses = [\"fe80::1/64\", \"2001:db8::1/64\"]\n\
         preempt = false\nadvert-interval = \"10ms\"\n\
         [vip.other]\ninterface = \"eth1\"\nrouter-id = 1\naddresses = \"fe80::1/64\"\n\
         [vip-group.both]\nmembers = [\"six\", \"four\"]\nnotify = { fault = [\"/bin/x\", \"1\"], user = \"u\" }",
    );
    let [four, six, other] = config.failover.vips.as_slice() else { panic!("three vips") };
    assert_eq!(four.protocol, Protocol::V3 { interval: Centiseconds::MAX, checksum: Checksum::Message });
    assert_eq!(six.protocol.interval(), Duration::from_millis(10));
    assert_eq!((six.preempt, six.addresses[0].scope, six.addresses[1].scope), (Preempt::No, 253, 0));
    assert_eq!(other.addresses, six.addresses[..1]);
    let [group] = config.failover.groups.as_slice() else { panic!("one group") };
    assert_eq!((group.name.as_str(), group.members.as_slice()), ("both", &[1, 0][..]));
    let fault = Command { words: vec!["/bin/x".into(), "1".into()], user: Some("u".into()), timeout: secs(60) };
    assert_eq!(config.group_notify, [Notify { fault: Some(fault), ..Notify::default() }]);
}

const TRACKED: &str = r#"
[frontend.f]
bind = "10.0.0.9:80"
backend = "b"
[[backend.b.server]]
address = "10.0.1.1:80"
[vip.a]
interface = "eth0"
router-id = 1
addresses = "10.0.0.9/24"
track = [
    { frontend = "f" },
    { backend = "b", weight = -50 },
    { interface = "eth1", weight = 10, reverse = true },
    { script = ["/usr/bin/look", "-x"], interval = "2s", rise = 2, fall = 3 },
    { process = "nginx", at-least = 2, weight = 254 },
    { file = "load", interval = "100ms", weight = -2 },
    { file = "/run/n" },
]
notify = { active = ["/bin/on"], backup = ["/bin/off"], stop = ["/bin/stop"], any = ["/bin/any"], timeout = "5s" }
[vip.b]
interface = "eth0"
router-id = 2
addresses = "10.0.0.10/24"
track = [
    { script = ["/usr/bin/look", "-x"], interval = "2s", rise = 2, fall = 3 },
    { script = ["/usr/bin/look", "-x"], user = "root", timeout = "200ms" },
]
"#;

#[test]
fn what_is_tracked_and_how_it_is_looked_at() {
    let config = load(TRACKED);
    let [a, b] = config.failover.vips.as_slice() else { panic!("two vips") };
    let fact = |key: &str| Subject::Fact(key.into());
    let plain = |subject, weight| Track { subject, weight, reverse: false };
    let expected = [
        plain(Subject::Served("frontend/f".into()), None),
        plain(Subject::Served("backend/b".into()), Some(-50)),
        Track { reverse: true, ..plain(Subject::Interface("eth1".into()), Some(10)) },
        plain(fact("script/look -x"), None),
        plain(fact("process/nginx (2)"), Some(254)),
        plain(fact("file/etc/perron/load"), Some(-2)),
        plain(fact("file/run/n"), Some(1)),
    ];
    assert_eq!(a.track, expected);
    // The same look serves both; another one has a key of its own.
    assert_eq!(b.track, [plain(fact("script/look -x"), None), plain(fact("script/look -x #2"), None)]);

    let words: Vec<String> = vec!["/usr/bin/look".into(), "-x".into()];
    let script = |user: Option<&str>, timeout| {
        What::Script(Command { words: words.clone(), user: user.map(str::to_owned), timeout })
    };
    let file = |path: &str| What::File(path.into());
    let watch = |key: &str, what, interval, (rise, fall)| Watch { key: key.into(), what, interval, rise, fall };
    let expected = [
        watch("script/look -x", script(None, secs(2)), secs(2), (2, 3)),
        watch("process/nginx (2)", What::Process { name: "nginx".into(), at_least: 2 }, secs(1), (1, 1)),
        watch("file/etc/perron/load", file("/etc/perron/load"), Duration::from_millis(100), (1, 1)),
        watch("file/run/n", file("/run/n"), secs(1), (1, 1)),
        watch("script/look -x #2", script(Some("root"), Duration::from_millis(200)), secs(1), (1, 1)),
    ];
    assert_eq!(config.watches, expected);
    let command = |path: &str| Some(Command { words: vec![path.into()], user: None, timeout: secs(5) });
    let notify = Notify {
        active: command("/bin/on"),
        backup: command("/bin/off"),
        fault: None,
        stop: command("/bin/stop"),
        any: command("/bin/any"),
        ..Notify::default()
    };
    assert_eq!(config.vip_notify, [notify, Notify::default()]);
}

const NAMED: &str = "[vip.a]\ninterface = \"eth0\"\nrouter-id = 7\naddresses = [\"10.0.0.9/24\", \"10.0.0.10/24\"]\n\
     excluded = \"10.0.0.11/24\"\ntrack = { file = \"/run/n\" }\n\
     [dns]\nbind = \"10.0.0.9:53\"\nname = \"WWW.Cluster.Example.\"\naddresses = [\"192.0.2.1\", \"a\"]\nttl = \"1m\"";

#[test]
fn the_name_and_what_it_is_answered_with() {
    let dns = load(NAMED).dns.expect("it is there");
    let ip = |text: &str| text.parse().expect("an address");
    let expected = dns::Plan {
        binds: vec!["10.0.0.9:53".parse().expect("an address")],
        name: "www.cluster.example".into(),
        addresses: vec![
            dns::Answers::Address(ip("192.0.2.1")),
            dns::Answers::Vip { name: "a".into(), addresses: vec![ip("10.0.0.9"), ip("10.0.0.10")] },
        ],
        ttl: secs(60),
        rate_limit: 100,
    };
    assert_eq!(dns, expected);
}

#[test]
fn without_vips_the_name_has_their_addresses_always() {
    let mut config = load(NAMED);
    assert_eq!(config.leave_out(&["boot".into()]), []);
    let taken = config.leave_out(&["vip".into()]);
    let told: Vec<String> = taken.iter().map(|part| format!("{} {}", part.place, part.part)).collect();
    assert_eq!(told, ["perron.toml:1:1 vip.a: floating addresses (VRRP)"]);
    assert_eq!(config.failover, failover::Plan::default());
    assert!(config.watches.is_empty() && config.vip_notify.is_empty());
    let answers = config.dns.as_ref().expect("it is there").addresses.clone();
    let always = ["192.0.2.1", "10.0.0.9", "10.0.0.10"];
    assert_eq!(answers, always.map(|text| dns::Answers::Address(text.parse().expect("an address"))));

    let taken = config.leave_out(&["dns".into()]);
    assert_eq!(taken.iter().map(|part| part.part.as_str()).collect::<Vec<_>>(), ["dns: name service"]);
    assert_eq!((config.dns, config.parts.len()), (None, 0));
}

#[test]
fn without_groups_vips_move_alone() {
    let mut config = load(
        "[vip.a]\ninterface = \"eth0\"\nrouter-id = 1\naddresses = \"10.0.0.1/24\"\n\
         [vip.b]\ninterface = \"eth1\"\nrouter-id = 1\naddresses = \"10.1.0.1/24\"\n[vip-group.g]\nmembers = [\"a\", \"b\"]",
    );
    let taken = config.leave_out(&["vip-group".into()]);
    assert_eq!(taken.iter().map(|part| part.kind()).collect::<Vec<_>>(), [Some("vip-group")]);
    assert_eq!((config.failover.groups.len(), config.failover.vips.len(), config.parts.len()), (0, 2, 2));
}
