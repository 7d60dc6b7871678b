use std::time::Duration;

use check::CheckConfig;
use proxy::config::{ClientRule, Deliver, DeliverMode};
use tls::config::ClientTls;

use crate::context::Context;
use crate::read::{At, Line, Period, Some1, Whole, wrong};
use crate::schema::{Key, form, optional, says, with};
use crate::section::Section;
use crate::sections::check::{self as checks, CHECK, Defaults, Template};
use crate::sections::forward::is_multiple;
use crate::sections::redirect_to::Place;
use crate::sections::server::Parts;
use crate::sources::Span;
use crate::tree::Value;

/// The keys of a backend.
pub(crate) const fn backend_keys() -> [Key; 6] {
    [
        with(
            "deliver",
            "`\"proxy\"`, `\"redirect\"`, `\"auto\"`",
            "\"proxy\"",
            "Requests are relayed; or clients sent to the server; or whichever the client can. See above.",
        ),
        with(
            "redirect-status",
            "302, 307 or 308",
            "302",
            "The status of these redirects; a 308 may be kept by clients for ever.",
        ),
        optional(
            "proxy-clients",
            form::TEXTS,
            "Beginnings of User-Agents that are not redirected, with `deliver = \"auto\"`.",
        ),
        optional(
            "redirect-clients",
            form::TEXTS,
            "Beginnings of User-Agents that are redirected, with `deliver = \"auto\"`.",
        ),
        says(
            "redirect-check",
            CHECK_FORM,
            "as the server itself is checked",
            "How the places of `redirect-to` are checked: a table `check` without `address` and `port`; false: not at all, the server's own checks decide.",
        ),
        with(
            "retry-after",
            form::TIME,
            "\"5s\"",
            "What a client that is turned away for want of room is told to wait (`Retry-After`); whole seconds.",
        ),
    ]
}

/// The keys of a server.
pub(crate) const fn server_keys() -> [Key; 2] {
    [
        optional(
            "redirect-to",
            "URL",
            "Where clients reach it themselves: `\"http://host\"` or `\"https://host\"`, with a port or a path if need be, behind which comes the request's path and query.",
        ),
        says("redirect-check", CHECK_FORM, "the backend's", "How that place is checked, instead of the backend's."),
    ]
}

const CHECK_FORM: &str = "true, false or table";

/// What a backend says of delivery.
pub(crate) struct Delivery {
    pub(crate) deliver: Deliver,
    pub(crate) check: RedirectCheck,
    pub(crate) retry_after: Duration,
    /// Where the text asks for redirects.
    pub(crate) span: Option<Span>,
}

/// How the place is checked that clients are redirected to.
pub(crate) enum RedirectCheck {
    /// As the server is.
    Alike,
    /// By this.
    Own(Box<Template>),
    /// Not at all.
    Off,
}

/// A server's place for clients.
pub(crate) struct Redirect {
    pub(crate) place: Place,
    /// Its own check, if it says something else than its backend.
    check: Option<RedirectCheck>,
    pub(crate) span: Span,
}

const MODES: [(&str, DeliverMode); 3] =
    [("proxy", DeliverMode::Proxy), ("redirect", DeliverMode::Redirect), ("auto", DeliverMode::Auto)];

/// Reads the keys of [`backend_keys`].
pub(crate) fn backend(section: &mut Section<'_>, defaults: Defaults, cx: &mut Context) -> Delivery {
    let mode = section.choice("deliver", &MODES, cx);
    let mut delivery = Delivery {
        deliver: Deliver { mode, ..Deliver::default() },
        check: RedirectCheck::Alike,
        retry_after: retry_after(section, cx),
        span: section.entry("deliver").filter(|_| mode != DeliverMode::Proxy).map(|entry| entry.span),
    };
    const HELP: &str = "write deliver = \"auto\"";
    const LISTS: [&str; 2] = ["proxy-clients", "redirect-clients"];
    if mode == DeliverMode::Proxy {
        let why = "only means something where clients are redirected";
        section.refuse(&["redirect-status", "redirect-check"], why, HELP, cx);
        section.refuse(&LISTS, why, HELP, cx);
        return delivery;
    }
    let status: At<Whole<100, 599>> = section.value("redirect-status", cx);
    delivery.deliver.status = status.value.get();
    if ![302, 307, 308].contains(&delivery.deliver.status) {
        cx.error(status.span, "clients are redirected to servers with 302, 307 or 308").help("write 302");
    }
    if mode == DeliverMode::Auto {
        delivery.deliver.clients = clients(section, cx);
    } else {
        section.refuse(&LISTS, "only means something where some are redirected and others not", HELP, cx);
    }
    delivery.check = redirect_check(section, defaults, cx).unwrap_or(RedirectCheck::Alike);
    delivery
}

pub(crate) fn retry_after(section: &mut Section<'_>, cx: &mut Context) -> Duration {
    let period: At<Period> = section.value("retry-after", cx);
    let Period(duration) = period.value;
    if !is_multiple(duration, Duration::from_secs(1)) {
        let up = duration.as_secs() + 1;
        cx.error(period.span, "Retry-After counts whole seconds").help(format!("write \"{up}s\""));
    }
    duration
}

/// The rules of both lists, the longest beginning first, so that the first that fits is the one that says most.
fn clients(section: &mut Section<'_>, cx: &mut Context) -> Vec<ClientRule> {
    let mut rules: Vec<(At<String>, bool)> = Vec::new();
    for (key, follows) in [("proxy-clients", false), ("redirect-clients", true)] {
        let Some(Some1(prefixes)) = section.optional::<Some1<At<Line>>>(key, cx) else { continue };
        for At { value: Line(prefix), span } in prefixes {
            let same = rules.iter().find(|(known, _)| known.value.eq_ignore_ascii_case(&prefix));
            match same {
                Some((first, known)) if *known != follows => {
                    cx.error(span, format!("\"{}\" cannot be redirected and not redirected", prefix.escape_debug()))
                        .help("keep it in one of the two lists")
                        .note(first.span, "the other");
                }
                Some(_) => {}
                None => rules.push((At { value: prefix, span }, follows)),
            }
        }
    }
    rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.value.len()));
    rules.into_iter().map(|(prefix, follows)| ClientRule { prefix: prefix.value, follows }).collect()
}

/// Reads `redirect-check` of a backend or a server.
fn redirect_check(owner: &mut Section<'_>, defaults: Defaults, cx: &mut Context) -> Option<RedirectCheck> {
    let path = format!("{}.redirect-check", owner.path);
    let Some(entry) = owner.entry("redirect-check") else {
        let _: Option<bool> = owner.optional("redirect-check", cx);
        return None;
    };
    match &entry.node.value {
        Value::Boolean(true) => Some(RedirectCheck::Alike),
        Value::Boolean(false) => Some(RedirectCheck::Off),
        Value::Table(_) => {
            let mut section = Section::open(&entry.node, &CHECK, path, cx)?;
            let why = "has no place here: where clients are sent is asked";
            section.refuse(&["address", "port"], why, "remove it, or change redirect-to", cx);
            let template = checks::template(section, defaults, cx)?;
            if !template.is_of_clients_places() {
                cx.error(entry.node.span, "where clients are sent is checked as clients come there")
                    .help("write type = \"tcp\", \"http\" or \"https\"");
                return None;
            }
            Some(RedirectCheck::Own(Box::new(template)))
        }
        _ => {
            let help = "write false, or one table such as { type = \"http\", path = \"/health\" }";
            wrong(&entry.node, "true, false or a table", help, cx)
        }
    }
}

/// Reads the keys of [`server_keys`].
pub(crate) fn server(section: &mut Section<'_>, defaults: Defaults, cx: &mut Context) -> Option<Redirect> {
    let place: Option<At<Place>> = section.optional("redirect-to", cx);
    if !section.has("redirect-to") {
        let help = "write redirect-to = \"http://server.example.org\"";
        section.refuse(&["redirect-check"], "without a redirect-to", help, cx);
    }
    let check = if section.has("redirect-to") { redirect_check(section, defaults, cx) } else { None };
    place.map(|place| Redirect { place: place.value, check, span: place.span })
}

/// The check of the place that a server's clients are sent to; `own` are the server's own checks, and `tls` is what
/// connections to it begin with.
pub(crate) fn aim(
    redirect: &Redirect,
    shared: &RedirectCheck,
    own: &[Template],
    tls: Option<&ClientTls>,
) -> Option<CheckConfig> {
    match redirect.check.as_ref().unwrap_or(shared) {
        RedirectCheck::Off => None,
        RedirectCheck::Own(template) => template.aim_at_clients_place(&redirect.place, tls),
        RedirectCheck::Alike => checks::alike(own, &redirect.place, tls),
    }
}

/// Warns of redirects that have nowhere to go, and of places that nobody is sent to.
pub(crate) fn check(delivery: &Delivery, servers: &[Parts], cx: &mut Context) {
    match (delivery.span, servers.iter().find_map(|server| server.redirect_to)) {
        (Some(span), None) if !servers.is_empty() => cx
            .warn(span, "no server has a redirect-to, so every answer is relayed")
            .help("write redirect-to = \"http://server.example.org\" in the servers"),
        (None, Some(span)) => cx
            .warn(span, "no client is sent here: this backend's answers are relayed")
            .help("write deliver = \"auto\" or deliver = \"redirect\" in the backend, or remove it"),
        _ => return,
    };
}
