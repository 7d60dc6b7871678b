//! Transfers: one file for one client, known by its certificate, until it says that it has it.
//!
//! A transfer is a file `ID.json` that whoever offers the file has written; this crate reads it, and renames it to
//! `ID.done` in the end. Everything here may wait for a disk.

use crate::answer::FileAnswer;
use crate::config::{FilesConfig, TransfersConfig};
use crate::current::CurrentRoot;
use crate::digest::{self, Sha256Value};
use crate::failure::Failure;
use crate::files::{FileRequest, Files, FilesError};
use crate::negotiate;
use crate::respond::{self, Chosen};
use crate::tree::Root;
use crate::upload::Receipt;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde_json::Value;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A description is a few lines; whatever else an application keeps in it has room as well.
const DESCRIPTION_BYTES: u64 = 64 * 1024;

/// Longer than any number or UUID.
const ID_BYTES: usize = 128;

/// What nobody on the way may keep (RFC 9111 §5.2.2.5, §5.4).
const NO_STORE: &[u8] = b"Cache-Control: no-store\r\nPragma: no-cache\r\n";

/// What the names of descriptions end in: while a transfer is offered, and once its client has it.
const OFFERED: &str = "json";
const DONE: &str = "done";

/// Transfers, ready to be served.
pub struct Transfers {
    files: Files,
    /// Where they are described.
    described: CurrentRoot,
    /// Begins and ends with a slash.
    prefix: Vec<u8>,
}

/// The certificate that a client has shown, which is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Its serial number, in hexadecimal digits.
    pub serial: &'a str,
    /// Its SHA-256, in hexadecimal digits.
    pub fingerprint: &'a str,
}

/// What is said of a transfer.
#[derive(Debug, PartialEq, Eq)]
struct Description {
    path: String,
    sha256: Option<Sha256Value>,
    serial: Option<String>,
    fingerprint: Sha256Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Contents,
    Done,
}

impl Transfers {
    /// Prepares to serve transfers. Nothing is touched before the first request.
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn open(TransfersConfig { files, described }: TransfersConfig) -> Result<Transfers, FilesError> {
        let mut prefix = files.strip_prefix.clone().into_bytes();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let described = CurrentRoot::new(described, false, files.timeout);
        let files = Files::open(FilesConfig { strip_prefix: "/".to_owned(), ..files })?;
        Ok(Transfers { files, described, prefix })
    }

    /// Appends the answer's head, and its body if it is small, to `out`; returns what is to be sent after that. It may
    /// wait for disks without end, so give it a thread that is allowed to hang.
    pub fn answer(&self, request: &FileRequest<'_>, client: Option<Certificate<'_>>, out: &mut Vec<u8>) -> FileAnswer {
        let before = out.len();
        self.attempt(request, client, out).unwrap_or_else(|receipt| {
            out.truncate(before);
            respond::receipt(request, &receipt, out)
        })
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.files.timeout()
    }

    fn attempt(
        &self,
        request: &FileRequest<'_>,
        client: Option<Certificate<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<FileAnswer, Receipt> {
        let (id, what) = self.named(request.path).ok_or_else(unknown)?;
        let folder = self.described.waiting(Instant::now()).map_err(|_| unavailable())?;
        let offered = self.describe(&folder, id, OFFERED)?;
        let is_offered = offered.is_some();
        let description = match (offered, what) {
            (Some(description), _) => description,
            // A client that has not heard the answer says it once more.
            (None, What::Done) => self.describe(&folder, id, DONE)?.ok_or_else(unknown)?,
            (None, What::Contents) => return Err(unknown()),
        };
        if !client.is_some_and(|client| description.is_for(client)) {
            return Err(Receipt::refusal(403, "this transfer is for another client"));
        }
        match (what, request.head.method) {
            (What::Contents, "GET" | "HEAD") => self.send(request, &description, out),
            (What::Done, "POST") => {
                if is_offered {
                    conclude(&folder, id)?;
                }
                Ok(respond::receipt(request, &Receipt::new(204), out))
            }
            (What::Contents, _) => Err(Receipt::refusal(405, "contents are read").field("Allow", b"GET, HEAD")),
            (What::Done, _) => Err(Receipt::refusal(405, "done is said by POST").field("Allow", b"POST")),
        }
    }

    /// The transfer of a path, and what is asked of it.
    fn named<'p>(&self, path: &'p [u8]) -> Option<(&'p str, What)> {
        let rest = std::str::from_utf8(path.strip_prefix(&self.prefix[..])?).ok()?;
        let (id, what) = rest.split_once('/')?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if id.is_empty() || id.len() > ID_BYTES || id.starts_with('.') || !id.bytes().all(is_plain) {
            return None;
        }
        match what {
            "contents" => Some((id, What::Contents)),
            "done" => Some((id, What::Done)),
            _ => None,
        }
    }

    /// `None`: there is none.
    fn describe(&self, folder: &Root, id: &str, ending: &str) -> Result<Option<Description>, Receipt> {
        let opened = match folder.open_beneath(format!("{id}.{ending}").as_bytes(), true) {
            Ok(opened) => opened,
            Err(Failure::Missing) => return Ok(None),
            Err(failure) => {
                if failure == Failure::Stale {
                    self.described.forget();
                }
                return Err(match failure {
                    Failure::Denied => Receipt::refusal(500, "the service may not read this transfer's description"),
                    _ => unavailable(),
                });
            }
        };
        let wrong = || Receipt::refusal(500, "this transfer's description is none");
        if opened.kind != FileType::RegularFile || opened.size > DESCRIPTION_BYTES {
            return Err(wrong());
        }
        let mut text = Vec::new();
        crate::span::read(&opened.file, 0, opened.size as usize, &mut text).map_err(|_| unavailable())?;
        Description::read(&text).map(Some).ok_or_else(wrong)
    }

    fn send(
        &self,
        request: &FileRequest<'_>,
        description: &Description,
        out: &mut Vec<u8>,
    ) -> Result<FileAnswer, Receipt> {
        if !negotiate::takes_bytes(request.head.fields) {
            return Err(Receipt::refusal(406, "contents are application/octet-stream"));
        }
        let opened = self.files.open_to_read(description.path.trim_start_matches('/').as_bytes());
        let opened = opened.map_err(|failure| match failure {
            Failure::Missing => Receipt::refusal(404, "the file of this transfer is not there"),
            Failure::Denied => Receipt::refusal(500, "the service may not read the file of this transfer"),
            _ => unavailable(),
        })?;
        if opened.kind != FileType::RegularFile {
            return Err(Receipt::refusal(404, "the file of this transfer is none"));
        }
        let fields = [request.connection, NO_STORE].concat();
        let request = FileRequest { connection: &fields, ..*request };
        let media = "application/octet-stream";
        let chosen = Chosen { opened, media, coding: None, varies: false, sha256: description.sha256 };
        respond::send(&request, chosen, true, out).map_err(|_| unavailable())
    }
}

/// Nobody can have it any more, and whoever offered it sees that it was had.
fn conclude(folder: &Root, id: &str) -> Result<(), Receipt> {
    let folder = folder.open_folder(b"").map_err(|_| unavailable())?;
    let [from, to] = [OFFERED, DONE].map(|ending| format!("{id}.{ending}"));
    match rustix::fs::renameat(&folder, from.as_str(), &folder, to.as_str()) {
        Ok(()) => rustix::fs::fsync(folder.as_fd()).map_err(Receipt::of_errno),
        // Another request of this client's was faster.
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Receipt::of_errno(errno)),
    }
}

fn unknown() -> Receipt {
    Receipt::refusal(404, "there is no such transfer")
}

fn unavailable() -> Receipt {
    Receipt::refusal(503, "transfers cannot be reached now")
}

impl Description {
    fn read(text: &[u8]) -> Option<Description> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let text = |value: &Value, key: &str| match value.get(key) {
            None => Some(None),
            Some(value) => value.as_str().map(|text| Some(text.to_owned())),
        };
        let client = value.get("client")?;
        let sha256 = match text(&value, "sha256")? {
            Some(digits) => Some(digest::sha256_of_text(digits.as_bytes())?),
            None => None,
        };
        let fingerprint: String = text(client, "fingerprint")??.chars().filter(|&digit| digit != ':').collect();
        Some(Description {
            path: text(&value, "path")??,
            sha256,
            serial: text(client, "serial")?,
            fingerprint: digest::sha256_of_text(fingerprint.as_bytes())?,
        })
    }

    fn is_for(&self, client: Certificate<'_>) -> bool {
        let serial_fits = self.serial.as_ref().is_none_or(|serial| number(serial).eq(number(client.serial)));
        serial_fits && digest::sha256_of_text(client.fingerprint.as_bytes()) == Some(self.fingerprint)
    }
}

/// The digits of a number however it is written: with colons, zeros before it, in either case.
fn number(text: &str) -> impl Iterator<Item = u8> {
    let digits = text.bytes().filter(|&byte| byte != b':').map(|byte| byte.to_ascii_lowercase());
    digits.skip_while(|&digit| digit == b'0')
}

#[cfg(test)]
mod tests;
