use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use balance::{Algorithm, NameHash};
use peers::{PEERS_MAX, PeersConfig};
use proxy::config::{Backend, ProxyConfig, StickBy, StickConfig};
use wire::peer::{TABLES_MAX, TEXT_MAX};

use crate::binds::{Claim, Transport};
use crate::context::Context;
use crate::names;
use crate::read::{At, Line, Some1, Whole};
use crate::schema::{Key, Schema, form, optional, required, with};
use crate::section::Section;
use crate::sections::http::is_token;
use crate::sections::server::Parts;
use crate::sources::Span;

pub(crate) static PEERS: Schema = Schema {
    path: "peers",
    about: "The other directors, which are told at once which server a client of a backend with `stick` was given, and \
            which tell this one: a client keeps its server whichever director it comes to, and a director that starts \
            anew has its tables back from the others before it serves, if one can be reached. Tables of backends of \
            the same name are one, and servers of the same name in them. Of several servers of a client the one \
            counts that it used last.\n\n\
            Who may connect is decided by addresses alone, and nothing is encrypted: the network between the directors \
            must be trusted. Who could forge what they say could choose the servers that clients are sent to, no more.",
    keys: &[
        required("name", form::TEXT, "What this director is called among them; each has another name."),
        required("bind", form::ADDRESS, "Where the others reach this one, and where it connects to them from."),
        required("peers", form::ADDRESSES, "Where the others listen: their `bind`. At most 16."),
    ],
};

/// The keys of a backend.
pub(crate) const fn backend_keys() -> [Key; 3] {
    [
        optional(
            "stick",
            "`\"source\"` or `\"cookie:NAME\"`",
            "Clients stay with the server that they were first given, known by their address or by the value of this cookie, which requests bring and answers set; see above.",
        ),
        with("stick-ttl", form::TIME, "\"30m\"", "How long after its last use a client is forgotten; at least 1s."),
        with("stick-size", "1 to 4194304", "65536", "How many clients are remembered at least; each takes 16 bytes."),
    ]
}

/// How long [`backend_keys`]' time must be: tables count whole seconds.
const TTL_MIN: Duration = Duration::from_secs(1);

/// Reads the keys of [`backend_keys`].
pub(crate) fn backend(
    section: &mut Section<'_>,
    algorithm: &Algorithm,
    servers: &[Parts],
    cx: &mut Context,
) -> Option<StickConfig> {
    if !section.has("stick") {
        let keys = ["stick", "stick-ttl", "stick-size"];
        section.refuse(&keys, "is for clients that stay with their server", "write stick = \"source\" too", cx);
        return None;
    }
    let stick: Option<At<Line>> = section.optional("stick", cx);
    let ttl: At<Duration> = section.value("stick-ttl", cx);
    if ttl.value < TTL_MIN {
        cx.error(ttl.span, "clients are remembered by whole seconds").help("write at least \"1s\"");
    }
    let size = section.value::<Whole<1, 4_194_304>>("stick-size", cx).get();
    let stick = stick?;
    let by = by(&stick, cx)?;
    if matches!(algorithm, Algorithm::Source | Algorithm::Uri | Algorithm::Header(_) | Algorithm::Maglev) {
        cx.warn(stick.span, "the balance decides only over a client's first server")
            .help("remove stick if the balance's hash is to decide, or write balance = \"least-connections\"");
    }
    check_names(&stick, servers, cx);
    Some(StickConfig { by, ttl: ttl.value, size })
}

/// Reads `[peers]`.
pub(crate) fn peers(mut section: Section<'_>, proxy: &ProxyConfig, cx: &mut Context) -> Option<PeersConfig> {
    let name: Option<At<String>> = section.required("name", cx);
    let bind: Option<At<SocketAddr>> = section.required("bind", cx);
    let peers: Option<Some1<At<SocketAddr>>> = section.required("peers", cx);
    let (name, bind, Some1(peers)) = (name?, bind?, peers?);
    names::check("director", &name.value, name.span, cx);
    cx.claims.push(Claim::ip(Transport::Tcp, &bind));
    for (place, peer) in peers.iter().enumerate() {
        if peer.value == bind.value {
            cx.error(peer.span, "this is where the director itself listens").help("name the other directors only");
        } else if peer.value.ip().is_unspecified() {
            cx.error(peer.span, "this is nobody's address").help("write the address that the other director has");
        } else if peers[..place].iter().any(|before| before.value == peer.value) {
            cx.error(peer.span, "this director is in the list already").help("remove one of the two");
        } else if place == PEERS_MAX {
            cx.error(peer.span, format!("more than {PEERS_MAX} peers")).help("let fewer directors share their tables");
        }
    }
    let sticky = proxy.backends.iter().filter(|backend| backend.stick.is_some()).count();
    if sticky == 0 && !cx.broken {
        cx.warn(section.span, "there is nothing to tell the other directors: no backend has stick")
            .help("write stick = \"source\" in a backend, or remove [peers]");
    } else if sticky > TABLES_MAX {
        cx.error(section.span, format!("{sticky} backends with stick: peers share at most {TABLES_MAX}"))
            .help("let fewer backends' clients stay with their servers");
    }
    Some(PeersConfig { name: name.value, bind: bind.value, peers: peers.into_iter().map(|peer| peer.value).collect() })
}

/// Reports a frontend that reads no cookies before a backend that goes by one.
pub(crate) fn check_tcp(span: Span, backend: &Backend, cx: &mut Context) {
    if let Some(StickConfig { by: StickBy::Cookie(_), .. }) = &backend.stick {
        let message = format!("backend \"{}\" knows clients by a cookie, and this frontend reads none", backend.name);
        cx.error(span, message).help("write mode = \"http\" here, or stick = \"source\" there");
    }
}

fn by(stick: &At<Line>, cx: &mut Context) -> Option<StickBy> {
    let Line(text) = &stick.value;
    match text.split_once(':') {
        None if text == "source" => Some(StickBy::Source),
        Some(("cookie", name)) if is_token(name) && name.len() <= TEXT_MAX => Some(StickBy::Cookie(name.to_owned())),
        Some(("cookie", name)) => {
            cx.error(stick.span, format!("\"{}\" is no cookie's name", name.escape_debug()))
                .help("use 1 to 64 letters, digits or characters of !#$%&'*+-.^_`|~");
            None
        }
        _ => {
            cx.error(stick.span, format!("clients cannot be known by \"{}\"", text.escape_debug()))
                .help("write \"source\", or \"cookie:NAME\"");
            None
        }
    }
}

/// Tables know servers by hashes of their names.
fn check_names(stick: &At<Line>, servers: &[Parts], cx: &mut Context) {
    let mut known: BTreeMap<NameHash, &str> = BTreeMap::new();
    for server in servers {
        let name = server.pool.name.as_str();
        if let Some(other) = known.insert(NameHash::of(name), name).filter(|other| *other != name) {
            cx.error(stick.span, format!("the names of the servers {other} and {name} have the same hash"))
                .help("give one of the two another name");
        }
    }
}
