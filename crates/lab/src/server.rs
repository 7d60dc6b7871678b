//! The field's servers, each with a configuration, a prefix and a document root of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::{Host, Process, SOON, Skip, program, wait_for};

/// Apache's modules that a static site with CGI needs, besides those built in.
const APACHE_MODULES: [&str; 8] = ["mpm_event", "authz_core", "authz_host", "dir", "mime", "alias", "env", "cgid"];

/// Where Debian keeps Apache's modules.
const APACHE_MODULE_FOLDER: &str = "/usr/lib/apache2/modules";

/// nginx on port 80 of a host, serving a folder.
#[derive(Debug)]
pub struct Nginx {
    root: PathBuf,
    process: Process,
}

/// Apache httpd on port 80 of a host, serving a folder.
#[derive(Debug)]
pub struct ApacheHttpd {
    root: PathBuf,
    process: Process,
}

/// Python's `http.server` on port 80 of a host, serving a folder; it answers OPTIONS too.
#[derive(Debug)]
pub struct PythonHttp {
    root: PathBuf,
    process: Process,
}

impl Nginx {
    /// Starts it; `/` answers the marker and a line feed.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn start(host: &Host, marker: &str) -> Result<Nginx, Skip> {
        Nginx::start_with(host, marker, "")
    }

    /// Starts it with further directives in its server block.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn start_with(host: &Host, marker: &str, directives: &str) -> Result<Nginx, Skip> {
        let nginx = program("nginx")?;
        let (prefix, root) = site(host, "nginx", marker);
        let text = format!(
            "daemon off; user root; worker_processes 1; pid nginx.pid; error_log stderr notice;
             events {{ worker_connections 4096; }}
             http {{
               include /etc/nginx/mime.types;
               access_log access.log; sendfile on; server_tokens off; keepalive_requests 1000000;
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
               server {{ listen 80 backlog=1024; listen [::]:80; root {}; if ($request_method = OPTIONS) {{ return 204; }} {directives} }}
             }}",
            root.display()
        );
        fs::write(prefix.join("nginx.conf"), text).expect("the prefix is ours");
        let process =
            host.spawn(&[path(&nginx), "-p", path(&prefix), "-c", path(&prefix.join("nginx.conf")), "-e", "stderr"]);
        await_port(host, "nginx");
        Ok(Nginx { root, process })
    }

    /// Its document root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Kills it with its workers.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl ApacheHttpd {
    /// Starts it; `/` answers the marker and a line feed.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn start(host: &Host, marker: &str) -> Result<ApacheHttpd, Skip> {
        ApacheHttpd::start_with(host, marker, "")
    }

    /// Starts it with further directives.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn start_with(host: &Host, marker: &str, directives: &str) -> Result<ApacheHttpd, Skip> {
        let apache = program("apache2")?;
        let (prefix, root) = site(host, "apache", marker);
        let modules =
            APACHE_MODULES.map(|name| format!("LoadModule {name}_module {APACHE_MODULE_FOLDER}/mod_{name}.so\n"));
        let text = format!(
            "{modules}ServerRoot {prefix}\nServerName {name}\nListen 80\nPidFile {prefix}/pid\nScriptSock {prefix}/cgi.sock
             User www-data\nGroup www-data\nErrorLog {prefix}/error.log\nMaxKeepAliveRequests 0\nTypesConfig /etc/mime.types
             StartServers 1\nThreadsPerChild 64\nDirectoryIndex index.html\nDocumentRoot {root}
             <Directory {root}>\nRequire all granted\nOptions Indexes FollowSymLinks\n</Directory>\n{directives}\n",
            modules = modules.concat(),
            prefix = prefix.display(),
            name = host.name(),
            root = root.display(),
        );
        fs::write(prefix.join("apache.conf"), text).expect("the prefix is ours");
        let process = host.spawn(&[path(&apache), "-f", path(&prefix.join("apache.conf")), "-DFOREGROUND"]);
        await_port(host, "Apache httpd");
        Ok(ApacheHttpd { root, process })
    }

    /// Its document root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Kills it with its workers.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl PythonHttp {
    /// Starts it; `/` answers the marker and a line feed.
    ///
    /// # Errors
    /// If Python is not installed.
    pub fn start(host: &Host, marker: &str) -> Result<PythonHttp, Skip> {
        const SCRIPT: &str = "
import functools, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_OPTIONS(self):
        self.send_response(204)
        self.end_headers()
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
Server(('', 80), functools.partial(Handler, directory=sys.argv[1])).serve_forever()
";
        let python = python()?;
        let (_, root) = site(host, "python", marker);
        let process = host.spawn(&[path(&python), "-c", SCRIPT, path(&root)]);
        await_port(host, "Python's http.server");
        Ok(PythonHttp { root, process })
    }

    /// Its document root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// The system's Python, the one that Debian's modules are for.
///
/// # Errors
/// If it is not installed.
pub fn python() -> Result<PathBuf, Skip> {
    program("python3")
}

fn site(host: &Host, label: &str, marker: &str) -> (PathBuf, PathBuf) {
    let prefix = host.new_folder(label);
    let root = host.new_folder(&format!("{label}-root"));
    fs::write(root.join("index.html"), format!("{marker}\n")).expect("the folder is ours");
    // A short way to the site for whoever looks into a failure.
    let _ = symlink(&root, prefix.join("root"));
    (prefix, root)
}

#[track_caller]
fn await_port(host: &Host, what: &str) {
    let to = host.at(80);
    wait_for(SOON, &format!("{what} listens on {}", host.name()), || host.try_connect(&to).is_ok());
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
