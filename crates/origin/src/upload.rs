//! Takes files into a tree: written beside their place, verified, brought to the disk, and only then renamed.
//!
//! `begin` looks at a request's head and decides, `partial` is the file in the making, `take` writes what comes and ends
//! it, `account` is about how much a tree may hold. Everything here may wait for a disk.

mod account;
mod begin;
mod partial;
mod receipt;
mod take;

#[cfg(test)]
mod tests;

pub use receipt::Receipt;
pub use take::Upload;

use crate::current::CurrentRoot;
use account::Account;
use partial::Open;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

/// The longest and the shortest time between two looks at what a tree holds.
const LOOK_MAX: Duration = Duration::from_secs(300);
const LOOK_MIN: Duration = Duration::from_secs(1);

/// How files are taken into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadConfig {
    /// Bytes of one file. `None`: no limit.
    pub max_size: Option<u64>,
    /// Bytes that the tree may hold, uploads under way included. `None`: no limit.
    pub quota: Option<u64>,
    /// Bytes of the disk that stay free. `None`: none.
    pub keep_free: Option<u64>,
    /// The permissions of new files.
    pub mode: u32,
    /// Whether folders that are missing are made.
    pub make_directories: bool,
    /// Whether files may be deleted.
    pub delete: bool,
    /// How long an upload is kept that nobody goes on with.
    pub keep_partial: Duration,
    /// Bytes that uploads under way may hold together, those longest untouched being removed. `None`: no limit.
    pub partial_quota: Option<u64>,
    /// How long the disk may take for one step.
    pub timeout: Duration,
}

/// What came of a request's head.
#[derive(Debug)]
pub enum Begun {
    /// Its body is wanted.
    Taking {
        /// What takes it.
        upload: Box<Upload>,
        /// An interim answer for clients that understand one, whole, or nothing.
        interim: Vec<u8>,
    },
    /// This is the answer.
    Refused(Receipt),
}

/// What all uploads into one tree share.
pub(crate) struct Taker {
    pub(crate) config: UploadConfig,
    root: CurrentRoot,
    /// The tree's own path.
    path: PathBuf,
    /// Begins and ends with a slash.
    prefix: Vec<u8>,
    account: Account,
    open: Open,
    /// Between looking at what is in a place and putting a file there.
    renaming: Mutex<()>,
    /// Ends the thread that looks after what is left, by being dropped.
    _alive: mpsc::Sender<()>,
}

/// The answer where no files are taken.
pub(crate) fn not_taken() -> Receipt {
    Receipt::refusal(405, "no files are taken here").field("Allow", b"GET, HEAD")
}

impl Taker {
    /// `root` is this taker's own, for its threads wait for other things than readers do.
    pub(crate) fn new(config: UploadConfig, root: CurrentRoot, path: PathBuf, prefix: Vec<u8>) -> Arc<Taker> {
        let (alive, ended) = mpsc::channel();
        let taker = Arc::new(Taker {
            config,
            root,
            path,
            prefix,
            account: Account::default(),
            open: Open::default(),
            renaming: Mutex::new(()),
            _alive: alive,
        });
        let watched = Arc::downgrade(&taker);
        let pause = (taker.config.keep_partial / 2).clamp(LOOK_MIN, LOOK_MAX);
        let look_after = move || {
            loop {
                let Some(taker) = watched.upgrade() else { return };
                // A tree that is not there now may be there the next time.
                let _ = taker.look();
                drop(taker);
                if ended.recv_timeout(pause) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without it what is left stays until the next start; that is no reason not to serve.
        let _ = std::thread::Builder::new().name("uploads".to_owned()).spawn(look_after);
        taker
    }

    /// Whether it takes the body of requests of this method.
    pub(crate) fn takes(method: &str) -> bool {
        matches!(method, "PUT" | "POST" | "PATCH")
    }

    /// The value of the Allow field.
    pub(crate) fn allowed(&self) -> &'static str {
        match self.config.delete {
            true => "GET, HEAD, PUT, POST, PATCH, DELETE",
            false => "GET, HEAD, PUT, POST, PATCH",
        }
    }

    fn look(&self) -> Result<(), rustix::io::Errno> {
        self.account.look(&self.path, &self.config, SystemTime::now())
    }

    /// The tree's folder and the name in it that a path of a request means.
    fn place<'p>(&self, path: &'p [u8]) -> Result<(&'p [u8], &'p [u8]), Receipt> {
        let beneath = path.strip_prefix(&self.prefix[..]);
        let beneath = beneath.filter(|beneath| !beneath.is_empty() && !beneath.ends_with(b"/"));
        let Some(beneath) = beneath else {
            return Err(Receipt::refusal(405, "the path is a folder's").field("Allow", b"GET, HEAD"));
        };
        if beneath.iter().any(u8::is_ascii_control) {
            return Err(Receipt::refusal(400, "the name has control characters"));
        }
        if crate::tree::is_temporary(beneath) {
            return Err(Receipt::refusal(403, "such names are given by the service only"));
        }
        match beneath.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => Ok((&beneath[..slash], &beneath[slash + 1..])),
            None => Ok((b"", beneath)),
        }
    }

    fn root(&self) -> Result<Arc<crate::tree::Root>, Receipt> {
        let root = self.root.waiting(Instant::now());
        root.map_err(|_| Receipt::refusal(503, "the tree cannot be reached now"))
    }
}
