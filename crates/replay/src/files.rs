//! Whatever is asked of a tree of files, the answer is whole, says its length, and holds nothing from beside the tree.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use http_proto::{Framing, Limits, Parsed, field_slots, parse_request, parse_response, resolve_path};
use origin::{Body, FileRequest, Files, FilesConfig, Part};
use tempfile::TempDir;

/// Stands in files beside the tree, to which symbolic links in it lead.
const SECRET: &[u8] = b"what nobody may read";

/// More than is written in one piece with an answer's head.
const LARGE_BYTES: usize = 20_000;

thread_local! {
    static TREE: (Files, TempDir) = tree();
}

/// A request's head.
pub fn files(bytes: &[u8]) {
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, _)) = parse_request(bytes, &mut slots, &Limits::default()) else { return };
    let Ok(resolved) = resolve_path(head.path_and_query) else { return };
    let request = FileRequest { head: &head, path: &resolved.path, query: resolved.query, date: b"", connection: b"" };
    TREE.with(|(files, _)| {
        let waited = answer(files, &request, true).expect("it may wait");
        if let Some(at_once) = answer(files, &request, false) {
            assert_eq!(at_once, waited);
        }
    });
}

/// The status and length of the answer; `None`: it would have to wait.
fn answer(files: &Files, request: &FileRequest<'_>, blocking: bool) -> Option<(u16, u64)> {
    let mut out = b"before".to_vec();
    let Ok(answer) = files.answer(request, blocking, &mut out) else {
        assert_eq!(out, b"before");
        return None;
    };
    let out = out.strip_prefix(b"before").expect("what was there stays");
    assert!(!out.windows(SECRET.len()).any(|window| window == SECRET));
    let mut slots = field_slots();
    let Ok(Parsed::Whole(head, taken)) = parse_response(out, &mut slots, &Limits::default(), request.head.method)
    else {
        panic!("{} is no answer", out.escape_ascii());
    };
    assert_eq!(head.status, answer.status);
    let body = (out.len() - taken) as u64 + rest(&answer.body);
    match head.framing {
        Framing::None => assert_eq!(body, 0),
        framing => assert_eq!(framing, Framing::Length(body)),
    }
    // The parts of a multipart answer are divided by chance, always equally long.
    Some((head.status, body))
}

/// How many bytes are still to be sent.
fn rest(body: &Body) -> u64 {
    let span = |span: &origin::FileSpan| {
        assert!(span.length > 0 && span.offset + span.length <= LARGE_BYTES as u64);
        span.length
    };
    match body {
        Body::Done => 0,
        Body::File(file) => span(file),
        Body::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Bytes(bytes) => bytes.len() as u64,
                Part::File(file) => span(file),
            })
            .sum(),
    }
}

fn tree() -> (Files, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("root");
    let write = |name: &[u8], content: &[u8]| {
        let path = root.join(Path::new(std::ffi::OsStr::from_bytes(name)));
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(path, content).expect("a file");
    };
    write(b"a.txt", b"inside");
    write(b"a.txt.gz", b"not really packed");
    write(b"large", &[b'x'; LARGE_BYTES]);
    write(b"docs/index.html", b"<p>");
    write(b"empty", b"");
    for name in [&b"<b>&\"'"[..], b"a b%?#", b"\xff", "\u{202e}é".as_bytes(), b"%2F"] {
        write(&[b"names/", name].concat(), b"!");
    }
    write(b"../secret/small", SECRET);
    write(b"../secret/large", &SECRET.repeat(LARGE_BYTES));
    for (name, target) in [("out", "../secret"), ("up", ".."), ("in", "a.txt"), ("loop", "loop"), ("gone", "nothing")] {
        symlink(target, root.join(name)).expect("a link");
    }
    let config = FilesConfig {
        root,
        strip_prefix: "/".to_owned(),
        listing: true,
        index: vec!["index.html".to_owned()],
        symlinks: true,
        precompressed: true,
        timeout: Duration::from_secs(60),
        upload: None,
    };
    (Files::open(config).expect("openat2 is there"), folder)
}
