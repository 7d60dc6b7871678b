use std::net::{Ipv4Addr, Ipv6Addr};

use proxy::config::RedirectTo;

use crate::context::Context;
use crate::read::{Line, Read};
use crate::tree::Node;

/// A name's length (RFC 1035 section 2.3.4), and a label's.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Where clients reach a server themselves, as the text has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) to: RedirectTo,
    /// Whether it is reached by TLS.
    pub(crate) tls: bool,
}

/// What is wrong with a URL, and what to write instead.
struct Mistake {
    message: String,
    help: String,
}

impl Read for Place {
    fn read(node: &Node, cx: &mut Context) -> Option<Place> {
        let Line(text) = Line::read(node, cx)?;
        match parse(&text) {
            Ok(place) => Some(place),
            Err(mistake) => {
                cx.error(node.span, mistake.message).help(mistake.help);
                None
            }
        }
    }
}

fn mistake<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake { message: message.into(), help: help.into() })
}

fn parse(text: &str) -> Result<Place, Mistake> {
    let Some((scheme, rest)) = ["http", "https"].iter().find_map(|scheme| Some((*scheme, after(text, scheme)?))) else {
        let help = match parse(&format!("http://{text}")) {
            Ok(_) if !text.contains("//") => format!("write \"http://{text}\""),
            _ => "write \"http://server.example.org\"".to_owned(),
        };
        return mistake("this is no URL that begins with http:// or https://", help);
    };
    if text.contains(['{', '}']) {
        let help = "leave them out: the path and query of each request are put behind it";
        return mistake("there are no placeholders here", help);
    }
    if let Some(end) = text.find(['?', '#']) {
        let help = format!("write \"{}\"", text[..end].escape_debug());
        return mistake("the path and query of each request are put behind it, so it ends with a path", help);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some((_, place)) = authority.rsplit_once('@') {
        let help = format!("write \"{scheme}://{}{}\"", place.escape_debug(), path.escape_debug());
        return mistake("every client would be handed this user's name", help);
    }
    check_letters(authority, path)?;
    let tls = scheme == "https";
    let (host, port) = host_and_port(scheme, authority, path)?;
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    let base = format!("{scheme}://{authority}{}", path.trim_end_matches('/'));
    Ok(Place { to: RedirectTo { base, host: host.to_ascii_lowercase(), port }, tls })
}

fn after<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    text.strip_prefix(scheme)?.strip_prefix("://")
}

/// The bytes of RFC 3986 section 2 that a path or an authority may have.
fn may_stand_in_url(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

fn check_letters(authority: &str, path: &str) -> Result<(), Mistake> {
    let foreign = |letter: &char| !u8::try_from(*letter).is_ok_and(may_stand_in_url);
    if let Some(letter) = authority.chars().find(foreign) {
        let help = "write the name as it is asked for, in letters, digits and hyphens (\"xn--...\" for others)";
        return mistake(format!("'{letter}' cannot stand in a host"), help);
    }
    if let Some(letter) = path.chars().find(foreign) {
        let bytes: String = letter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        return mistake(format!("'{letter}' cannot stand in a URL"), format!("write {bytes} for it"));
    }
    let whole = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !path.split('%').skip(1).all(whole) {
        return mistake("two hexadecimal digits follow each % of a URL", "write %25 for the letter %");
    }
    Ok(())
}

/// The host without brackets, and the port if one is written.
fn host_and_port<'t>(scheme: &str, authority: &'t str, path: &str) -> Result<(&'t str, Option<u16>), Mistake> {
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, port)) => (host, port),
        None => authority.split_at(authority.rfind(':').unwrap_or(authority.len())),
    };
    if bracketed.is_none() && authority.parse::<Ipv6Addr>().is_ok() {
        return mistake(
            "an IPv6 address stands in brackets in a URL",
            format!("write \"{scheme}://[{authority}]{path}\""),
        );
    }
    if host.is_empty() {
        return mistake("the host is missing", format!("write \"{scheme}://server.example.org\""));
    }
    let fine = if bracketed.is_some() { host.parse::<Ipv6Addr>().is_ok() } else { is_name_or_ipv4(host) };
    if !fine {
        let help = format!("write a name or an address: \"{scheme}://server.example.org\", \"{scheme}://10.0.0.1\"");
        return mistake(format!("\"{}\" is no host", host.escape_debug()), help);
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|port| port.parse().ok()).filter(|port| *port != 0) {
        Some(port) => Ok((host, Some(port))),
        None => mistake("the port is no number from 1 to 65535", "write one, or leave it out with its colon"),
    }
}

/// Whether it is a host's name, or an IPv4 address: what ends in a number is that or nothing.
pub(crate) fn is_name_or_ipv4(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let label = |label: &str| (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(fine);
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= NAME_MAX && name.split('.').all(label) && (!number || host.parse::<Ipv4Addr>().is_ok())
}
