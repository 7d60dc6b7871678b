//! Files that an application names in X-Sendfile and has sent in the place of its own body.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use http_proto::ResponseHead;

use crate::config::SendFile;

/// The field that names a file.
const FIELD: &str = "x-sendfile";

/// Fields that the file's own answer says, or that are between two ends of a connection.
const NOT_KEPT: [&str; 16] = [
    FIELD,
    "accept-ranges",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
];

/// What an application has sent.
#[derive(Debug)]
pub(crate) struct Named {
    /// As the application names it.
    pub(crate) path: Vec<u8>,
    /// The lines of its head that go to the client with the file.
    pub(crate) fields: Vec<u8>,
}

impl Named {
    /// What a head names; `None`: nothing.
    pub(crate) fn in_head(head: &ResponseHead<'_>) -> Option<Named> {
        let path = head.fields.value(FIELD)?.to_vec();
        let mut fields = Vec::new();
        for field in head.fields.iter() {
            if NOT_KEPT.iter().all(|name| !name.eq_ignore_ascii_case(field.name)) {
                for piece in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
                    fields.extend_from_slice(piece);
                }
            }
        }
        Some(Named { path, fields })
    }

    /// The path beneath the root, from its `/` on; `None`: it is elsewhere. One without a `/` before it is beneath the root.
    pub(crate) fn beneath(&self, send_file: &SendFile) -> Option<Vec<u8>> {
        let below = match self.path.first()? {
            b'/' => strip(&self.path, &send_file.root)?,
            _ => self.path.as_slice(),
        };
        let is_plain = below.split(|&byte| byte == b'/').all(|segment| !matches!(segment, b"." | b".."));
        (is_plain && !below.contains(&0)).then(|| [b"/", below].concat())
    }

    /// Puts the application's lines into the head at the beginning of `answer`, its Content-Type instead of the file's.
    pub(crate) fn join(&self, status: u16, answer: &mut Vec<u8>) {
        if !matches!(status, 200 | 206 | 304) {
            return;
        }
        let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n").map(|end| end + 2) else { return };
        let is_type = |line: &[u8]| line.len() >= 13 && line[..13].eq_ignore_ascii_case(b"content-type:");
        let own = lines(&self.fields).any(is_type);
        // A body of several ranges is its own type.
        let in_parts =
            lines(&answer[..end]).any(|line| is_type(line) && line[13..].trim_ascii().starts_with(b"multipart/"));
        let mut joined = Vec::with_capacity(answer.len() + self.fields.len());
        let kept = lines(&answer[..end]).filter(|line| in_parts || !own || !is_type(line));
        let added = lines(&self.fields).filter(|line| !in_parts || !is_type(line));
        for line in kept.chain(added) {
            joined.extend_from_slice(line);
        }
        joined.extend_from_slice(&answer[end..]);
        *answer = joined;
    }
}

/// What follows `root` and its `/`.
fn strip<'p>(path: &'p [u8], root: &Path) -> Option<&'p [u8]> {
    let root = root.as_os_str().as_bytes();
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root)?.strip_prefix(b"/")
}

/// Lines with their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HandlerIndex;

    fn named(path: &str, fields: &str) -> Named {
        Named { path: path.as_bytes().to_vec(), fields: fields.as_bytes().to_vec() }
    }

    #[test]
    fn what_is_not_beneath_the_root_is_not_sent() {
        for root in ["/srv/x", "/srv/x/"] {
            let send_file = SendFile { root: root.into(), handler: HandlerIndex(0) };
            for (path, below) in [
                ("/srv/x/a/b", Some("/a/b")),
                ("a/b", Some("/a/b")),
                ("/srv/x/a b%20", Some("/a b%20")),
                ("/srv/x", None),
                ("/srv/xy/a", None),
                ("/srv/x/../y", None),
                ("/srv/x/./a", None),
                ("../a", None),
                ("/etc/passwd", None),
                ("", None),
            ] {
                let found = named(path, "").beneath(&send_file);
                assert_eq!(found.as_deref(), below.map(str::as_bytes), "{path}");
            }
        }
    }

    #[test]
    fn the_applications_fields_go_with_the_file() {
        let join = |status, fields: &str, answer: &str| {
            let mut joined = answer.as_bytes().to_vec();
            named("", fields).join(status, &mut joined);
            String::from_utf8(joined).unwrap()
        };
        let file = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx\r\n\r\n";
        assert_eq!(
            join(200, "content-type: a/b\r\nSet-Cookie: c\r\n", file),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-type: a/b\r\nSet-Cookie: c\r\n\r\nx\r\n\r\n"
        );
        assert_eq!(join(404, "Content-Type: a/b\r\n", file), file);
        let parts = "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=b\r\n\r\n";
        assert_eq!(
            join(206, "Content-Type: a/b\r\nX: y\r\n", parts),
            "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=b\r\nX: y\r\n\r\n"
        );
    }
}
