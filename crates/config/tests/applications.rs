//! Applications that are run here: what the text makes of them.

use std::path::Path;
use std::time::Duration;

use config::{Config, Sources};
use proxy::config::{Answer, Protocol, ServerAddress};
use scripts::Program;

fn load(routes: &str) -> Config {
    let text = format!("[frontend.node]\nbind = \"127.0.0.1:1\"\n{routes}");
    config::load(&Sources::from_texts(vec![("perron.toml".into(), text)], "/etc/perron".into()))
        .expect("the text is right")
        .config
}

#[test]
fn a_command_is_a_backend_whose_server_is_placed_later() {
    let mut config = load(
        "[[frontend.node.route]]\npath = \"/rpc/\"\n\
         fastcgi = { command = [\"/usr/sbin/noded\", \"--fcgi\"], user = \"noded\", processes = 2, directory = \"run\", \
         environment = { LANG = \"C\" }, limits = { memory = \"512MiB\", files = 64, cpu-time = \"1h\" }, stop-timeout = \"3s\" }\n\
         [[frontend.node.route]]\npath = \"/2/\"\nfastcgi = { command = [\"/usr/sbin/noded\"], user = \"noded\" }\n",
    );
    let app = &config.applications[0].app;
    assert_eq!((app.name.as_str(), app.processes, app.user.as_deref()), ("node/noded", 2, Some("noded")));
    assert_eq!(app.program, Program::Command(vec!["/usr/sbin/noded".into(), "--fcgi".into()]));
    assert_eq!(app.environment, [("LANG".to_owned(), "C".to_owned())]);
    assert_eq!(app.directory, Path::new("/etc/perron/run"));
    assert_eq!((app.limits.memory, app.limits.files), (Some(536_870_912), 64));
    assert_eq!((app.limits.cpu_time, app.stop_timeout), (Some(Duration::from_secs(3600)), Duration::from_secs(3)));
    let other = &config.applications[1].app;
    assert_eq!((other.name.as_str(), other.processes, other.limits.files), ("node/noded-2", 4, 1024));
    assert_eq!(other.directory, Path::new("/"));
    config.place_applications(&["/run/a.sock".into(), "/run/b.sock".into()]);
    let addresses: Vec<&ServerAddress> = config.proxy.frontends[0]
        .routes
        .iter()
        .map(|route| {
            let Answer::Backend(backend) = &route.answer else { panic!("{:?}", route.answer) };
            let backend = &config.proxy.backends[usize::from(backend.0)];
            assert_eq!((backend.servers.len(), backend.servers[0].protocol), (1, Protocol::FastCgi));
            &backend.servers[0].address
        })
        .collect();
    assert_eq!(addresses, [&ServerAddress::Unix("/run/a.sock".into()), &ServerAddress::Unix("/run/b.sock".into())]);
}

#[test]
fn a_program_of_cgi_is_run_by_a_bridge_whose_limits_are_the_programs() {
    let config = load(
        "cgi = { root = \"/usr/lib/cgi-bin\", user = \"www-data\", timeout = \"10s\", max-processes = 3, \
         limits = { memory = \"64MiB\", cpu-time = \"5s\" } }\n",
    );
    let app = &config.applications[0].app;
    assert_eq!((app.name.as_str(), app.processes), ("node/cgi-bin", 1));
    let words = "cgi-bridge --root /usr/lib/cgi-bin --timeout-ms 10000 --max-processes 3 --files 1024 --memory 67108864 \
                 --cpu-seconds 5";
    assert_eq!(app.program, Program::Own(words.split_whitespace().map(str::to_owned).collect()));
    assert_eq!((app.limits.memory, app.limits.cpu_time, app.limits.files), (None, None, 1024));
    let backend = config.applications[0].backends[0];
    let backend = &config.proxy.backends[usize::from(backend.0)];
    assert_eq!((backend.pool.servers[0].max_in_flight, backend.retries), (Some(3), 0));
    assert!(!backend.application.as_ref().expect("an application").keep_connection);
}

#[test]
fn the_sandbox_is_closed_unless_something_else_is_said() {
    let sandbox = |text: &str| load(&format!("respond = {{}}\n[process]\n{text}")).process.sandbox;
    assert_eq!(sandbox(""), config::Sandbox::On);
    assert_eq!(sandbox("sandbox = \"off\""), config::Sandbox::Off);
    assert_eq!(sandbox("sandbox = \"log\""), config::Sandbox::Log);
}

#[test]
fn a_configuration_has_1024_applications_at_the_most() {
    let text = |count: u32| -> String {
        let route = |n| {
            format!(
                "[[frontend.node.route]]\npath = \"/{n}/\"\n\
                 fastcgi = {{ command = [\"/bin/true\"], user = \"daemon\", name = \"a{n}\" }}\n"
            )
        };
        (0..count).map(route).collect()
    };
    assert_eq!(load(&text(1024)).applications.len(), 1024);
    let text = format!("[frontend.node]\nbind = \"127.0.0.1:1\"\n{}", text(1025));
    let sources = Sources::from_texts(vec![("perron.toml".into(), text)], "/etc/perron".into());
    let refused = config::load(&sources).expect_err("one too many").to_string();
    assert!(refused.contains("more than 1024 applications"), "{refused}");
}
