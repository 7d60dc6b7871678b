//! Sockets for echo requests.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

/// linux/icmp.h: the option by which a raw socket of ICMP hears only some types, and the level that it is of.
const SOL_RAW: libc::c_int = 255;
const ICMP_FILTER: libc::c_int = 1;
/// A bit for each type that is not heard: all but echo replies (0).
const ONLY_REPLIES_V4: u32 = !1;

/// linux/icmpv6.h: the same of ICMPv6, and the type of echo replies.
const ICMPV6_FILTER: libc::c_int = 1;
const REPLY_V6: u32 = 129;

/// Opens a socket that sends echo requests of ICMP, or ICMPv6, and hears the replies. It does not block. It is one of the
/// kernel's ping sockets where net.ipv4.ping_group_range lets this process have one, else a raw one.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] if it is in no such group and has no CAP_NET_RAW either.
pub fn ping_socket(v6: bool) -> io::Result<UdpSocket> {
    let (family, protocol) =
        if v6 { (AddressFamily::INET6, ipproto::ICMPV6) } else { (AddressFamily::INET, ipproto::ICMP) };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = match socket_with(family, SocketType::DGRAM, flags, Some(protocol)) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            let fd = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
            hear_only_replies(&fd, v6)?;
            fd
        }
        Err(errno) => return Err(errno.into()),
    };
    Ok(fd.into())
}

fn hear_only_replies(fd: &OwnedFd, v6: bool) -> io::Result<()> {
    let mut types = [u32::MAX; 8];
    types[(REPLY_V6 / 32) as usize] &= !(1 << (REPLY_V6 % 32));
    let (level, option, value) = if v6 {
        (libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &types[..])
    } else {
        (SOL_RAW, ICMP_FILTER, &[ONLY_REPLIES_V4][..])
    };
    let length = size_of_val(value) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads `length` bytes of the slice, which has as many.
    let done = unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    /// Asks this host, and hears the reply and not the request.
    fn answers(socket: &UdpSocket, v6: bool) {
        let family = if v6 { wire::icmp::Family::V6 } else { wire::icmp::Family::V4 };
        let to: SocketAddr = if v6 { "[::1]:0" } else { "127.0.0.1:0" }.parse().expect("an address");
        let mut request = Vec::new();
        let echo = wire::icmp::Echo { identifier: 77, sequence: 5, payload: b"perron" };
        wire::icmp::write_request(&mut request, family, echo);
        socket.set_nonblocking(false).expect("it can wait");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("it can wait");
        socket.send_to(&request, to).expect("it is sent");
        let mut bytes = [0; 256];
        let (length, from) = socket.recv_from(&mut bytes).expect("a reply");
        let reply = wire::icmp::parse_reply(family, &bytes[..length]).expect("a reply comes first");
        assert_eq!((from.ip(), reply.sequence, reply.payload), (to.ip(), 5, &b"perron"[..]));
    }

    #[test]
    fn this_host_answers_either_kind_of_socket() {
        for v6 in [false, true] {
            match ping_socket(v6) {
                Ok(socket) => answers(&socket, v6),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    lab::Skip::new("no ping socket and no CAP_NET_RAW").announce();
                    return;
                }
                Err(error) => panic!("{error}"),
            }
            let (family, protocol) =
                if v6 { (AddressFamily::INET6, ipproto::ICMPV6) } else { (AddressFamily::INET, ipproto::ICMP) };
            if let Ok(raw) = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol)) {
                hear_only_replies(&raw, v6).expect("a raw socket has a filter");
                answers(&raw.into(), v6);
            }
        }
    }
}
