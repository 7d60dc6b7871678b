//! The product's own examples: each is right, and says which parts of it must wait.

use std::path::{Path, PathBuf};

use balance::ZoneIndex;
use check::{Kind, Target};
use config::{Handler, Loaded, Sources};
use linux::Bind;
use proxy::AllowUsers;
use proxy::config::DeliverMode;
use tls::config::{CertificateFiles, ClientTls, UserField, Version};
use units::Bandwidth;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn load(name: &str) -> Loaded {
    let sources = Sources::read(&examples().join(name)).expect("the example is there");
    config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn later(loaded: &Loaded) -> Vec<&str> {
    loaded.config.later.iter().map(|later| later.part.as_str()).collect()
}

#[test]
fn every_example_is_right_and_without_warnings() {
    let mut seen = 0;
    for entry in std::fs::read_dir(examples()).expect("the folder is there") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if name.ends_with(".toml") {
            assert_eq!(load(&name).warnings.to_string(), "", "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} examples");
}

#[test]
fn openstack_api_runs_whole() {
    let loaded = load("openstack-api.toml");
    assert_eq!(loaded.config.later, []);
    let [part] = loaded.config.parts.as_slice() else { panic!("one part") };
    assert_eq!((part.part.as_str(), part.place.line), ("vip.api: floating addresses (VRRP)", 9));
    let [listen] = loaded.config.listens.as_slice() else { panic!("one socket") };
    assert_eq!(listen.bind, Bind::Ip("172.16.9.200:4242".parse().expect("an address")));
    assert_eq!(loaded.config.proxy.frontends[0].max_connections, Some(10000));
    assert!(loaded.config.proxy.frontends[0].tcp_keepalive.is_some());
    assert_eq!(loaded.config.proxy.backends[0].pool.algorithm, balance::Algorithm::Source);
    let checks: Vec<usize> = loaded.config.checks[0].iter().map(Vec::len).collect();
    assert_eq!(checks, [1, 1, 1]);
}

#[test]
fn cluster_http_runs_whole_by_tls() {
    let config = load("cluster-http.toml").config;
    assert_eq!(config.later, []);
    let [clear, secure] = config.proxy.frontends.as_slice() else { panic!("two frontends") };
    assert_eq!(clear.tls, None);
    let tls = secure.tls.as_ref().expect("https");
    let files = |path: &str| CertificateFiles { certificate: examples().join(path), key: None };
    assert_eq!((tls.certificates.as_slice(), tls.client.as_ref()), ([files("tls/front.pem")].as_slice(), None));
    // Its check says what the server's port speaks, its redirect-to what its certificate's name is.
    let authority = Some(examples().join("tls/ca.pem"));
    let server = &config.proxy.backends[0].servers[0];
    let expected = ClientTls {
        ca: authority,
        verify: true,
        name: Some("island1-a.cluster.example".into()),
        certificate: None,
        oldest: Version::Tls12,
        http2: false,
    };
    assert_eq!(server.tls.as_ref(), Some(&expected));
    assert_eq!(server.redirect_to.as_ref().map(|to| to.base.as_str()), Some("https://island1-a.cluster.example"));
    assert_eq!(config.checks[0][0][0].tls.as_ref(), Some(&expected));
    let place = config.redirect_checks[0][0].as_ref().expect("its place is asked");
    assert_eq!(place.target, Target::Name { host: "island1-a.cluster.example".into(), port: 443 });
    assert_eq!(place.tls.as_ref(), Some(&expected));
    assert!(matches!(&place.kind, Kind::Http(http) if http.host.as_deref() == Some("island1-a.cluster.example")));
}

#[test]
fn cluster_http_clear_runs_whole() {
    let config = load("cluster-http-clear.toml").config;
    assert_eq!(config.later, []);
    let zones: Vec<&str> = config.proxy.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(zones, ["island1", "island2"]);
    let [backend] = config.proxy.backends.as_slice() else { panic!("one backend") };
    assert_eq!(backend.pool.algorithm, balance::Algorithm::Bandwidth);
    assert_eq!(backend.deliver.mode, DeliverMode::Auto);
    assert_eq!(backend.pool.max_in_flight, Some(400));
    let [island1, island2, worker] = backend.pool.servers.as_slice() else { panic!("three servers") };
    let zones = [island1, island2, worker].map(|server| server.zone);
    assert_eq!(zones, [Some(ZoneIndex(0)), Some(ZoneIndex(1)), None]);
    let links = [island1, island2, worker].map(|server| server.bandwidth);
    assert_eq!(links, [10_000_000_000, 10_000_000_000, 1_000_000_000].map(|bits| Some(Bandwidth(bits))));
    assert_eq!(worker.max_in_flight, Some(20));
    let bases = backend.servers.iter().filter_map(|server| server.redirect_to.as_ref().map(|to| to.base.as_str()));
    let expected =
        ["http://island1-a.cluster.example", "http://island2-a.cluster.example", "http://worker1.cluster.example"];
    assert!(bases.eq(expected));
    assert!(config.redirect_checks[0].iter().all(Option::is_some));
    assert_eq!(load("cluster-http-clear-origin.toml").config.later, []);
}

#[test]
fn cluster_http_origin_runs_whole_by_tls() {
    let loaded = load("cluster-http-origin.toml");
    assert_eq!(later(&loaded), [""; 0]);
    let tls = loaded.config.proxy.frontends[0].tls.as_ref().expect("https");
    assert_eq!(tls.certificates[0].certificate, examples().join("tls/origin.pem"));
    let [Handler::Health(health), Handler::Files(files)] = loaded.config.handlers.as_slice() else {
        panic!("health and files: {:?}", loaded.config.handlers)
    };
    assert_eq!(health.files, Path::new("/srv/cluster"));
    assert_eq!(files.root, Path::new("/srv/cluster"));
    assert_eq!(files.strip_prefix, "/");
    assert!(files.listing);
}

#[test]
fn lvs_web_is_forwarded_not_served() {
    let loaded = load("lvs-web.toml");
    assert!(loaded.config.listens.is_empty() && loaded.config.proxy.frontends.is_empty());
    assert_eq!(later(&loaded), [""; 0]);
    let sync = forward::Sync { plan: forward::SyncPlan::new("eth0", 51), vip: "web".to_owned() };
    assert_eq!(loaded.config.forward.sync, Some(sync));
    // keepalived's checks as they stand: several pages, tries, a digest, a script whose end is the weight, SMTP.
    let [pages, script, smtp] = [(0, 1), (1, 1), (2, 0)].map(|(server, check)| &loaded.config.checks[0][server][check]);
    assert!(matches!(&pages.kind, Kind::Http(http) if http.pages.len() == 2 && http.pages[1].digest.is_some()));
    assert_eq!((pages.policy.retries, pages.policy.retry_delay.as_secs(), pages.policy.fall), (3, 3, 1));
    assert!(matches!(&script.kind, Kind::Script(script) if script.sets_weight && script.words.len() == 2));
    assert!(matches!(&smtp.kind, Kind::Smtp(smtp) if smtp.helo == "director.example.org"));
}

#[test]
fn a_pair_of_directors_looks_once_for_both_addresses() {
    let config = load("director-pair.toml").config;
    let plan = &config.failover;
    let vips: Vec<(&str, u8, usize)> =
        plan.vips.iter().map(|vip| (vip.name.as_str(), vip.priority.get(), vip.track.len())).collect();
    assert_eq!(vips, [("front-a", 150, 3), ("front-b", 100, 3)]);
    assert_eq!(config.watches.len(), 1);
    assert_eq!(config.dns.map(|dns| dns.addresses.len()), Some(2));
    assert_eq!(config.notify_fifo.as_deref(), Some(Path::new("/run/perron/vips")));
}

#[test]
fn ganeti_node_listens_on_its_interface() {
    let loaded = load("ganeti-node.toml");
    let bind = Bind::Interface { name: "eth1".into(), port: 1811 };
    assert_eq!(loaded.config.listens.iter().map(|listen| &listen.bind).collect::<Vec<_>>(), [&bind]);
    assert!(later(&loaded).is_empty());
    let frontend = &loaded.config.proxy.frontends[0];
    let client =
        frontend.tls.as_ref().and_then(|tls| tls.client.as_ref()).expect("clients' certificates are asked for");
    assert_eq!((client.required, client.export, client.user), (true, true, Some(UserField::SubjectCn)));
    assert_eq!(client.ca, examples().join("ca.pem"));
    let exports = frontend.routes.last().and_then(|route| route.allow_users.as_ref());
    assert_eq!(exports, Some(&AllowUsers(vec!["node*.example.org".into()])));
}

#[test]
fn boot_masters_waits_whole() {
    assert_eq!(
        later(&load("boot-masters.toml")),
        [
            "inventory: nodes",
            "masters: masters that stand in for each other",
            "boot: how nodes boot",
            "boot.dhcp: DHCP",
            "boot.tftp: TFTP",
            "boot.nfs: NFS",
            "boot.profile.compute: boot profiles",
            "boot.profile.installer: boot profiles",
            "boot.profile.master-waiting: boot profiles",
        ]
    );
}
