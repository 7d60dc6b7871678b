//! What stands in the middle and what stands behind it, each with its own program's defaults but for what is said here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use lab::{ApacheHttpd, BadServer, Host, Lab, Perron, Process, SOON, Skip, eventually, wait_for};

use crate::recorder::{self, Record, Seen};

/// What no client may reach: every program in the middle refuses it with 403.
pub(crate) const PRIVATE: &str = "/private/";

/// A program that relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Perron,
    Haproxy,
    Nginx,
}

/// A server behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Nginx,
    Apache,
    Recorder,
    /// Answers what the corpus says.
    Scripted,
}

pub(crate) const SERVERS: [Server; 4] = [Server::Nginx, Server::Apache, Server::Recorder, Server::Scripted];

impl Server {
    pub(crate) fn name(self) -> &'static str {
        ["nginx", "Apache", "recorder", "scripted"][self as usize]
    }
}

impl Program {
    pub(crate) const ALL: [Program; 3] = [Program::Perron, Program::Haproxy, Program::Nginx];

    pub(crate) fn name(self) -> &'static str {
        ["Perron", "HAProxy", "nginx"][self as usize]
    }

    /// Where it takes clients of a server.
    pub(crate) fn front(self, server: Server) -> String {
        format!("10.0.0.2:{}", self.front_port(server))
    }

    fn front_port(self, server: Server) -> u16 {
        8000 + 10 * self as u16 + server as u16
    }

    /// Each has a port of its own at each server, so that nobody's requests mix.
    pub(crate) fn server_port(self, server: Server) -> u16 {
        8100 + 10 * server as u16 + self as u16
    }

    fn server_address(self, server: Server) -> String {
        let host = ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.5"][server as usize];
        format!("{host}:{}", self.server_port(server))
    }
}

/// The hosts, and what runs on them until this is dropped.
pub(crate) struct Site {
    pub(crate) client: Host,
    pub(crate) scripted: Host,
    records: Vec<Record>,
    nginx_log: PathBuf,
    apache_log: PathBuf,
    _perron: Perron,
    _processes: Vec<Process>,
    _apache: ApacheHttpd,
    _recorders: Vec<BadServer>,
    _lab: Lab,
}

impl Site {
    pub(crate) fn new(programs: &[Program]) -> Result<Site, Skip> {
        let lab = Lab::new("conformance")?;
        let [client, front, nginx, apache, scripted] =
            [("client", 1), ("front", 2), ("nginx", 3), ("apache", 4), ("scripted", 5)]
                .map(|(name, number)| lab.host(name, &format!("10.0.0.{number}/24")));
        let mut processes = Vec::new();
        let (process, nginx_log) = nginx_server(&nginx)?;
        processes.push(process);
        let (apache, apache_log) = apache_server(&apache)?;
        let started = programs.iter().map(|program| recorder::start(&scripted, program.server_port(Server::Recorder)));
        let (recorders, records) = started.unzip();
        for program in programs {
            match program {
                Program::Perron => {}
                Program::Haproxy => processes.push(haproxy(&front)?),
                Program::Nginx => processes.push(nginx_proxy(&front)?),
            }
        }
        let perron = Perron::start_ready(&front, &perron_config());
        Ok(Site {
            client,
            scripted,
            records,
            nginx_log,
            apache_log,
            _perron: perron,
            _processes: processes,
            _apache: apache,
            _recorders: recorders,
            _lab: lab,
        })
    }

    /// What a server saw of a program's requests, once the last one is there.
    pub(crate) fn seen(&self, program: Program, server: Server, last: &str) -> Vec<Seen> {
        let read = || match server {
            Server::Nginx => logged(&self.nginx_log, program),
            Server::Apache => logged(&self.apache_log, program),
            Server::Recorder => self.records[program as usize].lock().expect("nobody panics with it").clone(),
            Server::Scripted => Vec::new(),
        };
        let mut seen = read();
        let came = eventually(SOON, || {
            seen = read();
            seen.last().is_some_and(|seen| seen.request.contains(last))
        });
        assert!(came, "{} to {server:?}: {last} was not seen", program.name());
        seen
    }
}

/// Lines of request and host, status, path; tabs between them.
fn logged(folder: &Path, program: Program) -> Vec<Seen> {
    let text = fs::read(folder.join(program.name())).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| {
        let mut parts = line.split('\t');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        Seen { request: part(), status: part().parse().unwrap_or(0), path: part(), raw: None }
    });
    lines.collect()
}

fn perron_config() -> String {
    let mut text = String::from("[process]\nworkers = 1\n");
    for server in SERVERS {
        let (name, address) = (format!("{server:?}"), Program::Perron.server_address(server));
        let _ = write!(
            text,
            "[frontend.{name}]\nbind = \"{}\"\nbackend = \"{name}\"\nhttp2 = false\n\
             [[frontend.{name}.route]]\npath = \"{PRIVATE}\"\nrespond = {{ status = 403, body = \"no\\n\" }}\n\
             [backend.{name}]\n[[backend.{name}.server]]\nname = \"s\"\naddress = \"{address}\"\nchecks = []\n",
            Program::Perron.front(server)
        );
    }
    text
}

/// Its experimental normalisers are needed for a path to be compared as servers will understand it.
fn haproxy(host: &Host) -> Result<Process, Skip> {
    let haproxy = lab::program("haproxy")?;
    let mut text = String::from(
        "global\nnbthread 1\nexpose-experimental-directives\n\
         defaults\nmode http\ntimeout client 10s\ntimeout server 10s\ntimeout connect 2s\n",
    );
    for server in SERVERS {
        let _ = write!(
            text,
            "listen {server:?}\nbind {}\n\
             http-request normalize-uri percent-decode-unreserved\nhttp-request normalize-uri path-strip-dot\n\
             http-request normalize-uri path-merge-slashes\nhttp-request normalize-uri path-strip-dotdot full\n\
             http-request deny deny_status 403 if {{ path_beg {PRIVATE} }}\nserver s {}\n",
            Program::Haproxy.front(server),
            Program::Haproxy.server_address(server)
        );
    }
    let config = host.new_folder("haproxy").join("haproxy.cfg");
    fs::write(&config, text).expect("the folder is ours");
    let process = host.spawn(&[plain(&haproxy), "-db", "-f", plain(&config)]);
    await_ports(host, "haproxy", &SERVERS.map(|server| Program::Haproxy.front(server)));
    Ok(process)
}

/// Kept server connections need HTTP/1.1 and no Connection field; the Host field is the client's, as most set it.
fn nginx_proxy(host: &Host) -> Result<Process, Skip> {
    let mut text = String::new();
    for server in SERVERS {
        let _ = write!(
            text,
            "upstream {server:?} {{ server {}; keepalive 16; }}
             server {{ listen {}; server_name h.example; location {PRIVATE} {{ return 403; }}
             location / {{ proxy_pass http://{server:?}; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; }} }}\n",
            Program::Nginx.server_address(server),
            Program::Nginx.front(server)
        );
    }
    let (process, _) = nginx(host, &format!("access_log off; {text}"))?;
    await_ports(host, "nginx", &SERVERS.map(|server| Program::Nginx.front(server)));
    Ok(process)
}

fn nginx_server(host: &Host) -> Result<(Process, PathBuf), Skip> {
    let mut text = String::from("log_format seen \"$request $http_host\\t$status\\t$uri\";\n");
    let ports = Program::ALL.map(|program| program.server_port(Server::Nginx));
    for (program, port) in Program::ALL.iter().zip(ports) {
        let _ = writeln!(
            text,
            "server {{ listen {port}; access_log {} seen; add_header X-Seen \"$request_uri $http_host\" always;
             location / {{ return 200 \"ok\\n\"; }} }}",
            program.name()
        );
    }
    let started = nginx(host, &text)?;
    await_ports(host, "nginx", &ports.map(|port| host.at(port)));
    Ok(started)
}

/// nginx with these contents of its `http` block; relative paths are in the folder that comes with it.
fn nginx(host: &Host, http: &str) -> Result<(Process, PathBuf), Skip> {
    let nginx = lab::program("nginx")?;
    let prefix = host.new_folder("nginx");
    let text = format!(
        "daemon off; user root; worker_processes 1; pid nginx.pid; error_log stderr info;
         events {{ worker_connections 4096; }}
         http {{ client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
         scgi_temp_path scgi; keepalive_requests 1000000; {http} }}"
    );
    let config = prefix.join("nginx.conf");
    fs::write(&config, text).expect("the folder is ours");
    let process = host.spawn(&[plain(&nginx), "-p", plain(&prefix), "-c", plain(&config), "-e", "stderr"]);
    Ok((process, prefix))
}

fn apache_server(host: &Host) -> Result<(ApacheHttpd, PathBuf), Skip> {
    let folder = host.new_folder("seen");
    let mut text = String::from(
        "LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n\
         LogFormat \"%r %{Host}i\\t%>s\\t%U\" seen\nHeader always set X-Seen \"expr=%{THE_REQUEST} %{HTTP_HOST}\"\n",
    );
    for program in Program::ALL {
        let port = program.server_port(Server::Apache);
        let log = folder.join(program.name());
        let _ =
            writeln!(text, "Listen {port}\n<VirtualHost *:{port}>\nCustomLog {} seen\n</VirtualHost>", log.display());
    }
    Ok((ApacheHttpd::start_with(host, "ok", &text)?, folder))
}

#[track_caller]
fn await_ports(host: &Host, what: &str, addresses: &[String]) {
    for address in addresses {
        wait_for(SOON, &format!("{what} listens at {address}"), || host.try_connect(address).is_ok());
    }
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
