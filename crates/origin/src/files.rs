//! From a request to the file or folder that it is about.

use crate::answer::FileAnswer;
use crate::config::FilesConfig;
use crate::current::CurrentRoot;
use crate::digest::{self, Sha256Value};
use crate::failure::Failure;
use crate::listing::{Listing, Order, html, json};
use crate::media::media_type;
use crate::memory;
use crate::negotiate::{self, Coding};
use crate::respond::{self, Chosen};
use crate::span::{self, Reading};
use crate::tree::{self, Opened, Root, is_temporary};
use crate::upload::{self, Begun, Receipt, Taker};
use http_proto::RequestHead;
use rustix::fs::FileType;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Attempts to read a small file whole while somebody cuts it.
const ATTEMPTS_MAX: usize = 4;

/// What the name of a file ends in that holds another's SHA-256, and as much of it as is read: the digits and what ends
/// them.
const SUM: &str = ".sha256";
const SUM_BYTES: usize = 65;

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// A tree of files, ready to be served.
pub struct Files {
    config: FilesConfig,
    /// Begins and ends with a slash.
    prefix: Vec<u8>,
    root: CurrentRoot,
    /// No two of a process have the same.
    number: u64,
    taker: Option<Arc<Taker>>,
}

/// Why a tree of files cannot be served at all.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Without it no path is safe against symbolic links.
    #[error(
        "the system call openat2 is needed to serve files safely (Linux 5.6 or newer, and no filter that forbids it)"
    )]
    Openat2(#[source] std::io::Error),
    /// A prefix is the beginning of a request's path.
    #[error("the prefix `{0}` to take off does not begin with a slash")]
    Prefix(String),
}

/// It cannot be answered without waiting: nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

/// A request for a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest<'r> {
    /// The request's head.
    pub head: &'r RequestHead<'r>,
    /// Its path: decoded, absolute, without `.`, `..` and empty segments; an encoded slash is still `%2F`.
    pub path: &'r [u8],
    /// What follows the question mark.
    pub query: Option<&'r str>,
    /// The value of the answer's Date field; none is sent if it is empty.
    pub date: &'r [u8],
    /// Field lines to put into the answer, each with its line end, such as `Connection: close`; or nothing.
    pub connection: &'r [u8],
}

impl Files {
    /// Prepares to serve a tree. The tree itself is not touched before the first request: it may be missing, or hang.
    pub fn open(config: FilesConfig) -> Result<Files, FilesError> {
        tree::probe_openat2().map_err(|error| FilesError::Openat2(error.into()))?;
        if !config.strip_prefix.starts_with('/') {
            return Err(FilesError::Prefix(config.strip_prefix));
        }
        let mut prefix = config.strip_prefix.clone().into_bytes();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let root = CurrentRoot::new(config.root.clone(), config.symlinks, config.timeout);
        let taker = config.upload.clone().map(|upload| {
            let root = CurrentRoot::new(config.root.clone(), config.symlinks, upload.timeout);
            Taker::new(upload, root, config.root.clone(), prefix.clone())
        });
        Ok(Files { config, prefix, root, number: NUMBERS.fetch_add(1, Ordering::Relaxed), taker })
    }

    /// Whether [`Files::begin`] is for requests of this method.
    pub fn takes(&self, method: &str) -> bool {
        self.taker.is_some() && Taker::takes(method)
    }

    /// Looks at a request whose body is to become a file. It may wait for disks and other machines without end.
    pub fn begin(&self, request: &FileRequest<'_>) -> Begun {
        match &self.taker {
            Some(taker) => taker.begin(request),
            None => Begun::Refused(upload::not_taken()),
        }
    }

    /// How long a thread that may wait is to be given for each step of an upload.
    pub fn upload_timeout(&self) -> Duration {
        self.taker.as_ref().map_or(self.config.timeout, |taker| taker.config.timeout)
    }

    /// Appends the answer's head, and its body if it is small, to `out`; returns what is to be sent after that.
    ///
    /// With `blocking` it may wait for disks and other machines without end, so give it a thread that is allowed to
    /// hang. Without, it never waits: what it cannot do at once is [`WouldBlock`], with `out` as it was.
    pub fn answer(
        &self,
        request: &FileRequest<'_>,
        blocking: bool,
        out: &mut Vec<u8>,
    ) -> Result<FileAnswer, WouldBlock> {
        let before = out.len();
        for _ in 0..ATTEMPTS_MAX {
            let failure = match self.attempt(request, blocking, out) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            out.truncate(before);
            match failure {
                Failure::Wait => return Err(WouldBlock),
                Failure::Stale => self.root.forget(),
                Failure::Changed => {}
                failure => return Ok(respond::error(request, failure.status(), out)),
            }
        }
        Ok(respond::error(request, 503, out))
    }

    /// Appends the answer for when the thread that was to wait has not come back in time: 503.
    pub fn answer_late(&self, request: &FileRequest<'_>, out: &mut Vec<u8>) -> FileAnswer {
        respond::error(request, 503, out)
    }

    /// How long a thread that may wait is to be given before [`Files::answer_late`].
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// Opens a file to read it; may wait. `path` is relative to the root.
    pub(crate) fn open_to_read(&self, path: &[u8]) -> Result<Opened, Failure> {
        let opened = self.root.waiting(Instant::now())?.open_beneath(path, true);
        opened.inspect_err(|failure| {
            if *failure == Failure::Stale {
                self.root.forget();
            }
        })
    }

    fn attempt(&self, request: &FileRequest<'_>, blocking: bool, out: &mut Vec<u8>) -> Result<FileAnswer, Failure> {
        if let Some(receipt) = self.change(request, blocking)? {
            return Ok(respond::receipt(request, &receipt, out));
        }
        if !matches!(request.head.method, "GET" | "HEAD") {
            let allowed = self.taker.as_ref().map_or("GET, HEAD", |taker| taker.allowed());
            return Ok(respond::not_allowed(request, allowed, out));
        }
        if is_temporary(request.path) {
            return Err(Failure::Missing);
        }
        let firmware = negotiate::is_firmware(request.head.fields);
        let attempt = Attempt { files: self, request, blocking, firmware, now: Instant::now() };
        let Some(path) = request.path.strip_prefix(&self.prefix[..]) else {
            if self.prefix.strip_suffix(b"/") != Some(request.path) {
                return Err(Failure::Missing);
            }
            if firmware {
                let root = attempt.root()?;
                return attempt.folder(b"", &root, out);
            }
            return Ok(respond::redirect_to_folder(request, out));
        };
        let root = attempt.root()?;
        if path.is_empty() || path.ends_with(b"/") {
            return attempt.folder(path, &root, out);
        }
        let opened = attempt.open(path, &root)?;
        match opened.kind {
            FileType::RegularFile => attempt.file(path, opened, &root, out),
            FileType::Directory if firmware => attempt.folder(&[path, b"/"].concat(), &root, out),
            FileType::Directory => Ok(respond::redirect_to_folder(request, out)),
            _ => Err(Failure::Missing),
        }
    }
}

impl Files {
    /// What comes of a request that is about an upload, or deletes a file; `None`: it is neither.
    fn change(&self, request: &FileRequest<'_>, blocking: bool) -> Result<Option<Receipt>, Failure> {
        let Some(taker) = &self.taker else {
            return Ok(None);
        };
        let token = negotiate::parameter(request.query, "upload");
        let answered = match (request.head.method, token) {
            ("HEAD" | "DELETE", Some(_)) | ("DELETE", None) if !blocking => return Err(Failure::Wait),
            ("HEAD" | "DELETE", Some(token)) => taker.ask(request, token),
            ("DELETE", None) if taker.config.delete => taker.delete(request),
            _ => return Ok(None),
        };
        Ok(Some(answered.unwrap_or_else(|refusal| refusal)))
    }
}

/// One attempt to answer one request.
struct Attempt<'a> {
    files: &'a Files,
    request: &'a FileRequest<'a>,
    blocking: bool,
    firmware: bool,
    now: Instant,
}

impl Attempt<'_> {
    fn root(&self) -> Result<Arc<Root>, Failure> {
        if self.blocking {
            return self.files.root.waiting(self.now);
        }
        // This thread may ask for nothing beneath the next root for long.
        self.files.root.at_once(self.now).inspect_err(|_| memory::let_go_at(self.now))
    }

    fn open(&self, path: &[u8], root: &Root) -> Result<Opened, Failure> {
        if self.blocking {
            root.open_beneath(path, true)
        } else {
            memory::open(self.files.number, root, path, self.now)
        }
    }

    /// Answers with a file, or with its sibling in a coding that the client prefers.
    fn file(&self, path: &[u8], opened: Opened, root: &Root, out: &mut Vec<u8>) -> Result<FileAnswer, Failure> {
        let media = media_type(path);
        let varies = self.files.config.precompressed;
        let wants_digest = negotiate::wants_sha256(self.request.head.fields);
        let mut chosen = Chosen { opened, media, coding: None, varies, sha256: None };
        if varies && !self.firmware {
            for coding in negotiate::codings(self.request.head.fields) {
                if let Some(opened) = self.beside(path, coding.ending(), chosen.opened.modified_nanos, root)? {
                    chosen = Chosen { opened, coding: Some(coding), ..chosen };
                    break;
                }
            }
        }
        if wants_digest {
            chosen.sha256 = self.sum(path, &chosen, root)?;
        }
        respond::send(self.request, chosen, self.blocking, out)
    }

    /// What `sha256sum` has written beside a file of the bytes that are to be sent.
    fn sum(&self, path: &[u8], chosen: &Chosen<'_>, root: &Root) -> Result<Option<Sha256Value>, Failure> {
        let coding = chosen.coding.map_or("", Coding::ending);
        let Some(sum) = self.beside(path, &format!("{coding}{SUM}"), chosen.opened.modified_nanos, root)? else {
            return Ok(None);
        };
        let mut line = Vec::new();
        let reading = if self.blocking { Reading::Waits } else { Reading::Now(sum.storage) };
        let length = usize::try_from(sum.size).map_or(SUM_BYTES, |size| size.min(SUM_BYTES));
        span::append(sum.file.as_fd(), 0, length, reading, &mut line)?;
        Ok(digest::sha256_of_sum(&line))
    }

    /// A file whose name is longer by `ending`.
    fn beside(&self, path: &[u8], ending: &str, not_before: u64, root: &Root) -> Result<Option<Opened>, Failure> {
        let path = [path, ending.as_bytes()].concat();
        match self.open(&path, root) {
            // One that is older was made of what the file was before.
            Ok(opened) => Ok(Some(opened)
                .filter(|opened| opened.kind == FileType::RegularFile && opened.modified_nanos >= not_before)),
            Err(Failure::Missing | Failure::Denied) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Answers for a folder: its index, or a listing. `path` is empty or ends with a slash.
    fn folder(&self, path: &[u8], root: &Root, out: &mut Vec<u8>) -> Result<FileAnswer, Failure> {
        let config = &self.files.config;
        let as_json = negotiate::wants_json(self.request.head.fields, self.request.query);
        if !(config.listing && as_json) {
            for name in &config.index {
                let path = [path, name.as_bytes()].concat();
                match self.open(&path, root) {
                    Ok(opened) if opened.kind == FileType::RegularFile => {
                        return self.file(&path, opened, root, out);
                    }
                    Ok(_) | Err(Failure::Missing) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        let folder = path.strip_suffix(b"/").unwrap_or(path);
        if !config.listing {
            root.locate_folder(folder, self.blocking)?;
            return Err(Failure::Denied);
        }
        if !self.blocking {
            return Err(Failure::Wait);
        }
        let order = Order::of(negotiate::parameter(self.request.query, "sort"));
        let listing = Listing::read(root, folder, config.symlinks, order)?;
        let mut page = Vec::new();
        if as_json {
            json::write(&listing, self.request.path, &mut page);
        } else {
            html::write(&listing, self.request.path, self.files.prefix.len(), &mut page);
        }
        Ok(respond::page(self.request, as_json, &page, out))
    }
}

#[cfg(test)]
mod tests;
