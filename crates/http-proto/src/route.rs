//! Which requests a route takes.

use std::net::IpAddr;

use units::Network;

use crate::head::RequestHead;

/// One condition on a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The Host field without its port is one of these (lower case); `*.example.org` stands for one or more labels.
    Host(Vec<String>),
    /// The path, decoded and with its dot segments and doubled slashes resolved, is below one of these:
    /// `/rpc/` matches `/rpc/x`, and `/rpc` matches `/rpc` and `/rpc/x`, not `/rpcx`.
    PathPrefix(Vec<String>),
    /// The path, likewise resolved, is one of these.
    PathExact(Vec<String>),
    /// The method is one of these (methods are case-sensitive).
    Method(Vec<String>),
    /// A field of this name (lower case) is there; with a value, one of its lines equals it.
    Header {
        /// Lower case.
        name: String,
        /// Compared to the letter; `None`: any.
        value: Option<String>,
    },
    /// The client's address is in one of these.
    Client(Vec<Network>),
}

/// What conditions look at.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery<'a> {
    /// The request.
    pub head: &'a RequestHead<'a>,
    /// Its path as [`crate::resolve_path`] gives it.
    pub path: &'a [u8],
    /// The client's address; `None` for a client on a unix socket, which is in no network.
    pub client: Option<IpAddr>,
}

impl Condition {
    /// Whether the request meets this condition.
    pub fn matches(&self, query: &RouteQuery<'_>) -> bool {
        match self {
            Condition::Host(hosts) => {
                let host = host_without_port(query.head.host);
                let host = host.strip_suffix('.').unwrap_or(host);
                hosts.iter().any(|wanted| host_matches(wanted, host))
            }
            Condition::PathPrefix(prefixes) => prefixes.iter().any(|prefix| is_below(query.path, prefix.as_bytes())),
            Condition::PathExact(paths) => paths.iter().any(|path| path.as_bytes() == query.path),
            Condition::Method(methods) => methods.iter().any(|method| method == query.head.method),
            Condition::Header { name, value } => {
                query.head.fields.values(name).any(|line| value.as_ref().is_none_or(|value| value.as_bytes() == line))
            }
            Condition::Client(networks) => {
                query.client.is_some_and(|client| networks.iter().any(|network| network.contains(client)))
            }
        }
    }
}

/// The host of `host:port`, `host` or `[address]:port`, brackets included.
pub fn host_without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_inside_brackets(name) => name,
        _ => host,
    }
}

/// Whether a bracket is open at the end of `text`: its colons are an address's then.
fn is_inside_brackets(text: &str) -> bool {
    text.starts_with('[') && !text.ends_with(']')
}

fn host_matches(wanted: &str, host: &str) -> bool {
    let Some(suffix) = wanted.strip_prefix('*') else {
        return wanted.eq_ignore_ascii_case(host);
    };
    let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
    host.len() > suffix.len() && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || prefix.ends_with(b"/") || rest[0] == b'/',
        None => false,
    }
}

#[cfg(test)]
mod tests;
