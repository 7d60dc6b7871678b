//! What checks ask for that do not speak HTTP.

use std::path::PathBuf;

use check::{DnsCheck, FileCheck, Record, ScriptCheck, SmtpCheck, UdpCheck, WrongQuestion};
use proxy::config::ServerAddress;

use crate::context::Context;
use crate::read::{At, Command, Line, Some1};
use crate::section::Section;
use crate::sources::Span;

/// What a datagram has at the most: it passes every link whole.
const SEND_MAX: usize = 1024;

/// What stands for any byte of a reply.
const ANY: &str = "XX";

const RECORDS: [(&str, Record); 7] = [
    ("A", Record::A),
    ("AAAA", Record::Aaaa),
    ("CNAME", Record::Cname),
    ("MX", Record::Mx),
    ("NS", Record::Ns),
    ("SOA", Record::Soa),
    ("TXT", Record::Txt),
];

pub(super) fn smtp(section: &mut Section<'_>, cx: &mut Context) -> Option<SmtpCheck> {
    let At { value: Line(helo), span } = section.value("helo", cx);
    if helo.contains(char::is_whitespace) {
        cx.error(span, format!("\"{}\" is no name to greet with", helo.escape_debug()))
            .help("write this director's name, such as \"director.example.org\"");
        return None;
    }
    Some(SmtpCheck { helo })
}

pub(super) fn dns(section: &mut Section<'_>, cx: &mut Context) -> Option<DnsCheck> {
    let name: Option<At<Line>> = section.required("name", cx);
    let record = section.choice("record", &RECORDS, cx);
    let expect: Option<At<Some1<Line>>> = section.optional("expect", cx);
    let name = name?;
    let (expected, expected_at) = match expect {
        Some(At { value: Some1(lines), span }) => (lines.into_iter().map(|Line(text)| text).collect(), span),
        None => (Vec::new(), name.span),
    };
    match DnsCheck::new(&name.value.0, record, &expected) {
        Ok(check) => return Some(check),
        Err(WrongQuestion::Name) => cx
            .error(name.span, format!("\"{}\" is no name to ask for", name.value.0.escape_debug()))
            .help("write a name such as \"www.example.org\""),
        Err(WrongQuestion::Expected(text)) => cx
            .error(expected_at, format!("no answer of this record is \"{}\"", text.escape_debug()))
            .help(match record {
                Record::A => "write an address such as \"10.0.0.1\"",
                Record::Aaaa => "write an address such as \"2001:db8::1\"",
                Record::Soa => "leave expect out: that a zone is there is all that is asked",
                _ => "write a name such as \"www.example.org\"",
            }),
    };
    None
}

pub(super) fn udp(section: &mut Section<'_>, cx: &mut Context) -> Option<UdpCheck> {
    let send: Option<At<String>> = section.required("send", cx);
    let reply: Option<At<String>> = section.optional("reply", cx);
    let reply = match reply {
        Some(reply) => Some(bytes(&reply, true, cx)?),
        None => None,
    };
    let send = bytes(&send?, false, cx)?.into_iter().flatten().collect();
    Some(UdpCheck { send, reply })
}

/// Text, or `hex:` and hexadecimal digits; `None` stands for any byte, where there may be such.
fn bytes(text: &At<String>, may_be_any: bool, cx: &mut Context) -> Option<Vec<Option<u8>>> {
    let bytes = match text.value.strip_prefix("hex:") {
        None => Some(text.value.bytes().map(Some).collect::<Vec<_>>()),
        Some(digits) => {
            let digits: Vec<char> = digits.chars().filter(|letter| *letter != ' ').collect();
            let byte = |pair: &[char]| {
                let pair: String = pair.iter().collect();
                let is_byte = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
                match u8::from_str_radix(&pair, 16) {
                    Ok(byte) if is_byte => Some(Some(byte)),
                    _ => (may_be_any && pair.eq_ignore_ascii_case(ANY)).then_some(None),
                }
            };
            digits.chunks(2).map(byte).collect()
        }
    };
    let help = if may_be_any {
        "write text, or pairs of digits, XX for any byte: \"hex:00 XX ff\""
    } else {
        "write text, or pairs of digits: \"hex:00 01 ff\""
    };
    match bytes {
        Some(bytes) if bytes.len() <= SEND_MAX => Some(bytes),
        Some(_) => {
            cx.error(text.span, format!("there is room for {SEND_MAX} bytes")).help("write less");
            None
        }
        None => {
            cx.error(text.span, "these are no bytes in hexadecimal").help(help);
            None
        }
    }
}

pub(super) fn script(section: &mut Section<'_>, cx: &mut Context) -> Option<ScriptCheck> {
    let command: Option<Command> = section.required("command", cx);
    let user = section.optional("user", cx).map(|Line(user)| user);
    let sets_weight = section.value("sets-weight", cx);
    let Command(words) = command.filter(|Command(words)| !words.is_empty())?;
    Some(ScriptCheck { words, user, sets_weight })
}

pub(super) fn file(section: &mut Section<'_>, cx: &mut Context) -> Option<FileCheck> {
    let path: Option<PathBuf> = section.required("file", cx);
    let sets_weight = section.value("sets-weight", cx);
    Some(FileCheck { path: path?, sets_weight })
}

/// The script with what its arguments say of this server.
pub(super) fn aimed(script: &ScriptCheck, server: &ServerAddress, span: Span, cx: &mut Context) -> Option<ScriptCheck> {
    let (whole, ip, port) = match server {
        ServerAddress::Ip(address) => (address.to_string(), address.ip().to_string(), address.port().to_string()),
        ServerAddress::Unix(path) => (format!("unix:{}", path.display()), String::new(), String::new()),
    };
    let needs_ip = |word: &String| word.contains("{ip}") || word.contains("{port}");
    if ip.is_empty() && script.words.iter().skip(1).any(needs_ip) {
        cx.error(span, "the script wants this server's IP address and port, and it has none")
            .help("write {address} into its arguments instead");
        return None;
    }
    let fill = |(place, word): (usize, &String)| match place {
        0 => word.clone(),
        _ => word.replace("{address}", &whole).replace("{ip}", &ip).replace("{port}", &port),
    };
    Some(ScriptCheck { words: script.words.iter().enumerate().map(fill).collect(), ..script.clone() })
}
