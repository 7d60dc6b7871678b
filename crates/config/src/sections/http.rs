//! What HTTP lets one write: tokens, field names and values, paths, hosts.

use crate::context::Context;
use crate::read::{Line, Read, wrong};
use crate::sources::Span;
use crate::tree::{Node, Value};

/// A method (RFC 9110 section 9.1); case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) String);

/// A path that begins with `/`, and perhaps a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) String);

/// What a request's path is compared with, once that is decoded and its dot segments and doubled slashes are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoutePath(pub(crate) String);

/// A host to compare with: lower case, without a port; `*.example.org` for what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host(pub(crate) String);

/// A field's value: no control characters (RFC 9110 section 5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldValue(pub(crate) String);

/// A status from 100 to 599, or a range of them, written `"300-399"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) std::ops::RangeInclusive<u16>);

/// Whether `text` is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(tchar)
}

/// Whether `name` can name a field; otherwise it is reported.
pub(crate) fn check_field_name(name: &str, span: Span, cx: &mut Context) -> bool {
    if !is_token(name) {
        cx.error(span, format!("\"{}\" cannot name a header field", name.escape_debug()))
            .help("use letters, digits and !#$%&'*+-.^_`|~, without the colon: \"X-Request-Id\"");
    }
    is_token(name)
}

impl Read for Method {
    fn read(node: &Node, cx: &mut Context) -> Option<Method> {
        let Line(text) = Line::read(node, cx)?;
        if !is_token(&text) {
            cx.error(node.span, format!("\"{}\" is no method", text.escape_debug())).help("write one such as \"GET\"");
            return None;
        }
        let upper = text.to_ascii_uppercase();
        let common = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
        if text != upper && common.contains(&upper.as_str()) {
            cx.error(node.span, format!("methods are case-sensitive, and nobody sends \"{text}\""))
                .help(format!("write \"{upper}\""));
            return None;
        }
        Some(Method(text))
    }
}

impl Read for Path {
    fn read(node: &Node, cx: &mut Context) -> Option<Path> {
        let Line(text) = Line::read(node, cx)?;
        if !text.starts_with('/') {
            cx.error(node.span, "a path begins with /").help(format!("write \"/{}\"", text.escape_debug()));
            return None;
        }
        if text.contains([' ', '#']) || !text.is_ascii() {
            cx.error(node.span, "a request's path holds neither blanks nor # nor letters beyond ASCII")
                .help("write each such byte as % and two hexadecimal digits: a blank is %20");
            return None;
        }
        Some(Path(text))
    }
}

impl Read for RoutePath {
    fn read(node: &Node, cx: &mut Context) -> Option<RoutePath> {
        let Line(text) = Line::read(node, cx)?;
        if !text.starts_with('/') {
            cx.error(node.span, "a path begins with /").help(format!("write \"/{}\"", text.escape_debug()));
            return None;
        }
        let mut segments = text.split('/').skip(1).peekable();
        let mut resolved = true;
        while let Some(segment) = segments.next() {
            resolved &= !matches!(segment, "." | "..") && (!segment.is_empty() || segments.peek().is_none());
        }
        if !resolved {
            cx.error(node.span, "no path is like this once its dots and doubled slashes are resolved")
                .help("write the path that they lead to");
            return None;
        }
        let encoded = text
            .split('%')
            .skip(1)
            .any(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
        if encoded || text.contains('?') {
            cx.error(node.span, "requests are compared by their decoded path, without the query")
                .help("write the path as it reads: \"/a b\" for /a%20b?x=1");
            return None;
        }
        Some(RoutePath(text))
    }
}

impl Read for Host {
    fn read(node: &Node, cx: &mut Context) -> Option<Host> {
        let Line(text) = Line::read(node, cx)?;
        let bare = text.strip_prefix("*.").unwrap_or(&text);
        let address = bare.starts_with('[') && bare.ends_with(']');
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if address || (!bare.is_empty() && bare.bytes().all(fine)) {
            return Some(Host(text.to_ascii_lowercase()));
        }
        let problem = cx.error(node.span, format!("\"{}\" is no host", text.escape_debug()));
        match text.trim_start_matches("https://").trim_start_matches("http://").split([':', '/']).next() {
            Some(host) if !host.is_empty() && host.bytes().all(fine) => {
                problem.help(format!("write the name alone: \"{host}\""))
            }
            _ => problem.help("write a name such as \"www.example.org\", or \"*.example.org\" for all below it"),
        };
        None
    }
}

impl Read for FieldValue {
    fn read(node: &Node, cx: &mut Context) -> Option<FieldValue> {
        let text = String::read(node, cx)?;
        if text.contains(|c: char| c.is_control() && c != '\t') {
            cx.error(node.span, "a field's value holds no line ends and no control characters").help("remove them");
            return None;
        }
        if text.trim() != text {
            cx.error(node.span, "blanks around a field's value are lost").help(format!("write \"{}\"", text.trim()));
            return None;
        }
        Some(FieldValue(text))
    }
}

impl Read for Statuses {
    fn read(node: &Node, cx: &mut Context) -> Option<Statuses> {
        const HELP: &str = "write a status from 100 to 599, or a range such as \"200-299\"";
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        let range = match &node.value {
            Value::Integer(status) => {
                let status = status.and_then(|status| u16::try_from(status).ok());
                status.filter(|status| (100..=599).contains(status)).map(|status| status..=status)
            }
            Value::Text(text) => match text.split_once('-') {
                Some((from, to)) => {
                    number(from).zip(number(to)).map(|(from, to)| from..=to).filter(|range| !range.is_empty())
                }
                None => number(text).map(|status| status..=status),
            },
            _ => return wrong(node, "a status", HELP, cx),
        };
        if range.is_none() {
            cx.error(node.span, "no status is like this").help(HELP);
        }
        range.map(Statuses)
    }
}
