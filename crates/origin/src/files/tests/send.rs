//! How much of a file is sent, in which coding, and under which conditions.

use super::*;

const DIGITS: &str = "0123456789";

fn large() -> Vec<u8> {
    (0..200_000u32).map(|at| b'a' + (at % 23) as u8).collect()
}

#[test]
fn the_answer_to_head_says_what_get_would_send() {
    let mut tree = Tree::new();
    tree.config.listing = true;
    tree.write("small", DIGITS);
    tree.write("large", large());
    tree.write("dir/a", "a");
    for target in ["/small", "/large", "/missing", "/dir", "/dir/", "/dir/?format=json"] {
        let (get, head) = (ask(&tree.files(), "GET", target, ""), ask(&tree.files(), "HEAD", target, ""));
        assert_eq!(get.head, head.head, "{target}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{target}");
    }
}

#[test]
fn large_files_are_left_to_sendfile() {
    let tree = Tree::new();
    tree.write("edge", vec![b'x'; 16 * 1024]);
    tree.write("large", large());
    tree.write("empty", "");
    let files = tree.files();
    let body = |target: &str| {
        let mut out = Vec::new();
        request("GET", target, "", |request| files.answer(request, true, &mut out)).unwrap().body
    };
    assert!(matches!(body("/edge"), Body::Done));
    assert!(matches!(body("/empty"), Body::Done));
    assert!(matches!(body("/large"), Body::File(span) if span.offset == 0 && span.length == 200_000));
    assert_eq!(tree.ask("/large", "").body, large());
    assert_eq!(tree.ask("/empty", "").field("Content-Length"), Some("0"));
}

#[test]
fn one_range() {
    let tree = Tree::new();
    tree.write("d.txt", DIGITS);
    tree.write("large", large());
    let answer = tree.ask("/d.txt", "Range: bytes=2-5\r\n");
    assert_eq!((answer.status, answer.text()), (206, "2345"));
    assert_eq!(answer.field("Content-Range"), Some("bytes 2-5/10"));
    assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
    let answer = tree.ask("/large", "Range: bytes=100000-\r\n");
    assert_eq!((answer.status, &answer.body[..]), (206, &large()[100_000..]));
    assert_eq!(answer.field("Content-Range"), Some("bytes 100000-199999/200000"));
    let answer = tree.ask("/d.txt", "Range: bytes=-3,5-8\r\n");
    assert_eq!((answer.status, answer.text()), (206, "56789"));
    let answer = tree.ask("/d.txt", "Range: bytes=10-\r\n");
    assert_eq!((answer.status, answer.field("Content-Range")), (416, Some("bytes */10")));
    assert_eq!(tree.ask("/d.txt", "Range: lines=1-2\r\n").status, 200);
    let head = ask(&tree.files(), "HEAD", "/d.txt", "Range: bytes=2-5\r\n");
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("10")));
}

#[test]
fn several_ranges() {
    let tree = Tree::new();
    tree.write("d.txt", DIGITS);
    let answer = tree.ask("/d.txt", "Range: bytes=7-, 0-1, 4-4\r\n");
    assert_eq!((answer.status, answer.field("Content-Range")), (206, None));
    let media = answer.field("Content-Type").unwrap();
    let boundary = media.strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(boundary.len(), 32);
    let expected = "--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 7-9/10\r\n\r\n789\
        \r\n--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
        \r\n--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 4-4/10\r\n\r\n4\
        \r\n--B--\r\n";
    assert_eq!(answer.text(), expected.replace("--B", &format!("--{boundary}")));
    assert_ne!(tree.ask("/d.txt", "Range: bytes=0-0,2-2\r\n").field("Content-Type"), Some(media));
}

#[test]
fn conditions() {
    let tree = Tree::new();
    tree.write("d.txt", DIGITS);
    let etag = tree.ask("/d.txt", "").field("ETag").unwrap().to_owned();
    let status = |fields: &str| tree.ask("/d.txt", &fields.replace("ETAG", &etag)).status;
    assert_eq!(status("If-None-Match: ETAG\r\n"), 304);
    assert_eq!(status("If-None-Match: \"other\"\r\n"), 200);
    assert_eq!(status("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 304);
    assert_eq!(status("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 200);
    assert_eq!(status("If-Match: ETAG\r\n"), 200);
    assert_eq!(status("If-Match: \"other\"\r\n"), 412);
    assert_eq!(status("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 412);
    assert_eq!(status("Range: bytes=0-0\r\nIf-Range: ETAG\r\n"), 206);
    assert_eq!(status("Range: bytes=0-0\r\nIf-Range: \"other\"\r\n"), 200);
    assert_eq!(status("Range: bytes=99-\r\nIf-Range: \"other\"\r\n"), 200);
    assert_eq!(status("Range: bytes=0-0\r\nIf-None-Match: ETAG\r\n"), 304);
    let answer = tree.ask("/d.txt", &format!("If-None-Match: {etag}\r\n"));
    assert!(answer.body.is_empty());
    assert_eq!((answer.field("Content-Length"), answer.field("ETag")), (None, Some(etag.as_str())));
}

#[test]
fn a_file_from_the_future_is_dated_now() {
    let tree = Tree::new();
    tree.write("a", "a");
    set_modified(&tree.path("a"), 4_102_444_800);
    let answer = tree.ask("/a", "");
    assert!(!answer.field("Last-Modified").unwrap().contains("2100"));
}

#[test]
fn siblings_are_sent_to_those_who_accept_them() {
    let mut tree = Tree::new();
    tree.config.precompressed = true;
    tree.write("a.txt", "plain");
    tree.write("a.txt.gz", "as gzip");
    tree.write("a.txt.zst", "as zstd");
    tree.write("index.html", "page");
    tree.write("index.html.br", "as brotli");
    tree.write("old.txt", "new");
    tree.write("old.txt.gz", "stale");
    set_modified(&tree.path("old.txt.gz"), MODIFIED - 1);
    tree.write("alone.txt.gz", "alone");
    for (target, fields, coding, body) in [
        ("/a.txt", "", None, "plain"),
        ("/a.txt", "Accept-Encoding: gzip, zstd\r\n", Some("zstd"), "as zstd"),
        ("/a.txt", "Accept-Encoding: br, gzip\r\n", Some("gzip"), "as gzip"),
        ("/a.txt", "Accept-Encoding: gzip;q=0\r\n", None, "plain"),
        ("/a.txt", "Accept-Encoding: gzip\r\nUser-Agent: iPXE/1.21\r\n", None, "plain"),
        ("/a.txt.gz", "Accept-Encoding: gzip\r\n", None, "as gzip"),
        ("/", "Accept-Encoding: br\r\n", Some("br"), "as brotli"),
        ("/old.txt", "Accept-Encoding: gzip\r\n", None, "new"),
    ] {
        let answer = tree.ask(target, fields);
        assert_eq!((answer.field("Content-Encoding"), answer.text()), (coding, body), "{target} {fields}");
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    }
    let zstd = tree.ask("/a.txt", "Accept-Encoding: zstd\r\n");
    assert_eq!(zstd.field("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_ne!(zstd.field("ETag"), tree.ask("/a.txt", "").field("ETag"));
    assert_eq!(tree.ask("/a.txt", "Accept-Encoding: gzip\r\nRange: bytes=3-\r\n").text(), "gzip");
    assert_eq!(tree.ask("/alone.txt", "Accept-Encoding: gzip\r\n").status, 404);
    tree.config.precompressed = false;
    let answer = tree.ask("/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!((answer.field("Vary"), answer.text()), (None, "plain"));
}

#[test]
fn a_digest_is_told_to_who_wants_it_where_one_lies_beside_the_file() {
    // `printf 0123456789 | sha256sum`, and in base64.
    let sum = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
    let field = "sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:";
    let mut tree = Tree::new();
    tree.config.precompressed = true;
    tree.write("a", DIGITS);
    tree.write("a.sha256", format!("{sum}  a\n"));
    let told = |tree: &Tree, fields: &str| tree.ask("/a", fields).field("Repr-Digest").map(str::to_owned);
    let wants = "Want-Repr-Digest: sha-512=3, sha-256=10\r\n";
    assert_eq!(told(&tree, wants).as_deref(), Some(field));
    assert_eq!(told(&tree, &format!("{wants}Range: bytes=2-3\r\n")).as_deref(), Some(field), "it is of the whole");
    assert_eq!(told(&tree, &format!("{wants}Range: bytes=20-\r\n")), None, "it is not of an error's words");
    assert_eq!(told(&tree, ""), None);
    assert_eq!(told(&tree, "Want-Repr-Digest: sha-256=0\r\n"), None);
    tree.write("a.gz", "not really");
    assert_eq!(told(&tree, &format!("{wants}Accept-Encoding: gzip\r\n")), None, "it is of other bytes");
    tree.write("a.gz.sha256", sum);
    assert_eq!(told(&tree, &format!("{wants}Accept-Encoding: gzip\r\n")).as_deref(), Some(field));
    tree.write("a.sha256", "no digits");
    assert_eq!(told(&tree, wants), None);
    tree.write("a.sha256", sum);
    set_modified(&tree.path("a.sha256"), MODIFIED - 1);
    assert_eq!(told(&tree, wants), None, "it is of what the file was before");
}
