use std::net::SocketAddr;
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// An IPv4 or IPv6 address and port; it need not be this host's yet (IP_FREEBIND). IPv6 never takes IPv4's clients.
    Ip(SocketAddr),
    /// Every address that this interface has when it is opened, and this port.
    Interface {
        /// The interface's name.
        name: String,
        /// The TCP port.
        port: u16,
    },
    /// A unix stream socket.
    Unix {
        /// Its path; a stale socket there is replaced.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}
