use serde::{Deserialize, Serialize};
use units::AdminState;

use crate::model::{AdminWord, Status};

/// Where the numbers come from and where commands go.
///
/// Both are called on the admin's own thread, as often as somebody asks; neither may block on traffic.
pub trait Source: Send + Sync + 'static {
    /// Everything, now.
    fn status(&self) -> Status;

    /// Does what is asked. The TCP router never calls this: it serves the control socket.
    fn command(&self, command: Command) -> Result<(), CommandError>;
}

/// What an operator may change while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Sets a server's administrative state.
    SetAdmin {
        /// The backend's name.
        backend: String,
        /// The server's name in it.
        server: String,
        /// What is wanted of it.
        #[serde(with = "AdminWord")]
        admin: AdminState,
    },
    /// Sets a server's weight.
    SetWeight {
        /// The backend's name.
        backend: String,
        /// The server's name in it.
        server: String,
        /// Its share from now on; 0: nothing new.
        weight: u16,
    },
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such backend.
    #[error("no backend is called `{0}`")]
    UnknownBackend(String),
    /// The backend has no such server.
    #[error("backend `{backend}` has no server called `{server}`")]
    UnknownServer {
        /// The backend that was asked.
        backend: String,
        /// The name that it does not have.
        server: String,
    },
}
