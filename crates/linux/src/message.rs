//! Datagrams with what the kernel says of them, read without allocation.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Room for what the kernel says beside a datagram: the sum of all that the sockets of this crate ask for is 160 bytes.
const CONTROL_BYTES: usize = 256;

/// Room for the longest address: that of a packet socket with a link address of 32 bytes has 44.
const ADDRESS_BYTES: usize = 64;

/// What came with a datagram. Control messages are aligned as the kernel aligns them.
#[repr(C, align(8))]
pub(crate) struct Envelope {
    control: [u8; CONTROL_BYTES],
    address: [u8; ADDRESS_BYTES],
    control_length: usize,
    /// How long the datagram was, of which the buffer has the beginning.
    pub(crate) length: usize,
}

impl Envelope {
    pub(crate) fn new() -> Envelope {
        Envelope { control: [0; CONTROL_BYTES], address: [0; ADDRESS_BYTES], control_length: 0, length: 0 }
    }

    /// The sender's socket address, as the kernel lays it out; zeros follow it.
    pub(crate) fn address(&self) -> &[u8; ADDRESS_BYTES] {
        &self.address
    }

    /// Level, type and data of each control message.
    pub(crate) fn control(&self) -> impl Iterator<Item = (libc::c_int, libc::c_int, &[u8])> {
        let mut rest = &self.control[..self.control_length.min(CONTROL_BYTES)];
        std::iter::from_fn(move || {
            // struct cmsghdr: its length with this header, level, type; data follow where a word may begin.
            let length = usize::from_ne_bytes(field(rest, 0)?);
            let level = libc::c_int::from_ne_bytes(field(rest, size_of::<usize>())?);
            let kind = libc::c_int::from_ne_bytes(field(rest, size_of::<usize>() + size_of::<libc::c_int>())?);
            let data = rest.get(aligned(size_of::<libc::cmsghdr>())..length)?;
            rest = rest.get(aligned(length)..).unwrap_or_default();
            Some((level, kind, data))
        })
    }
}

/// The bytes at `at`, as many as the array has; `None` where there are fewer.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

/// Receives a datagram, of which `buffer` gets the beginning; `None` if there is none now.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], envelope: &mut Envelope) -> io::Result<Option<()>> {
    loop {
        envelope.address = [0; ADDRESS_BYTES];
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all zeroes is a valid `msghdr`: integers and null pointers.
        let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        header.msg_name = envelope.address.as_mut_ptr().cast();
        header.msg_namelen = ADDRESS_BYTES as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = envelope.control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
        // SAFETY: every pointer is to a live place as long as is said beside it, which nothing else uses meanwhile.
        let length =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT | libc::MSG_TRUNC) };
        if let Ok(length) = usize::try_from(length) {
            envelope.length = length;
            envelope.control_length = header.msg_controllen as _;
            return Ok(Some(()));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(error),
        }
    }
}

/// Sends the parts as one datagram to a socket address, with control messages, both as the kernel lays them out. What
/// cannot be sent at once is not sent.
pub(crate) fn send<const N: usize>(
    socket: BorrowedFd<'_>,
    address: &[u8],
    control: &[u8],
    parts: [&[u8]; N],
) -> io::Result<()> {
    let mut parts = parts.map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
    // SAFETY: all zeroes is a valid `msghdr`: integers and null pointers.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_name = address.as_ptr().cast_mut().cast();
    header.msg_namelen = address.len() as libc::socklen_t;
    header.msg_iov = parts.as_mut_ptr();
    header.msg_iovlen = N as _;
    header.msg_control = if control.is_empty() { ptr::null_mut() } else { control.as_ptr().cast_mut().cast() };
    header.msg_controllen = control.len() as _;
    loop {
        // SAFETY: the kernel only reads through these pointers, each to a live place as long as is said beside it.
        let sent =
            unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Binds a socket to an address, as the kernel lays it out.
pub(crate) fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = address.len() as libc::socklen_t;
    // SAFETY: the kernel reads at most `length` bytes of `address`, which is that long.
    let result = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an option whose value is a number.
pub(crate) fn set_number(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    set_bytes(socket, level, option, &value.to_ne_bytes())
}

/// Sets an option whose value is a structure, as the kernel lays it out.
pub(crate) fn set_bytes(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: the kernel reads at most `length` bytes of `value`, which is that long.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option whose value is a structure of at most so many bytes; zeros follow what the kernel has not written.
pub(crate) fn option<const N: usize>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
) -> io::Result<[u8; N]> {
    let mut value = [0u8; N];
    let mut length = N as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `value`, which is that long.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &raw mut length) };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
