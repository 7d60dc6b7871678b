//! Applications behind FastCGI: scripted ones that do what a test tells them, PHP's process manager, and flup.

mod answers;
mod application;
mod bodies;
mod faults;
mod programs;

use std::path::PathBuf;

use lab::{BadServer, Host, Lab, Perron, Skip, Wire};

/// The front of every test here.
const FRONT: &str = "10.0.0.2:80";

/// A front door with one route, a client of it, and the folder where applications listen.
pub(crate) struct Site {
    pub(crate) client: Host,
    pub(crate) front: Host,
    pub(crate) folder: PathBuf,
    _lab: Lab,
}

impl Site {
    pub(crate) fn new(name: &str) -> Result<Site, Skip> {
        let lab = Lab::new(name)?;
        let client = lab.host("client", "10.0.0.1/24");
        let front = lab.host("front", "10.0.0.2/24");
        let folder = front.new_folder("applications");
        Ok(Site { client, front, folder, _lab: lab })
    }

    /// The path of a socket.
    pub(crate) fn socket(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("plain").to_owned()
    }

    /// An application at the socket of this name.
    pub(crate) fn application(&self, name: &str, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> BadServer {
        BadServer::start_unix(&self.folder.join(name), script)
    }

    /// A front door whose route of `/app` is answered by the application at `app.sock`, with more keys.
    pub(crate) fn perron(&self, keys: &str) -> Perron {
        Perron::start(&self.front, &self.text(keys))
    }

    /// Its configuration.
    pub(crate) fn text(&self, keys: &str) -> String {
        let address = self.socket("app.sock");
        format!(
            "process = {{ workers = 1 }}\n[frontend.web]\nbind = \"{FRONT}\"\ntimeouts = {{ idle = \"20s\" }}\n\
             [[frontend.web.route]]\npath = \"/app\"\nfastcgi = {{ address = \"unix:{address}\", {keys} }}\n",
        )
    }

    pub(crate) fn connect(&self) -> Wire {
        self.client.connect(FRONT)
    }
}
