use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in /proc/net/tcp (`TCP_LISTEN`).
const LISTEN: &str = "0A";

/// Who listens on `address` or on a wildcard over it: `name (pid N)`, as far as /proc shows it to this user.
pub(crate) fn of(address: SocketAddr) -> Option<String> {
    let links = socket_links(address);
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if pid.bytes().all(|byte| byte.is_ascii_digit()) && holds_any(&pid, &links) {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// Whether all that listens on `address` or on a wildcard over it is this process's own.
pub(crate) fn is_this_process(address: SocketAddr) -> bool {
    let links = socket_links(address);
    !links.is_empty() && links.iter().all(|link| holds_any("self", std::slice::from_ref(link)))
}

fn holds_any(pid: &str, links: &[String]) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    fds.flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
}

fn socket_links(address: SocketAddr) -> Vec<String> {
    let table = if address.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let text = fs::read_to_string(table).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| listening_inode(line, address)).collect()
}

/// One line of the table: `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
fn listening_inode(line: &str, wanted: SocketAddr) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    let ip = parse_ip(ip)?;
    let same = ip == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
    let same = same && u16::from_str_radix(port, 16).ok()? == wanted.port();
    (same && *state == LISTEN).then(|| format!("socket:[{inode}]"))
}

/// Words of 32 bits in the machine's own order, in hex.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn a_listening_line_is_found_by_address_wildcard_and_port() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 27301 1";
        let wanted = |text: &str| listening_inode(line, text.parse().unwrap());
        assert_eq!(wanted("127.0.0.1:8080").as_deref(), Some("socket:[27301]"));
        assert_eq!(wanted("0.0.0.0:8080").as_deref(), Some("socket:[27301]"));
        assert_eq!(wanted("127.0.0.1:8081"), None);
        assert_eq!(wanted("127.0.0.2:8080"), None);
        let established = line.replace(" 0A ", " 01 ");
        assert_eq!(listening_inode(&established, "127.0.0.1:8080".parse().unwrap()), None);
        assert_eq!(listening_inode("garbage", "127.0.0.1:8080".parse().unwrap()), None);
    }

    #[test]
    fn ipv6_words_are_read() {
        let ip = parse_ip("B80D0120000000000000000001000000").unwrap();
        assert_eq!(ip, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(parse_ip("0100"), None);
    }
}
