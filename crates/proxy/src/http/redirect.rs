//! Sends a client to the server itself, so that the answer's bytes do not pass here.

use balance::ServerIndex;
use http_proto::RequestHead;
use xxhash_rust::xxh3::xxh3_64;

use super::plan::{Meta, Traits};
use super::reply::{Reply, write_last_fields, write_reply};
use crate::claim::Claim;
use crate::clients::follows;
use crate::config::{Backend, BackendIndex, DeliverMode, RedirectTo};

/// Names longer than this are no host's (RFC 1035 §2.3.4), with room for a port.
const AUTHORITY_MAX: usize = 255 + 6;

/// What must be known of a request to redirect it, once its server is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detour {
    /// The hash of the authority that it was sent to.
    authority: u64,
}

impl Detour {
    /// `None`: this request is to be relayed, whatever its server.
    pub(crate) fn of(backend: &Backend, head: &RequestHead<'_>, is_secure: bool) -> Option<Detour> {
        let deliver = &backend.deliver;
        if deliver.mode == DeliverMode::Proxy || !matches!(head.method, "GET" | "HEAD") || head.upgrade.is_some() {
            return None;
        }
        let user_agent = head.fields.value("user-agent").unwrap_or_default();
        if deliver.mode == DeliverMode::Auto && !follows(user_agent, deliver.status, &deliver.clients) {
            return None;
        }
        Some(Detour { authority: hash_of_authority(head.host.as_bytes(), is_secure)? })
    }

    /// Where the chosen server's clients are sent; `None`: this one is to be relayed. It is never sent to a server
    /// whose place is not known to be well, nor to where it came from or stands itself: it would turn in a circle.
    pub(crate) fn target<'a>(
        self,
        meta: Meta<'a>,
        backend: BackendIndex,
        server: ServerIndex,
        home: Option<ServerIndex>,
    ) -> Option<&'a RedirectTo> {
        let shared = &meta.context.shared;
        if home == Some(server) || !shared.backend(backend).is_redirectable(server) {
            return None;
        }
        let configured = &shared.config.backends[usize::from(backend.0)].servers[usize::from(server.0)];
        let target = configured.redirect_to.as_ref()?;
        (hash_of_target(target) != Some(self.authority)).then_some(target)
    }
}

/// Appends the answer that sends the client on.
pub(crate) fn write_redirect(
    out: &mut Vec<u8>,
    meta: Meta<'_>,
    traits: Traits,
    route: Option<u16>,
    backend: BackendIndex,
    target: &RedirectTo,
    path_and_query: &str,
) -> u16 {
    let shared = &meta.context.shared;
    let status = shared.config.backends[usize::from(backend.0)].deliver.status;
    let slash = if path_and_query.starts_with('/') { "" } else { "/" };
    let location = [target.base.as_str(), slash, path_and_query].concat();
    let mut fields = meta.context.buffer();
    // Which server is best is another question at the next request (RFC 9110 §15.4.9: a 308 could be kept).
    fields.extend_from_slice(b"Cache-Control: no-store\r\n");
    write_last_fields(&mut fields, meta, route, traits.version, traits.keep_alive);
    write_reply(out, &Reply { status, location: Some(&location), ..Reply::default() }, &fields, traits.is_head);
    meta.context.recycle(fields);
    status
}

/// Whether its answer's length is to be asked for, so that the next redirect counts with it.
pub(crate) fn ask_size(meta: Meta<'_>, backend: BackendIndex, server: ServerIndex, claim: &Claim, head: (&str, &str)) {
    if let (Some(size), Some(asker)) = (claim.size, &meta.context.shared.size_asker)
        && !size.is_known
    {
        asker(backend, server, size.key, head.0, head.1);
    }
}

/// The hash of `host:port` in lower case, where the scheme's own port goes without saying; `None`: that is no authority.
fn hash_of_authority(authority: &[u8], is_secure: bool) -> Option<u64> {
    let port = authority.iter().rposition(|&byte| byte == b':').map(|colon| &authority[colon + 1..]);
    let has_port = port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit));
    let own: &[u8] = match (has_port, is_secure) {
        (true, _) => b"",
        (false, true) => b":443",
        (false, false) => b":80",
    };
    let mut lower = [0; AUTHORITY_MAX];
    let lower = lower.get_mut(..authority.len() + own.len())?;
    let (host, rest) = lower.split_at_mut(authority.len());
    host.copy_from_slice(authority);
    rest.copy_from_slice(own);
    lower.make_ascii_lowercase();
    Some(xxh3_64(lower))
}

fn hash_of_target(target: &RedirectTo) -> Option<u64> {
    let (scheme, authority) = target.base.split_once("://")?;
    hash_of_authority(authority.split('/').next()?.as_bytes(), scheme.eq_ignore_ascii_case("https"))
}

/// Fills the placeholders of a redirect's `location`, once: what the request brings is nothing to be filled.
pub(super) fn expand(location: &str, host: &str, path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    let mut filled = String::with_capacity(location.len() + host.len() + path_and_query.len());
    let mut rest = location;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = [("{host}", host), ("{path}", path), ("{query}", query)];
        let (word, value) = known.into_iter().find(|(word, _)| rest.starts_with(word)).unwrap_or(("{", "{"));
        filled.push_str(value);
        rest = &rest[word.len()..];
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let filled = |location| expand(location, "a.example", "/{query}/b?c={host}");
        assert_eq!(filled("https://{host}{path}{query}"), "https://a.example/{query}/b?c={host}");
        assert_eq!(filled("{x}{{host}}/{path"), "{x}{a.example}/{path");
        assert_eq!(filled("https://b.example/"), "https://b.example/");
        assert_eq!(expand("{path}{query}", "a.example", "/b"), "/b");
    }

    fn target(base: &str, port: u16) -> RedirectTo {
        RedirectTo { base: base.to_owned(), host: "node1.cluster.example".to_owned(), port }
    }

    #[test]
    fn authorities_are_the_same_in_either_case_and_without_the_usual_port() {
        let same = hash_of_authority(b"node1.Cluster.example:80", false);
        assert_eq!(same, hash_of_authority(b"NODE1.cluster.example", false));
        assert_ne!(same, hash_of_authority(b"node1.cluster.example:8080", false));
        assert_eq!(hash_of_authority(&[b'a'; 300], false), None);
        assert_eq!(hash_of_authority(b"[2001:db8::1]:80", false), hash_of_authority(b"[2001:DB8::1]", false));
        assert_eq!(hash_of_target(&target("http://node1.cluster.example/mirror", 80)), same);
    }

    #[test]
    fn the_usual_port_is_the_schemes() {
        let secure = hash_of_authority(b"node1.cluster.example", true);
        assert_eq!(secure, hash_of_authority(b"node1.cluster.example:443", true));
        assert_eq!(secure, hash_of_target(&target("https://node1.cluster.example/mirror", 443)));
        assert_eq!(secure, hash_of_target(&target("https://node1.cluster.example:443", 443)));
        // From clear text to TLS on the same host is no circle.
        assert_ne!(secure, hash_of_authority(b"node1.cluster.example", false));
        assert_ne!(secure, hash_of_target(&target("http://node1.cluster.example", 80)));
    }
}
