use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice as kernel_splice,
};

/// A pipe that bytes go through on their way from one socket to another without being copied into this process.
#[derive(Debug)]
pub struct Pipe {
    /// The end that bytes leave by.
    pub read: OwnedFd,
    /// The end that bytes enter by.
    pub write: OwnedFd,
    /// What the kernel granted, in bytes of whole pages.
    pub capacity: usize,
}

impl Pipe {
    /// Opens a non-blocking pipe of about `bytes`.
    ///
    /// A user whose pipes exceed the system's allowance (fs.pipe-user-pages-soft) gets the largest that is granted.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn new(bytes: usize) -> io::Result<Pipe> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let mut wanted = bytes;
        let default = fcntl_getpipe_size(&write)?;
        while wanted > default && fcntl_setpipe_size(&write, wanted).is_err() {
            wanted /= 2;
        }
        let capacity = fcntl_getpipe_size(&write)?;
        Ok(Pipe { read, write, capacity })
    }
}

/// Moves up to `len` bytes between a pipe and a socket; 0 is the end of the stream.
///
/// Neither waits nor asks the kernel to hold back a last small segment.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when either side is not ready, else what the kernel says.
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(kernel_splice(from, None, to, None, len, flags)?)
}

/// Sends up to `len` bytes of `file` from `offset` on, and moves `offset` past them; 0 is the file's end.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when the socket is full, else what the kernel says.
pub fn sendfile(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: &mut u64, len: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket.as_fd(), file.as_fd(), Some(offset), len)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_pass_from_socket_to_socket_through_a_pipe() {
        let pipe = Pipe::new(1 << 20).unwrap();
        assert!(pipe.capacity >= 4096);
        let (mut client, inbound) = UnixStream::pair().unwrap();
        let (outbound, mut server) = tcp_pair();
        client.write_all(b"forty-two bytes or so").unwrap();
        let taken = splice(inbound.as_fd(), pipe.write.as_fd(), pipe.capacity).unwrap();
        assert_eq!(taken, 21);
        assert_eq!(splice(pipe.read.as_fd(), outbound.as_fd(), taken).unwrap(), 21);
        let mut got = [0; 21];
        server.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"forty-two bytes or so");
    }

    #[test]
    fn an_empty_pipe_would_block_and_a_closed_socket_is_the_end() {
        let pipe = Pipe::new(1 << 16).unwrap();
        let (client, inbound) = UnixStream::pair().unwrap();
        inbound.set_nonblocking(true).unwrap();
        let error = splice(pipe.read.as_fd(), inbound.as_fd(), 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(client);
        assert_eq!(splice(inbound.as_fd(), pipe.write.as_fd(), 100).unwrap(), 0);
    }

    #[test]
    fn a_file_goes_out_from_its_offset_to_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.rewind().unwrap();
        let (out, mut server) = tcp_pair();
        let mut offset = 4;
        assert_eq!(sendfile(out.as_fd(), file.as_fd(), &mut offset, 100).unwrap(), 6);
        assert_eq!(offset, 10);
        assert_eq!(sendfile(out.as_fd(), file.as_fd(), &mut offset, 100).unwrap(), 0);
        let mut got = [0; 6];
        server.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"456789");
    }

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }
}
