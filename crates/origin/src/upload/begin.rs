//! What a request's head asks for, and whether that can be had.

use super::partial::{self, Partial};
use super::receipt::Receipt;
use super::take::{Aim, Upload, Wanted};
use super::{Begun, Taker};
use crate::digest::{self, Algorithm};
use crate::failure::Failure;
use crate::files::FileRequest;
use crate::negotiate::parameter;
use crate::respond::plain_etag;
use crate::tree::{Root, stamp_of};
use http_proto::{Fields, Framing, Precondition, RequestHead, Validators, evaluate_absent, evaluate_fields};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

/// What a request says of an upload in several requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Several {
    /// Whether its body ends the upload.
    pub(super) complete: bool,
    /// The length of the whole, if it says so.
    pub(super) length: Option<u64>,
}

/// What lies at an upload's place.
pub(super) struct There {
    pub(super) size: u64,
    pub(super) modified: u64,
    pub(super) modified_nanos: u64,
}

impl Taker {
    /// Looks at a request whose body is to be taken; may wait.
    pub(crate) fn begin(self: &Arc<Taker>, request: &FileRequest<'_>) -> Begun {
        let begun = match request.head.method {
            "PATCH" => self.go_on(request),
            _ => self.put(request),
        };
        begun.unwrap_or_else(Begun::Refused)
    }

    /// The answer to a question for an upload's offset (HEAD), or to its end (DELETE); may wait.
    pub(crate) fn ask(&self, request: &FileRequest<'_>, token: &str) -> Result<Receipt, Receipt> {
        let (folder, temporary) = self.locate(request.path, token)?;
        let partial = self.open.find(&folder, &temporary).map_err(of_partial)?;
        partial.seize();
        let size = size_of(&partial).map_err(Receipt::of_errno)?;
        if request.head.method == "DELETE" {
            partial::unlink(&folder, &temporary).map_err(Receipt::of_errno)?;
            self.open.remove(&temporary);
            self.account.removed(size);
            return Ok(Receipt::new(204));
        }
        let answer = Receipt::new(204).field("Upload-Complete", b"?0").number("Upload-Offset", size);
        Ok(answer.field("Cache-Control", b"no-store"))
    }

    /// The answer to a DELETE of a file; may wait.
    pub(crate) fn delete(&self, request: &FileRequest<'_>) -> Result<Receipt, Receipt> {
        let (folder, name) = self.place(request.path)?;
        let root = self.root()?;
        let folder = root.open_folder(folder).map_err(|failure| match failure {
            Failure::Missing => Receipt::refusal(404, "it is not there"),
            failure => Receipt::of_folder(failure, false),
        })?;
        let _renaming = self.renaming.lock();
        let Some(there) = look_at(&folder, name)? else {
            return Err(Receipt::refusal(404, "it is not there"));
        };
        check(request.head.method, request.head.fields, Some(&there))?;
        partial::unlink(&folder, name).map_err(Receipt::of_errno)?;
        self.account.removed(there.size);
        rustix::fs::fsync(&folder).map_err(Receipt::of_errno)?;
        Ok(Receipt::new(204))
    }

    fn put(self: &Arc<Taker>, request: &FileRequest<'_>) -> Result<Begun, Receipt> {
        let fields = request.head.fields;
        if fields.value("content-range").is_some() {
            // RFC 9110 §14.5: never taken for the whole.
            return Err(Receipt::refusal(400, "a part is sent by PATCH, not by Content-Range"));
        }
        if fields.value("content-encoding").is_some() {
            return Err(Receipt::refusal(415, "files are taken as they are, without Content-Encoding"));
        }
        let several = several(fields)?;
        let (folder, name) = self.place(request.path)?;
        let length = length_of(request.head);
        self.admit(length.max(several.and_then(|several| several.length)))?;
        let root = self.root()?;
        let folder = self.folder(&root, folder)?;
        check(request.head.method, fields, look_at(&folder, name)?.as_ref())?;
        let wanted = wanted(fields)?;
        let reserved = self.reserve(&folder, length.unwrap_or(0))?;
        let token = partial::token();
        let temporary = partial::temporary_name(name, &token);
        let created = Partial::create(&folder, &temporary);
        let partial = Arc::new(created.map_err(|error| {
            self.account.release(reserved);
            Receipt::of_errno(error)
        })?);
        let address = several.map(|_| address(request.head, &token));
        let mut interim = Vec::new();
        if let Some(address) = &address {
            self.open.insert(&temporary, &partial);
            interim.extend_from_slice(b"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: ");
            interim.extend_from_slice(address.as_bytes());
            interim.extend_from_slice(b"\r\n\r\n");
        }
        let aim = Aim { folder, name: name.to_vec(), temporary, several, address, offset: 0, reserved };
        let upload = Upload::new(Arc::clone(self), partial, aim, wanted, kept(request.head));
        Ok(Begun::Taking { upload: Box::new(upload), interim })
    }

    fn go_on(self: &Arc<Taker>, request: &FileRequest<'_>) -> Result<Begun, Receipt> {
        let fields = request.head.fields;
        let Some(token) = parameter(request.query, "upload") else {
            return Err(Receipt::refusal(400, "the address of an upload ends with ?upload=…"));
        };
        if !fields.value("content-type").is_some_and(|media| media.eq_ignore_ascii_case(b"application/partial-upload"))
        {
            return Err(Receipt::refusal(415, "a part has the Content-Type application/partial-upload"));
        }
        let Some(several) = several(fields)? else {
            return Err(Receipt::refusal(400, "Upload-Complete is missing"));
        };
        let offset = number(fields, "upload-offset")?.ok_or(Receipt::refusal(400, "Upload-Offset is missing"))?;
        let (folder, temporary) = self.locate(request.path, token)?;
        let (_, name) = self.place(request.path)?;
        let length = length_of(request.head);
        self.admit(length.map(|length| offset.saturating_add(length)).max(several.length))?;
        let wanted = wanted(fields)?;
        let partial = self.open.find(&folder, &temporary).map_err(of_partial)?;
        let size = size_of(&partial).map_err(Receipt::of_errno)?;
        if size != offset {
            let refusal = Receipt::refusal(409, &format!("the upload goes on at {size}, not at {offset}"));
            return Err(refusal.field("Upload-Complete", b"?0").number("Upload-Offset", size));
        }
        if several.complete {
            check("PUT", fields, look_at(&folder, name)?.as_ref())?;
        }
        let reserved = self.reserve(&folder, length.unwrap_or(0))?;
        let name = name.to_vec();
        let aim = Aim { folder, name, temporary, several: Some(several), address: None, offset, reserved };
        let upload = Upload::new(Arc::clone(self), partial, aim, wanted, kept(request.head));
        Ok(Begun::Taking { upload: Box::new(upload), interim: Vec::new() })
    }

    /// The folder and the temporary name of the upload that a path and a token mean.
    fn locate(&self, path: &[u8], token: &str) -> Result<(OwnedFd, Vec<u8>), Receipt> {
        let (folder, name) = self.place(path)?;
        if !partial::is_token(token) {
            return Err(unknown());
        }
        let folder = self.root()?.open_folder(folder).map_err(|failure| match failure {
            Failure::Missing => unknown(),
            failure => Receipt::of_folder(failure, false),
        })?;
        Ok((folder, partial::temporary_name(name, token)))
    }

    fn admit(&self, length: Option<u64>) -> Result<(), Receipt> {
        match (length, self.config.max_size) {
            (Some(length), Some(most)) if length > most => {
                Err(Receipt::refusal(413, &format!("files of up to {most} bytes are taken")))
            }
            _ => Ok(()),
        }
    }

    /// Sets `length` bytes aside where they are counted.
    fn reserve(&self, folder: &OwnedFd, length: u64) -> Result<u64, Receipt> {
        self.check_free(folder, length)?;
        if self.config.quota.is_some() && !self.account.is_known() {
            self.look().map_err(Receipt::of_errno)?;
        }
        self.account.reserve(length, self.config.quota)?;
        Ok(length)
    }

    /// Whether the disk has room for `more` bytes beside what is to stay free.
    pub(super) fn check_free(&self, folder: &OwnedFd, more: u64) -> Result<(), Receipt> {
        let system = rustix::fs::fstatvfs(folder).map_err(Receipt::of_errno)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        // A file system without a size (FUSE) says nothing of what it takes.
        let is_known = system.f_blocks > 0;
        if is_known && free < more.saturating_add(self.config.keep_free.unwrap_or(0)) {
            return Err(Receipt::full("the disk is full"));
        }
        Ok(())
    }

    fn folder(&self, root: &Root, path: &[u8]) -> Result<OwnedFd, Receipt> {
        match root.open_folder(path) {
            Err(Failure::Missing) if self.config.make_directories => {
                self.make(root, path)?;
                root.open_folder(path).map_err(|failure| Receipt::of_folder(failure, true))
            }
            opened => opened.map_err(|failure| Receipt::of_folder(failure, false)),
        }
    }

    /// Makes each folder on the way that is missing.
    fn make(&self, root: &Root, path: &[u8]) -> Result<(), Receipt> {
        let ends = (0..=path.len()).filter(|&end| end == path.len() || path[end] == b'/');
        for end in ends {
            let (parent, name) = match path[..end].iter().rposition(|&byte| byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..end]),
                None => (&b""[..], &path[..end]),
            };
            let parent = root.open_folder(parent).map_err(|failure| Receipt::of_folder(failure, true))?;
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => rustix::fs::fsync(&parent).map_err(Receipt::of_errno)?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(Receipt::of_errno(error)),
            }
        }
        Ok(())
    }
}

/// What is at the place; `None`: nothing. What is no file is refused.
pub(super) fn look_at(folder: &OwnedFd, name: &[u8]) -> Result<Option<There>, Receipt> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(Receipt::of_errno(error)),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Receipt::refusal(409, "what is there is no file"));
    }
    let (modified, modified_nanos) = stamp_of(&stat);
    Ok(Some(There { size: u64::try_from(stat.st_size).unwrap_or(0), modified, modified_nanos }))
}

/// Whether the conditions of a request hold for what is at the place.
pub(super) fn check(method: &str, fields: Fields<'_>, there: Option<&There>) -> Result<(), Receipt> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let outcome = match there {
        None => evaluate_absent(fields),
        Some(There { size, modified, modified_nanos }) => {
            let etag = plain_etag(*modified_nanos, *size);
            evaluate_fields(method, fields, Validators { etag: etag.as_bytes(), modified: *modified, now })
        }
    };
    match outcome {
        Precondition::Proceed => Ok(()),
        _ => Err(Receipt::refusal(412, "a condition of the request does not hold")),
    }
}

/// What of the head is looked at again when the body has come.
fn kept(head: &RequestHead<'_>) -> Vec<(String, Vec<u8>)> {
    const CONDITIONS: [&str; 3] = ["if-match", "if-none-match", "if-unmodified-since"];
    let is_condition = |name: &str| CONDITIONS.iter().any(|condition| name.eq_ignore_ascii_case(condition));
    let conditions = head.fields.iter().filter(|field| is_condition(field.name));
    conditions.map(|field| (field.name.to_owned(), field.value.to_vec())).collect()
}

fn wanted(fields: Fields<'_>) -> Result<Wanted, Receipt> {
    let claims = digest::claims(fields.iter().map(|field| (field.name, field.value)));
    let claims = claims.map_err(|digest::Malformed(name)| malformed(name))?;
    let announces = |name: &str| fields.has_token("trailer", name);
    let is_announced = ["repr-digest", "content-digest", "x-checksum-sha256"].into_iter().any(announces);
    Ok(Wanted { claims, announced: is_announced.then_some(Algorithm::Sha256) })
}

pub(super) fn malformed(name: &str) -> Receipt {
    Receipt::refusal(400, &format!("{name} cannot be read"))
}

/// Reads Upload-Complete and Upload-Length; `None`: the upload is one request.
fn several(fields: Fields<'_>) -> Result<Option<Several>, Receipt> {
    let complete = match fields.value("upload-complete") {
        None => return Ok(None),
        Some(b"?0") => false,
        Some(b"?1") => true,
        Some(_) => return Err(malformed("Upload-Complete")),
    };
    Ok(Some(Several { complete, length: number(fields, "upload-length")? }))
}

/// A whole number (RFC 8941 §3.3.1: 15 digits).
fn number(fields: Fields<'_>, name: &str) -> Result<Option<u64>, Receipt> {
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value).ok();
    let digits = text.filter(|text| text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or_else(|| malformed(name))
}

fn length_of(head: &RequestHead<'_>) -> Option<u64> {
    match head.framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// Where the upload that a request begins is asked for: its own path, as the client wrote it.
fn address(head: &RequestHead<'_>, token: &str) -> String {
    let path = head.path_and_query.split('?').next().unwrap_or_default();
    format!("{path}?upload={token}")
}

fn unknown() -> Receipt {
    Receipt::refusal(404, "no such upload is under way")
}

fn of_partial(errno: Errno) -> Receipt {
    match errno {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR => unknown(),
        Errno::WOULDBLOCK => Receipt::refusal(503, "another process writes to this upload"),
        errno => Receipt::of_errno(errno),
    }
}

pub(super) fn size_of(partial: &Partial) -> Result<u64, Errno> {
    rustix::fs::fstat(&partial.file).map(|stat| u64::try_from(stat.st_size).unwrap_or(0))
}
