//! HTTP/2 with the field's programs: curl, OpenSSL, nghttp2's and Chromium as clients, gRPC's both ends, and messages
//! that nobody waits for.

mod clients;
mod grpc;
mod messages;
mod windows;

use std::path::{Path, PathBuf};

use lab::{Authority, Host, Lab, Skip};

/// Where the program answers, in TLS and in clear text.
const SECURE: &str = "10.0.0.2:443";
const CLEAR: &str = "10.0.0.2:80";

/// A client, the program's host, a server's host, and who signs their certificates.
struct Hosts {
    client: Host,
    front: Host,
    server: Host,
    authority: Authority,
    /// The front's certificate with its key.
    certificate: PathBuf,
    _lab: Lab,
}

fn hosts(name: &str) -> Result<Hosts, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let server = lab.host("server", "10.0.0.3/24");
    let authority = Authority::new(&lab.folder().join("certificates"), "ca")?;
    let certificate = authority.server("front", &["a.example", "10.0.0.2"]);
    Ok(Hosts { client, front, server, authority, certificate, _lab: lab })
}

/// A frontend of these keys in TLS, and one in clear text.
fn frontends(hosts: &Hosts, keys: &str) -> String {
    let certificate = text(&hosts.certificate);
    format!(
        "[frontend.secure]\nbind = \"{SECURE}\"\nlog = \"haproxy\"\ntls = {{ certificate = \"{certificate}\" }}\n{keys}\n\
         [frontend.clear]\nbind = \"{CLEAR}\"\nlog = \"haproxy\"\n{keys}\n",
    )
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
