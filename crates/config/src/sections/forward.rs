//! Forwarding by the kernel: `mode = "forward"`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ::forward::Frontend;
use forward_plan::{
    Choice, Destination, Endpoint, Engine, Family, Key as ServiceKey, Method, Persistence, Ports, Protocol, Scheduler,
    Service, Settings, check,
};
use proxy::config::{Backend, ServerAddress};

use crate::binds::{Claim, Transport};
use crate::context::Context;
use crate::read::{At, Period, Read, Some1, Whole, wrong};
use crate::schema::{Schema, form, optional, says, with};
use crate::section::Section;
use crate::sections::backend::Balance;
use crate::sections::sync;
use crate::sources::Span;
use crate::tree::{Node, Value};

pub(crate) static FORWARD: Schema = Schema {
    path: "frontend.NAME.forward",
    about: "How the kernel forwards packets, with `mode = \"forward\"`. The packets of a connection go to one of the \
            backend's servers; `bind` says which they are, as `\"IP:port\"` or `\"IP:first-last\"`. Servers of several ports \
            or of a mark are asked at the port that the client asks; the port of their `address` is then their checks'.",
    keys: &[
        with(
            "method",
            "`\"nat\"`, `\"masquerade\"`, `\"direct\"`, `\"tunnel\"`",
            "\"nat\"",
            "How a packet reaches its server: its destination rewritten, with answers coming back through here; its source \
             as well, so that they do; as it is, to a server on the same network that has the address too and answers the \
             client itself; the same in a packet around it (IP in IP). Needs net.ipv4.ip_forward for the first two.",
        ),
        with(
            "engine",
            "`\"auto\"`, `\"ipvs\"`, `\"nftables\"`",
            "\"auto\"",
            "What in the kernel does it: IPVS where the kernel has it, else nftables. The log says which, and why.",
        ),
        with("protocol", "`\"tcp\"`, `\"udp\"`", "\"tcp\"", "What the packets carry."),
        optional(
            "persistence",
            form::TIME,
            "How long a client stays with its server, after its last new connection; whole seconds.",
        ),
        says(
            "granularity",
            "1 to 128",
            "32, IPv6: 128",
            "Leading bits of addresses that make them one client, with `persistence`.",
        ),
        optional("mark", form::NUMBER, "The packets that a firewall has marked so, instead of `bind`."),
        with("mark-family", "`\"ipv4\"`, `\"ipv6\"`", "\"ipv4\"", "Of which addresses they are, with `mark`."),
        with(
            "inhibit",
            form::BOOLEAN,
            "false",
            "Whether a server that goes down keeps its place with weight 0: it gets nothing new and keeps what it has.",
        ),
        with(
            "end-connections",
            form::BOOLEAN,
            "true",
            "Whether connections of a server that goes down end at once, and flows of UDP go to another. Else they wait for it to come back.",
        ),
    ],
};

/// `"IP:port"` or `"IP:first-last"`.
struct Reached {
    address: std::net::IpAddr,
    ports: Ports,
}

impl Read for Reached {
    fn read(node: &Node, cx: &mut Context) -> Option<Reached> {
        let Value::Text(text) = &node.value else {
            return wrong(node, "an address with a port", "write \"IP:port\" or \"IP:first-last\"", cx);
        };
        match format!("tcp {text}").parse() {
            Ok(ServiceKey::Address { address, .. }) if address.is_unspecified() => {
                cx.error(node.span, "the kernel forwards what is sent to an address that is named")
                    .help("write it, as \"192.0.2.1:80\"; a vip's where it moves");
                None
            }
            Ok(ServiceKey::Address { address, ports, .. }) => Some(Reached { address, ports }),
            _ => {
                cx.error(node.span, "the kernel forwards by address and port")
                    .help("write \"IP:port\" or \"IP:first-last\", an IPv6 address in brackets");
                None
            }
        }
    }
}

/// Reads `bind`, `forward` and `sync` of a frontend; the backend's place and its balance come from the caller.
pub(crate) fn frontend(
    name: &At<String>,
    owner: &mut Section<'_>,
    backend: Option<(usize, &Backend, &Balance)>,
    cx: &mut Context,
) -> Option<Frontend> {
    let mut section = owner.section("forward", &FORWARD, cx);
    let methods = [Method::Nat, Method::Masquerade, Method::Direct, Method::Tunnel];
    let method = section.choice("method", &methods.map(|method| (method.as_str(), method)), cx);
    let engines =
        [("auto", Choice::Auto), ("ipvs", Choice::Only(Engine::Ipvs)), ("nftables", Choice::Only(Engine::Nftables))];
    let choice = section.choice("engine", &engines, cx);
    let protocol = section.choice("protocol", &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)], cx);
    let persistence: Option<At<Period>> = section.optional("persistence", cx);
    let granularity: Option<At<Whole<1, 128>>> = section.optional("granularity", cx);
    let mark: Option<At<Whole<1, 4_294_967_295>>> = section.optional("mark", cx);
    let mark_family = section.choice("mark-family", &[("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)], cx);
    let inhibit = section.value("inhibit", cx);
    let end_connections = section.value("end-connections", cx);
    let span = section.span;
    let keys = keys(owner, protocol, mark.as_ref(), mark_family, cx);
    sync::sync(owner, choice, &keys, cx);
    let family = keys.first().map(|key| key.value.family())?;
    if let Some(other) = keys.iter().find(|key| key.value.family() != family) {
        cx.error(other.span, "servers have addresses of one family, and this is another than the first's")
            .help("write a frontend and a backend for each of IPv4 and IPv6");
    }
    let persistence = persistence_of(persistence, granularity, family, cx);
    let (backend, pool, balance) = backend?;
    let scheduler = scheduler(balance, name, pool, cx)?;
    let frontend = Frontend {
        name: name.value.clone(),
        keys: keys.iter().map(|key| key.value).collect(),
        settings: Settings { scheduler, persistence },
        method,
        choice,
        inhibit,
        end_connections,
        backend,
    };
    for key in &keys {
        check_servers(key, &frontend, pool, cx);
        check_engine(&key.value, &frontend, pool, span, cx);
    }
    Some(frontend)
}

/// What packets are the frontend's: those of its `bind`, or of its mark.
fn keys(
    owner: &mut Section<'_>,
    protocol: Protocol,
    mark: Option<&At<Whole<1, 4_294_967_295>>>,
    family: Family,
    cx: &mut Context,
) -> Vec<At<ServiceKey>> {
    let keys = match mark {
        Some(mark) => {
            if let Some(bind) = owner.entry("bind") {
                cx.error(bind.span, "packets are this frontend's by their address, or by their mark")
                    .help("keep bind, or forward.mark")
                    .note(mark.span, "the mark");
            }
            let number = NonZeroU32::new(mark.value.get()).unwrap_or(NonZeroU32::MIN);
            vec![At { value: ServiceKey::Mark { mark: number, family }, span: mark.span }]
        }
        None => {
            let binds = owner.required::<Some1<At<Reached>>>("bind", cx).map_or(Vec::new(), |Some1(binds)| binds);
            let key = |At { value: Reached { address, ports }, span }| At {
                value: ServiceKey::Address { protocol, address, ports },
                span,
            };
            binds.into_iter().map(key).collect()
        }
    };
    for key in &keys {
        let first = cx.services.iter().find(|(known, _)| known.overlaps(&key.value)).map(|(_, span)| *span);
        if let Some(first) = first {
            cx.error(key.span, "these packets are forwarded already")
                .help("remove one of the two, or give it another address, port or mark")
                .note(first, "first here");
        }
        cx.services.push((key.value, key.span));
        if let ServiceKey::Address { address, ports, protocol } = key.value
            && let Some(port) = ports.single()
        {
            let transport = if protocol == Protocol::Tcp { Transport::Tcp } else { Transport::Udp };
            // Two frontends that forward the same were told of just now.
            if first.is_none() {
                cx.claims.push(Claim::new(transport, linux::Bind::Ip(SocketAddr::new(address, port)), key.span));
            }
        }
    }
    keys
}

fn persistence_of(
    period: Option<At<Period>>,
    granularity: Option<At<Whole<1, 128>>>,
    family: Family,
    cx: &mut Context,
) -> Option<Persistence> {
    let prefix: u8 = granularity.as_ref().map_or(family.bits(), |given| given.value.get());
    if let Some(granularity) = &granularity {
        if prefix > family.bits() {
            cx.error(granularity.span, format!("an address has {} bits here", family.bits()))
                .help(format!("write {} or less", family.bits()));
        } else if period.is_none() {
            cx.error(granularity.span, "granularity without persistence").help("write persistence = \"6m\"");
        }
    }
    let At { value: Period(period), span } = period?;
    let seconds = u32::try_from(period.as_secs()).ok().filter(|_| is_multiple(period, Duration::from_secs(1)));
    if seconds.is_none() {
        cx.error(span, "the kernel takes whole seconds").help("write \"50s\"");
    }
    Some(Persistence { seconds: seconds?, prefix })
}

fn scheduler(balance: &Balance, name: &At<String>, backend: &Backend, cx: &mut Context) -> Option<Scheduler> {
    if balance.scheduler.is_none() {
        let message =
            format!("the kernel cannot balance as backend \"{}\" says: by \"{}\"", backend.name, balance.word);
        cx.error(name.span, message)
            .help("write balance = \"round-robin\", \"least-connections\", \"source-hash\" or \"maglev\" there")
            .note(balance.span, "here");
    }
    balance.scheduler
}

/// Whether each server can be reached by the frontend's method.
fn check_servers(key: &At<ServiceKey>, frontend: &Frontend, backend: &Backend, cx: &mut Context) {
    let method = frontend.method.as_str();
    for (server, configured) in backend.servers.iter().zip(&backend.pool.servers) {
        let name = &configured.name;
        match &server.address {
            ServerAddress::Unix(_) => {
                cx.error(key.span, format!("packets cannot be forwarded to server \"{name}\", which is a unix socket"))
                    .help("write its address as \"IP:port\"");
            }
            ServerAddress::Ip(address) if Family::of(address.ip()) != key.value.family() => {
                cx.error(key.span, format!("server \"{name}\" has an address of another family than this"))
                    .help("write a frontend and a backend for each of IPv4 and IPv6");
            }
            ServerAddress::Ip(address) => {
                let kept = matches!(frontend.method, Method::Direct | Method::Tunnel);
                if let Some(port) = key.value.port().filter(|port| kept && *port != address.port()) {
                    let message = format!(
                        "with method \"{method}\" servers are asked at the client's port, {port}, and server \"{name}\" listens at {}",
                        address.port()
                    );
                    cx.error(key.span, message).help("write the same port in both, or method = \"nat\"");
                }
            }
        }
    }
}

/// Whether the engine can do it, or any can.
fn check_engine(key: &ServiceKey, frontend: &Frontend, backend: &Backend, span: Span, cx: &mut Context) {
    let destination = |(server, pooled): (&proxy::config::Server, &balance::ServerConfig)| {
        Some(Destination {
            endpoint: endpoint(key, &server.address)?,
            method: frontend.method,
            weight: pooled.weight.get(),
            max_connections: pooled.max_in_flight,
        })
    };
    let destinations = backend.servers.iter().zip(&backend.pool.servers).filter_map(destination).collect();
    let service = Service { key: *key, settings: frontend.settings, destinations };
    let checked = match frontend.choice {
        Choice::Only(engine) => check(engine, &service),
        Choice::Auto => match check(Engine::Nftables, &service) {
            Ok(()) => Ok(()),
            Err(_) => check(Engine::Ipvs, &service),
        },
    };
    if let Err(refusal) = checked {
        cx.error(span, refusal.to_string()).help(refusal.instead());
    }
}

/// Where a server of a service is; `None` for a unix socket.
fn endpoint(key: &ServiceKey, address: &ServerAddress) -> Option<Endpoint> {
    match address {
        ServerAddress::Unix(_) => None,
        ServerAddress::Ip(address) => {
            Some(Endpoint { address: address.ip(), port: key.port().map(|_| address.port()) })
        }
    }
}

/// Whether a duration is a whole number of `unit`s.
pub(crate) fn is_multiple(duration: Duration, unit: Duration) -> bool {
    duration.as_micros().is_multiple_of(unit.as_micros())
}
