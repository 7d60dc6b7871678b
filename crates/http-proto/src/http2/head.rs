use super::fields::Line;
use crate::chunked::is_forbidden_trailer;
use crate::head::Framing;
use crate::head_error::HeadError;
use crate::token::{is_field_name, is_field_value, is_token};

/// What a request of HTTP/2 says before its fields (RFC 9113 §8.3.1).
#[derive(Clone, Copy, Debug)]
pub struct Pseudo<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:scheme`; `None` for CONNECT, and where nobody looked.
    pub scheme: Option<&'a [u8]>,
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// `:path`; empty for CONNECT.
    pub path: &'a [u8],
}

/// Appends the HTTP/1.1 head of a request that came by HTTP/2, for [`crate::parse_request`], whose rules it then has
/// to pass as any other. `framing` is the body's: without a length it becomes chunked.
///
/// # Errors
/// For what only HTTP/2 can say, or what would say something else in HTTP/1.1.
pub fn write_head<'a>(
    out: &mut Vec<u8>,
    pseudo: &Pseudo<'_>,
    fields: impl Iterator<Item = Line<'a>>,
    framing: Framing,
) -> Result<(), HeadError> {
    if !is_token(pseudo.method) {
        return Err(HeadError::Method);
    }
    let is_connect = pseudo.method == b"CONNECT";
    check_target(pseudo, is_connect)?;
    out.extend_from_slice(pseudo.method);
    out.push(b' ');
    out.extend_from_slice(if is_connect { pseudo.authority.unwrap_or_default() } else { pseudo.path });
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = pseudo.authority {
        write_line(out, b"host", authority);
    }
    let mut host = None;
    let mut cookies = Vec::new();
    for line in fields {
        check_line(line)?;
        match line.name {
            // RFC 9113 §8.3.1: it must not contradict the authority.
            b"host" if host.replace(line.value).is_some() => return Err(HeadError::HostRepeated),
            b"host" => match pseudo.authority {
                Some(authority) if authority.eq_ignore_ascii_case(line.value) => {}
                Some(_) => return Err(HeadError::HostRepeated),
                None => write_line(out, line.name, line.value),
            },
            b"cookie" => {
                // RFC 9113 §8.2.3: one line, where HTTP/2 may have several.
                let between: &[u8] = if cookies.is_empty() { b"cookie: " } else { b"; " };
                cookies.extend_from_slice(between);
                cookies.extend_from_slice(line.value);
            }
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return Err(HeadError::FieldName);
            }
            b"te" if line.value != b"trailers" => return Err(HeadError::FieldValue),
            _ => write_line(out, line.name, line.value),
        }
    }
    if !cookies.is_empty() {
        out.extend_from_slice(&cookies);
        out.extend_from_slice(b"\r\n");
    }
    if framing == Framing::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends the trailers of a body that goes on in chunks, after its last chunk's line, with the blank line.
///
/// # Errors
/// If one of them is no field, or one that must not stand in trailers.
pub fn write_trailers<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = Line<'a>>) -> Result<(), HeadError> {
    for line in fields {
        check_line(line)?;
        if is_forbidden_trailer(line.name) {
            return Err(HeadError::FieldName);
        }
        write_line(out, line.name, line.value);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// RFC 9113 §8.3.1: a path begins with a slash, or is the asterisk; §8.5: CONNECT has an authority alone. An absolute
/// URL in the place of a path would name another host than `:authority`.
fn check_target(pseudo: &Pseudo<'_>, is_connect: bool) -> Result<(), HeadError> {
    if let Some(scheme) = pseudo.scheme
        && !scheme.eq_ignore_ascii_case(b"http")
        && !scheme.eq_ignore_ascii_case(b"https")
    {
        return Err(HeadError::Target);
    }
    let fits = match pseudo.path {
        path if is_connect => path.is_empty() && pseudo.authority.is_some_and(|authority| !authority.is_empty()),
        b"*" => pseudo.method == b"OPTIONS",
        [b'/', ..] => true,
        _ => false,
    };
    let is_clean = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_graphic());
    match fits && is_clean(pseudo.path) && pseudo.authority.is_none_or(is_clean) {
        true => Ok(()),
        false => Err(HeadError::Target),
    }
}

/// RFC 9113 §8.2.1: names in lower case, values without white space around them; nothing that would end a line.
fn check_line(line: Line<'_>) -> Result<(), HeadError> {
    if !is_field_name(line.name) || line.name.iter().any(u8::is_ascii_uppercase) {
        return Err(HeadError::FieldName);
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if !is_field_value(line.value) || is_blank(line.value.first()) || is_blank(line.value.last()) {
        return Err(HeadError::FieldValue);
    }
    Ok(())
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
