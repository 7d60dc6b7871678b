//! Clients that stay with the server that they were given.

use std::net::SocketAddr;

use balance::{NameHash, ServerIndex, Stick};
use http_proto::{Fields, RequestHead};
use xxhash_rust::xxh3::xxh3_64;

use crate::claim::hash_of_address;
use crate::config::{Backend, StickBy};

/// One backend's table, and its servers as the table knows them.
pub(crate) struct Sticky {
    by: StickBy,
    table: Stick,
    /// In the order of the servers.
    names: Vec<NameHash>,
    /// In the order of the hashes.
    servers: Vec<(NameHash, ServerIndex)>,
}

/// What a client is known by, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: u64,
    /// The server that it was given, if it was.
    pub(crate) server: Option<ServerIndex>,
}

impl Sticky {
    /// `None`: its clients stay with nobody.
    pub(crate) fn new(backend: &Backend, table: Stick) -> Option<Sticky> {
        let by = backend.stick.as_ref()?.by.clone();
        let names: Vec<NameHash> = backend.pool.servers.iter().map(|server| NameHash::of(&server.name)).collect();
        let mut servers: Vec<_> = names.iter().copied().zip((0..).map(ServerIndex)).collect();
        servers.sort_unstable();
        Some(Sticky { by, table, names, servers })
    }

    pub(crate) fn table(&self) -> &Stick {
        &self.table
    }

    /// What a connection's client is known by: nothing where cookies count.
    pub(crate) fn known_client(&self, peer: Option<SocketAddr>) -> Option<Known> {
        match self.by {
            StickBy::Source => Some(self.known(hash_of_address(peer?.ip()))),
            StickBy::Cookie(_) => None,
        }
    }

    /// What a request's client is known by, if that is a cookie; `None`: the connection's own counts, or the request
    /// has no such cookie.
    pub(crate) fn known_request(&self, head: &RequestHead<'_>) -> Option<Known> {
        match &self.by {
            StickBy::Source => None,
            StickBy::Cookie(name) => Some(self.known(xxh3_64(cookie(&head.fields, name)?))),
        }
    }

    /// The client's server is this one from now on.
    pub(crate) fn record(&self, key: u64, server: ServerIndex) {
        self.table.record(key, self.names[usize::from(server.0)], linux::monotonic_seconds());
    }

    /// An answer of this server: if it gives its client the cookie, the client is this server's.
    pub(crate) fn learn(&self, fields: &Fields<'_>, server: ServerIndex) {
        let StickBy::Cookie(name) = &self.by else { return };
        for line in fields.iter().filter(|field| field.name.eq_ignore_ascii_case("set-cookie")) {
            let pair = line.value.split(|byte| *byte == b';').next().unwrap_or_default();
            if let Some(value) = value_of(pair, name) {
                self.record(xxh3_64(value), server);
            }
        }
    }

    fn known(&self, key: u64) -> Known {
        let name = self.table.look_up(key, linux::monotonic_seconds());
        let place = name.and_then(|name| self.servers.binary_search_by_key(&name, |(name, _)| *name).ok());
        Known { key, server: place.map(|place| self.servers[place].1) }
    }
}

/// The first value of a cookie in a request (RFC 6265 section 4.2.1), unless it is empty.
fn cookie<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("cookie"));
    let mut pairs = lines.flat_map(|field| field.value.split(|byte| *byte == b';'));
    pairs.find_map(|pair| value_of(pair, name))
}

/// The value in `name=value`, names in the very same letters, unless it is empty.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?.trim_ascii_start();
    let value = rest.strip_prefix(b"=")?.trim_ascii_start();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookies_value_is_what_stands_behind_its_name() {
        let cases: [(&[u8], Option<&[u8]>); 10] = [
            (b"id=abc", Some(b"abc")),
            (b" id=a=b ", Some(b"a=b")),
            (b"id = abc", Some(b"abc")),
            (b"id=\"abc\"", Some(b"\"abc\"")),
            (b"ID=abc", None),
            (b"idx=abc", None),
            (b"xid=abc", None),
            (b"id=", None),
            (b"id", None),
            (b"", None),
        ];
        for (pair, value) in cases {
            assert_eq!(value_of(pair, "id"), value, "{pair:?}");
        }
    }
}
