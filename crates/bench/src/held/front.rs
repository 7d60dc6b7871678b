//! Fronts and their settings.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
    /// Whether it reaches the application by FastCGI.
    fastcgi: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Perron,
    Nginx,
    Lighttpd,
}

/// Every front that is on this machine, at its defaults and as it delays least.
pub(super) fn all(perron: &Path, fastcgi: bool) -> Vec<Front> {
    let front = |program, path: &Path, setting| Front { program, path: path.to_owned(), setting, fastcgi };
    let mut fronts: Vec<_> = ["", "stream = true"].map(|setting| front(Program::Perron, perron, setting)).into();
    let off = if fastcgi { "fastcgi_buffering off;" } else { "proxy_buffering off;" };
    for (program, name, settings) in [
        (Program::Nginx, "nginx", &["", off][..]),
        (Program::Lighttpd, "lighttpd", &["", "server.stream-response-body = 1", "server.stream-response-body = 2"]),
    ] {
        let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"].map(Path::new);
        if let Some(path) = folders.map(|folder| folder.join(name)).into_iter().find(|path| path.is_file()) {
            fronts.extend(settings.iter().map(|&setting| front(program, path.as_path(), setting)));
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
            Program::Perron => {
                let answer = match self.fastcgi {
                    true => format!("fastcgi = {{ address = \"127.0.0.1:{application}\" }}\n{setting}\n"),
                    false => format!(
                        "backend = \"b\"\n{setting}\n[[backend.b.server]]\naddress = \"127.0.0.1:{application}\"\n"
                    ),
                };
                format!(
                    "[process]\nworkers = 1\n[admin]\nbind = \"127.0.0.1:{ADMIN}\"\n[frontend.f]\n\
                     bind = \"127.0.0.1:{port}\"\nlog = \"off\"\n[[frontend.f.route]]\n{answer}"
                )
            }
            Program::Nginx => {
                let pass = match self.fastcgi {
                    true => format!(
                        "fastcgi_param REQUEST_METHOD $request_method; fastcgi_param SCRIPT_NAME $uri; {setting} \
                         fastcgi_pass 127.0.0.1:{application};"
                    ),
                    false => format!("proxy_http_version 1.1; {setting} proxy_pass http://127.0.0.1:{application};"),
                };
                format!(
                    "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n\
                     events {{ worker_connections 4096; }}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port};\n\
                     location / {{ {pass} }} }} }}\n"
                )
            }
            Program::Lighttpd => {
                let module = if self.fastcgi { "fastcgi" } else { "proxy" };
                let check = if self.fastcgi { ", \"check-local\" => \"disable\"" } else { "" };
                format!(
                    "server.modules = (\"mod_{module}\")\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                     server.document-root = \"{folder}\"\nserver.max-connections = 4096\nserver.max-fds = 8192\n\
                     {setting}\n{module}.server = (\"/\" => \
                     ((\"host\" => \"127.0.0.1\", \"port\" => {application}{check})))\n"
                )
            }
        }
    }

    /// How long it held the bytes of each read, by what it counts itself; `None`: it counts nothing.
    pub(super) fn says(&self) -> Option<Said> {
        if self.program != Program::Perron || self.setting.is_empty() {
            return None;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", ADMIN)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Said::in_metrics(&text)
    }
}

/// What Perron says of the reads of its streams.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    /// The longest that one was held for nothing but the work itself.
    pub(super) longest: Duration,
    /// How many were held no longer than so many seconds.
    pub(super) within: Vec<(f64, u64)>,
    /// How many had to wait for the client.
    pub(super) waited: u64,
}

impl Said {
    fn in_metrics(text: &str) -> Option<Said> {
        let of =
            |name: &str, after: &str| format!("perron_frontend_held_seconds{name}{{frontend=\"f\",after=\"{after}\"");
        let value =
            |prefix: String| text.lines().find_map(|line| line.strip_prefix(prefix.as_str())?.strip_prefix("} "));
        let bucket = |line: &str| {
            let rest = line.strip_prefix(of("_bucket", "read").as_str())?.strip_prefix(",le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((bound.parse().ok()?, count.parse().ok()?))
        };
        Some(Said {
            longest: Duration::try_from_secs_f64(value(of("_max", "read"))?.parse().ok()?).ok()?,
            within: text.lines().filter_map(bucket).collect(),
            waited: value(of("_count", "client"))?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_found_among_metrics() {
        let text = "perron_frontend_held_seconds_bucket{frontend=\"f\",after=\"read\",le=\"0.00001\"} 5\n\
             perron_frontend_held_seconds_bucket{frontend=\"f\",after=\"read\",le=\"+Inf\"} 7\n\
             perron_frontend_held_seconds_bucket{frontend=\"f\",after=\"client\",le=\"+Inf\"} 2\n\
             perron_frontend_held_seconds_count{frontend=\"f\",after=\"client\"} 2\n\
             perron_frontend_held_seconds_max{frontend=\"f\",after=\"read\"} 0.000041\n";
        let within = vec![(0.000_01, 5), (f64::INFINITY, 7)];
        assert_eq!(Said::in_metrics(text), Some(Said { longest: Duration::from_micros(41), within, waited: 2 }));
        assert_eq!(Said::in_metrics(""), None);
    }
}
