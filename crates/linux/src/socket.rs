use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown, sockopt};

/// Where `tcpi_bytes_acked` stands in the kernel's `struct tcp_info` (linux/tcp.h): since Linux 4.1.
const BYTES_ACKED_AT: usize = 120;

/// How many bytes the peer has acknowledged on a TCP connection; one more on the side that connected (its SYN).
///
/// # Errors
/// If this is no TCP socket, or the kernel is older than 4.1.
pub fn tcp_bytes_acked(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = [0u8; BYTES_ACKED_AT + 8];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `info`, which is that long, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < info.len() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut acked = [0; 8];
    acked.copy_from_slice(&info[BYTES_ACKED_AT..]);
    Ok(u64::from_ne_bytes(acked))
}

/// Turns on the kernel's probes of an idle connection; `None` leaves the system's own setting.
///
/// Times are whole seconds to the kernel: they are rounded up, and held within 1 and 32767; the count within 1 and 127.
///
/// # Errors
/// If this is no TCP socket.
pub fn set_keepalive(
    socket: BorrowedFd<'_>,
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    if let Some(idle) = idle {
        sockopt::set_tcp_keepidle(socket, whole_seconds(idle))?;
    }
    if let Some(interval) = interval {
        sockopt::set_tcp_keepintvl(socket, whole_seconds(interval))?;
    }
    if let Some(count) = count {
        sockopt::set_tcp_keepcnt(socket, count.clamp(1, 127))?;
    }
    Ok(())
}

/// Sends small segments at once (TCP_NODELAY).
///
/// # Errors
/// If this is no TCP socket.
pub fn set_nodelay(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(socket, true)?)
}

/// A connection whose peer acknowledges nothing for this long has failed, rather than after a quarter of an hour
/// (TCP_USER_TIMEOUT).
///
/// # Errors
/// If this is no TCP socket.
pub fn set_user_timeout(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(socket, millis)?)
}

/// Makes the close of this socket a reset, so that the peer cannot take a cut message for a whole one.
///
/// # Errors
/// If this is no socket.
pub fn set_linger_zero(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(socket, Some(Duration::ZERO))?)
}

/// Ends the outgoing direction; the other stays open.
///
/// # Errors
/// If the connection is gone already.
pub fn shutdown_write(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(shutdown(socket, Shutdown::Write)?)
}

fn whole_seconds(duration: Duration) -> Duration {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(seconds.clamp(1, 32767))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn acknowledged_bytes_are_counted_on_the_accepting_side() {
        let (mut client, mut server) = tcp_pair();
        let before = tcp_bytes_acked(server.as_fd()).unwrap();
        server.write_all(&[7; 1000]).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while tcp_bytes_acked(server.as_fd()).unwrap() != before + 1000 {
            assert!(std::time::Instant::now() < deadline, "the bytes were never acknowledged");
            std::thread::yield_now();
        }
    }

    #[test]
    fn keepalive_is_set_in_whole_seconds_and_within_the_kernels_bounds() {
        let (client, _server) = tcp_pair();
        set_keepalive(client.as_fd(), Some(Duration::from_millis(4200)), Some(Duration::ZERO), Some(1000)).unwrap();
        assert!(sockopt::socket_keepalive(&client).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&client).unwrap(), Duration::from_secs(5));
        assert_eq!(sockopt::tcp_keepintvl(&client).unwrap(), Duration::from_secs(1));
        assert_eq!(sockopt::tcp_keepcnt(&client).unwrap(), 127);
    }

    #[test]
    fn a_close_without_linger_is_a_reset() {
        let (client, mut server) = tcp_pair();
        set_linger_zero(client.as_fd()).unwrap();
        drop(client);
        let error = server.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn the_other_direction_survives_a_half_close() {
        let (mut client, mut server) = tcp_pair();
        set_nodelay(client.as_fd()).unwrap();
        shutdown_write(client.as_fd()).unwrap();
        assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        server.write_all(b"x").unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 1);
    }
}
