use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::{interface, owner};

/// Clients that may wait for `accept`; the kernel clamps it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

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
    /// Datagrams to an address and port, which need not be this host's yet; one socket, that nobody shares.
    Udp(SocketAddr),
    /// A unix stream socket.
    Unix {
        /// Its path; a stale socket there is replaced.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// A socket that clients reach, non-blocking and closed on exec.
#[derive(Debug)]
pub enum Listener {
    /// IPv4 or IPv6.
    Tcp(TcpListener),
    /// Datagrams over IPv4 or IPv6.
    Udp(UdpSocket),
    /// A path of the file system.
    Unix(UnixListener),
}

/// Why a bind could not be opened.
#[derive(Debug)]
pub struct OpenError {
    /// What was to be opened, as text.
    pub address: String,
    /// Why not.
    pub reason: OpenReason,
}

/// See [`OpenError`].
#[derive(Debug)]
pub enum OpenReason {
    /// Another socket listens there; its program, where /proc tells.
    InUse(Option<String>),
    /// Ports below 1024 (net.ipv4.ip_unprivileged_port_start) need CAP_NET_BIND_SERVICE, a socket's folder the right to write.
    Privilege,
    /// This host has no such interface.
    NoInterface,
    /// The interface has no address that can be listened on.
    NoAddress,
    /// The path holds something that is no socket.
    NotASocket,
    /// Anything else.
    Io(io::Error),
}

impl Bind {
    /// Opens `count` sockets for each TCP address, which share its clients (SO_REUSEPORT), or one for datagrams or a unix
    /// path.
    ///
    /// # Errors
    /// If any of them cannot be opened; none is then left open.
    pub fn open(&self, count: usize) -> Result<Vec<Listener>, OpenError> {
        let fail = |reason| OpenError { address: self.to_string(), reason };
        match self {
            Bind::Ip(address) => open_tcp(*address, count).map_err(fail),
            Bind::Interface { name, port } => {
                let addresses = interface::addresses(name).map_err(|e| fail(OpenReason::Io(e)))?;
                let addresses = addresses.ok_or_else(|| fail(OpenReason::NoInterface))?;
                if addresses.is_empty() {
                    return Err(fail(OpenReason::NoAddress));
                }
                let mut listeners = Vec::new();
                for mut address in addresses {
                    address.set_port(*port);
                    listeners.extend(open_tcp(address, count).map_err(fail)?);
                }
                Ok(listeners)
            }
            Bind::Udp(address) => Ok(vec![open_udp(*address).map_err(fail)?]),
            Bind::Unix { path, mode } => Ok(vec![open_unix(path, *mode).map_err(fail)?]),
        }
    }

    /// Whether `listener`, opened by someone else, is the one meant.
    pub fn is_served_by(&self, listener: &Listener) -> bool {
        match (self, listener) {
            (Bind::Ip(address), Listener::Tcp(tcp)) => tcp.local_addr().is_ok_and(|local| local == *address),
            (Bind::Udp(address), Listener::Udp(udp)) => udp.local_addr().is_ok_and(|local| local == *address),
            (Bind::Unix { path, .. }, Listener::Unix(unix)) => {
                unix.local_addr().is_ok_and(|local| local.as_pathname() == Some(path))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Ip(address) => address.fmt(formatter),
            Bind::Interface { name, port } => write!(formatter, "{name}:{port}"),
            Bind::Udp(address) => write!(formatter, "{address} (UDP)"),
            Bind::Unix { path, .. } => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// The listener that `fd` is, made non-blocking.
    ///
    /// # Errors
    /// If it is no listening TCP or unix stream socket, and no UDP socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Listener> {
        let (kind, domain) = (sockopt::socket_type(&fd)?, sockopt::socket_domain(&fd)?);
        let is_ip = matches!(domain, AddressFamily::INET | AddressFamily::INET6);
        let is_udp = is_ip && kind == SocketType::DGRAM;
        if !is_udp && (kind != SocketType::STREAM || !sockopt::socket_acceptconn(&fd)?) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening socket"));
        }
        rustix::io::ioctl_fionbio(&fd, true)?;
        match domain {
            AddressFamily::INET | AddressFamily::INET6 if is_udp => Ok(Listener::Udp(fd.into())),
            AddressFamily::INET | AddressFamily::INET6 => Ok(Listener::Tcp(fd.into())),
            AddressFamily::UNIX => Ok(Listener::Unix(fd.into())),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither TCP nor unix")),
        }
    }

    /// A second descriptor of the same socket.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn try_clone(&self) -> io::Result<Listener> {
        Ok(match self {
            Listener::Tcp(tcp) => Listener::Tcp(tcp.try_clone()?),
            Listener::Udp(udp) => Listener::Udp(udp.try_clone()?),
            Listener::Unix(unix) => Listener::Unix(unix.try_clone()?),
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(tcp) => tcp.as_fd(),
            Listener::Udp(udp) => udp.as_fd(),
            Listener::Unix(unix) => unix.as_fd(),
        }
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> OwnedFd {
        match listener {
            Listener::Tcp(tcp) => tcp.into(),
            Listener::Udp(udp) => udp.into(),
            Listener::Unix(unix) => unix.into(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        write!(formatter, "cannot listen on {address}: ")?;
        match &self.reason {
            OpenReason::InUse(Some(owner)) => {
                write!(formatter, "{owner} listens there already; stop it, or choose another port")
            }
            OpenReason::InUse(None) => formatter.write_str(
                "another program listens there already (`ss -ltunp` as root shows it); stop it, or choose another port",
            ),
            OpenReason::Privilege => formatter.write_str(
                "this user may not; start as root, give the program CAP_NET_BIND_SERVICE \
                 (`setcap cap_net_bind_service=+ep`), or choose a port from 1024 on or a folder that is yours",
            ),
            OpenReason::NoInterface => formatter.write_str("no such interface here; `ip -br address` lists them"),
            OpenReason::NoAddress => formatter.write_str("the interface has no address"),
            OpenReason::NotASocket => formatter.write_str("there is a file of that name, and it is no socket"),
            OpenReason::Io(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for OpenError {}

fn open_tcp(address: SocketAddr, count: usize) -> Result<Vec<Listener>, OpenReason> {
    refuse_if_taken(address)?;
    let mut address = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let fd = tcp_socket(address)
            .and_then(|fd| {
                sockopt::set_socket_reuseport(&fd, true)?;
                bind(&fd, &address)?;
                listen(&fd, BACKLOG)?;
                Ok(fd)
            })
            .map_err(|errno| reason(errno, address))?;
        let listener = TcpListener::from(fd);
        if address.port() == 0 {
            // The kernel chose one: the others share it.
            address = listener.local_addr().map_err(OpenReason::Io)?;
        }
        listeners.push(Listener::Tcp(listener));
    }
    Ok(listeners)
}

/// SO_REUSEPORT would let a second instance of the same user share the port, and take half of the clients unseen.
/// A socket without it cannot, and tells; sockets of this very process (a wider bind of the same port) are let be.
fn refuse_if_taken(address: SocketAddr) -> Result<(), OpenReason> {
    let probe = tcp_socket(address).map_err(|errno| reason(errno, address))?;
    match bind(&probe, &address) {
        Ok(()) => Ok(()),
        Err(Errno::ADDRINUSE) if owner::is_this_process(address) => Ok(()),
        Err(errno) => Err(reason(errno, address)),
    }
}

fn open_udp(address: SocketAddr) -> Result<Listener, OpenReason> {
    let opened = ip_socket(address, SocketType::DGRAM).and_then(|fd| bind(&fd, &address).map(|()| fd));
    match opened {
        Ok(fd) => Ok(Listener::Udp(fd.into())),
        // Who has it is told of TCP's ports alone.
        Err(Errno::ADDRINUSE) => Err(OpenReason::InUse(None)),
        Err(errno) => Err(reason(errno, address)),
    }
}

fn tcp_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let fd = ip_socket(address, SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    Ok(fd)
}

fn ip_socket(address: SocketAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, kind, flags, None)?;
    if address.is_ipv4() {
        sockopt::set_ip_freebind(&fd, true)?;
    } else {
        sockopt::set_ipv6_v6only(&fd, true)?;
        sockopt::set_ipv6_freebind(&fd, true)?;
    }
    Ok(fd)
}

fn reason(errno: Errno, address: SocketAddr) -> OpenReason {
    match errno {
        Errno::ADDRINUSE => OpenReason::InUse(owner::of(address)),
        Errno::ACCESS | Errno::PERM => OpenReason::Privilege,
        errno => OpenReason::Io(errno.into()),
    }
}

fn open_unix(path: &Path, mode: u32) -> Result<Listener, OpenReason> {
    clear_stale(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let unix_reason = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => OpenReason::Privilege,
        io::ErrorKind::AddrInUse => OpenReason::InUse(None),
        _ => OpenReason::Io(error),
    };
    let open = || -> io::Result<UnixListener> {
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        bind(&fd, &rustix::net::SocketAddrUnix::new(path)?)?;
        // Nobody can connect before `listen`, so the permissions are never wider than asked for.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        listen(&fd, BACKLOG)?;
        Ok(fd.into())
    };
    open().map(Listener::Unix).map_err(unix_reason)
}

fn clear_stale(path: &Path) -> Result<(), OpenReason> {
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if !found.file_type().is_socket() => Err(OpenReason::NotASocket),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(|_| OpenReason::Privilege)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(OpenReason::Privilege),
            _ => Err(OpenReason::InUse(None)),
        },
    }
}

#[cfg(test)]
mod tests;
