//! Bytes into a request head.

use crate::authority::parse_authority;
use crate::head::{FieldSlots, Fields, Framing, Limits, Parsed, Raw, RequestHead, Version};
use crate::head_error::HeadError;
use crate::survey::{Survey, field_fault};
use crate::token::offset_in;

/// Bytes of empty lines before a request line that are passed over (RFC 9112 §2.2).
/// Two lines: some old clients sent one after a body, never more.
const LEADING_BYTES_MAX: usize = 4;

/// Reads a request head at the beginning of `bytes`.
///
/// What a head takes includes empty lines before it. A head that is not whole is `Partial` only while it is
/// within `limits` and nothing is wrong with what is there, bare line feeds excepted: those are seen at its end.
///
/// # Errors
/// Every head that servers might read differently, see [`HeadError`].
pub fn parse_request<'b>(
    bytes: &'b [u8],
    slots: &'b mut FieldSlots<'b>,
    limits: &Limits,
) -> Result<Parsed<RequestHead<'b>>, HeadError> {
    let leading = leading_lines(bytes)?;
    let bytes = &bytes[leading..];
    if bytes.is_empty() || bytes == b"\r" {
        return Ok(Parsed::Partial);
    }
    let mut request = httparse::Request::new(&mut []);
    let room = limits.fields.min(slots.len());
    match request.parse_with_uninit_headers(bytes, &mut slots[..room]) {
        Ok(httparse::Status::Complete(taken)) => {
            if request.path.is_some_and(|target| target.len() > limits.target_bytes) {
                return Err(HeadError::TargetTooLong);
            }
            if taken > limits.head_bytes {
                return Err(HeadError::HeadTooLarge);
            }
            let head = check(&bytes[..taken], request)?;
            Ok(Parsed::Whole(head, leading + taken))
        }
        Ok(httparse::Status::Partial) => {
            if target_so_far(bytes, &request) > limits.target_bytes {
                Err(HeadError::TargetTooLong)
            } else if bytes.len() >= limits.head_bytes {
                Err(HeadError::HeadTooLarge)
            } else {
                Ok(Parsed::Partial)
            }
        }
        Err(error) => Err(fault(bytes, &request, limits, error)),
    }
}

/// How many bytes of empty lines there are.
fn leading_lines(bytes: &[u8]) -> Result<usize, HeadError> {
    let mut leading = 0;
    while bytes[leading..].starts_with(b"\r\n") {
        leading += 2;
        if leading > LEADING_BYTES_MAX {
            return Err(HeadError::EmptyLines);
        }
    }
    match bytes[leading..] {
        [b'\n', ..] => Err(HeadError::BareLf),
        [b'\r', _, ..] => Err(HeadError::BareCr),
        _ => Ok(leading),
    }
}

fn check<'b>(bytes: &'b [u8], request: httparse::Request<'b, 'b>) -> Result<RequestHead<'b>, HeadError> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(HeadError::RequestLine);
    };
    let fields: &'b [httparse::Header<'b>] = request.headers;
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let mut survey = Survey::of(bytes, fields)?;
    if version == Version::Http10 {
        // Such a client awaits nothing, but a server that we send HTTP/1.1 would answer it (RFC 9110 §10.1.1).
        survey.marks.dropped |= survey.expect;
    }
    let form = parse_target(method, target)?;
    let host = check_host(&survey, version)?;
    let framing = survey.framing(version)?.unwrap_or(Framing::None);
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    if has_body && method == "CONNECT" {
        return Err(HeadError::ConnectWithBody);
    }
    Ok(RequestHead {
        method,
        target,
        path_and_query: form.path_and_query,
        // RFC 9112 §3.2.2: the target's authority replaces the field's.
        host: form.authority.unwrap_or(host),
        version,
        fields: Fields(fields),
        framing,
        keep_alive: survey.persists(version),
        expects_continue: survey.expects_continue && has_body && version == Version::Http11,
        upgrade: survey.upgrade.take().filter(|_| survey.upgrades && version == Version::Http11).and_then(tunnel),
        raw: Raw { bytes, marks: survey.marks, nominates: survey.nominates },
    })
}

fn check_host<'b>(survey: &Survey<'b>, version: Version) -> Result<&'b str, HeadError> {
    if survey.marks.host.count_ones() > 1 {
        return Err(HeadError::HostRepeated);
    }
    match survey.host {
        None if version == Version::Http11 => Err(HeadError::HostMissing),
        None => Ok(""),
        Some(value) => {
            parse_authority(value).ok_or(HeadError::HostInvalid)?;
            std::str::from_utf8(value).map_err(|_| HeadError::HostInvalid)
        }
    }
}

/// The protocols of an Upgrade field that we tunnel.
fn tunnel(value: &[u8]) -> Option<&str> {
    let mut protocols = crate::token::list_items(value);
    let hidden = protocols.any(|protocol| protocol.is_empty() || protocol.eq_ignore_ascii_case(b"h2c"));
    if hidden || !value.is_ascii() { None } else { std::str::from_utf8(value).ok() }
}

struct Target<'b> {
    authority: Option<&'b str>,
    path_and_query: &'b str,
}

/// The four forms of RFC 9112 §3.2.
fn parse_target<'b>(method: &str, target: &'b str) -> Result<Target<'b>, HeadError> {
    if !target.is_ascii() || memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(HeadError::Target);
    }
    if method == "CONNECT" {
        let authority = parse_authority(target.as_bytes()).ok_or(HeadError::Target)?;
        let whole = !authority.host.is_empty() && authority.port.is_some_and(|port| !port.is_empty());
        return match whole {
            true => Ok(Target { authority: Some(target), path_and_query: "" }),
            false => Err(HeadError::Target),
        };
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(Target { authority: None, path_and_query: target });
    }
    parse_absolute(method, target).ok_or(HeadError::Target)
}

fn parse_absolute<'b>(method: &str, target: &'b str) -> Option<Target<'b>> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    if parse_authority(authority.as_bytes())?.host.is_empty() {
        return None;
    }
    let path_and_query = match path_and_query {
        // RFC 9112 §3.2.4.
        "" if method == "OPTIONS" => "*",
        "" => "/",
        given => given,
    };
    Some(Target { authority: Some(authority), path_and_query })
}

/// How much of the target is there, in a head that goes on.
fn target_so_far(bytes: &[u8], request: &httparse::Request<'_, '_>) -> usize {
    match (request.method, request.path) {
        (_, Some(target)) => target.len(),
        (Some(method), None) => bytes.len().saturating_sub(method.len() + 1),
        (None, None) => 0,
    }
}

/// What was wrong where `httparse` stopped.
#[cold]
fn fault(bytes: &[u8], request: &httparse::Request<'_, '_>, limits: &Limits, error: httparse::Error) -> HeadError {
    let Some(target) = request.path else {
        return if request.method.is_some() { HeadError::Target } else { HeadError::Method };
    };
    if target.len() > limits.target_bytes {
        return HeadError::TargetTooLong;
    }
    let version = &bytes[offset_in(bytes, target.as_bytes()) + target.len() + 1..];
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => match version {
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => HeadError::UnknownVersion,
            _ => HeadError::RequestLine,
        },
        httparse::Error::NewLine => match version.get(8..) {
            Some([b'\r', b'\n', ..] | [b'\n', ..]) => field_fault(bytes),
            Some([b'\r', ..]) => HeadError::BareCr,
            _ => HeadError::RequestLine,
        },
        _ => field_fault(bytes),
    }
}

#[cfg(test)]
mod tests;
