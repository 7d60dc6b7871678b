//! What each program is told to do. Nobody writes an access log; everybody has one worker; all else is the program's default,
//! but for what its own documentation recommends for the case (named where it is set).

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::program::{Kind, Program};
use crate::secure::SUITE;

/// What a program is to do.
#[derive(Clone, Debug)]
pub(crate) enum Service {
    /// Relay requests to this port.
    Proxy { upstream: u16 },
    /// The same, set up for large bodies: HAProxy splices through pipes of 1 MiB, nginx has buffers of 256 KiB.
    BulkProxy { upstream: u16 },
    /// Relay bytes to this port.
    Tcp { upstream: u16 },
    /// Serve this folder.
    Files { root: PathBuf },
    /// Have the application at this socket answer; `kept`: over connections that stay open.
    FastCgi { socket: PathBuf, kept: bool },
    /// Answer everything with a redirect.
    Redirect,
    /// One of the others behind TLS 1.3 with this certificate, and with one suite.
    Secured { certificate: PathBuf, inner: Box<Service> },
    /// One of the others for clients who speak HTTP/2 from the first byte.
    Http2 { inner: Box<Service> },
    /// Redirect each request to one of the servers of a backend.
    Choose { balance: Balance, servers: u32 },
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    RoundRobin,
    LeastConnections,
    /// Perron's alone.
    Bandwidth,
}

/// Where redirects lead.
pub(crate) const REDIRECT_TO: &str = "http://origin.example/file";

/// nginx's module for TCP, which Debian packages by itself.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

impl Service {
    /// What is done whatever clients speak, and the certificate of TLS.
    fn bare(&self) -> (&Service, Option<&Path>) {
        match self {
            Service::Secured { certificate, inner } => (inner, Some(certificate)),
            Service::Http2 { inner } => (inner, None),
            bare => (bare, None),
        }
    }
}

/// Whether this program can do that at all.
pub(crate) fn can(program: &Program, service: &Service) -> bool {
    match (program.kind, service.bare().0) {
        (Kind::Haproxy, Service::Files { .. } | Service::FastCgi { .. }) => false,
        // lighttpd ends each connection with its request.
        (Kind::Lighttpd, Service::FastCgi { kept, .. }) => !kept,
        (Kind::Apache, Service::FastCgi { .. }) => true,
        (Kind::Lighttpd | Kind::Apache, _) => false,
        (Kind::Nginx, Service::Tcp { .. }) => Path::new(NGINX_STREAM).exists(),
        (Kind::Nginx, Service::Choose { .. })
        | (Kind::Haproxy, Service::Choose { balance: Balance::Bandwidth, .. }) => false,
        _ => true,
    }
}

/// Writes the configuration into `folder` and returns the command that runs it in the foreground.
pub(crate) fn command(program: &Program, service: &Service, port: u16, folder: &Path) -> anyhow::Result<Command> {
    let file = folder.join(format!("{port}.conf"));
    let (text, arguments) = match program.kind {
        Kind::Perron => (perron(service, port, folder), vec!["run", "-c"]),
        Kind::Haproxy => (haproxy(service, port), vec!["-db", "-f"]),
        Kind::Nginx => (nginx(service, port, folder), vec!["-c"]),
        Kind::Lighttpd => (lighttpd(service, port), vec!["-D", "-f"]),
        Kind::Apache => (apache(service, port, folder), vec!["-DFOREGROUND", "-f"]),
    };
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    let mut command = Command::new(&program.path);
    command.args(arguments).arg(&file).current_dir(folder);
    if program.kind == Kind::Nginx {
        command.arg("-p").arg(folder).arg("-e").arg(folder.join(format!("{port}.error")));
    }
    Ok(command)
}

fn perron(service: &Service, port: u16, folder: &Path) -> String {
    let socket = folder.join(format!("{port}.sock"));
    let mut text = format!(
        "[admin]\nbind = \"off\"\n\n[process]\nworkers = 1\naccess-log = \"off\"\ncontrol-socket = \"{}\"\n",
        socket.display()
    );
    if rustix::process::geteuid().is_root() {
        // The folder of the files is ours alone.
        text += "user = \"root\"\n";
    }
    let _ = write!(text, "\n[frontend.f]\nbind = \"127.0.0.1:{port}\"\nlog = \"off\"\n");
    let (service, certificate) = service.bare();
    if let Some(certificate) = certificate {
        let certificate = certificate.display();
        let _ = writeln!(
            text,
            "tls = {{ certificate = \"{certificate}\", min-version = \"1.3\", ciphers = [\"{SUITE}\"] }}"
        );
    }
    match service {
        Service::Proxy { upstream } | Service::BulkProxy { upstream } => {
            let _ = write!(text, "backend = \"b\"\n{}", perron_backend(*upstream));
        }
        Service::Tcp { upstream } => {
            let _ = write!(text, "mode = \"tcp\"\nbackend = \"b\"\n{}", perron_backend(*upstream));
        }
        Service::Files { root } => {
            let route = "\n[[frontend.f.route]]\npath = \"/\"\nfiles = { root = ";
            let _ = writeln!(text, "{route}\"{}\" }}", root.display());
        }
        Service::FastCgi { socket, kept } => {
            let address = socket.display();
            let _ = writeln!(text, "fastcgi = {{ address = \"unix:{address}\", keep-connection = {kept} }}");
        }
        Service::Redirect => {
            let route = "\n[[frontend.f.route]]\npath = \"/\"\nredirect = { to = ";
            let _ = writeln!(text, "{route}\"{REDIRECT_TO}\" }}");
        }
        Service::Secured { .. } | Service::Http2 { .. } => {}
        Service::Choose { balance, servers } => {
            let word = match balance {
                Balance::RoundRobin => "round-robin",
                Balance::LeastConnections => "least-connections",
                Balance::Bandwidth => "bandwidth",
            };
            let _ = write!(text, "backend = \"b\"\n\n[backend.b]\nbalance = \"{word}\"\ndeliver = \"redirect\"\n");
            for server in addresses(*servers) {
                let address = format!("address = \"{server}:80\"\nredirect-to = \"http://{server}\"\n");
                let _ = write!(text, "\n[[backend.b.server]]\n{address}");
            }
        }
    }
    text
}

/// So many addresses of this machine, at which nobody listens: who redirects does not go there.
fn addresses(count: u32) -> impl Iterator<Item = Ipv4Addr> {
    (1..=count).map(|number| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number))
}

fn perron_backend(upstream: u16) -> String {
    format!("\n[backend.b]\n\n[[backend.b.server]]\nname = \"s\"\naddress = \"127.0.0.1:{upstream}\"\n")
}

fn haproxy(service: &Service, port: u16) -> String {
    let (service, certificate) = service.bare();
    let mode = if matches!(service, Service::Tcp { .. }) { "tcp" } else { "http" };
    let mut text = String::from("global\n    nbthread 1\n    maxconn 4000\n");
    if matches!(service, Service::BulkProxy { .. }) {
        text += "    tune.pipesize 1048576\n";
    }
    let _ = write!(
        text,
        "defaults\n    mode {mode}\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"
    );
    if matches!(service, Service::BulkProxy { .. }) {
        text += "    option splice-response\n";
    }
    let secured = certificate
        .map(|certificate| format!(" ssl crt {} ciphersuites {SUITE} ssl-min-ver TLSv1.3", certificate.display()));
    let _ = write!(text, "frontend f\n    bind 127.0.0.1:{port}{}\n", secured.unwrap_or_default());
    match service {
        Service::Proxy { upstream } | Service::BulkProxy { upstream } | Service::Tcp { upstream } => {
            let _ = write!(text, "    default_backend b\nbackend b\n    server s 127.0.0.1:{upstream}\n");
        }
        Service::Files { .. } | Service::FastCgi { .. } | Service::Secured { .. } | Service::Http2 { .. } => {}
        Service::Redirect => {
            let _ = writeln!(text, "    http-request redirect location {REDIRECT_TO} code 302");
        }
        Service::Choose { balance, servers } => {
            let word = match balance {
                // roundrobin itself takes 4095 servers at most.
                Balance::RoundRobin if *servers > 4095 => "static-rr",
                Balance::RoundRobin | Balance::Bandwidth => "roundrobin",
                Balance::LeastConnections => "leastconn",
            };
            let _ = write!(text, "    default_backend b\nbackend b\n    balance {word}\n");
            for (place, server) in addresses(*servers).enumerate() {
                let _ = writeln!(text, "    server s{place} {server}:80 redir http://{server}");
            }
        }
    }
    text
}

fn nginx(service: &Service, port: u16, folder: &Path) -> String {
    let is_http2 = matches!(service, Service::Http2 { .. });
    let (service, certificate) = service.bare();
    let listen = match certificate {
        None if is_http2 => format!("listen 127.0.0.1:{port} http2;"),
        None => format!("listen 127.0.0.1:{port};"),
        Some(file) => {
            let file = file.display();
            format!(
                "listen 127.0.0.1:{port} ssl; ssl_certificate {file}; ssl_certificate_key {file}; \
                 ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {SUITE};"
            )
        }
    };
    let mut text = format!("daemon off;\nworker_processes 1;\npid {}/{port}.pid;\n", folder.display());
    if rustix::process::geteuid().is_root() {
        text += "user root;\n";
    }
    if let Service::Tcp { upstream } = service {
        let _ = write!(
            text,
            "load_module {NGINX_STREAM};\nevents {{ worker_connections 8192; }}\n\
             stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{upstream}; }} }}\n"
        );
        return text;
    }
    let _ = write!(
        text,
        "events {{ worker_connections 8192; }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000000;\n  \
         sendfile on;\n  tcp_nopush on;\n  open_file_cache max=1000 inactive=60s;\n"
    );
    for temporary in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "  {temporary}_temp_path {}/{port}.{temporary};", folder.display());
    }
    if matches!(service, Service::BulkProxy { .. }) {
        text += "  proxy_buffer_size 256k;\n  proxy_buffers 8 256k;\n  proxy_busy_buffers_size 512k;\n";
    }
    match service {
        Service::Proxy { upstream } | Service::BulkProxy { upstream } => {
            // Kept server connections need HTTP/1.1 and no Connection field; a body never goes to the disk.
            let _ = write!(
                text,
                "  upstream u {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}\n  \
                 server {{ {listen} location / {{ proxy_pass http://u; proxy_http_version 1.1; \
                 proxy_set_header Connection \"\"; proxy_max_temp_file_size 0; }} }}\n"
            );
        }
        Service::Files { root } => {
            let _ = writeln!(text, "  server {{ {listen} root {}; }}", root.display());
        }
        Service::Redirect => {
            let _ = writeln!(text, "  server {{ {listen} return 302 {REDIRECT_TO}; }}");
        }
        Service::FastCgi { socket, kept } => {
            let socket = socket.display();
            let kept = if *kept { "fastcgi_keep_conn on;" } else { "" };
            let keep = if kept.is_empty() { "" } else { "keepalive 128;" };
            let _ = write!(
                text,
                "  upstream u {{ server unix:{socket}; {keep} }}\n  server {{ {listen} location / {{ \
                 include /etc/nginx/fastcgi_params; fastcgi_pass u; {kept} fastcgi_max_temp_file_size 0; \
                 fastcgi_buffers 8 64k; fastcgi_buffer_size 64k; fastcgi_busy_buffers_size 128k; }} }}\n"
            );
        }
        Service::Tcp { .. } | Service::Choose { .. } | Service::Secured { .. } | Service::Http2 { .. } => {}
    }
    text += "}\n";
    text
}

/// FastCGI is all that it is measured at here.
fn lighttpd(service: &Service, port: u16) -> String {
    let Service::FastCgi { socket, .. } = service else { return String::new() };
    format!(
        "server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.document-root = \"/var/empty\"\n\
         server.modules = ( \"mod_fastcgi\" )\nserver.max-keep-alive-requests = 60000\n\
         server.stream-response-body = 2\n\
         fastcgi.server = ( \"/\" => ( ( \"socket\" => \"{}\", \"check-local\" => \"disable\" ) ) )\n",
        socket.display()
    )
}

/// FastCGI alone, too.
fn apache(service: &Service, port: u16, folder: &Path) -> String {
    let Service::FastCgi { socket, kept } = service else { return String::new() };
    let modules = ["mpm_event", "authz_core", "env", "proxy", "proxy_fcgi"];
    let load = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let reuse = if *kept { "on" } else { "off" };
    format!(
        "{}ServerName localhost\nServerRoot {folder}\nPidFile {folder}/{port}.pid\nListen 127.0.0.1:{port}\n\
         ErrorLog {folder}/{port}.error\nStartServers 1\nServerLimit 1\nThreadLimit 128\nThreadsPerChild 128\n\
         MaxRequestWorkers 128\nMaxKeepAliveRequests 0\nSetEnv ap_trust_cgilike_cl 1\nProxyPass / unix:{}|fcgi://localhost/ enablereuse={reuse}\n",
        modules.map(load).concat(),
        socket.display(),
        folder = folder.display(),
    )
}
