//! What a right text becomes.

use std::path::PathBuf;
use std::time::Duration;

use balance::Algorithm;
use check::{BodyMatch, HttpCheck, Kind, Page, Statuses, Target};
use config::{AccessLog, Handler, Loaded, Sources};
use http_proto::{Condition, HeaderEdits};
use linux::Bind;
use proxy::config::{
    AcceptProxy, Answer, BackendIndex, HandlerIndex, LogFormat, Mode, Protocol, Redirect, Respond, Script,
    ServerAddress, StickBy, StickConfig, TcpKeepalive,
};
use units::{AdminState, Weight};
use wire::proxy_header::Version;

fn load(text: &str) -> Loaded {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// A frontend and a backend around these lines of each.
fn pair(frontend: &str, backend: &str) -> Loaded {
    load(&format!(
        "[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n{frontend}\n[backend.b]\n{backend}\n\
         [[backend.b.server]]\nname = \"s\"\naddress = \"10.0.0.1:80\"\n"
    ))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_process_and_its_admin_address() {
    let plain = load("");
    assert_eq!(plain.config.process.drain_timeout, secs(30));
    assert_eq!(plain.config.process.access_log, AccessLog::Stdout);
    assert_eq!(plain.config.admin.bind, Some("127.0.0.1:7070".parse().expect("an address")));

    let text = "[process]\nuser = \"www\"\nworkers = 4\ncontrol-socket = \"run/ctl\"\ndrain-timeout = \"1m\"\n\
                access-log = \"/var/log/perron.log\"\n[admin]\nbind = \"off\"";
    let process = load(text).config.process;
    assert_eq!(process.user.as_deref(), Some("www"));
    assert_eq!(process.workers, Some(4));
    assert_eq!(process.control_socket, Some(PathBuf::from("/etc/perron/run/ctl")));
    assert_eq!(process.drain_timeout, secs(60));
    assert_eq!(process.access_log, AccessLog::File("/var/log/perron.log".into()));
    assert_eq!(load(text).config.admin.bind, None);
}

#[test]
fn binds_of_every_form() {
    let text = "[frontend.a]\nbind = [\"10.0.0.1:80\", \"[::1]:80\", \"eth0.100:81\", \"unix:run/a\", \
                { unix = \"/run/b\", mode = \"0666\" }]\nrespond = {}";
    let listens = load(text).config.listens;
    let binds: Vec<Bind> = listens.iter().map(|listen| listen.bind.clone()).collect();
    assert_eq!(
        binds,
        [
            Bind::Ip("10.0.0.1:80".parse().expect("an address")),
            Bind::Ip("[::1]:80".parse().expect("an address")),
            Bind::Interface { name: "eth0.100".into(), port: 81 },
            Bind::Unix { path: "/etc/perron/run/a".into(), mode: 0o660 },
            Bind::Unix { path: "/run/b".into(), mode: 0o666 },
        ]
    );
    assert_eq!(listens[2].text, "eth0.100:81");
    assert_eq!(listens[2].place.to_string(), "perron.toml:2:36");
}

#[test]
fn what_does_not_clash() {
    let text = "[frontend.a]\nbind = [\"0.0.0.0:80\", \"[::]:80\", \"0.0.0.0:81\", \"10.0.0.1:82\", \"10.0.0.2:82\", \
                \"eth0:82\"]\nrespond = {}";
    assert_eq!(load(text).config.listens.len(), 6);
}

#[test]
fn routes_and_their_answers() {
    let text = r#"
[frontend.f]
bind = "0.0.0.0:80"
route = [
  { path = ["/a/", "/b"], host = "*.Example.org", method = ["GET", "HEAD"], client = "10.0.0.0/8", backend = "b" },
  { path-exact = "/c", header = { X-One = true, X-Two = "2" }, redirect = "https://{host}{path}{query}" },
  { path = "/d", redirect = { to = "/e{path}", status = 308 } },
  { path = "/f", respond = { status = 503, body = "closed\n" } },
  { path = ["/g/", "/h/"], files = { root = "www", listing = true, index = [] } },
  { path = "/i", health = "/srv" },
  { path = "/", respond = { content-type = "text/html" } },
]
[[backend.b.server]]
address = "10.0.0.1:80"
"#;
    let config = load(text).config;
    let routes = &config.proxy.frontends[0].routes;
    let prefix = |path: &str| vec![Condition::PathPrefix(vec![path.into()])];
    let header =
        |name: &str, value: Option<&str>| Condition::Header { name: name.into(), value: value.map(Into::into) };
    assert_eq!(
        routes[0].when,
        [
            Condition::PathPrefix(vec!["/a/".into(), "/b".into()]),
            Condition::Host(vec!["*.example.org".into()]),
            Condition::Method(vec!["GET".into(), "HEAD".into()]),
            Condition::Client(vec!["10.0.0.0/8".parse().expect("a network")]),
        ]
    );
    assert_eq!(
        routes[1].when,
        [Condition::PathExact(vec!["/c".into()]), header("x-one", None), header("x-two", Some("2"))]
    );
    let answers: Vec<_> = routes.iter().map(|route| route.answer.clone()).collect();
    let redirect = |status, location: &str| Answer::Redirect(Redirect { status, location: location.into() });
    let respond = |status, content_type: &str, body: &str| {
        Answer::Respond(Respond { status, content_type: content_type.into(), body: body.into() })
    };
    assert_eq!(
        answers,
        [
            Answer::Backend(BackendIndex(0)),
            redirect(302, "https://{host}{path}{query}"),
            redirect(308, "/e{path}"),
            respond(503, "text/plain; charset=utf-8", "closed\n"),
            Answer::Handler(HandlerIndex(0)),
            Answer::Handler(HandlerIndex(1)),
            Answer::Handler(HandlerIndex(2)),
            respond(200, "text/html", ""),
        ]
    );
    assert_eq!((&routes[4].when, &routes[5].when), (&prefix("/g/"), &prefix("/h/")));
    assert!(routes[7].when.is_empty(), "everything is below /");
    let files = |strip_prefix: &str| {
        Handler::Files(origin::FilesConfig {
            root: "/etc/perron/www".into(),
            strip_prefix: strip_prefix.into(),
            listing: true,
            index: Vec::new(),
            symlinks: false,
            precompressed: false,
            timeout: secs(5),
            upload: None,
        })
    };
    let health = Handler::Health(origin::HealthConfig { files: "/srv".into(), timeout: secs(1) });
    assert_eq!(config.handlers, [files("/g/"), files("/h/"), health]);
}

#[test]
fn files_that_are_taken_in() {
    let upload = |files: &str| {
        let text =
            format!("[frontend.a]\nbind = \"0.0.0.0:80\"\nfiles = {{ root = \"/srv\", upload = true{files} }}\n");
        let sources = Sources::from_texts(vec![("perron.toml".into(), text)], "/etc/perron".into());
        let loaded = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(loaded.config.later.is_empty());
        let [Handler::Files(files)] = &loaded.config.handlers[..] else { panic!("one tree") };
        files.upload.clone().expect("it takes files in")
    };
    let plain = origin::UploadConfig {
        max_size: None,
        quota: None,
        keep_free: None,
        mode: 0o644,
        make_directories: false,
        delete: false,
        keep_partial: secs(86_400),
        partial_quota: None,
        timeout: secs(30),
    };
    assert_eq!(upload(""), plain);
    let text = ", delete = true, max-size = \"4GiB\", quota = \"10GiB\", keep-free = \"500MB\", mode = \"0660\", \
                make-directories = true, keep-partial = \"1h\", partial-quota = \"1GiB\", upload-timeout = \"2s\"";
    let everything = origin::UploadConfig {
        max_size: Some(4 << 30),
        quota: Some(10 << 30),
        keep_free: Some(500_000_000),
        mode: 0o660,
        make_directories: true,
        delete: true,
        keep_partial: secs(3600),
        partial_quota: Some(1 << 30),
        timeout: secs(2),
    };
    assert_eq!(upload(text), everything);
}

#[test]
fn files_that_are_each_for_one_client() {
    let text = "[frontend.a]\nbind = \"0.0.0.0:443\"\n\
        tls = { certificate = \"a.pem\", client-certificate = \"required\", client-ca = \"ca.pem\" }\n\
        [[frontend.a.route]]\npath = \"/transfers/\"\nfiles = { root = \"/srv\", transfers = \"told\", timeout = \"9s\" }\n";
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.to_owned())], "/etc/perron".into());
    let loaded = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"));
    let [Handler::Transfers(transfers)] = &loaded.config.handlers[..] else { panic!("one of transfers") };
    assert_eq!(transfers.described, std::path::Path::new("/etc/perron/told"));
    let files = &transfers.files;
    assert_eq!((files.root.to_str(), &*files.strip_prefix, files.timeout), (Some("/srv"), "/transfers/", secs(9)));
    assert!(files.upload.is_none());
}

#[test]
fn users_codings_pages_and_paths() {
    use proxy::Coding::{Gzip, Zstd};
    use proxy::config::{BasicAuth, ErrorPageFile, PasswordsIndex, Rewrite};
    let text = "[frontend.a]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\ncompress = \"gzip\"\n\
        error-pages = { 404 = \"pages/404.html\", 503 = \"/srv/503.json\" }\n\
        basic-auth = { file = \"users\", realm = \"our \\\"place\\\"\" }\nallow-users = \"admin\"\n\
        [[frontend.a.route]]\npath = \"/old/\"\nbackend = \"b\"\ncompress = [\"zstd\", \"gzip\", \"zstd\"]\n\
        basic-auth = { file = \"other\" }\nrewrite = { from = \"/old/\", to = \"/new/\" }\n\
        [[frontend.a.route]]\npath = \"/same\"\nbackend = \"b\"\nbasic-auth = { file = \"users\" }\n\
        [[backend.b.server]]\naddress = \"10.0.0.1:80\"\n";
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    let proxy = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}")).config.proxy;
    assert_eq!(proxy.password_files, ["/etc/perron/users", "/etc/perron/other"].map(PathBuf::from));
    let auth = |place, realm: &str| Some(BasicAuth { passwords: PasswordsIndex(place), realm: realm.into() });
    let frontend = &proxy.frontends[0];
    assert_eq!((&frontend.basic_auth, &frontend.compress), (&auth(0, "our \"place\""), &vec![Gzip]));
    let page = |status, path: &str, content_type: &str| ErrorPageFile {
        status,
        path: path.into(),
        content_type: content_type.into(),
    };
    let html = page(404, "/etc/perron/pages/404.html", "text/html; charset=utf-8");
    assert_eq!(frontend.error_pages, [html, page(503, "/srv/503.json", "application/json")]);
    let [first, second] = &frontend.routes[..] else { panic!("two routes") };
    assert_eq!((&first.basic_auth, &first.compress), (&auth(1, "perron"), &Some(vec![Zstd, Gzip])));
    assert_eq!(first.rewrite, Some(Rewrite { from: "/old/".into(), to: "/new/".into() }));
    assert_eq!((&second.basic_auth, &second.compress, &second.rewrite), (&auth(0, "perron"), &None, &None));
}

#[test]
fn a_frontend_with_everything() {
    let loaded = pair(
        "max-connections = 7\ntcp-keepalive = { idle = \"60s\", count = 3 }\nlog = \"haproxy\"\n\
         timeouts = { header = \"1s\", idle = \"2s\", keep-alive = \"3s\", tunnel = \"4s\" }\n\
         forwarded = { x-forwarded = false, forwarded = true, trusted = [\"10.0.0.0/8\"] }\n\
         request-headers = { set = { X-A = \"1\" }, add = { X-B = [\"2\", \"3\"] }, remove = \"X-C\" }",
        "",
    );
    let frontend = &loaded.config.proxy.frontends[0];
    assert_eq!(frontend.mode, Mode::Http);
    assert_eq!(frontend.max_connections, Some(7));
    assert_eq!(frontend.tcp_keepalive, Some(TcpKeepalive { idle: Some(secs(60)), interval: None, count: Some(3) }));
    assert_eq!(frontend.timeouts.header, secs(1));
    assert_eq!(frontend.timeouts.idle, secs(2));
    assert_eq!(frontend.timeouts.keep_alive, secs(3));
    assert_eq!(frontend.timeouts.tunnel, secs(4));
    assert_eq!(frontend.log, LogFormat::Haproxy);
    assert!(!frontend.forwarded.x_forwarded && frontend.forwarded.forwarded);
    assert_eq!(frontend.forwarded.trusted, ["10.0.0.0/8".parse().expect("a network")]);
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let edits = HeaderEdits {
        remove: vec!["X-C".into()],
        set: pairs(&[("X-A", "1")]),
        add: pairs(&[("X-B", "2"), ("X-B", "3")]),
    };
    assert_eq!(frontend.request_headers, edits);
    assert_eq!(frontend.default, Some(Answer::Backend(BackendIndex(0))));
}

#[test]
fn balances_and_their_synonyms() {
    for (word, algorithm) in [
        ("round-robin", Algorithm::RoundRobin),
        ("weighted-round-robin", Algorithm::RoundRobin),
        ("least-connections", Algorithm::LeastConnections),
        ("weighted-least-connections", Algorithm::LeastConnections),
        ("source", Algorithm::Source),
        ("uri", Algorithm::Uri),
        ("header:X-Session", Algorithm::Header("x-session".into())),
        ("random", Algorithm::Random),
        ("first", Algorithm::First),
        ("maglev", Algorithm::Maglev),
        ("bandwidth", Algorithm::Bandwidth),
    ] {
        let loaded = pair("", &format!("balance = \"{word}\""));
        assert_eq!(loaded.config.proxy.backends[0].pool.algorithm, algorithm, "{word}");
        assert!(loaded.config.later.is_empty(), "{word}");
    }
}

#[test]
fn a_backend_with_everything() {
    let loaded = pair(
        "",
        "slow-start = \"10s\"\nretries = 1\nredispatch = false\nmax-queue = 0\nmax-idle = 5\nobserve = 9\n\
         tcp-keepalive = true\ncheck = { type = \"tcp\" }\n\
         timeouts = { connect = \"1s\", server = \"2s\", queue = \"3s\", keep-alive = \"4s\" }",
    );
    let backend = &loaded.config.proxy.backends[0];
    assert_eq!(backend.pool.slow_start, secs(10));
    assert_eq!((backend.retries, backend.redispatch), (1, false));
    assert_eq!((backend.max_queue, backend.max_idle), (0, 5));
    assert_eq!(backend.observe_failures, Some(9));
    assert_eq!(loaded.config.checks[0][0][0].policy.observe_failures, Some(9));
    assert_eq!(backend.tcp_keepalive, Some(TcpKeepalive::default()));
    assert_eq!(backend.timeouts.connect, secs(1));
    assert_eq!(backend.timeouts.server, secs(2));
    assert_eq!(backend.timeouts.queue, secs(3));
    assert_eq!(backend.timeouts.keep_alive, secs(4));
}

#[test]
fn servers_of_every_kind() {
    let text = r#"
[frontend.f]
bind = "0.0.0.0:80"
backend = "b"
mode = "tcp"
[backend.b]
check = { type = "tcp" }
server = [
  { address = "10.0.0.1:80" },
  { name = "two", address = "[2001:db8::1]:81", weight = 0, max-connections = 9, backup = true, state = "drain" },
  { address = "unix:run/s", backup = 3, checks = [], max-requests = 2 },
]
"#;
    let config = load(text).config;
    assert_eq!(config.proxy.frontends[0].mode, Mode::Tcp);
    let backend = &config.proxy.backends[0];
    let [one, two, three] = backend.pool.servers.as_slice() else { panic!("three servers") };
    assert_eq!((one.name.as_str(), one.weight, one.tier, one.checked), ("10.0.0.1:80", Weight::ONE, 0, true));
    assert_eq!((one.max_in_flight, one.admin), (None, AdminState::Ready));
    assert_eq!((two.name.as_str(), two.weight, two.tier, two.checked), ("two", Weight::ZERO, 1, true));
    assert_eq!((two.max_in_flight, two.admin), (Some(9), AdminState::Drain));
    assert_eq!((three.tier, three.checked, three.max_in_flight), (3, false, Some(2)));
    assert_eq!(backend.servers[1].address, ServerAddress::Ip("[2001:db8::1]:81".parse().expect("an address")));
    assert_eq!(backend.servers[2].address, ServerAddress::Unix("/etc/perron/run/s".into()));
    assert_eq!(config.checks[0].iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!(config.checks[0][1][0].target, Target::Ip("[2001:db8::1]:81".parse().expect("an address")));
}

#[test]
fn the_proxy_protocol_in_and_out() {
    let accepted = |text: &str| pair(text, "").config.proxy.frontends[0].accept_proxy.clone();
    assert_eq!(accepted(""), AcceptProxy::Nobody);
    assert_eq!(accepted("accept-proxy = false"), AcceptProxy::Nobody);
    assert_eq!(accepted("accept-proxy = true"), AcceptProxy::Everybody);
    let networks = ["10.0.0.0/8", "2001:db8::1"].map(|network| network.parse().expect("a network"));
    assert_eq!(accepted("accept-proxy = [\"10.0.0.0/8\", \"2001:db8::1\"]"), AcceptProxy::From(networks.into()));
    let tcp = pair("mode = \"tcp\"\naccept-proxy = \"10.0.0.1\"\ntimeouts = { header = \"3s\" }", "");
    assert_eq!(tcp.config.proxy.frontends[0].timeouts.header, secs(3));

    let text = "[backend.b]\nsend-proxy = \"v2\"\ncheck = { type = \"tcp\" }\n\
                [[backend.b.server]]\naddress = \"10.0.0.1:80\"\n\
                [[backend.b.server]]\naddress = \"10.0.0.2:80\"\nsend-proxy = true\n\
                [[backend.b.server]]\naddress = \"10.0.0.3:80\"\nsend-proxy = false\n\
                [[backend.b.server]]\naddress = \"10.0.0.4:80\"\nchecks = [{ type = \"tcp\", port = 81 }]\n";
    let config = load(text).config;
    let sent = config.proxy.backends[0].servers.iter().map(|server| server.send_proxy);
    assert!(sent.eq([Some(Version::V2), Some(Version::V1), None, Some(Version::V2)]));
    let checked = config.checks[0].iter().flatten().map(|check| check.send_proxy);
    assert!(checked.eq([Some(Version::V2), Some(Version::V1), None, None]));
}

#[test]
fn checks_and_what_they_take_from_their_backend() {
    let loaded = pair(
        "",
        "interval = \"6s\"\ncheck = [\n{ type = \"tcp\" },\n{ type = \"http\", method = \"HEAD\", path = \"/h?x=1\", \
         host = \"a.example:8080\", status = [200, \"300-399\"], body = \"fine\", interval = \"4s\", \
         fast-interval = \"1s\", down-interval = \"9s\", timeout = \"3s\", rise = 4, fall = 5, port = 8080 },\n\
         { type = \"http\", address = \"10.0.0.9\", connect-timeout = \"2s\" },\n]",
    );
    let [tcp, http, plain] = loaded.config.checks[0][0].as_slice() else { panic!("three checks") };
    assert_eq!(tcp.kind, Kind::Tcp);
    assert_eq!(tcp.policy.interval, secs(6));
    assert_eq!((tcp.policy.fast_interval, tcp.policy.down_interval), (secs(6), secs(6)));
    assert_eq!(tcp.policy.timeout, secs(5));
    assert_eq!((tcp.policy.rise, tcp.policy.fall), (2, 3));
    assert_eq!(
        http.kind,
        Kind::Http(HttpCheck {
            method: "HEAD".into(),
            host: Some("a.example:8080".into()),
            pages: vec![Page {
                path: "/h?x=1".into(),
                statuses: Statuses(vec![200..=200, 300..=399]),
                body: Some(BodyMatch::Contains("fine".into())),
                digest: None,
            }],
        })
    );
    assert_eq!(http.target, Target::Ip("10.0.0.1:8080".parse().expect("an address")));
    assert_eq!((http.policy.interval, http.policy.timeout), (secs(4), secs(3)));
    assert_eq!((http.policy.fast_interval, http.policy.down_interval), (secs(1), secs(9)));
    assert_eq!((http.policy.rise, http.policy.fall), (4, 5));
    assert_eq!(plain.target, Target::Ip("10.0.0.9:80".parse().expect("an address")));
    assert_eq!(plain.policy.timeout, secs(2));
    let Kind::Http(request) = &plain.kind else { panic!("an http check") };
    let [page] = request.pages.as_slice() else { panic!("one page") };
    assert_eq!((request.method.as_str(), page.path.as_str()), ("GET", "/"));
    assert_eq!(page.statuses, Statuses(vec![200..=399]));
}

#[test]
fn defaults_are_told_with_their_values() {
    let loaded = pair("timeouts = { header = \"1s\" }", "check = { type = \"tcp\", interval = \"3s\" }");
    let value = |path: &str| {
        let found = loaded.defaults.iter().find(|default| default.path == path);
        found.map(|default| default.value.as_str())
    };
    assert_eq!(value("backend.b.timeouts.connect"), Some("\"5s\""));
    assert_eq!(value("backend.b.balance"), Some("\"round-robin\""));
    assert_eq!(value("backend.b.check.fast-interval"), Some("\"3s\""));
    assert_eq!(value("backend.b.server.s.weight"), Some("1"));
    assert_eq!(value("frontend.f.max-connections"), Some("no limit"));
    assert_eq!(value("frontend.f.timeouts.header"), None);
    assert_eq!(value("admin.bind"), Some("\"127.0.0.1:7070\""));
    assert_eq!(value("process.drain-timeout"), Some("\"30s\""));
    assert!(loaded.defaults.iter().all(|default| default.meaning.ends_with(['.', ';'])));
}

#[test]
fn a_folder_is_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("20-b.toml", "[[backend.b.server]]\naddress = \"10.0.0.2:80\"\n");
    write(
        "10-a.toml",
        "[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n[[backend.b.server]]\naddress = \"10.0.0.1:80\"\n",
    );
    write("30-c.toml", "[frontend.f]\nlog = \"off\"\n[backend.b]\nbalance = \"first\"\n");
    write(".hidden.toml", "this is no TOML");
    write("notes.txt", "nor this");
    let sources = Sources::read(folder.path()).expect("the folder can be read");
    let names: Vec<String> = sources.texts().into_iter().map(|(name, _)| name).collect();
    assert!(names[0].ends_with("10-a.toml") && names.len() == 3, "{names:?}");
    let config = config::load(&sources).expect("the text is right").config;
    let servers: Vec<_> = config.proxy.backends[0].pool.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(servers, ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(config.proxy.backends[0].pool.algorithm, Algorithm::First);
    assert_eq!(config.proxy.frontends[0].log, LogFormat::Off);
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |path: &std::path::Path| Sources::read(path).expect_err("it cannot be read").to_string();
    assert!(told(folder.path()).ends_with("is a folder without a file NAME.toml"));
    assert!(told(&folder.path().join("none.toml")).starts_with("cannot read "));
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"# caf\xe9\n").expect("a file");
    assert!(told(&path).ends_with("latin1.toml is no text: its byte 5 is not UTF-8"));
}

#[test]
fn clients_that_stay_with_their_server() {
    let stick = |text: &str| pair("", text).config.proxy.backends[0].stick.clone();
    let of = |by, ttl, size| Some(StickConfig { by, ttl: secs(ttl), size });
    assert_eq!(stick(""), None);
    assert_eq!(stick("stick = \"source\""), of(StickBy::Source, 1800, 65_536));
    assert_eq!(
        stick("stick = \"cookie:JSESSIONID\"\nstick-ttl = \"8h\"\nstick-size = 4194304"),
        of(StickBy::Cookie("JSESSIONID".to_owned()), 28_800, 4_194_304)
    );
    assert_eq!(pair("", "").config.peers, None);
    let peers = "stick = \"source\"\n[peers]\nname = \"d1\"\nbind = \"10.0.0.5:7000\"\npeers = \"[fd00::6]:7000\"";
    let address = |text: &str| text.parse().expect("an address");
    assert_eq!(
        pair("", peers).config.peers,
        Some(peers::PeersConfig {
            name: "d1".to_owned(),
            bind: address("10.0.0.5:7000"),
            peers: vec![address("[fd00::6]:7000")],
        })
    );
}

#[test]
fn applications_are_backends() {
    let loaded = load(
        r#"
        [frontend.web]
        bind = "127.0.0.1:80"
        fastcgi = { address = "127.0.0.1:9000", root = "/srv/www", split = ".php" }
        [[frontend.web.route]]
        path = ["/rpc/", "/call"]
        fastcgi = { address = ["unix:run/a.sock", "unix:/run/b.sock"], name = "rpc", params = { A = "b" }, keep-connection = true, max-connections = 4, timeouts = { server = "5s" } }
        [[frontend.web.route]]
        path = "/api"
        backend = "api"
        [[backend.api.server]]
        address = "127.0.0.1:8080"
        "#,
    );
    let proxy = &loaded.config.proxy;
    let names: Vec<&str> = proxy.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["api", "rpc", "web.fastcgi"]);
    assert_eq!((loaded.config.checks.len(), loaded.config.redirect_checks.len()), (3, 3));
    assert_eq!(proxy.frontends[0].routes[0].answer, Answer::Backend(BackendIndex(1)));
    assert_eq!(proxy.frontends[0].default, Some(Answer::Backend(BackendIndex(2))));
    let rpc = &proxy.backends[1];
    assert_eq!(rpc.servers[1].address, ServerAddress::Unix("/run/b.sock".into()));
    assert!(rpc.servers.iter().all(|server| server.protocol == Protocol::FastCgi));
    assert_eq!((rpc.pool.servers[0].max_in_flight, rpc.timeouts.server), (Some(4), secs(5)));
    let application = rpc.application.as_ref().expect("it is one");
    let prefixes = vec!["/rpc/".to_owned(), "/call".to_owned()];
    assert_eq!(application.script, Script::Prefix { prefixes, file: None });
    assert_eq!(application.params, [("A".to_owned(), "b".to_owned())]);
    assert!(application.keep_connection && !application.length_required);
    let php = proxy.backends[2].application.as_ref().expect("it is one");
    assert_eq!(php.script, Script::File { ending: ".php".into(), index: "index.php".into() });
    assert!(!php.keep_connection && php.length_required);
}

#[test]
fn an_application_has_256_addresses_at_the_most() {
    let text = |count: u32| {
        let addresses: Vec<String> =
            (0..count).map(|n| format!("\"127.0.{}.{}:9000\"", n / 250, n % 250 + 1)).collect();
        let list = addresses.join(", ");
        format!("[frontend.web]\nbind = \"127.0.0.1:80\"\nfastcgi = {{ address = [{list}] }}\n")
    };
    let read =
        |text: String| config::load(&Sources::from_texts(vec![("perron.toml".into(), text)], "/etc/perron".into()));
    assert!(read(text(256)).is_ok());
    let refused = read(text(257)).expect_err("one too many").to_string();
    assert!(refused.contains("an application has at most 256 addresses"), "{refused}");
}
