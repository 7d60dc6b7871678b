use std::ffi::CStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

/// The addresses of the interface `name`, with port 0; `None` if there is no such interface.
pub(crate) fn addresses(name: &str) -> io::Result<Option<Vec<SocketAddr>>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` is a valid place for the pointer that the call stores.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = None;
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a node of the list that getifaddrs made and that is freed only below.
        let node = unsafe { &*entry };
        // SAFETY: `ifa_name` is a C string of that list.
        let node_name = unsafe { CStr::from_ptr(node.ifa_name) };
        if node_name.to_bytes() == name.as_bytes() {
            let addresses = found.get_or_insert_with(Vec::new);
            if !node.ifa_addr.is_null() {
                // SAFETY: `ifa_addr` points to a socket address of the family that it names.
                addresses.extend(unsafe { socket_address(node.ifa_addr) });
            }
        }
        entry = node.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// # Safety
/// `address` points to a whole socket address of the family that it names.
unsafe fn socket_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    // SAFETY: every socket address begins with its family; the caller vouches for the rest.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that this is what stands here.
            let v4 = unsafe { *address.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, 0)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is what stands here.
            let v6 = unsafe { *address.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, v6.sin6_scope_id)))
        }
        _ => None,
    }
}
