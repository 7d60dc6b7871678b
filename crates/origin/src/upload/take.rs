//! The body of an upload, on its way to the disk and to its place.

use super::Taker;
use super::begin::{self, Several};
use super::partial::{self, Partial};
use super::receipt::Receipt;
use crate::digest::{self, Algorithm, Claim, Hasher, Scope};
use crate::respond::plain_etag;
use data_encoding::BASE64;
use http_proto::{Field, Fields};
use rustix::fs::Mode;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

/// So many bytes are brought to the disk together: what is left at the end takes no long time.
const SYNC_EVERY: u64 = 32 << 20;

/// Bytes that are read again for a checksum in one step.
const STEP: u64 = 64 << 20;

/// Bytes read at once for that.
const STRIDE: usize = 256 << 10;

/// Checksums that one request may bring: each algorithm for each scope, and as many again as a trailer.
const CLAIMS_MAX: usize = 16;

/// Where an upload goes.
pub(super) struct Aim {
    pub(super) folder: OwnedFd,
    pub(super) name: Vec<u8>,
    pub(super) temporary: Vec<u8>,
    /// `None`: it is one request, and a part of it is worth nothing.
    pub(super) several: Option<Several>,
    /// What is told of where to go on, by the request that begins.
    pub(super) address: Option<String>,
    /// Where this request's body begins.
    pub(super) offset: u64,
    /// Bytes set aside for it.
    pub(super) reserved: u64,
}

/// Which checksums are to be made.
pub(super) struct Wanted {
    pub(super) claims: Vec<Claim>,
    /// A trailer is announced, which says no more than this.
    pub(super) announced: Option<Algorithm>,
}

/// A checksum of the bytes from an offset on.
struct Running {
    algorithm: Algorithm,
    from: u64,
    /// How far it has come.
    at: u64,
    hasher: Hasher,
}

/// An upload under way. Dropped before its end, it leaves nothing, unless it can be gone on with.
pub struct Upload {
    taker: Arc<Taker>,
    partial: Arc<Partial>,
    /// This request's number among those that wrote to the file.
    number: u64,
    aim: Aim,
    /// Where the next byte goes.
    at: u64,
    unsynced: u64,
    conditions: Vec<(String, Vec<u8>)>,
    claims: Vec<Claim>,
    running: Vec<Running>,
    /// Whether the trailers are read.
    is_whole: bool,
    /// Whether nothing is to be done any more.
    is_over: bool,
}

impl Upload {
    pub(super) fn new(
        taker: Arc<Taker>,
        partial: Arc<Partial>,
        aim: Aim,
        wanted: Wanted,
        conditions: Vec<(String, Vec<u8>)>,
    ) -> Upload {
        let number = partial.seize();
        let at = aim.offset;
        let mut upload = Upload {
            taker,
            partial,
            number,
            aim,
            at,
            unsynced: 0,
            conditions,
            claims: wanted.claims,
            running: Vec::new(),
            is_whole: false,
            is_over: false,
        };
        // What earlier requests brought is read at the end.
        let as_it_comes = upload.claims.iter().filter(|claim| from(claim, at) == at).map(|claim| claim.algorithm);
        for algorithm in as_it_comes.chain(wanted.announced).collect::<Vec<_>>() {
            upload.run(algorithm, at);
        }
        upload
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// The answer, where it cannot: nothing more is wanted then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Receipt> {
        let written = self.try_write(bytes);
        written.inspect_err(|receipt| self.give_up(receipt.status))
    }

    /// The body is whole. `None`: there is more to be done, in further calls.
    ///
    /// `trailers` are whole lines, or nothing.
    pub fn finish(&mut self, trailers: &[u8]) -> Option<Receipt> {
        match self.try_finish(trailers) {
            Ok(receipt) => receipt,
            Err(receipt) => {
                self.give_up(receipt.status);
                Some(receipt)
            }
        }
    }

    /// The client has gone; `rest` is what came last.
    pub fn abandon(&mut self, rest: &[u8]) {
        if self.aim.several.is_some() && !rest.is_empty() {
            // What cannot be kept is sent again.
            let _ = self.write(rest);
        }
        self.give_up(0);
    }

    fn try_write(&mut self, bytes: &[u8]) -> Result<(), Receipt> {
        let count = bytes.len() as u64;
        let config = &self.taker.config;
        let length = self.aim.several.and_then(|several| several.length);
        if let Some(most) = config.max_size
            && self.at + count > most
        {
            return Err(Receipt::refusal(413, &format!("files of up to {most} bytes are taken")));
        }
        if length.is_some_and(|length| self.at + count > length) {
            return Err(Receipt::refusal(400, "more has come than Upload-Length says"));
        }
        if count > self.aim.reserved {
            self.taker.account.reserve(count - self.aim.reserved, config.quota)?;
            self.aim.reserved = count;
        }
        {
            let _mine = self.partial.hold(self.number).ok_or_else(taken_over)?;
            write_all(&self.partial, bytes, self.at).map_err(Receipt::of_errno)?;
        }
        self.aim.reserved -= count;
        self.taker.account.written(count);
        for running in self.running.iter_mut().filter(|running| running.at == self.at) {
            running.hasher.update(bytes);
            running.at += count;
        }
        self.at += count;
        self.unsynced += count;
        if self.unsynced >= SYNC_EVERY {
            rustix::fs::fdatasync(&self.partial.file).map_err(Receipt::of_errno)?;
            self.unsynced = 0;
            self.taker.check_free(&self.aim.folder, 0)?;
        }
        Ok(())
    }

    fn try_finish(&mut self, trailers: &[u8]) -> Result<Option<Receipt>, Receipt> {
        if !self.is_whole {
            self.is_whole = true;
            self.read_trailers(trailers)?;
        }
        if let Some(unread) = self.next_unread() {
            self.read_on(unread)?;
            return Ok(None);
        }
        self.verify()?;
        let several = self.aim.several;
        if let Some(Several { complete: false, .. }) = several {
            return self.keep_part().map(Some);
        }
        if let Some(length) = several.and_then(|several| several.length)
            && length != self.at
        {
            let refusal = format!("Upload-Length is {length}, and {} bytes are here", self.at);
            return Err(Receipt::refusal(400, &refusal));
        }
        self.put_in_place().map(Some)
    }

    fn read_trailers(&mut self, trailers: &[u8]) -> Result<(), Receipt> {
        let text = trailers.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
        });
        let claims = digest::claims(text).map_err(|digest::Malformed(name)| begin::malformed(name))?;
        self.claims.extend(claims);
        if self.claims.len() > CLAIMS_MAX {
            return Err(Receipt::refusal(400, "there are too many checksums"));
        }
        // A part of what is to come cannot be the whole.
        if self.aim.several.is_some_and(|several| !several.complete) {
            self.claims.retain(|claim| claim.scope == Scope::Body);
        }
        let start = self.aim.offset;
        let wanted: Vec<_> = self.claims.iter().map(|claim| (claim.algorithm, from(claim, start))).collect();
        self.running.retain(|running| wanted.contains(&(running.algorithm, running.from)));
        for (algorithm, from) in wanted {
            self.run(algorithm, from);
        }
        Ok(())
    }

    fn run(&mut self, algorithm: Algorithm, from: u64) {
        if !self.running.iter().any(|running| (running.algorithm, running.from) == (algorithm, from)) {
            self.running.push(Running { algorithm, from, at: from, hasher: Hasher::new(algorithm) });
        }
    }

    /// A checksum that some of the bytes are still to be read for.
    fn next_unread(&self) -> Option<usize> {
        self.running.iter().position(|running| running.at < self.at)
    }

    fn read_on(&mut self, index: usize) -> Result<(), Receipt> {
        let running = &mut self.running[index];
        let end = self.at.min(running.at.saturating_add(STEP));
        let mut room = vec![0; STRIDE];
        while running.at < end {
            let stride = usize::try_from(end - running.at).map_or(STRIDE, |left| left.min(STRIDE));
            match rustix::io::pread(&self.partial.file, &mut room[..stride], running.at) {
                Ok(0) => return Err(taken_over()),
                Ok(read) => {
                    running.hasher.update(&room[..read]);
                    running.at += read as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(Receipt::of_errno(error)),
            }
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<(), Receipt> {
        for claim in std::mem::take(&mut self.claims) {
            let place = (claim.algorithm, from(&claim, self.aim.offset));
            let running = self.running.iter().find(|running| (running.algorithm, running.from) == place);
            let value = running.expect("every claim has its checksum made").hasher.clone().value();
            if value == claim.value {
                continue;
            }
            let (key, said, is) = (claim.algorithm.key(), BASE64.encode(&claim.value), BASE64.encode(&value));
            if claim.scope == Scope::Body && self.aim.several.is_some() {
                self.forget_body()?;
                let refusal = format!("{key} of this body is {is}, and {said} was said; the body is forgotten");
                let refusal = Receipt::refusal(400, &refusal).field("Upload-Complete", b"?0");
                return Err(refusal.number("Upload-Offset", self.at));
            }
            // Nobody can make it right by adding to it.
            self.aim.several = None;
            return Err(Receipt::refusal(400, &format!("{key} is {is}, and {said} was said; nothing is kept")));
        }
        Ok(())
    }

    fn forget_body(&mut self) -> Result<(), Receipt> {
        let _mine = self.partial.hold(self.number).ok_or_else(taken_over)?;
        rustix::fs::ftruncate(&self.partial.file, self.aim.offset).map_err(Receipt::of_errno)?;
        self.taker.account.removed(self.at - self.aim.offset);
        self.at = self.aim.offset;
        Ok(())
    }

    /// The body was one of several.
    fn keep_part(&mut self) -> Result<Receipt, Receipt> {
        rustix::fs::fdatasync(&self.partial.file).map_err(Receipt::of_errno)?;
        self.settle();
        let part = |status| Receipt::new(status).field("Upload-Complete", b"?0").number("Upload-Offset", self.at);
        let Some(address) = &self.aim.address else {
            return Ok(part(204));
        };
        let config = &self.taker.config;
        let mut limits = format!("max-age={}", config.keep_partial.as_secs());
        if let Some(most) = config.max_size {
            limits = format!("max-size={most}, {limits}");
        }
        Ok(part(201).field("Location", address.as_bytes()).field("Upload-Limit", limits.as_bytes()))
    }

    fn put_in_place(&mut self) -> Result<Receipt, Receipt> {
        let (folder, file) = (&self.aim.folder, &self.partial.file);
        let is_several = self.aim.several.is_some();
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.taker.config.mode)).map_err(Receipt::of_errno)?;
        rustix::fs::fsync(file).map_err(Receipt::of_errno)?;
        let replaced = {
            let _renaming = self.taker.renaming.lock().unwrap_or_else(PoisonError::into_inner);
            let _mine = self.partial.hold(self.number).ok_or_else(taken_over)?;
            let there = begin::look_at(folder, &self.aim.name)?;
            let conditions: Vec<Field<'_>> =
                self.conditions.iter().map(|(name, value)| Field { name, value }).collect();
            begin::check("PUT", Fields(&conditions), there.as_ref())?;
            rustix::fs::renameat(folder, &self.aim.temporary[..], folder, &self.aim.name[..])
                .map_err(Receipt::of_errno)?;
            there
        };
        self.settle();
        let (folder, file) = (&self.aim.folder, &self.partial.file);
        self.taker.open.remove(&self.aim.temporary);
        self.taker.account.removed(replaced.as_ref().map_or(0, |there| there.size));
        rustix::fs::fsync(folder).map_err(Receipt::of_errno)?;
        let stat = rustix::fs::fstat(file).map_err(Receipt::of_errno)?;
        let (_, nanos) = crate::tree::stamp_of(&stat);
        let receipt = Receipt::new(if replaced.is_some() { 204 } else { 201 });
        let receipt = receipt.field("ETag", plain_etag(nanos, self.at).as_bytes());
        Ok(if is_several { receipt.field("Upload-Complete", b"?1") } else { receipt })
    }

    /// It has its end: nothing is left to be undone.
    fn settle(&mut self) {
        self.is_over = true;
        self.taker.account.release(std::mem::take(&mut self.aim.reserved));
    }

    /// It ends with this status (0: without an answer), and leaves nothing that nobody can go on with.
    fn give_up(&mut self, status: u16) {
        if self.is_over {
            return;
        }
        self.settle();
        // A full disk is to be free again, and what is too large gets no smaller.
        let is_kept = self.aim.several.is_some() && !matches!(status, 413 | 507);
        let Some(_mine) = self.partial.hold(self.number).filter(|_| !is_kept) else {
            return;
        };
        if partial::unlink(&self.aim.folder, &self.aim.temporary).is_ok() {
            self.taker.account.removed(self.at);
        }
        self.taker.open.remove(&self.aim.temporary);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.give_up(0);
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upload").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Where the bytes begin that a checksum is of.
fn from(claim: &Claim, start: u64) -> u64 {
    if claim.scope == Scope::Whole { 0 } else { start }
}

fn taken_over() -> Receipt {
    Receipt::refusal(409, "another request goes on with this upload")
}

fn write_all(partial: &Partial, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&partial.file, bytes, at) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => {
                bytes = &bytes[written..];
                at += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
