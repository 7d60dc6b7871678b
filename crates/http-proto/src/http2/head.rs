use super::fields::Line;
use crate::chunked::is_forbidden_trailer;
use crate::head_error::HeadError;
use crate::token::{is_field_name, is_field_value, is_token};

/// What the fields of a request come to at most, with 32 bytes more for each (RFC 9113 §6.5.2). A head that is too large for
/// HTTP/1 is so before.
pub const HEADER_LIST_BYTES: usize = 64 * 1024;

/// What a field counts besides its bytes.
const FIELD_BYTES: usize = 32;

/// Why a request of HTTP/2 is none of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// It is malformed as only HTTP/2 can be (RFC 9113 §8.1.1): its stream ends.
    Malformed,
    /// It is answered as HTTP/1's would be.
    Refused(HeadError),
}

/// What of a request matters to its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its method is HEAD.
    pub is_head: bool,
    /// Its method is CONNECT.
    pub is_connect: bool,
    /// Its body's length, if it says one.
    pub length: Option<u64>,
    /// How its body is told.
    pub body: BodyForm,
}

/// How a body of HTTP/2 is told in HTTP/1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// There is none.
    #[default]
    None,
    /// As it is: its length stands in the head, or it is a tunnel's.
    Plain,
    /// In chunks, with trailers.
    Chunked,
}

/// What a writer needs for a while; it is kept from one head to the next.
#[derive(Clone, Debug, Default)]
pub struct HeadScratch {
    pseudo: Vec<u8>,
    cookies: Vec<u8>,
}

/// Writes the HTTP/1.1 head of a request that came by HTTP/2 of its fields, one after the other, for
/// [`crate::parse_request`], whose rules it then has to pass as any other.
#[derive(Debug)]
pub struct HeadWriter<'o> {
    out: &'o mut Vec<u8>,
    scratch: &'o mut HeadScratch,
    /// Where in the scratch they are.
    method: Option<Span>,
    scheme: Option<Span>,
    authority: Option<Span>,
    path: Option<Span>,
    has_line: bool,
    has_host: bool,
    has_cookie: bool,
    length: Option<u64>,
    list: usize,
    fault: Option<RequestFault>,
}

#[derive(Clone, Copy, Debug)]
struct Span(usize, usize);

impl Span {
    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.0..self.1]
    }
}

impl<'o> HeadWriter<'o> {
    /// Appends to `out`.
    pub fn new(out: &'o mut Vec<u8>, scratch: &'o mut HeadScratch) -> HeadWriter<'o> {
        scratch.pseudo.clear();
        scratch.cookies.clear();
        HeadWriter {
            out,
            scratch,
            method: None,
            scheme: None,
            authority: None,
            path: None,
            has_line: false,
            has_host: false,
            has_cookie: false,
            length: None,
            list: 0,
            fault: None,
        }
    }

    /// The next field.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.list += name.len() + value.len() + FIELD_BYTES;
        if self.list > HEADER_LIST_BYTES {
            self.fault = self.fault.or(Some(RequestFault::Refused(HeadError::HeadTooLarge)));
        }
        if self.fault == Some(RequestFault::Malformed) || self.list > HEADER_LIST_BYTES {
            return;
        }
        let written = match name {
            [b':', ..] => self.pseudo(name, value),
            _ => self.begin_fields().and_then(|()| self.line(name, value)),
        };
        self.note(written);
    }

    /// The end of the fields; with it the request has ended or not.
    ///
    /// # Errors
    /// For what only HTTP/2 can say, or what would say something else in HTTP/1.1.
    pub fn finish(mut self, ends: bool) -> Result<Outline, RequestFault> {
        let written = self.begin_fields();
        self.note(written);
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if ends && self.length.is_some_and(|length| length > 0) {
            return Err(RequestFault::Malformed);
        }
        let method = self.method.map_or(&b""[..], |span| span.of(&self.scratch.pseudo));
        let (is_head, is_connect) = (method == b"HEAD", method == b"CONNECT");
        let body = match () {
            () if is_connect => BodyForm::Plain,
            () if ends => BodyForm::None,
            () if self.length.is_some() => BodyForm::Plain,
            () => BodyForm::Chunked,
        };
        if self.has_cookie {
            write_line(self.out, b"cookie", &self.scratch.cookies);
        }
        if body == BodyForm::Chunked {
            self.out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(Outline { is_head, is_connect, length: self.length, body })
    }

    /// The first fault stays; what is malformed goes before what is refused.
    fn note(&mut self, written: Result<(), RequestFault>) {
        if let Err(fault) = written
            && (self.fault.is_none() || fault == RequestFault::Malformed)
        {
            self.fault = Some(fault);
        }
    }

    /// RFC 9113 §8.3: each once, before the fields, and no others than these.
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), RequestFault> {
        let place = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            _ => return Err(RequestFault::Malformed),
        };
        let from = self.scratch.pseudo.len();
        self.scratch.pseudo.extend_from_slice(value);
        if self.has_line || place.replace(Span(from, from + value.len())).is_some() {
            return Err(RequestFault::Malformed);
        }
        Ok(())
    }

    /// Writes the request line and Host, before the first field.
    fn begin_fields(&mut self) -> Result<(), RequestFault> {
        if std::mem::replace(&mut self.has_line, true) {
            return Ok(());
        }
        let bytes = &self.scratch.pseudo[..];
        let method = self.method.ok_or(RequestFault::Malformed)?.of(bytes);
        if !is_token(method) {
            return Err(RequestFault::Refused(HeadError::Method));
        }
        let [scheme, authority, path] = [self.scheme, self.authority, self.path].map(|span| Some(span?.of(bytes)));
        let target = match (method, scheme, path) {
            // RFC 9113 §8.5.
            (b"CONNECT", None, None) => authority.filter(|authority| !authority.is_empty()),
            (b"CONNECT", ..) | (_, None, _) | (.., None) => return Err(RequestFault::Malformed),
            (_, Some(scheme), Some(path)) => Some(path).filter(|path| is_target(method, scheme, path)),
        };
        let is_clean = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_graphic());
        let target = target.filter(|target| is_clean(target) && authority.is_none_or(is_clean));
        let target = target.ok_or(RequestFault::Refused(HeadError::Target))?;
        self.out.extend_from_slice(method);
        self.out.push(b' ');
        self.out.extend_from_slice(target);
        self.out.extend_from_slice(b" HTTP/1.1\r\n");
        if let Some(authority) = authority {
            write_line(self.out, b"host", authority);
        }
        Ok(())
    }

    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), RequestFault> {
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if !is_lower_name(name) || !is_field_value(value) {
            return Err(RequestFault::Malformed);
        }
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err(RequestFault::Refused(HeadError::FieldValue));
        }
        match name {
            b"host" => return self.host(value),
            b"cookie" => {
                // RFC 9113 §8.2.3: one line, where HTTP/2 may have several.
                if std::mem::replace(&mut self.has_cookie, true) {
                    self.scratch.cookies.extend_from_slice(b"; ");
                }
                self.scratch.cookies.extend_from_slice(value);
                return Ok(());
            }
            b"content-length" => {
                let length = digits(value).ok_or(RequestFault::Malformed)?;
                if self.length.replace(length).is_some() {
                    return Err(RequestFault::Malformed);
                }
            }
            // RFC 9113 §8.2.2.
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return Err(RequestFault::Malformed);
            }
            b"te" if value != b"trailers" => return Err(RequestFault::Malformed),
            _ => {}
        }
        write_line(self.out, name, value);
        Ok(())
    }

    /// RFC 9113 §8.3.1: it must not contradict the authority.
    fn host(&mut self, value: &[u8]) -> Result<(), RequestFault> {
        let is_other = |span: Span| !span.of(&self.scratch.pseudo).eq_ignore_ascii_case(value);
        if std::mem::replace(&mut self.has_host, true) || self.authority.is_some_and(is_other) {
            return Err(RequestFault::Refused(HeadError::HostRepeated));
        }
        if self.authority.is_none() {
            write_line(self.out, b"host", value);
        }
        Ok(())
    }
}

/// RFC 9113 §8.3.1: a path begins with a slash, or is the asterisk. An absolute URL in its place would name another host
/// than `:authority`.
fn is_target(method: &[u8], scheme: &[u8], path: &[u8]) -> bool {
    let is_ours = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    is_ours && (path.starts_with(b"/") || (path == b"*" && method == b"OPTIONS"))
}

fn digits(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

/// RFC 9113 §8.2.1.
fn is_lower_name(name: &[u8]) -> bool {
    is_field_name(name) && !name.iter().any(u8::is_ascii_uppercase)
}

/// Appends the trailers of a body that goes on in chunks, after its last chunk's line, with the blank line.
///
/// # Errors
/// If one of them is no field, or one that must not stand in trailers.
pub fn write_trailers<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = Line<'a>>) -> Result<(), HeadError> {
    for line in fields {
        write_trailer(out, line)?;
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// One of them.
pub(super) fn write_trailer(out: &mut Vec<u8>, line: Line<'_>) -> Result<(), HeadError> {
    check_line(line)?;
    if is_forbidden_trailer(line.name) {
        return Err(HeadError::FieldName);
    }
    write_line(out, line.name, line.value);
    Ok(())
}

/// RFC 9113 §8.2.1: names in lower case, values without white space around them; nothing that would end a line.
fn check_line(line: Line<'_>) -> Result<(), HeadError> {
    if !is_lower_name(line.name) {
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
