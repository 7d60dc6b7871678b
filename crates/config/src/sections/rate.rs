use std::time::Duration;

use proxy::config::{Rate, RateLimits};

use crate::context::Context;
use crate::read::{At, Line, Read, Whole, wrong};
use crate::schema::{Key, Schema, optional, says};
use crate::section::Section;
use crate::tree::{Node, Table, Value};

/// The most requests of a rate: its period in nanoseconds stays exact to a thousandth.
const REQUESTS_MAX: u32 = 1_000_000;

const FORM: &str = "rate: `\"20/s\"`, `\"90/m\"`, `\"100/h\"`";
const BURST: &str = "one second's worth, at least 1";
const HELP: &str = "write a number of requests and one of s, m, h: \"20/s\", \"90/m\", \"100/h\"";

pub(crate) static RATE_LIMIT: Schema = Schema {
    path: "rate-limit",
    about: "In a frontend (all its requests) or a route (those that it takes; both limits hold): `rate-limit = \"20/s\"` \
            for each client, or a table with these keys. Requests beyond it are answered 429, with the time to wait in \
            `Retry-After`. A rate is a number of requests, 1 to 1 000 000, in a second, a minute or an hour; they need \
            not come evenly: after a silence as many as `burst` says may come at once. A client is an IPv4 address or \
            an IPv6 network of 64 bits, and all clients of unix sockets are one; each director counts by itself.",
    keys: &[
        optional("client", FORM, "Requests of one client."),
        says("burst", "1 to 1000000", BURST, "How many of these may come at once."),
        optional("total", FORM, "Requests of all clients together."),
        says("total-burst", "1 to 1000000", BURST, "How many of these may come at once."),
    ],
};

/// A frontend's key.
pub(crate) const fn frontend_key() -> Key {
    optional("rate-limit", "rate or table", "How many requests it takes; see `rate-limit`. HTTP only.")
}

/// A route's key.
pub(crate) const fn route_key() -> Key {
    optional(
        "rate-limit",
        "rate or table",
        "How many requests it takes, beside the frontend's limit; see `rate-limit`.",
    )
}

/// A server's key.
pub(crate) const fn server_key() -> Key {
    optional(
        "rate-limit",
        FORM,
        "How many requests it gets, one second's worth of them (at least 1) at once; those beyond go elsewhere or wait.",
    )
}

/// Reads `rate-limit` of a frontend or a route.
pub(crate) fn limits(owner: &mut Section<'_>, cx: &mut Context) -> RateLimits {
    let Some(entry) = owner.entry("rate-limit") else {
        return RateLimits::default();
    };
    let path = format!("{}.rate-limit", owner.path);
    if let Value::Table(table) = &entry.node.value {
        return table_limits(Section::of(table, entry.node.span, &RATE_LIMIT, path, cx), cx);
    }
    let mut section = Section::of(Table::EMPTY, entry.node.span, &RATE_LIMIT, path, cx);
    let _: Option<Burst> = section.optional("burst", cx);
    section.abandon();
    RateLimits { client: Written::read(&entry.node, cx).map(|rate| rate.with(None)), total: None }
}

fn table_limits(mut section: Section<'_>, cx: &mut Context) -> RateLimits {
    if !section.has("client") && !section.has("total") && !cx.broken {
        cx.error(section.span, "this limits nothing").help("write client = \"20/s\" or total = \"1000/s\"");
    }
    RateLimits {
        client: limit(&mut section, "client", "burst", cx),
        total: limit(&mut section, "total", "total-burst", cx),
    }
}

fn limit(section: &mut Section<'_>, key: &str, burst: &str, cx: &mut Context) -> Option<Rate> {
    if !section.has(key) {
        section.refuse(&[burst], &format!("without a rate of {key}"), &format!("write {key} = \"20/s\""), cx);
        section.entry(key);
        return None;
    }
    let rate: Option<Written> = section.optional(key, cx);
    let burst = section.optional::<Burst>(burst, cx).map(Whole::get);
    Some(rate?.with(burst))
}

/// Reads `rate-limit` of a server.
pub(crate) fn of_server(section: &mut Section<'_>, cx: &mut Context) -> Option<Rate> {
    section.optional::<Written>("rate-limit", cx).map(|rate| rate.with(None))
}

type Burst = Whole<1, { REQUESTS_MAX as i64 }>;

/// A rate as written: so many requests in so many seconds.
struct Written {
    requests: u32,
    seconds: u32,
}

impl Written {
    /// Without a burst of its own it has one second's worth.
    fn with(&self, burst: Option<u32>) -> Rate {
        Rate {
            period: Duration::from_secs(self.seconds.into()) / self.requests,
            burst: burst.unwrap_or((self.requests / self.seconds).max(1)),
        }
    }
}

impl Read for Written {
    fn read(node: &Node, cx: &mut Context) -> Option<Written> {
        if let Value::Integer(Some(number @ 1..)) = node.value {
            return wrong(node, "a rate", &format!("write its time: \"{number}/s\""), cx);
        }
        if !matches!(node.value, Value::Text(_)) {
            return wrong(node, "a rate", HELP, cx);
        }
        let Line(text) = At::<Line>::read(node, cx)?.value;
        let (number, unit) = text.split_once('/').unwrap_or((&text, ""));
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => 0,
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let requests = number.parse().unwrap_or(u32::MAX);
        if !digits || seconds == 0 {
            cx.error(node.span, format!("\"{}\" is no rate", text.escape_debug())).help(better_rate(&text));
        } else if !(1..=REQUESTS_MAX).contains(&requests) {
            cx.error(node.span, format!("a rate has from 1 to {REQUESTS_MAX} requests")).help(if requests == 0 {
                "to take none, let a route answer: respond = { status = 403 }"
            } else {
                "leave the limit out, or write fewer"
            });
        } else {
            return Some(Written { requests, seconds });
        }
        None
    }
}

/// How a rate should be written, from what was.
fn better_rate(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let digits = plain.trim_start_matches(|first: char| first.is_ascii_digit());
    let number = &plain[..plain.len() - digits.len()];
    let unit = match digits.trim_start_matches('/').to_ascii_lowercase().as_str() {
        "" | "s" | "sec" | "second" | "1s" | "rps" => "s",
        "m" | "min" | "minute" | "1m" => "m",
        "h" | "hr" | "hour" | "1h" => "h",
        _ => return HELP.to_owned(),
    };
    if number.is_empty() { HELP.to_owned() } else { format!("write \"{number}/{unit}\"") }
}
