use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns::{Answers, Plan};

use super::forward::is_multiple;
use crate::binds::{Claim, Transport};
use crate::context::Context;
use crate::read::{At, Line, Period, Read, Some1, Whole};
use crate::schema::{Schema, form, required, with};
use crate::section::Section;
use crate::sections::vip::{Moving, VipOrAddress};
use crate::tree::Node;

/// The largest time to live (RFC 2181 section 8).
const TTL_MAX: Duration = Duration::from_secs(0x7fff_ffff);

/// A name's characters, the dots between its labels among them: 255 bytes (RFC 1035 section 2.3.4) less the first
/// label's length and the last one, which is empty.
const NAME_MAX: usize = 253;

/// A label's characters (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;

pub(crate) static DNS: Schema = Schema {
    path: "dns",
    about: "Answers authoritatively for one name: the addresses that are up, in turns. Questions for others are refused.",
    keys: &[
        required("bind", form::ADDRESSES, "Where it listens, by UDP and TCP."),
        required("name", form::TEXT, "The name."),
        required(
            "addresses",
            "name of a vip, `\"IP\"`, or list",
            "What it answers: those of a vip while any director has them, and these addresses always.",
        ),
        with("ttl", form::TIME, "\"5s\"", "How long others may keep the answer; whole seconds."),
        with(
            "rate-limit",
            "1 to 1000000",
            "100",
            "Answers to one source (IPv4: an address, IPv6: a /64) in a second; more are not given.",
        ),
    ],
};

/// A domain name, in lower case and without the last dot.
pub(crate) struct Name(pub(crate) String);

impl Read for Name {
    fn read(node: &Node, cx: &mut Context) -> Option<Name> {
        let Line(text) = Line::read(node, cx)?;
        let name = text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase();
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let label = |label: &str| (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(fine);
        if name.len() > NAME_MAX || !name.split('.').all(label) || name.parse::<IpAddr>().is_ok() {
            cx.error(node.span, format!("\"{}\" is no name that can be asked for", text.escape_debug())).help(format!(
                "write one such as \"www.cluster.example\", {NAME_MAX} characters at most, {LABEL_MAX} between dots"
            ));
            return None;
        }
        Some(Name(name))
    }
}

/// Reads `[dns]`.
pub(crate) fn dns(mut section: Section<'_>, moving: &Moving, cx: &mut Context) -> Option<Plan> {
    cx.part("dns: name service".to_owned(), section.span);
    let binds = section.required::<Some1<At<SocketAddr>>>("bind", cx).map_or(Vec::new(), |Some1(binds)| binds);
    for bind in &binds {
        cx.claims.push(Claim::ip(Transport::Tcp, bind));
        cx.claims.push(Claim::ip(Transport::Udp, bind));
        if bind.value.ip().is_unspecified() {
            cx.error(bind.span, "answers would not come from the address that was asked")
                .help("name each address; those of vips need not be here yet");
        }
    }
    let name: Option<Name> = section.required("name", cx);
    let written: Option<Some1<At<VipOrAddress>>> = section.required("addresses", cx);
    let ttl: At<Period> = section.value("ttl", cx);
    let Period(period) = ttl.value;
    if !is_multiple(period, Duration::from_secs(1)) || period > TTL_MAX {
        cx.error(ttl.span, "an answer is kept for whole seconds").help("write \"1s\" or more of them");
    }
    let rate_limit: Whole<1, 1_000_000> = section.value("rate-limit", cx);
    let Some1(written) = written?;
    let mut addresses = Vec::new();
    let mut known: Vec<At<IpAddr>> = Vec::new();
    for At { value, span } in written {
        let answers = match value {
            VipOrAddress::Address(address) => Some(Answers::Address(address)),
            VipOrAddress::Vip(place) => {
                moving.advertised(place).map(|(name, addresses)| Answers::Vip { name: name.to_owned(), addresses })
            }
        };
        let of = |answers: &Answers| match answers {
            Answers::Address(address) => vec![*address],
            Answers::Vip { addresses, .. } => addresses.clone(),
        };
        for address in answers.iter().flat_map(of) {
            if let Some(first) = known.iter().find(|known| known.value == address) {
                cx.error(span, format!("{address} is answered already"))
                    .help("remove one of the two")
                    .note(first.span, "first here");
            }
            known.push(At { value: address, span });
        }
        addresses.extend(answers);
    }
    Some(Plan {
        binds: binds.into_iter().map(|bind| bind.value).collect(),
        name: name?.0,
        addresses,
        ttl: period,
        rate_limit: rate_limit.get(),
    })
}
