use super::*;
use crate::answer::{Body, Part};
use crate::span;
use http_proto::{Limits, Parsed, field_slots, parse_request};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

mod find;
mod hang;
mod list;
mod send;

/// 6 November 1994, 08:49:37 GMT.
const MODIFIED: u64 = 784_111_777;

/// A tree in a temporary folder, and what lies beside it and must never be served.
struct Tree {
    folder: tempfile::TempDir,
    config: FilesConfig,
}

/// An answer as a client reads it.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Tree {
    fn new() -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let config = FilesConfig {
            root,
            strip_prefix: "/".to_owned(),
            listing: false,
            index: vec!["index.html".to_owned()],
            symlinks: false,
            precompressed: false,
            timeout: Duration::from_secs(2),
            upload: None,
        };
        Tree { folder, config }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.config.root.join(name)
    }

    /// Writes a file that was modified at [`MODIFIED`].
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_modified(&path, MODIFIED);
    }

    fn files(&self) -> Files {
        Files::open(self.config.clone()).unwrap()
    }

    fn ask(&self, target: &str, fields: &str) -> Answer {
        ask(&self.files(), "GET", target, fields)
    }

    fn status(&self, target: &str) -> u16 {
        self.ask(target, "").status
    }
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Asks with a request of this method, target and field lines.
fn request<T>(method: &str, target: &str, fields: &str, then: impl FnOnce(&FileRequest<'_>) -> T) -> T {
    let text = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, _)) = parse_request(text.as_bytes(), &mut slots, &Limits::default()) else {
        panic!("not a request: {text}");
    };
    let resolved = http_proto::resolve_path(head.path_and_query).unwrap();
    then(&FileRequest {
        head: &head,
        path: &resolved.path,
        query: resolved.query,
        date: b"Sat, 21 Nov 2026 01:00:00 GMT",
        connection: b"Connection: close\r\n",
    })
}

fn attempt(files: &Files, method: &str, target: &str, fields: &str, blocking: bool) -> Result<Answer, WouldBlock> {
    let mut out = b"before".to_vec();
    let outcome = request(method, target, fields, |request| files.answer(request, blocking, &mut out));
    assert!(out.starts_with(b"before"));
    let answer = match outcome {
        Ok(answer) => answer,
        Err(WouldBlock) => {
            assert_eq!(out, b"before");
            return Err(WouldBlock);
        }
    };
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(out[6..end].to_vec()).unwrap();
    let mut body = out.split_off(end);
    let mut take = |span: &crate::FileSpan| {
        let length = usize::try_from(span.length).unwrap();
        assert_eq!(span::read(&span.file, span.offset, length, &mut body).unwrap(), length);
    };
    match answer.body {
        Body::Done => {}
        Body::File(span) => take(&span),
        Body::Parts(parts) => {
            for part in parts {
                match part {
                    Part::Bytes(bytes) => body.extend(bytes),
                    Part::File(span) => {
                        let length = usize::try_from(span.length).unwrap();
                        span::read(&span.file, span.offset, length, &mut body).unwrap();
                    }
                }
            }
        }
    }
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", answer.status)), "{head}");
    assert!(
        head.lines()
            .skip(1)
            .all(|line| { line.is_empty() || line.split_once(": ").is_some_and(|(_, value)| !value.is_empty()) })
    );
    Ok(Answer { status: answer.status, head, body })
}

/// Asks; and when the answer could be had without waiting, checks that it is the same with it.
fn ask(files: &Files, method: &str, target: &str, fields: &str) -> Answer {
    let answer = attempt(files, method, target, fields, true).unwrap();
    if let Ok(again) = attempt(files, method, target, fields, false) {
        assert_eq!(again.status, answer.status, "{target}");
        if !answer.head.contains("boundary=") {
            assert_eq!((again.head, &again.body), (answer.head.clone(), &answer.body), "{target}");
        }
    }
    if method == "GET" && answer.status != 304 {
        assert_eq!(answer.field("Content-Length"), Some(answer.body.len().to_string().as_str()), "{target}");
    }
    answer
}
