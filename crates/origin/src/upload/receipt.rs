//! Answers to uploads: their status, fields of their own, and words for a person.

use crate::answer::push_number;
use crate::failure::Failure;
use http_proto::reason_phrase;
use rustix::io::Errno;

/// An answer to an upload, short of what every answer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The status.
    pub status: u16,
    /// Whole field lines.
    pub fields: Vec<u8>,
    /// Text; empty with 201 and 204.
    pub body: String,
}

impl Receipt {
    /// An answer without words.
    pub(crate) fn new(status: u16) -> Receipt {
        Receipt { status, fields: Vec::new(), body: String::new() }
    }

    /// A refusal, with its status in words and then why.
    pub(crate) fn refusal(status: u16, why: &str) -> Receipt {
        let refusal =
            Receipt { status, fields: Vec::new(), body: format!("{status} {}\n{why}\n", reason_phrase(status)) };
        match status {
            503 => refusal.field("Retry-After", b"2"),
            _ => refusal.field("Cache-Control", b"no-store"),
        }
    }

    pub(crate) fn field(self, name: &str, value: &[u8]) -> Receipt {
        let Receipt { status, mut fields, body } = self;
        for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
            fields.extend_from_slice(piece);
        }
        Receipt { status, fields, body }
    }

    pub(crate) fn number(self, name: &str, number: u64) -> Receipt {
        let mut value = Vec::new();
        push_number(number, &mut value);
        self.field(name, &value)
    }

    /// The disk or the quota is full.
    pub(crate) fn full(why: &str) -> Receipt {
        Receipt::refusal(507, why)
    }

    /// What an error of writing means.
    pub(crate) fn of_errno(errno: Errno) -> Receipt {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Receipt::full("the disk is full"),
            Errno::FBIG => Receipt::refusal(413, "the file system holds no file so large"),
            Errno::ROFS => Receipt::refusal(403, "the file system is read-only"),
            Errno::ACCESS | Errno::PERM => Receipt::refusal(403, "the service may not write here"),
            Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => Receipt::refusal(409, "what is there is no file"),
            Errno::NAMETOOLONG | Errno::INVAL => Receipt::refusal(400, "the file system takes no such name"),
            _ => Receipt::refusal(503, "the disk does not do it now"),
        }
    }

    /// What it means that the folder of an upload cannot be opened.
    pub(crate) fn of_folder(failure: Failure, may_be_made: bool) -> Receipt {
        match failure {
            Failure::Missing if may_be_made => {
                Receipt::refusal(404, "the path leads out of the tree, or through a file")
            }
            Failure::Missing => Receipt::refusal(409, "there is no such folder"),
            Failure::Denied => Receipt::refusal(403, "the service may not look into the folder"),
            _ => Receipt::refusal(503, "the tree cannot be reached now"),
        }
    }
}
