//! Serves files from a tree, takes files into it, and says whether the tree can be read.
//!
//! It parses no request and owns no connection: the caller gives a request's head, and sends what comes back.
//! It keeps no byte of any file: what has changed on disk is served changed at the next request. Files that are asked for
//! often are kept open for moments.
//!
//! A worker that must never wait asks [`Files::answer`] without blocking first; what could wait for a disk or for
//! another machine comes back as [`WouldBlock`], to be asked again from a thread that may hang.

mod answer;
mod config;
mod current;
mod digest;
mod failure;
mod files;
mod health;
#[cfg(test)]
mod hung;
mod listing;
mod media;
mod memory;
mod negotiate;
mod respond;
mod span;
#[cfg(test)]
mod testing;
mod transfers;
mod tree;
mod upload;
mod url;

pub use answer::{Body, FileAnswer, Part};
pub use config::{FilesConfig, HealthConfig, TransfersConfig};
pub use files::{FileRequest, Files, FilesError, WouldBlock};
pub use health::{Health, Step, Verdict};
pub use memory::let_go;
pub use span::{FileSpan, Storage, is_resident, preread, read};
pub use transfers::{Certificate, Transfers};
pub use upload::{Begun, Receipt, Upload, UploadConfig};
