//! Applications that the service runs itself: beside the backends through which requests come to them.

use std::path::PathBuf;

use proxy::config::{BackendIndex, ServerAddress};

use crate::Config;

/// An application of which the service runs the processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// What is run, and as whom.
    pub app: scripts::App,
    /// The backends whose servers are this application's socket, wherever the supervisor opens it.
    pub backends: Vec<BackendIndex>,
}

impl Config {
    /// Says where the applications' sockets are; in step with [`Config::applications`].
    pub fn place_applications(&mut self, sockets: &[PathBuf]) {
        for (application, socket) in self.applications.iter().zip(sockets) {
            for BackendIndex(backend) in &application.backends {
                for server in &mut self.proxy.backends[usize::from(*backend)].servers {
                    server.address = ServerAddress::Unix(socket.clone());
                }
            }
        }
    }
}
