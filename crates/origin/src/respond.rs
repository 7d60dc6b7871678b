//! Answers for a file that was found: under which conditions, and how much of it (RFC 9110 §13.2.2, §14.2); and for none.

use crate::answer::{Body, FileAnswer, HeadWriter, Part, push_number, push_status};
use crate::digest::{Sha256Value, sha256_field};
use crate::failure::Failure;
use crate::files::FileRequest;
use crate::negotiate::Coding;
use crate::span::{FileSpan, Reading, append};
use crate::tree::Opened;
use crate::upload::Receipt;
use crate::url;
use http_proto::{
    ByteRange, Precondition, Ranges, Validators, applicable_range, evaluate, imf_fixdate, resolve_ranges,
};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::SystemTime;

/// Files and ranges up to this many bytes are written behind the head, in one piece with it: one system call less than
/// sendfile, and one packet less on the wire.
const INLINE_MAX: u64 = 16 * 1024;

/// Seconds after which a client may ask again for what cannot be had now. iPXE waits for them, and boots then.
const RETRY_AFTER: &[u8] = b"2";

/// A file that was chosen to be sent.
pub(crate) struct Chosen<'m> {
    pub(crate) opened: Opened,
    pub(crate) media: &'m str,
    /// What its bytes are coded with, if it stands for another file.
    pub(crate) coding: Option<Coding>,
    /// Whether another request could get another coding.
    pub(crate) varies: bool,
    /// What somebody has written of its bytes as they are sent.
    pub(crate) sha256: Option<Sha256Value>,
}

/// Answers with a file: 200, 206, 304, 412 or 416.
pub(crate) fn send(
    request: &FileRequest<'_>,
    chosen: Chosen<'_>,
    blocking: bool,
    out: &mut Vec<u8>,
) -> Result<FileAnswer, Failure> {
    let etag = Etag::new(&chosen);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let validators = Validators { etag: etag.bytes(), modified: chosen.opened.modified, now };
    match evaluate(request.head, validators) {
        Precondition::Proceed => {}
        Precondition::NotModified => return Ok(not_modified(request, &chosen, validators, out)),
        Precondition::Failed => return Ok(error(request, 412, out)),
    }
    let size = chosen.opened.size;
    let ranges = applicable_range(request.head, validators).map_or(Ranges::Whole, |range| resolve_ranges(range, size));
    let answer = Sending { request, chosen, validators, blocking };
    match ranges {
        Ranges::Whole => answer.one(200, ByteRange { start: 0, length: size }, out),
        Ranges::Parts(parts) if parts.len() == 1 => answer.one(206, parts[0], out),
        Ranges::Parts(parts) => Ok(answer.several(&parts, out)),
        Ranges::Unsatisfiable => Ok(unsatisfiable(request, size, out)),
    }
}

/// Answers with a page that was made for this request: a listing.
pub(crate) fn page(request: &FileRequest<'_>, is_json: bool, page: &[u8], out: &mut Vec<u8>) -> FileAnswer {
    let media: &[u8] = if is_json { b"application/json" } else { b"text/html; charset=utf-8" };
    head(request, 200, out)
        .field("Content-Type", media)
        .length(page.len() as u64)
        .field("Vary", b"Accept")
        .field("Cache-Control", b"no-cache")
        .end();
    finish(request, 200, page, out)
}

/// Answers that the method is not for this path.
pub(crate) fn not_allowed(request: &FileRequest<'_>, allowed: &str, out: &mut Vec<u8>) -> FileAnswer {
    short(request, 405, Some(("Allow", allowed.as_bytes())), out)
}

/// Answers with what came of something that was to be changed.
pub(crate) fn receipt(request: &FileRequest<'_>, receipt: &Receipt, out: &mut Vec<u8>) -> FileAnswer {
    let mut head = HeadWriter::new(receipt.status, request.date, &[request.connection, &receipt.fields].concat(), out);
    if receipt.status != 204 {
        head = head.length(receipt.body.len() as u64);
    }
    if !receipt.body.is_empty() {
        head = head.field("Content-Type", b"text/plain; charset=utf-8");
    }
    head.end();
    finish(request, receipt.status, receipt.body.as_bytes(), out)
}

/// The entity tag of a file that is sent as it is, by when it was modified and its size.
pub(crate) fn plain_etag(modified_nanos: u64, size: u64) -> String {
    format!("\"{modified_nanos:x}-{size:x}\"")
}

/// Answers with an error and its words as text.
pub(crate) fn error(request: &FileRequest<'_>, status: u16, out: &mut Vec<u8>) -> FileAnswer {
    let extra: Option<(&str, &[u8])> = match status {
        503 => Some(("Retry-After", RETRY_AFTER)),
        _ => None,
    };
    short(request, status, extra, out)
}

/// Sends the client to the same path with a slash behind it.
///
/// The path is the resolved one, so that it never begins with two slashes, which would name another host.
pub(crate) fn redirect_to_folder(request: &FileRequest<'_>, out: &mut Vec<u8>) -> FileAnswer {
    let mut location = Vec::with_capacity(request.path.len() + 16);
    url::encode_path(request.path, &mut location);
    location.push(b'/');
    if let Some(query) = request.query.filter(|query| query.bytes().all(|byte| byte.is_ascii_graphic())) {
        location.push(b'?');
        location.extend_from_slice(query.as_bytes());
    }
    short(request, 301, Some(("Location", &location)), out)
}

/// A file on its way out.
struct Sending<'s> {
    request: &'s FileRequest<'s>,
    chosen: Chosen<'s>,
    validators: Validators<'s>,
    blocking: bool,
}

impl Sending<'_> {
    fn one(self, status: u16, range: ByteRange, out: &mut Vec<u8>) -> Result<FileAnswer, Failure> {
        let size = self.chosen.opened.size;
        let mut head = self.head(status, out).field("Content-Type", self.chosen.media.as_bytes()).length(range.length);
        if status == 206 {
            head = head.field("Content-Range", &content_range(range, size));
        }
        head.end();
        let storage = self.chosen.opened.storage;
        let body = if self.request.head.method == "HEAD" {
            Body::Done
        } else if range.length <= INLINE_MAX {
            let reading = if self.blocking { Reading::Waits } else { Reading::Now(storage) };
            append(self.chosen.opened.file.as_fd(), range.start, range.length as usize, reading, out)?;
            Body::Done
        } else {
            let file = self.chosen.opened.file;
            Body::File(FileSpan { file, offset: range.start, length: range.length, storage })
        };
        Ok(FileAnswer { status, body })
    }

    /// Several ranges (RFC 9110 §15.3.7.2). Only GET comes here.
    fn several(self, ranges: &[ByteRange], out: &mut Vec<u8>) -> FileAnswer {
        let boundary = boundary();
        let size = self.chosen.opened.size;
        let part_head = |first: bool, range: ByteRange| {
            let mut text = Vec::with_capacity(160);
            text.extend_from_slice(if first { b"--" } else { b"\r\n--" });
            text.extend_from_slice(boundary.as_bytes());
            text.extend_from_slice(b"\r\nContent-Type: ");
            text.extend_from_slice(self.chosen.media.as_bytes());
            text.extend_from_slice(b"\r\nContent-Range: ");
            text.extend_from_slice(&content_range(range, size));
            text.extend_from_slice(b"\r\n\r\n");
            text
        };
        let heads: Vec<Vec<u8>> = ranges.iter().enumerate().map(|(at, range)| part_head(at == 0, *range)).collect();
        let last = format!("\r\n--{boundary}--\r\n").into_bytes();
        let length = heads.iter().zip(ranges).map(|(head, range)| head.len() as u64 + range.length).sum::<u64>();
        self.head(206, out)
            .field_of("Content-Type", &[b"multipart/byteranges; boundary=", boundary.as_bytes()])
            .length(length + last.len() as u64)
            .end();
        let storage = self.chosen.opened.storage;
        let file = self.chosen.opened.file;
        let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
        for (head, range) in heads.into_iter().zip(ranges) {
            parts.push(Part::Bytes(head));
            let file = Arc::clone(&file);
            parts.push(Part::File(FileSpan { file, offset: range.start, length: range.length, storage }));
        }
        parts.push(Part::Bytes(last));
        FileAnswer { status: 206, body: Body::Parts(parts) }
    }

    /// What the answers with bytes of the file have in common.
    fn head<'o>(&self, status: u16, out: &'o mut Vec<u8>) -> HeadWriter<'o> {
        // A date in the future would be a promise that nobody can keep (RFC 9110 §8.8.2.1).
        let modified = imf_fixdate(self.validators.modified.min(self.validators.now));
        let mut head = with_tag(head(self.request, status, out), &self.chosen, self.validators)
            .field("Last-Modified", &modified)
            .field("Accept-Ranges", b"bytes");
        if let Some(sha256) = &self.chosen.sha256 {
            head = head.field("Repr-Digest", sha256_field(sha256).as_bytes());
        }
        match self.chosen.coding {
            Some(coding) => head.field("Content-Encoding", coding.name().as_bytes()),
            None => head,
        }
    }
}

/// A strong entity tag: when the file was modified, its size, its coding.
///
/// Not its inode, so that directors that serve copies of one tree agree.
struct Etag {
    text: [u8; ETAG_MAX],
    length: usize,
}

/// Two numbers of 16 hexadecimal digits, the longest coding, quotes and dashes.
const ETAG_MAX: usize = 16 + 16 + 4 + 4;

impl Etag {
    fn new(chosen: &Chosen<'_>) -> Etag {
        let mut text = [0; ETAG_MAX];
        let mut room = &mut text[..];
        let (nanos, size) = (chosen.opened.modified_nanos, chosen.opened.size);
        match chosen.coding {
            None => write!(room, "\"{nanos:x}-{size:x}\""),
            Some(coding) => write!(room, "\"{nanos:x}-{size:x}-{}\"", coding.name()),
        }
        .expect("an entity tag fits its room");
        let length = ETAG_MAX - room.len();
        Etag { text, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

fn not_modified(
    request: &FileRequest<'_>,
    chosen: &Chosen<'_>,
    validators: Validators<'_>,
    out: &mut Vec<u8>,
) -> FileAnswer {
    with_tag(head(request, 304, out), chosen, validators).end();
    FileAnswer { status: 304, body: Body::Done }
}

fn unsatisfiable(request: &FileRequest<'_>, size: u64, out: &mut Vec<u8>) -> FileAnswer {
    let mut all = b"bytes */".to_vec();
    push_number(size, &mut all);
    short(request, 416, Some(("Content-Range", &all)), out)
}

/// The fields that 304 has in common with 200 (RFC 9110 §15.4.5).
fn with_tag<'o>(head: HeadWriter<'o>, chosen: &Chosen<'_>, validators: Validators<'_>) -> HeadWriter<'o> {
    let head = head.field("ETag", validators.etag);
    if chosen.varies { head.field("Vary", b"Accept-Encoding") } else { head }
}

fn head<'o>(request: &FileRequest<'_>, status: u16, out: &'o mut Vec<u8>) -> HeadWriter<'o> {
    HeadWriter::new(status, request.date, request.connection, out)
}

/// An answer whose body is its status in words.
fn short(request: &FileRequest<'_>, status: u16, extra: Option<(&str, &[u8])>, out: &mut Vec<u8>) -> FileAnswer {
    let mut text = Vec::new();
    push_status(status, &mut text);
    text.push(b'\n');
    let mut head =
        head(request, status, out).field("Content-Type", b"text/plain; charset=utf-8").length(text.len() as u64);
    if let Some((name, value)) = extra {
        head = head.field(name, value);
    }
    head.end();
    finish(request, status, &text, out)
}

fn finish(request: &FileRequest<'_>, status: u16, body: &[u8], out: &mut Vec<u8>) -> FileAnswer {
    if request.head.method != "HEAD" {
        out.extend_from_slice(body);
    }
    FileAnswer { status, body: Body::Done }
}

/// The value of Content-Range for some of `size` bytes (RFC 9110 §14.4).
fn content_range(range: ByteRange, size: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(64);
    value.extend_from_slice(b"bytes ");
    push_number(range.start, &mut value);
    value.push(b'-');
    push_number(range.last(), &mut value);
    value.push(b'/');
    push_number(size, &mut value);
    value
}

/// A line that nobody can have put into a file: it is made for one answer.
fn boundary() -> String {
    let chance = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", chance(), chance())
}
