//! A client's view of what came on a connection: answers one after the other (RFC 9112 §6.3), and what is none.

/// A message on a client's connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Answer(Answer),
    /// Bytes that begin no answer.
    Garbage(Vec<u8>),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What the server says that it saw; `None` from whoever stands before it.
    pub(crate) seen: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Whether all of it came.
    pub(crate) whole: bool,
}

/// Takes apart what came until the end, in order or not, of a connection; interim answers are passed over.
pub(crate) fn pieces(mut bytes: &[u8], ended_in_order: bool, mut is_head: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let Some((answer, rest)) = read(bytes, ended_in_order, is_head) else {
            pieces.push(Piece::Garbage(bytes.to_vec()));
            break;
        };
        bytes = rest;
        if (100..200).contains(&answer.status) && answer.status != 101 {
            continue;
        }
        is_head = false;
        let switched = answer.status == 101;
        pieces.push(Piece::Answer(answer));
        if switched {
            break;
        }
    }
    pieces
}

fn read(bytes: &[u8], ended_in_order: bool, is_head: bool) -> Option<(Answer, &[u8])> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let start = lines.next()?;
    let status = start.strip_prefix("HTTP/1.1 ").or(start.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()?;
    let fields: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim())))
        .collect();
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let mut answer = Answer { status, seen: field("x-seen").map(str::to_owned), body: Vec::new(), whole: true };
    let after = &bytes[end..];
    if is_head || matches!(status, 100..=199 | 204 | 304) {
        return Some((answer, after));
    }
    if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        let rest = chunks(after, &mut answer.body);
        answer.whole = rest.is_some();
        return Some((answer, rest.unwrap_or_default()));
    }
    let Some(length) = field("content-length") else {
        answer.body = after.to_vec();
        answer.whole = ended_in_order;
        return Some((answer, &[]));
    };
    let length: usize = length.parse().ok()?;
    answer.whole = after.len() >= length;
    let (body, rest) = after.split_at(length.min(after.len()));
    answer.body = body.to_vec();
    Some((answer, rest))
}

/// The payload goes to `body`; what follows the message is returned, if that was whole.
fn chunks<'b>(mut bytes: &'b [u8], body: &mut Vec<u8>) -> Option<&'b [u8]> {
    loop {
        let end = find(bytes, b"\r\n")?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let end = find(bytes, b"\r\n")?;
        bytes = &bytes[end + 2..];
        if end == 0 {
            return Some(bytes);
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[test]
fn answers_are_taken_apart() {
    let came = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: a\r\n\r\nok\
                 HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nSum: 1\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nok";
    let answer = |status, seen: Option<&str>, body: &[u8], whole| {
        Piece::Answer(Answer { status, seen: seen.map(str::to_owned), body: body.to_vec(), whole })
    };
    let expected =
        [answer(200, Some("a"), b"ok", true), answer(404, None, b"abc", true), answer(200, None, b"ok", false)];
    assert_eq!(pieces(came, true, false), expected);
    let unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(pieces(unasked, true, true), [answer(200, None, b"", true), Piece::Garbage(b"ok".to_vec())]);
}
