//! Where to listen: how it is written, and that no two parts want the same.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use linux::Bind;

use crate::context::Context;
use crate::read::{At, FORMS, Line, Read, better_address, wrong};
use crate::schema::{Schema, form, required, with};
use crate::section::Section;
use crate::sources::Span;
use crate::tree::{Node, Value};

/// `sun_path` holds 108 bytes, the last of which is zero (unix(7)).
const UNIX_PATH_MAX: usize = 107;

/// An interface's name in bytes: IFNAMSIZ less the final zero.
const INTERFACE_MAX: usize = 15;

pub(crate) static UNIX: Schema = Schema {
    path: "bind",
    about: "A unix socket to listen at, when its mode matters: `bind = { unix = \"/run/x.sock\", mode = \"0666\" }`.",
    keys: &[
        required("unix", form::PATH, "Where the socket is made; one left there by a process that is gone is replaced."),
        with("mode", "octal text", "\"0660\"", "The socket's permission bits."),
    ],
};

/// A bind and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) bind: Bind,
    pub(crate) text: String,
}

/// What someone wants to listen at.
pub(crate) struct Claim {
    pub(crate) transport: Transport,
    pub(crate) bind: Bind,
    pub(crate) span: Span,
    /// What is said of it where another wants the same and the text does not have this one.
    pub(crate) implied: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Read for Written {
    fn read(node: &Node, cx: &mut Context) -> Option<Written> {
        match &node.value {
            Value::Table(_) => unix_table(node, cx),
            Value::Integer(Some(port)) => {
                wrong(node, "an address with a port", &format!("write \"0.0.0.0:{port}\" or \"[::]:{port}\""), cx)
            }
            _ => {
                let text = At::<Line>::read(node, cx)?;
                let bind = parse(&text.value.0, text.span, cx)?;
                Some(Written { bind, text: text.value.0 })
            }
        }
    }
}

impl Claim {
    /// That `bind`, which stands at `span`, is wanted.
    pub(crate) fn new(transport: Transport, bind: Bind, span: Span) -> Claim {
        Claim { transport, bind, span, implied: None }
    }

    /// That `address` is wanted.
    pub(crate) fn ip(transport: Transport, address: &At<SocketAddr>) -> Claim {
        Claim::new(transport, Bind::Ip(address.value), address.span)
    }
}

/// Reports binds that cannot both be had.
pub(crate) fn check_claims(cx: &mut Context) {
    let mut claims = std::mem::take(&mut cx.claims);
    claims.sort_by_key(|claim| claim.span);
    for (later, claim) in claims.iter().enumerate() {
        let earlier = &claims[..later];
        if let Some(first) =
            earlier.iter().find(|first| first.transport == claim.transport && clash(&first.bind, &claim.bind))
        {
            let same = first.bind == claim.bind;
            let (message, help) = if same {
                ("this is listened at already", "remove one of the two, or give it another address or port")
            } else {
                (
                    "this is part of what is listened at already",
                    "name each address, or give one of the two another port",
                )
            };
            let problem = cx.error(claim.span, message);
            match first.implied {
                Some(implied) => problem.help(format!("give it another address or port: {implied}")),
                None => problem.help(help).note(first.span, "first here"),
            };
        }
    }
}

fn clash(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Ip(one), Bind::Ip(other)) => {
            one.port() == other.port()
                && one.is_ipv4() == other.is_ipv4()
                && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
        }
        (Bind::Ip(address), Bind::Interface { port, .. }) | (Bind::Interface { port, .. }, Bind::Ip(address)) => {
            address.port() == *port && address.ip().is_unspecified()
        }
        (Bind::Unix { path: one, .. }, Bind::Unix { path: other, .. }) => one == other,
        (one, other) => one == other,
    }
}

fn parse(text: &str, span: Span, cx: &mut Context) -> Option<Bind> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = cx.sources.base().join(path);
        return unix(&path, 0o660, span, cx);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        if address.port() == 0 {
            cx.error(span, "the port is 0").help("write a port from 1 to 65535");
            return None;
        }
        return Some(Bind::Ip(address));
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && let (true, Ok(port @ 1..)) = (is_interface(name), port.parse::<u16>())
    {
        return Some(Bind::Interface { name: name.to_owned(), port });
    }
    let help = match text.rsplit_once(':') {
        Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
            format!("write \"0.0.0.0:{port}\", \"[::]:{port}\" or both as a list")
        }
        None if text.parse::<u16>().is_ok() => format!("write \"0.0.0.0:{text}\" or \"[::]:{text}\""),
        None if is_interface(text) => format!("write its port: \"{text}:80\""),
        None if text.starts_with('/') => format!("write \"unix:{text}\""),
        Some((name, "0")) if is_interface(name) => "write a port from 1 to 65535".to_owned(),
        _ => match better_address(text) {
            help if help.ends_with(FORMS) => format!("{help}, an interface \"eth0:80\", or \"unix:/run/x.sock\""),
            help => help,
        },
    };
    cx.error(span, format!("nobody can listen at \"{}\"", text.escape_debug())).help(help);
    None
}

/// Whether `name` may be an interface's. `localhost` and names that end like a domain are not meant as one.
fn is_interface(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    let domain = name.rsplit_once('.').is_some_and(|(_, last)| last.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    begins && name.len() <= INTERFACE_MAX && name.bytes().all(fine) && !domain && name != "localhost"
}

fn unix(path: &Path, mode: u32, span: Span, cx: &mut Context) -> Option<Bind> {
    if path.as_os_str().as_bytes().len() > UNIX_PATH_MAX {
        cx.error(span, format!("a unix socket's path has at most {UNIX_PATH_MAX} bytes")).help("choose a shorter path");
        return None;
    }
    Some(Bind::Unix { path: path.to_owned(), mode })
}

fn unix_table(node: &Node, cx: &mut Context) -> Option<Written> {
    let mut section = Section::open(node, &UNIX, "bind".to_owned(), cx)?;
    let mode: At<String> = section.value("mode", cx);
    let path: Option<std::path::PathBuf> = section.required("unix", cx);
    let bits = u32::from_str_radix(&mode.value, 8).ok().filter(|bits| *bits <= 0o777);
    if bits.is_none() {
        cx.error(mode.span, format!("\"{}\" are no permission bits", mode.value.escape_debug()))
            .help("write them in octal: \"0660\"");
    }
    let path = path?;
    let bind = unix(&path, bits.unwrap_or(0o660), node.span, cx)?;
    Some(Written { bind, text: format!("unix:{}", path.display()) })
}
