use proxy::config::AcceptProxy;
use units::Network;
use wire::proxy_header::Version;

use crate::binds::Written;
use crate::context::Context;
use crate::read::{At, Read, Some1, wrong};
use crate::schema::{Key, optional, says, with};
use crate::section::Section;
use crate::tree::{Node, Value};

/// A frontend's key.
pub(crate) const fn accept_key() -> Key {
    with(
        "accept-proxy",
        "true, false, network or list",
        "false",
        "Load balancers before this one: a connection from these networks must begin with a header of the PROXY protocol (version 1 or 2, within `timeouts.header`), and the client is who it says. Others are clients themselves. `true`: every connection.",
    )
}

/// A backend's key.
pub(crate) const fn backend_key() -> Key {
    optional("send-proxy", "`\"v1\"`, `\"v2\"`, true, false", "The same of its servers, where they say nothing else.")
}

/// A server's key.
pub(crate) const fn server_key() -> Key {
    says(
        "send-proxy",
        "`\"v1\"`, `\"v2\"`, true, false",
        "the backend's, else false",
        "Begin each connection to it with a header of the PROXY protocol that names the client; true is `\"v1\"`. Such connections are not reused. A check of the server's own address and port begins with one too.",
    )
}

/// Reads a frontend's `accept-proxy`.
pub(crate) fn accept(section: &mut Section<'_>, binds: &[At<Written>], cx: &mut Context) -> AcceptProxy {
    let Accept(accept) = section.value("accept-proxy", cx);
    if accept == AcceptProxy::Everybody
        && binds.iter().any(|bind| !matches!(bind.value.bind, linux::Bind::Unix { .. }))
        && let Some(entry) = section.entry("accept-proxy")
    {
        cx.warn(entry.span, "whoever reaches this frontend may claim to be any client")
            .help("write the load balancers' networks: [\"10.0.0.0/24\"]");
    }
    accept
}

/// Reads `send-proxy` of a backend or a server. The outer `None`: it says nothing.
pub(crate) fn send(section: &mut Section<'_>, cx: &mut Context) -> Option<Option<Version>> {
    section.optional("send-proxy", cx).map(|Send(version)| version)
}

struct Accept(AcceptProxy);

impl Read for Accept {
    fn read(node: &Node, cx: &mut Context) -> Option<Accept> {
        match &node.value {
            Value::Boolean(false) => Some(Accept(AcceptProxy::Nobody)),
            Value::Boolean(true) => Some(Accept(AcceptProxy::Everybody)),
            Value::Text(_) | Value::Array(_) => {
                Some1::<Network>::read(node, cx).map(|Some1(networks)| Accept(AcceptProxy::From(networks)))
            }
            _ => wrong(node, "true, false or networks", "write the load balancers' networks: [\"10.0.0.0/24\"]", cx),
        }
    }
}

struct Send(Option<Version>);

impl Read for Send {
    fn read(node: &Node, cx: &mut Context) -> Option<Send> {
        const HELP: &str = "write \"v1\" or \"v2\"";
        match &node.value {
            Value::Boolean(wanted) => Some(Send(wanted.then_some(Version::V1))),
            Value::Text(word) if word == "v1" => Some(Send(Some(Version::V1))),
            Value::Text(word) if word == "v2" => Some(Send(Some(Version::V2))),
            Value::Text(word) => {
                let word = word.escape_debug();
                cx.error(node.span, format!("\"{word}\" is no version of the PROXY protocol")).help(HELP);
                None
            }
            Value::Integer(Some(number @ 1..=2)) => wrong(node, "a version", &format!("write \"v{number}\""), cx),
            _ => wrong(node, "a version, true or false", HELP, cx),
        }
    }
}
