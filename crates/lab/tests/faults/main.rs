//! Everything that goes wrong, and every form of HTTP that must not: raw bytes at the program from both sides.

use lab::{Host, Lab, Perron, Skip};

mod crowds;
mod exhaustion;
mod limits;
mod messages;
mod operations;
mod pieces;
mod refusals;
mod room;
mod servers;
mod tunnels;
mod usage;

/// Where the program answers.
const FRONT: &str = "10.0.0.2:8080";

/// A plain request for `/`.
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A whole answer of `ok`.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client, the program's host and a server's host.
struct Rig {
    client: Host,
    front: Host,
    server: Host,
    lab: Lab,
}

fn rig(name: &str) -> Result<Rig, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    Ok(Rig { client, front, server, lab })
}

/// What differs from a plain relay to port 80 of the server.
#[derive(Default)]
struct Relay<'a> {
    /// Lines of the frontend's section.
    frontend: &'a str,
    /// Lines of the backend's section.
    backend: &'a str,
    /// Further servers' sections, or lines of the first one's.
    servers: &'a str,
}

impl Relay<'_> {
    fn text(&self) -> String {
        format!(
            "[frontend.web]\nbind = \"{FRONT}\"\nbackend = \"web\"\n{}\n[backend.web]\n{}\n\
             [[backend.web.server]]\nname = \"one\"\naddress = \"10.0.0.3:80\"\n{}\n",
            self.frontend, self.backend, self.servers
        )
    }

    fn start(&self, rig: &Rig) -> Perron {
        Perron::start(&rig.front, &self.text())
    }
}
