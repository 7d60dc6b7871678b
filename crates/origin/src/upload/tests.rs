use super::*;
use crate::files::{FileRequest, Files};
use crate::{Body, FilesConfig};
use http_proto::{Limits, Parsed, field_slots, parse_request, resolve_path};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

mod resume;
mod whole;

pub(super) fn config() -> UploadConfig {
    UploadConfig {
        max_size: None,
        quota: None,
        keep_free: None,
        mode: 0o644,
        make_directories: false,
        delete: false,
        keep_partial: Duration::from_secs(86_400),
        partial_quota: None,
        timeout: Duration::from_secs(5),
    }
}

/// `echo -n 'hello world' | openssl dgst -sha256 -binary | base64`, and the same of `hello`.
const HELLO_WORLD: &str = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
const HELLO: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

struct Tree {
    folder: tempfile::TempDir,
    files: Files,
}

/// An answer: its status, its fields as they are written, its words.
#[derive(Debug)]
struct Answer {
    status: u16,
    fields: String,
    body: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.fields.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl From<Receipt> for Answer {
    fn from(receipt: Receipt) -> Answer {
        let fields = String::from_utf8(receipt.fields).unwrap();
        Answer { status: receipt.status, fields, body: receipt.body }
    }
}

fn tree(upload: UploadConfig) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    let config = FilesConfig {
        root: folder.path().join("root"),
        strip_prefix: "/in".to_owned(),
        listing: true,
        index: Vec::new(),
        symlinks: false,
        precompressed: false,
        timeout: Duration::from_secs(2),
        upload: Some(upload),
    };
    Tree { files: Files::open(config).unwrap(), folder }
}

fn with<T>(method: &str, target: &str, fields: &str, then: impl FnOnce(&FileRequest<'_>) -> T) -> T {
    let text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, _)) = parse_request(text.as_bytes(), &mut slots, &Limits::default()) else {
        panic!("{text:?} is a request");
    };
    let resolved = resolve_path(head.path_and_query).unwrap();
    then(&FileRequest { head: &head, path: &resolved.path, query: resolved.query, date: b"", connection: b"" })
}

impl Tree {
    /// Begins to send; the address that an interim answer tells comes along.
    fn begin(&self, method: &str, target: &str, fields: &str) -> Result<(Box<Upload>, String), Answer> {
        match with(method, target, fields, |request| self.files.begin(request)) {
            Begun::Taking { upload, interim } => Ok((upload, String::from_utf8(interim).unwrap())),
            Begun::Refused(receipt) => Err(receipt.into()),
        }
    }

    /// Sends all of a body, in chunks if it has trailers.
    fn send(&self, method: &str, target: &str, fields: &str, body: &str, trailers: &str) -> Answer {
        let framing = match trailers {
            "" => format!("Content-Length: {}\r\n", body.len()),
            _ => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        let (mut upload, _) = match self.begin(method, target, &(framing + fields)) {
            Ok(begun) => begun,
            Err(refusal) => return refusal,
        };
        for piece in body.as_bytes().chunks(3) {
            if let Err(receipt) = upload.write(piece) {
                return receipt.into();
            }
        }
        end(&mut upload, trailers)
    }

    fn put(&self, target: &str, fields: &str, body: &str) -> Answer {
        self.send("PUT", target, fields, body, "")
    }

    /// What has no body.
    fn ask(&self, method: &str, target: &str, fields: &str) -> Answer {
        let mut out = Vec::new();
        let answer = with(method, target, fields, |request| self.files.answer(request, true, &mut out)).unwrap();
        assert!(matches!(answer.body, Body::Done));
        let text = String::from_utf8(out).unwrap();
        let (fields, body) = text.split_once("\r\n\r\n").unwrap();
        Answer { status: answer.status, fields: fields.to_owned(), body: body.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names in the root, in their order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn end(upload: &mut Upload, trailers: &str) -> Answer {
    loop {
        if let Some(receipt) = upload.finish(trailers.as_bytes()) {
            return receipt.into();
        }
    }
}
