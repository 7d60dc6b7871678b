//! Fronts and their settings.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// Where perron tells its numbers.
const ADMIN: u16 = 18_902;

/// A program in one of its settings.
#[derive(Clone, Debug)]
pub(super) struct Front {
    program: Program,
    path: PathBuf,
    /// What its configuration says beyond the default; empty: nothing.
    setting: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Perron,
    Nginx,
    Lighttpd,
}

/// Every front that is on this machine, at its defaults and as it delays least.
pub(super) fn all(perron: &Path) -> Vec<Front> {
    let mut fronts = vec![Front { program: Program::Perron, path: perron.to_owned(), setting: "stream = true" }];
    for (program, name, settings) in [
        (Program::Nginx, "nginx", &["", "proxy_buffering off;"][..]),
        (Program::Lighttpd, "lighttpd", &["", "server.stream-response-body = 1", "server.stream-response-body = 2"]),
    ] {
        let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"].map(Path::new);
        if let Some(path) = folders.map(|folder| folder.join(name)).into_iter().find(|path| path.is_file()) {
            fronts.extend(settings.iter().map(|setting| Front { program, path: path.clone(), setting }));
        } else {
            eprintln!("{name} is not installed");
        }
    }
    fronts
}

impl Front {
    pub(super) fn name(&self) -> String {
        let name = match self.program {
            Program::Perron => "perron",
            Program::Nginx => "nginx",
            Program::Lighttpd => "lighttpd",
        };
        match self.setting {
            "" => format!("{name}, as it is"),
            setting => format!("{name}, `{}`", setting.trim_end_matches(';')),
        }
    }

    /// What starts it.
    pub(super) fn command(&self, folder: &Path, application: u16, port: u16) -> anyhow::Result<Command> {
        let file = folder.join("front.conf");
        let text = self.configuration(folder, application, port);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        let mut command = Command::new(&self.path);
        match self.program {
            Program::Perron => {
                let toml = folder.join("front.toml");
                fs::rename(&file, &toml)?;
                command.arg("run").arg("-c").arg(toml).arg("--control").arg(folder.join("control.sock"))
            }
            Program::Nginx => command.arg("-p").arg(folder).arg("-c").arg(&file),
            Program::Lighttpd => command.arg("-D").arg("-f").arg(&file),
        };
        Ok(command)
    }

    fn configuration(&self, folder: &Path, application: u16, port: u16) -> String {
        let (folder, setting) = (folder.display(), self.setting);
        match self.program {
            Program::Perron => format!(
                "[process]\nworkers = 1\n[admin]\nbind = \"127.0.0.1:{ADMIN}\"\n[frontend.f]\n\
                 bind = \"127.0.0.1:{port}\"\nlog = \"off\"\n[[frontend.f.route]]\nbackend = \"b\"\n{setting}\n\
                 [[backend.b.server]]\naddress = \"127.0.0.1:{application}\"\n"
            ),
            Program::Nginx => format!(
                "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n\
                 events {{ worker_connections 4096; }}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port};\n\
                 location / {{ proxy_http_version 1.1; {setting} proxy_pass http://127.0.0.1:{application}; }} }} }}\n"
            ),
            Program::Lighttpd => format!(
                "server.modules = (\"mod_proxy\")\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                 server.document-root = \"{folder}\"\nserver.max-connections = 4096\nserver.max-fds = 8192\n{setting}\n\
                 proxy.server = (\"\" => ((\"host\" => \"127.0.0.1\", \"port\" => {application})))\n"
            ),
        }
    }

    /// How long it held bytes at most, if it knows.
    pub(super) fn says(&self) -> Option<String> {
        if self.program != Program::Perron {
            return None;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", ADMIN)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let longest = |after: &str| {
            let name = format!("perron_frontend_held_seconds_max{{frontend=\"f\",after=\"{after}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(name.as_str()))?;
            line.parse::<f64>().ok().map(|seconds| format!("{:.3} ms", seconds * 1000.0))
        };
        Some(format!("at most {}", longest("read")?))
    }
}
