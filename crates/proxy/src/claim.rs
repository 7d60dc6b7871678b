//! What a request brings to the choice of its server.

use std::net::{IpAddr, SocketAddr};

use balance::{Algorithm, ServerIndex, ZoneIndex};
use http_proto::{Ranges, RequestHead, resolve_ranges};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::BackendIndex;
use crate::stick::Known;
use crate::worker::Context;

/// What of a request and its client decides over the server, and over the place in the line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claim {
    /// The hash of what the algorithm goes by.
    pub(crate) hash: Option<u64>,
    /// The pool's turn, once it has been taken.
    pub(crate) turn: Option<u64>,
    /// Whose request it is: the clients in a line are served in turn.
    pub(crate) client: u64,
    /// Where the client stands.
    pub(crate) zone: Option<ZoneIndex>,
    /// The server that the client itself is.
    pub(crate) home: Option<ServerIndex>,
    /// What is expected of the answer's length; only where bytes are counted.
    pub(crate) size: Option<Size>,
    /// What the client is known by; only where clients stay with their servers.
    pub(crate) known: Option<Known>,
}

/// An answer's length before it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Under which the length of the whole is learnt.
    pub(crate) key: u64,
    /// Bytes of the body.
    pub(crate) expected: u64,
    /// Whether the whole's length is known.
    pub(crate) is_known: bool,
    /// Whether this request's answer tells it.
    pub(crate) is_whole: bool,
}

impl Claim {
    /// A TCP connection's.
    pub(crate) fn of_client(context: &Context, backend: BackendIndex, peer: Option<SocketAddr>) -> Claim {
        let shared = context.shared.backend(backend);
        let snapshot = shared.snapshot();
        let hash = match snapshot.algorithm() {
            Algorithm::Source => peer.map(|peer| hash_of_address(peer.ip())),
            Algorithm::Maglev => peer.map(|peer| hash_of_address(peer.ip()) ^ xxh3_64(&peer.port().to_be_bytes())),
            _ => None,
        };
        let address = peer.map(|peer| peer.ip().to_canonical());
        Claim {
            hash,
            turn: None,
            client: address.map_or(0, hash_of_address),
            zone: address.filter(|_| shared.counts_bytes()).and_then(|address| context.shared.zones.of(address)),
            home: address.and_then(|address| shared.server_at(address)),
            size: None,
            known: shared.sticky().and_then(|sticky| sticky.known_client(peer)),
        }
    }

    /// A request's.
    pub(crate) fn of_request(
        context: &Context,
        backend: BackendIndex,
        peer: Option<SocketAddr>,
        head: &RequestHead<'_>,
    ) -> Claim {
        let mut claim = Claim::of_client(context, backend, peer);
        let shared = context.shared.backend(backend);
        match shared.snapshot().algorithm() {
            Algorithm::Uri => claim.hash = Some(xxh3_64(head.path_and_query.as_bytes())),
            Algorithm::Header(name) => claim.hash = head.fields.value(name).map(xxh3_64),
            Algorithm::Bandwidth => claim.size = Some(Size::of(head, |key| shared.expect(key))),
            _ => {}
        }
        if let Some(sticky) = shared.sticky() {
            claim.known = claim.known.or_else(|| sticky.known_request(head));
        }
        context.count_known(backend, claim.known);
        claim
    }
}

impl Size {
    /// `learnt` says what is known of the whole's length, and what answers have on average.
    fn of(head: &RequestHead<'_>, learnt: impl FnOnce(u64) -> (Option<u64>, u64)) -> Size {
        let key = xxh3_64(head.path_and_query.as_bytes());
        let (known, mean) = learnt(key);
        let whole = known.unwrap_or(mean);
        let ranges = head.fields.value("range").map(|value| resolve_ranges(value, whole));
        let expected = match (head.method, ranges) {
            ("HEAD", _) => 0,
            (_, Some(Ranges::Parts(parts))) => parts.iter().map(|part| part.length).sum(),
            _ => whole,
        };
        let is_whole = head.method == "GET" && head.fields.value("range").is_none();
        Size { key, expected, is_known: known.is_some(), is_whole }
    }
}

pub(crate) fn hash_of_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => xxh3_64(&address.octets()),
        IpAddr::V6(address) => xxh3_64(&address.octets()),
    }
}
