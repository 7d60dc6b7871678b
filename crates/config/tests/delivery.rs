//! What a text becomes that says how clients get their bytes: delivery, zones, classes, limits.

use std::path::PathBuf;
use std::time::Duration;

use balance::{Algorithm, ClassConfig, ClassIndex, ZoneIndex};
use check::{HttpCheck, Kind, Page, Statuses, Target};
use config::{Config, Loaded, Sources};
use proxy::config::{ClientRule, Deliver, DeliverMode, Rate, RateLimits, RedirectTo};
use units::{Bandwidth, Weight};

fn try_load(text: &str) -> Result<Loaded, config::Diagnostics> {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    config::load(&sources)
}

fn load(text: &str) -> Config {
    let loaded = try_load(text).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(loaded.warnings.to_string(), "");
    assert_eq!(loaded.config.later, []);
    loaded.config
}

/// A frontend and a backend with these lines and servers.
fn backend(lines: &str, servers: &[&str]) -> Config {
    let servers: String = servers.iter().map(|server| format!("[[backend.b.server]]\n{server}\n")).collect();
    load(&format!("[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n[backend.b]\n{lines}\n{servers}"))
}

const ADDRESS: &str = "address = \"10.0.0.1:80\"";

/// A server that clients are sent to.
fn reached_at(url: &str) -> String {
    format!("{ADDRESS}\nredirect-to = \"{url}\"")
}

#[test]
fn zones_have_their_networks_and_servers() {
    let text = "[zone.a]\nnetworks = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n[zone.b]\nnetworks = \"10.1.0.0/16\"\n\
                [frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n[backend.b]\nbalance = \"bandwidth\"\nserver = [\n\
                { address = \"10.1.0.1:80\", zone = \"b\" },\n{ address = \"10.0.0.1:80\", zone = \"a\" },\n\
                { address = \"10.2.0.1:80\" },\n]\n";
    let proxy = load(text).proxy;
    let networks: Vec<(&str, Vec<String>)> = proxy
        .zones
        .iter()
        .map(|zone| (zone.name.as_str(), zone.networks.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(networks, [("a", vec!["10.0.0.0/8".into(), "2001:db8::/32".into()]), ("b", vec!["10.1.0.0/16".into()])]);
    let pool = &proxy.backends[0].pool;
    assert_eq!(pool.algorithm, Algorithm::Bandwidth);
    assert!(pool.servers.iter().map(|server| server.zone).eq([Some(ZoneIndex(1)), Some(ZoneIndex(0)), None]));
}

#[test]
fn a_servers_own_word_wins_over_its_classs() {
    let lines = "balance = \"bandwidth\"\nmax-requests = 400\nclass.big = { weight = 4, bandwidth = \"10Gbit\" }\n\
                 class.small = { bandwidth = \"1Gbit\", max-requests = 20, max-share = \"25%\" }";
    let config = backend(
        lines,
        &[
            "address = \"10.0.0.1:80\"\nclass = \"big\"",
            "address = \"10.0.0.2:80\"\nclass = \"small\"",
            "address = \"10.0.0.3:80\"\nclass = \"small\"\nweight = 0\nbandwidth = \"25Mbit\"\nmax-requests = 3",
            "address = \"10.0.0.4:80\"\nclass = \"small\"\nmax-connections = 5",
            "address = \"10.0.0.5:80\"\nbandwidth = \"1kbit\"",
        ],
    );
    let pool = &config.proxy.backends[0].pool;
    assert_eq!(pool.max_in_flight, Some(400));
    let class = |name: &str, max_share| ClassConfig { name: name.into(), max_share };
    assert_eq!(pool.classes, [class("big", None), class("small", Some(25))]);
    let servers =
        pool.servers.iter().map(|server| (server.class, server.weight, server.bandwidth, server.max_in_flight));
    let bits = |bits| Some(Bandwidth(bits));
    let (big, small) = (Some(ClassIndex(0)), Some(ClassIndex(1)));
    assert!(servers.eq([
        (big, Weight::new(4), bits(10_000_000_000), None),
        (small, Weight::new(1), bits(1_000_000_000), Some(20)),
        (small, Weight::new(0), bits(25_000_000), Some(3)),
        (small, Weight::new(1), bits(1_000_000_000), Some(5)),
        (None, Weight::new(1), bits(1_000), None),
    ]));
    assert_eq!(backend("max-connections = 7", &[ADDRESS]).proxy.backends[0].pool.max_in_flight, Some(7));
}

#[test]
fn what_a_class_gives_is_told_as_a_default() {
    let text = "[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n\
                [backend.b.class.c]\nweight = 3\nbandwidth = \"2Gbit\"\nmax-requests = 9\n\
                [[backend.b.server]]\nname = \"s\"\naddress = \"10.0.0.1:80\"\nclass = \"c\"\n\
                [[backend.b.server]]\nname = \"t\"\naddress = \"10.0.0.1:80\"\n";
    let loaded = try_load(text).expect("the text is right");
    for (path, value) in [
        ("backend.b.server.s.weight", "3"),
        ("backend.b.server.s.bandwidth", "\"2Gbit\""),
        ("backend.b.server.s.max-requests", "9"),
        ("backend.b.server.t.weight", "1"),
        ("backend.b.server.t.max-requests", "its class's, else no limit"),
        ("backend.b.deliver", "\"proxy\""),
        ("backend.b.retry-after", "\"5s\""),
    ] {
        let told = loaded.defaults.iter().find(|default| default.path == path);
        assert_eq!(told.map(|default| default.value.as_str()), Some(value), "{path}");
    }
}

#[test]
fn delivery_by_default_and_in_full() {
    let plain = backend("", &[ADDRESS]).proxy.backends.remove(0);
    assert_eq!(plain.deliver, Deliver { mode: DeliverMode::Proxy, status: 302, clients: Vec::new() });
    assert_eq!(plain.retry_after, Duration::from_secs(5));

    let server = reached_at("http://a.example");
    let redirect = backend("deliver = \"redirect\"\nredirect-status = 308", &[&server]).proxy.backends.remove(0);
    assert_eq!(redirect.deliver, Deliver { mode: DeliverMode::Redirect, status: 308, clients: Vec::new() });

    let lines = "deliver = \"auto\"\nredirect-status = 307\nretry-after = \"1m\"\n\
                 proxy-clients = [\"curl/\", \"iPXE/1.21\", \"CURL/\"]\nredirect-clients = [\"iPXE/\", \"curl/8.99\"]";
    let auto = backend(lines, &[&server]).proxy.backends.remove(0);
    let rule = |prefix: &str, follows| ClientRule { prefix: prefix.into(), follows };
    let clients = vec![rule("iPXE/1.21", false), rule("curl/8.99", true), rule("curl/", false), rule("iPXE/", true)];
    assert_eq!(auto.deliver, Deliver { mode: DeliverMode::Auto, status: 307, clients });
    assert_eq!(auto.retry_after, Duration::from_secs(60));
}

#[test]
fn places_that_clients_are_sent_to() {
    for (url, base, host, port) in [
        ("http://a.example", "http://a.example", "a.example", 80),
        ("http://A.Example./", "http://A.Example.", "a.example.", 80),
        ("http://a.example:8080/x/y//", "http://a.example:8080/x/y", "a.example", 8080),
        ("http://10.0.0.1:80", "http://10.0.0.1:80", "10.0.0.1", 80),
        ("http://[2001:DB8::1]:81/~x@y/%C3%A9", "http://[2001:DB8::1]:81/~x@y/%C3%A9", "2001:db8::1", 81),
        ("http://node_7", "http://node_7", "node_7", 80),
    ] {
        let config = backend("deliver = \"auto\"", &[&reached_at(url)]);
        let to = RedirectTo { base: base.into(), host: host.into(), port };
        assert_eq!(config.proxy.backends[0].servers[0].redirect_to, Some(to), "{url}");
    }
}

#[test]
fn https_places_are_checked_by_tls_under_their_own_name() {
    let checked = |lines: &str, url: &str| {
        let config = backend(&format!("deliver = \"auto\"\n{lines}"), &[&reached_at(url)]);
        let check = config.redirect_checks[0][0].clone().expect("a check");
        let server = config.proxy.backends[0].servers[0].tls.clone();
        (check.tls.map(|tls| (tls.ca, tls.name)), server.map(|tls| (tls.ca, tls.name)))
    };
    let by = |ca: Option<&str>, name: Option<&str>| Some((ca.map(PathBuf::from), name.map(str::to_owned)));
    let (ca, other, inside) = (Some("/etc/perron/ca.pem"), Some("/etc/perron/other.pem"), Some("inside"));
    let name = Some("a.example");
    for (lines, url, place, server) in [
        ("check = { type = \"tcp\" }", "https://a.example", None, None),
        ("check = { type = \"http\" }", "https://a.example.", by(None, name), None),
        ("check = { type = \"http\" }\ntls = { ca = \"ca.pem\" }", "https://a.example", by(ca, name), by(ca, name)),
        ("check = { type = \"https\", ca = \"ca.pem\" }", "https://a.example", by(ca, name), by(ca, name)),
        (
            "check = { type = \"https\", ca = \"ca.pem\", name = \"inside\" }",
            "https://a.example",
            by(ca, name),
            by(ca, inside),
        ),
        ("check = { type = \"https\", ca = \"ca.pem\" }", "http://a.example", None, by(ca, None)),
        ("check = { type = \"https\", ca = \"ca.pem\" }\ntls = false", "https://a.example", by(ca, name), None),
        (
            "check = { type = \"tcp\" }\nredirect-check = { type = \"https\", ca = \"other.pem\" }\ntls = true",
            "https://a.example",
            by(other, name),
            by(None, name),
        ),
    ] {
        assert_eq!(checked(lines, url), (place, server), "{lines} {url}");
    }
}

fn http(path: &str, host: &str, status: u16) -> Kind {
    let statuses = Statuses(vec![status..=status]);
    let page = Page { path: path.into(), statuses, body: None, digest: None };
    Kind::Http(HttpCheck { method: "GET".into(), host: Some(host.into()), pages: vec![page] })
}

#[test]
fn where_clients_are_sent_is_checked_as_the_server_is() {
    let check = "{ type = \"http\", path = \"/h\", host = \"inside\", status = 204, interval = \"4s\", fall = 7 }";
    let checked = |lines: &str, url: &str, more: &str| {
        let config = backend(
            &format!("deliver = \"auto\"\nobserve = 9\nsend-proxy = true\n{lines}"),
            &[&format!("{}\n{more}", reached_at(url))],
        );
        let [[check]] = config.redirect_checks.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] else {
            panic!("one server of one backend")
        };
        check.clone()
    };
    let name = |host: &str, port| Target::Name { host: host.into(), port };

    let alike =
        checked(&format!("check = [{{ type = \"tcp\" }}, {check}]"), "http://a.example/x", "").expect("a check");
    assert_eq!(alike.kind, http("/h", "a.example", 204));
    assert_eq!(alike.target, name("a.example", 80));
    assert_eq!((alike.send_proxy, alike.policy.observe_failures), (None, None));
    assert_eq!((alike.policy.interval, alike.policy.fall), (Duration::from_secs(4), 7));

    let six = checked(&format!("check = {check}"), "http://[2001:db8::1]:81", "").expect("a check");
    assert_eq!((six.kind, six.target), (http("/h", "[2001:db8::1]:81", 204), name("2001:db8::1", 81)));

    let elsewhere = "check = [{ type = \"http\", path = \"/stats\", port = 9000, fall = 8 }, { type = \"tcp\" }]";
    let taken = checked(elsewhere, "http://a.example", "").expect("a check");
    assert_eq!((taken.kind, taken.policy.fall), (Kind::Tcp, 8));

    let own = "checks = [{ type = \"tcp\", fall = 2 }]";
    let taken = checked(&format!("check = {check}"), "http://a.example:82", own).expect("a check");
    assert_eq!((taken.kind, taken.target, taken.policy.fall), (Kind::Tcp, name("a.example", 82), 2));
}

#[test]
fn redirect_checks_of_their_own() {
    let lines = |of_backend: &str| {
        format!("deliver = \"redirect\"\ncheck = {{ type = \"http\", path = \"/a\", status = 200 }}\n{of_backend}")
    };
    let kinds = |of_backend: &str, of_servers: &[&str]| -> Vec<Option<Kind>> {
        let servers: Vec<String> = (1..)
            .zip(of_servers)
            .map(|(number, more)| format!("name = \"s{number}\"\n{}\n{more}", reached_at("http://a.example")))
            .collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let config = backend(&lines(of_backend), &servers);
        config.redirect_checks[0].iter().map(|check| check.as_ref().map(|check| check.kind.clone())).collect()
    };
    let alike = Some(http("/a", "a.example", 200));
    let other = "redirect-check = { type = \"http\", path = \"/b\", status = 204 }";
    let named = "redirect-check = { type = \"http\", path = \"/b\", status = 204, host = \"c.example\" }";
    let off = "redirect-check = false";
    let on = "redirect-check = true";
    assert_eq!(kinds("", &["", off, other]), [alike.clone(), None, Some(http("/b", "a.example", 204))]);
    assert_eq!(kinds(off, &["", on, named]), [None, alike.clone(), Some(http("/b", "c.example", 204))]);
    assert_eq!(kinds(other, &["", on]), [Some(http("/b", "a.example", 204)), alike]);
    assert_eq!(kinds("redirect-check = { type = \"tcp\" }", &["checks = []"]), [Some(Kind::Tcp)]);
    assert_eq!(kinds("", &["checks = []"]), [None]);

    let relayed = backend("check = { type = \"tcp\" }", &[ADDRESS, "address = \"10.0.0.2:80\""]);
    assert_eq!(relayed.redirect_checks, [[None, None]]);
}

#[test]
fn rates() {
    let nanos = Duration::from_nanos;
    let rate = |period, burst| Some(Rate { period, burst });
    let limits = |text: &str| {
        let text = format!("[frontend.f]\nbind = \"0.0.0.0:80\"\nrate-limit = {text}\nrespond = {{}}\n");
        load(&text).proxy.frontends[0].rate_limits
    };
    for (text, period, burst) in [
        ("1/s", nanos(1_000_000_000), 1),
        ("20/s", nanos(50_000_000), 20),
        ("1000000/s", nanos(1_000), 1_000_000),
        ("90/m", nanos(666_666_666), 1),
        ("240/m", nanos(250_000_000), 4),
        ("100/h", nanos(36_000_000_000), 1),
        ("1000000/h", nanos(3_600_000), 277),
    ] {
        assert_eq!(limits(&format!("\"{text}\"")), RateLimits { client: rate(period, burst), total: None }, "{text}");
    }
    let both = limits("{ client = \"20/s\", burst = 50, total = \"1000/s\" }");
    assert_eq!(both, RateLimits { client: rate(nanos(50_000_000), 50), total: rate(nanos(1_000_000), 1000) });
    let total = limits("{ total = \"60/m\", total-burst = 7 }");
    assert_eq!(total, RateLimits { client: None, total: rate(nanos(1_000_000_000), 7) });

    let text = "[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n\
                route = [{ path = \"/a\", rate-limit = \"2/s\", backend = \"b\" }, { path = \"/b\", backend = \"b\" }]\n\
                [[backend.b.server]]\naddress = \"10.0.0.1:80\"\nrate-limit = \"100/s\"\n";
    let proxy = load(text).proxy;
    let routes = proxy.frontends[0].routes.iter().map(|route| route.rate_limits.client);
    assert!(routes.eq([rate(nanos(500_000_000), 2), None]));
    assert_eq!(proxy.frontends[0].rate_limits, RateLimits::default());
    assert_eq!(proxy.backends[0].servers[0].rate_limit, rate(nanos(10_000_000), 100));
}

#[test]
fn streams() {
    let idle = |stream: &str| {
        let text = format!(
            "[frontend.f]\nbind = \"0.0.0.0:80\"\nroute = [{{ backend = \"b\"{stream} }}]\n\
             [[backend.b.server]]\naddress = \"10.0.0.1:80\"\n"
        );
        load(&text).proxy.frontends[0].routes[0].stream.map(|stream| stream.idle.as_secs())
    };
    assert_eq!(idle(""), None);
    assert_eq!(idle(", stream = false"), None);
    assert_eq!(idle(", stream = true"), Some(3600));
    assert_eq!(idle(", stream = {}"), Some(3600));
    assert_eq!(idle(", stream = { idle = \"90s\" }"), Some(90));
}

#[test]
fn a_backend_has_at_most_16_384_servers() {
    let text = |servers: u32| {
        let server = |number| format!("[[backend.b.server]]\nname = \"s{number}\"\naddress = \"10.0.0.1:80\"\n");
        let servers: String = (0..servers).map(server).collect();
        format!("[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n{servers}")
    };
    assert_eq!(load(&text(16_384)).proxy.backends[0].pool.servers.len(), 16_384);
    let wrong = try_load(&text(16_385)).expect_err("one too many").to_string();
    assert!(wrong.contains("perron.toml:49156:1: error: a backend has at most 16384 servers"), "{wrong}");
}

#[test]
fn there_are_at_most_1024_zones_and_256_classes() {
    let zone = |number: u32| format!("[zone.z{number}]\nnetworks = \"{}\"\n", std::net::Ipv4Addr::from(number));
    let zones = |count: u32| -> String { (0..count).map(zone).collect() };
    let told = try_load(&zones(1024)).expect("so many are right").config.proxy.zones.len();
    assert_eq!(told, 1024);
    let wrong = try_load(&zones(1025)).expect_err("one too many").to_string();
    assert!(wrong.contains("perron.toml:2049:7: error: more than 1024 zones"), "{wrong}");

    let classes: String = (0..257).map(|number| format!("[backend.b.class.c{number}]\n")).collect();
    let text = format!("[[backend.b.server]]\n{ADDRESS}\n{classes}");
    let wrong = try_load(&text).expect_err("one too many").to_string();
    assert!(wrong.contains("perron.toml:259:18: error: more than 256 classes"), "{wrong}");
}
