//! What is not in rtnetlink: settings of a link's IPv4 and IPv6, below /proc/sys/net.

use std::fs;
use std::io;
use std::path::PathBuf;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What a link's setting is; `interface` is its name, or `all` or `default`.
///
/// # Errors
/// If there is no such link or setting, or it is no number.
pub fn setting(family: Family, interface: &str, name: &str) -> io::Result<i32> {
    let text = fs::read_to_string(path(family, interface, name)?)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{name} is no number")))
}

/// Changes a link's setting; it needs CAP_NET_ADMIN.
///
/// # Errors
/// If there is no such link or setting, or it may not be changed.
pub fn set_setting(family: Family, interface: &str, name: &str, value: i32) -> io::Result<()> {
    let path = path(family, interface, name)?;
    // Opened as it is: a file is never made here.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, value.to_string().as_bytes())
}

/// Whether, when an IPv4 address of the link goes, others of its network stay: the next one takes its place.
///
/// # Errors
/// If there is no such link.
pub fn promotes_secondaries(interface: &str) -> io::Result<bool> {
    let anywhere = setting(Family::Ipv4, "all", PROMOTE_SECONDARIES)? != 0;
    Ok(anywhere || setting(Family::Ipv4, interface, PROMOTE_SECONDARIES)? != 0)
}

/// Says whether they stay. The setting for all links, if it is on, wins over off here.
///
/// # Errors
/// If there is no such link, or the caller may not.
pub fn set_promote_secondaries(interface: &str, promote: bool) -> io::Result<()> {
    set_setting(Family::Ipv4, interface, PROMOTE_SECONDARIES, i32::from(promote))
}

const PROMOTE_SECONDARIES: &str = "promote_secondaries";

fn path(family: Family, interface: &str, name: &str) -> io::Result<PathBuf> {
    for part in [interface, name] {
        if part.is_empty() || part.contains(['/', '\0']) || part == "." || part == ".." {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{part:?} is no name of a setting")));
        }
    }
    let folder = match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    Ok(["/proc/sys/net", folder, "conf", interface, name].iter().collect())
}
