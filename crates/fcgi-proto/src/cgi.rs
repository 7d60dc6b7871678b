//! Heads as CGI programs write them, and as HTTP has them (RFC 3875 §6).

use memchr::{memchr, memchr_iter};

use crate::AnswerError;

/// Where the body ends that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Another head follows.
    Interim,
    /// There is none, whatever the application sends.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the answer; each record becomes a chunk.
    Chunked,
    /// As the application writes it: it has framed its body itself.
    Own,
}

/// Fields that are between two ends of one connection (RFC 9110 §7.6.1), of which the application has none to a client.
const NOT_THE_APPLICATIONS: [&[u8]; 5] = [b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"trailer"];

/// How many of `bytes` are a head and the blank line that ends it. Lines end with LF, or CRLF.
pub(crate) fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    // A line end that was the last of what was looked at before belongs to this blank line.
    let from = from.saturating_sub(2);
    memchr_iter(b'\n', &bytes[from..]).find_map(|place| match bytes.get(from + place + 1..)? {
        [b'\n', ..] => Some(from + place + 2),
        [b'\r', b'\n', ..] => Some(from + place + 3),
        _ => None,
    })
}

/// Appends to `out` the head of HTTP/1.1 that a program's `head` means; `bodiless`: the request's method was HEAD.
pub(crate) fn translate(head: &[u8], bodiless: bool, out: &mut Vec<u8>) -> Result<Framing, AnswerError> {
    let mut found = Found::default();
    let is_whole = head.starts_with(b"HTTP/1.");
    let lines = || lines(head).skip(usize::from(is_whole));
    for line in lines() {
        let (name, value) = line?;
        // In a head of HTTP's own it is a field like others.
        if name.eq_ignore_ascii_case(b"status") && !is_whole {
            found.note_status(value)?;
        } else {
            found.note(name, value)?;
        }
    }
    let (status, phrase) = match is_whole {
        true => status_line(head)?,
        false => found.status.unwrap_or(if found.has_location { (302, b"Found") } else { (200, b"OK") }),
    };
    // What follows a 101 is no answer of HTTP any more, and records cannot carry both ways for ever.
    if status == 101 {
        return Err(AnswerError::Status);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[b'0' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8]);
    out.push(b' ');
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
    let has_body = status >= 200 && !bodiless && !matches!(status, 204 | 304);
    for line in lines() {
        let (name, value) = line?;
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let framing = is(b"content-length") || is(b"transfer-encoding");
        // RFC 9110 §8.6, RFC 9112 §6.1: neither stands in an interim answer or a 204.
        let out_of_place = framing && (status < 200 || status == 204);
        // A program's HEAD says what it would send; how that is framed is not its client's business.
        let is_coding = is(b"transfer-encoding") && !has_body;
        let is_ours = (is(b"status") && !is_whole) || NOT_THE_APPLICATIONS.iter().any(|other| is(other));
        if !(out_of_place || is_coding || is_ours) {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    let framing = match (has_body, found.length) {
        _ if status < 200 => Framing::Interim,
        (false, _) => Framing::None,
        (true, _) if found.has_coding => Framing::Own,
        (true, Some(length)) => Framing::Length(length),
        (true, None) => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Framing::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

/// What a head says of the answer.
#[derive(Default)]
struct Found<'h> {
    status: Option<(u16, &'h [u8])>,
    length: Option<u64>,
    has_location: bool,
    has_coding: bool,
}

impl<'h> Found<'h> {
    fn note_status(&mut self, value: &'h [u8]) -> Result<(), AnswerError> {
        match self.status.replace(status(value)?) {
            None => Ok(()),
            Some(_) => Err(AnswerError::Status),
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), AnswerError> {
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = Some(number(value).ok_or(AnswerError::HeadLine)?);
        }
        self.has_location |= name.eq_ignore_ascii_case(b"location");
        self.has_coding |= name.eq_ignore_ascii_case(b"transfer-encoding");
        Ok(())
    }
}

/// The lines of a head up to the blank one, each as name and value.
fn lines(head: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), AnswerError>> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest)?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        (!line.is_empty()).then(|| field(line))
    })
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), AnswerError> {
    // The status line of a whole head is skipped by who asks for its fields.
    let colon = memchr(b':', line).unwrap_or(line.len());
    if colon == 0 || colon == line.len() && !line.starts_with(b"HTTP/1.") || line[0].is_ascii_whitespace() {
        return Err(AnswerError::HeadLine);
    }
    let value = line.get(colon + 1..).unwrap_or_default();
    Ok((line[..colon].trim_ascii_end(), value.trim_ascii()))
}

/// `200 OK` of a line `HTTP/1.x 200 OK`.
fn status_line(head: &[u8]) -> Result<(u16, &[u8]), AnswerError> {
    let end = memchr(b'\n', head).unwrap_or(head.len());
    let line = head[..end].trim_ascii_end();
    let space = memchr(b' ', line).ok_or(AnswerError::Status)?;
    status(line[space..].trim_ascii())
}

/// A status and its phrase, which may be empty.
fn status(value: &[u8]) -> Result<(u16, &[u8]), AnswerError> {
    let (digits, phrase) = value.split_at_checked(3).ok_or(AnswerError::Status)?;
    match number(digits) {
        Some(status @ 100..=599) if phrase.is_empty() || phrase[0] == b' ' => Ok((status as u16, phrase.trim_ascii())),
        _ => Err(AnswerError::Status),
    }
}

/// Decimal digits and nothing else; more than 18 of them are no length.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
