//! Single values: what each form accepts, and what to write when it is not that.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use units::{Bandwidth, ByteSize, Network, NetworkError, parse_duration, write_duration};

use crate::context::Context;
use crate::sources::Span;
use crate::tree::{Node, Value};

/// A form of value: reads it, or reports why it cannot and returns `None`.
pub(crate) trait Read: Sized {
    fn read(node: &Node, cx: &mut Context) -> Option<Self>;
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: i64, const MAX: i64>(i64);

/// Text that is not empty and has no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) String);

/// A duration that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// A list with something in it; one value stands for a list of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Some1<T>(pub(crate) Vec<T>);

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Vec<String>);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// `number`, which must be one.
    pub(crate) const fn of(number: i64) -> Self {
        assert!(MIN <= number && number <= MAX, "it is in range");
        Whole(number)
    }

    /// The number, which fits whatever holds `MIN` to `MAX`.
    pub(crate) fn get<T: TryFrom<i64>>(self) -> T {
        T::try_from(self.0).unwrap_or_else(|_| panic!("{MIN} to {MAX} fits the type it is read into"))
    }
}

impl<T: Read> Read for At<T> {
    fn read(node: &Node, cx: &mut Context) -> Option<At<T>> {
        T::read(node, cx).map(|value| At { value, span: node.span })
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, cx: &mut Context) -> Option<Vec<T>> {
        match &node.value {
            Value::Array(items) => Some(items.iter().filter_map(|item| T::read(item, cx)).collect()),
            _ => T::read(node, cx).map(|one| vec![one]),
        }
    }
}

impl<T: Read> Read for Some1<T> {
    fn read(node: &Node, cx: &mut Context) -> Option<Some1<T>> {
        if matches!(&node.value, Value::Array(items) if items.is_empty()) {
            cx.error(node.span, "the list is empty").help("put something into it, or leave the key out");
            return None;
        }
        Vec::read(node, cx).filter(|found| !found.is_empty()).map(Some1)
    }
}

impl Read for String {
    fn read(node: &Node, cx: &mut Context) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(Some(number)) => wrong(node, "text", &format!("write \"{number}\""), cx),
            Value::Array(_) => wrong(node, "text", "write one text, without brackets", cx),
            _ => wrong(node, "text", "write it in quotes", cx),
        }
    }
}

impl Read for Line {
    fn read(node: &Node, cx: &mut Context) -> Option<Line> {
        let text = String::read(node, cx)?;
        if text.is_empty() {
            cx.error(node.span, "the text is empty").help("write something, or leave the key out");
            return None;
        }
        if text.contains(char::is_control) {
            cx.error(node.span, "control characters have no place here").help("remove line ends, tabs and the like");
            return None;
        }
        Some(Line(text))
    }
}

impl Read for bool {
    fn read(node: &Node, cx: &mut Context) -> Option<bool> {
        match &node.value {
            Value::Boolean(truth) => Some(*truth),
            Value::Text(word) if ["true", "yes", "on"].contains(&word.as_str()) => {
                wrong(node, "true or false", "write true", cx)
            }
            Value::Text(word) if ["false", "no", "off"].contains(&word.as_str()) => {
                wrong(node, "true or false", "write false", cx)
            }
            _ => wrong(node, "true or false", "write true or false, without quotes", cx),
        }
    }
}

impl<const MIN: i64, const MAX: i64> Read for Whole<MIN, MAX> {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let number = match &node.value {
            Value::Integer(number) => number.unwrap_or(i64::MAX),
            Value::Text(text) if text.parse::<i64>().is_ok() => {
                return wrong(node, "a whole number", &format!("write {text}, without quotes"), cx);
            }
            _ => return wrong(node, "a whole number", &format!("write a number from {MIN} to {MAX}"), cx),
        };
        if !(MIN..=MAX).contains(&number) {
            let many = if number < MIN { "small" } else { "large" };
            cx.error(node.span, format!("the number is too {many}"))
                .help(format!("write a number from {MIN} to {MAX}"));
            return None;
        }
        Some(Whole(number))
    }
}

impl Read for Duration {
    fn read(node: &Node, cx: &mut Context) -> Option<Duration> {
        match &node.value {
            Value::Text(text) => match parse_duration(text) {
                Ok(duration) => Some(duration),
                Err(error) => {
                    cx.error(node.span, format!("\"{}\" is no time: {error}", text.escape_debug()))
                        .help(better_time(text));
                    None
                }
            },
            Value::Integer(Some(seconds)) if *seconds >= 0 => {
                wrong(node, "a time", &format!("write its unit: \"{seconds}s\""), cx)
            }
            Value::Float(seconds) if *seconds > 0.0 && *seconds < 1e9 => {
                let whole = write_duration(Duration::from_micros((seconds * 1e6) as u64));
                wrong(node, "a time", &format!("write a whole number and its unit: \"{whole}\""), cx)
            }
            _ => wrong(node, "a time", &better_time(""), cx),
        }
    }
}

impl Read for Period {
    fn read(node: &Node, cx: &mut Context) -> Option<Period> {
        let duration = Duration::read(node, cx)?;
        if duration.is_zero() {
            cx.error(node.span, "the time is zero").help("write how long it may be, such as \"30s\"");
            return None;
        }
        Some(Period(duration))
    }
}

impl Read for Bandwidth {
    fn read(node: &Node, cx: &mut Context) -> Option<Bandwidth> {
        const HELP: &str = "write a whole number and one of bit, kbit, Mbit, Gbit, Tbit: \"10Gbit\"";
        let Value::Text(text) = &node.value else {
            return wrong(node, "a bandwidth", HELP, cx);
        };
        match text.parse() {
            Ok(Bandwidth(0)) => cx.error(node.span, "the bandwidth is zero").help(HELP),
            Ok(bandwidth) => return Some(bandwidth),
            Err(error) => {
                cx.error(node.span, format!("\"{}\" is no bandwidth: {error}", text.escape_debug())).help(HELP)
            }
        };
        None
    }
}

impl Read for ByteSize {
    fn read(node: &Node, cx: &mut Context) -> Option<ByteSize> {
        const HELP: &str = "write a whole number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB: \"10GiB\"";
        let Value::Text(text) = &node.value else {
            return wrong(node, "a size", HELP, cx);
        };
        match text.parse() {
            Ok(ByteSize(0)) => cx.error(node.span, "the size is zero").help(HELP),
            Ok(size) => return Some(size),
            Err(error) => cx.error(node.span, format!("\"{}\" is no size: {error}", text.escape_debug())).help(HELP),
        };
        None
    }
}

impl Read for PathBuf {
    /// Relative to the folder of the text.
    fn read(node: &Node, cx: &mut Context) -> Option<PathBuf> {
        Line::read(node, cx).map(|Line(path)| cx.sources.base().join(path))
    }
}

impl Read for IpAddr {
    fn read(node: &Node, cx: &mut Context) -> Option<IpAddr> {
        let Line(text) = Line::read(node, cx)?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let problem = cx.error(node.span, format!("\"{}\" is no IP address", text.escape_debug()));
        match text.parse::<SocketAddr>() {
            Ok(with_port) => problem.help(format!("write it without a port: \"{}\"", with_port.ip())),
            Err(_) => problem.help("write an address such as \"10.0.0.1\" or \"2001:db8::1\""),
        };
        None
    }
}

impl Read for SocketAddr {
    fn read(node: &Node, cx: &mut Context) -> Option<SocketAddr> {
        let Line(text) = Line::read(node, cx)?;
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => {
                cx.error(node.span, "the port is 0").help("write a port from 1 to 65535");
                None
            }
            Ok(address) => Some(address),
            Err(_) => {
                cx.error(node.span, format!("\"{}\" is no IP address with a port", text.escape_debug()))
                    .help(better_address(&text));
                None
            }
        }
    }
}

impl Read for Network {
    fn read(node: &Node, cx: &mut Context) -> Option<Network> {
        let Line(text) = Line::read(node, cx)?;
        match text.parse::<Network>() {
            Ok(network) => Some(network),
            Err(error) => {
                let help = match error {
                    NetworkError::HostBits => format!("write \"{}\"", without_host_bits(&text)),
                    _ => "write a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned(),
                };
                cx.error(node.span, format!("\"{}\" is no network: {error}", text.escape_debug())).help(help);
                None
            }
        }
    }
}

impl Read for Command {
    fn read(node: &Node, cx: &mut Context) -> Option<Command> {
        let Value::Array(items) = &node.value else {
            return wrong(
                node,
                "a list",
                "write the program and each argument as one text: [\"/bin/true\", \"-x\"]",
                cx,
            );
        };
        let words: Vec<At<Line>> = Vec::read(node, cx)?;
        if let (true, Some(program)) = (words.len() == items.len(), words.first()) {
            if !program.value.0.starts_with('/') {
                cx.error(program.span, "the program's path is not absolute")
                    .help("begin it with /; no PATH is searched");
            }
        } else if items.is_empty() {
            cx.error(node.span, "the list is empty").help("write the program and its arguments");
        }
        Some(Command(words.into_iter().map(|word| word.value.0).collect()))
    }
}

/// What is written when nothing better is known.
pub(crate) const FORMS: &str = "write \"10.0.0.1:80\" or \"[2001:db8::1]:80\"";

/// Reports that `node` is of the wrong type.
pub(crate) fn wrong<T>(node: &Node, expected: &str, help: &str, cx: &mut Context) -> Option<T> {
    let kind = node.value.kind();
    cx.error(node.span, format!("expected {expected}, found {kind}")).help(help);
    None
}

/// How an address with a port should be written, from what was.
pub(crate) fn better_address(text: &str) -> String {
    if text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()) {
        return format!("write its port: \"{text}:80\"");
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && let (Ok(IpAddr::V6(host)), Ok(port)) = (host.parse::<IpAddr>(), port.parse::<u16>())
    {
        return format!("write \"[{host}]:{port}\"");
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return format!("write its port: \"[{}]:80\"", text.trim_matches(['[', ']']));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => match host {
            "localhost" => format!("write \"127.0.0.1:{port}\""),
            _ => format!("host names are not looked up; {FORMS}"),
        },
        Some((host, port)) if host.parse::<IpAddr>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            "write a port from 1 to 65535".to_owned()
        }
        _ => FORMS.to_owned(),
    }
}

fn better_time(text: &str) -> String {
    let digits = text.trim().trim_end_matches(|last: char| !last.is_ascii_digit());
    let unit = match text.trim()[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "sec" | "secs" | "second" | "seconds" | "s" => "s",
        "msec" | "millis" | "milliseconds" | "ms" => "ms",
        "usec" | "µs" | "us" => "us",
        "min" | "mins" | "minute" | "minutes" | "m" => "m",
        "hour" | "hours" | "hr" | "h" => "h",
        "day" | "days" | "d" => "d",
        _ => "",
    };
    if !unit.is_empty() && parse_duration(&format!("{digits}{unit}")).is_ok() {
        return format!("write \"{digits}{unit}\"");
    }
    "write a whole number and one of us, ms, s, m, h, d: \"5s\", \"250ms\"".to_owned()
}

fn without_host_bits(text: &str) -> String {
    let parts = text.split_once('/').and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    let Some((address, prefix)) = parts else {
        return text.to_owned();
    };
    let masked: IpAddr = match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(u8::min(prefix, 32))).unwrap_or(0);
            std::net::Ipv4Addr::from(u32::from(four) & mask).into()
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(u8::min(prefix, 128))).unwrap_or(0);
            std::net::Ipv6Addr::from(u128::from(six) & mask).into()
        }
    };
    format!("{masked}/{prefix}")
}
