//! Uploads in one request.

use super::*;

#[test]
fn a_file_is_there_when_it_is_whole() {
    let tree = tree(config());
    fs::create_dir(tree.path("below")).unwrap();
    let (mut upload, interim) = tree.begin("PUT", "/in/below/a", "Transfer-Encoding: chunked\r\n").unwrap();
    assert_eq!(interim, "");
    upload.write(b"hello ").unwrap();
    upload.write(b"world").unwrap();
    assert!(!tree.path("below/a").exists());
    let answer = end(&mut upload, "");
    assert_eq!(answer.status, 201);
    assert_eq!(tree.text("below/a"), "hello world");
    assert_eq!(fs::metadata(tree.path("below/a")).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_dir(tree.path("below")).unwrap().count(), 1);
    let read = tree.ask("GET", "/in/below/a", "");
    assert_eq!((read.status, read.field("etag")), (200, answer.field("etag")));

    let replaced = tree.send("POST", "/in/below/a", "", "hello", "");
    assert_eq!(replaced.status, 204);
    assert_eq!(tree.text("below/a"), "hello");
    assert_ne!(replaced.field("etag"), answer.field("etag"));
    assert_eq!(tree.put("/in/empty", "", "").status, 201);
    assert_eq!(tree.text("empty"), "");
}

#[test]
fn nothing_is_left_of_what_breaks_off() {
    let tree = tree(config());
    tree.put("/in/a", "", "before");
    let (mut upload, _) = tree.begin("PUT", "/in/a", "Content-Length: 11\r\n").unwrap();
    upload.write(b"hello ").unwrap();
    upload.abandon(b"wor");
    assert_eq!(tree.names(), ["a"]);
    let (mut upload, _) = tree.begin("PUT", "/in/a", "Content-Length: 11\r\n").unwrap();
    upload.write(b"hello ").unwrap();
    assert_eq!(tree.names().len(), 2);
    drop(upload);
    assert_eq!(tree.names(), ["a"]);
    assert_eq!(tree.text("a"), "before");
}

#[test]
fn checksums_are_verified_before_anything_is_there() {
    let tree = tree(config());
    let digest = |value: &str| format!("Repr-Digest: sha-256=:{value}:\r\n");
    let wrong = tree.put("/in/a", &digest(HELLO), "hello world");
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains(HELLO) && wrong.body.contains(HELLO_WORLD), "{}", wrong.body);
    assert!(tree.names().is_empty());
    assert_eq!(tree.put("/in/a", &digest(HELLO_WORLD), "hello world").status, 201);
    assert_eq!(tree.put("/in/a", &format!("Content-Digest: sha-256=:{HELLO}:\r\n"), "hello").status, 204);
    let hexadecimal = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    assert_eq!(tree.put("/in/a", &format!("X-Checksum-Sha256: {hexadecimal}\r\n"), "hello world").status, 204);
    assert_eq!(tree.put("/in/a", "Repr-Digest: sha-256=:AAAA:\r\n", "hello").status, 400);
    for announced in ["", "Trailer: Repr-Digest\r\n"] {
        let trailer = |value: &str| tree.send("PUT", "/in/b", announced, "hello world", &digest(value));
        assert_eq!(trailer(HELLO).status, 400);
        assert_eq!(tree.names(), ["a"]);
        assert_eq!(trailer(HELLO_WORLD).status, 201);
        fs::remove_file(tree.path("b")).unwrap();
    }
    let many = format!("sha-256=:{HELLO}:,").repeat(17);
    let many = format!("Repr-Digest: {}\r\n", many.trim_end_matches(','));
    assert_eq!(tree.send("PUT", "/in/b", "", "hello", &many).status, 400, "too many checksums");
}

#[test]
fn conditions_are_looked_at_before_and_after_the_body() {
    let tree = tree(config());
    let only_new = "If-None-Match: *\r\nContent-Length: 1\r\n";
    assert_eq!(tree.put("/in/a", "If-Match: *\r\n", "x").status, 412);
    let etag = tree.put("/in/a", "If-None-Match: *\r\n", "x").field("etag").unwrap().to_owned();
    assert_eq!(tree.begin("PUT", "/in/a", only_new).unwrap_err().status, 412);
    assert_eq!(tree.put("/in/a", &format!("If-Match: {etag}\r\n"), "y").status, 204);
    assert_eq!(tree.put("/in/a", &format!("If-Match: {etag}\r\n"), "z").status, 412);
    let (mut first, _) = tree.begin("PUT", "/in/b", only_new).unwrap();
    let (mut second, _) = tree.begin("PUT", "/in/b", only_new).unwrap();
    first.write(b"1").unwrap();
    second.write(b"2").unwrap();
    assert_eq!(end(&mut second, "").status, 201);
    assert_eq!(end(&mut first, "").status, 412);
    assert_eq!((tree.text("b").as_str(), tree.names()), ("2", vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn two_at_once_are_never_mixed() {
    let tree = tree(config());
    let (mut first, _) = tree.begin("PUT", "/in/a", "Content-Length: 4\r\n").unwrap();
    let (mut second, _) = tree.begin("PUT", "/in/a", "Content-Length: 4\r\n").unwrap();
    for piece in [b"11", b"11"] {
        first.write(piece).unwrap();
        second.write(b"22").unwrap();
    }
    assert_eq!(end(&mut first, "").status, 201);
    assert_eq!(tree.text("a"), "1111");
    assert_eq!(end(&mut second, "").status, 204);
    assert_eq!(tree.text("a"), "2222");
}

#[test]
fn nothing_outside_the_tree_is_written() {
    let tree = tree(UploadConfig { make_directories: true, ..config() });
    fs::create_dir(tree.folder.path().join("other")).unwrap();
    symlink("../other", tree.path("out")).unwrap();
    symlink("/", tree.path("slash")).unwrap();
    symlink("../other/a", tree.path("link")).unwrap();
    for (target, status) in [
        ("/in/../other/a", 405),
        ("/in/%2e%2e/other/a", 405),
        ("/in/out/a", 404),
        ("/in/slash/tmp/a", 404),
        ("/in/out/b/a", 404),
        ("/in/link", 409),
        ("/in/", 405),
        ("/in", 405),
        ("/in/a/", 405),
        ("/in/a%0ab", 400),
        ("/in/.a.perron-0123", 403),
    ] {
        assert_eq!(tree.put(target, "", "x").status, status, "{target}");
    }
    assert_eq!(fs::read_dir(tree.folder.path().join("other")).unwrap().count(), 0);
    assert_eq!(tree.names(), ["link", "out", "slash"]);
    assert_eq!(tree.put("/in/..%2fother", "", "x").status, 201, "an encoded slash is a character of the name");
    assert!(tree.path("..%2Fother").exists());
}

#[test]
fn folders_are_made_only_where_that_is_wanted() {
    let plain = tree(config());
    assert_eq!(plain.put("/in/a/b/c", "", "x").status, 409);
    assert_eq!(plain.put("/in/a", "", "x").status, 201);
    let making = tree(UploadConfig { make_directories: true, ..config() });
    assert_eq!(making.put("/in/a/b/c", "", "x").status, 201);
    assert_eq!(making.text("a/b/c"), "x");
    assert_eq!(making.put("/in/a/b/c/d", "", "x").status, 404);
    assert_eq!(making.put("/in/a/b", "", "x").status, 409);
}

#[test]
fn what_is_too_large_is_refused_as_soon_as_that_is_known() {
    let tree = tree(UploadConfig { max_size: Some(10), quota: Some(25), ..config() });
    assert_eq!(tree.begin("PUT", "/in/a", "Content-Length: 11\r\n").unwrap_err().status, 413);
    let (mut upload, _) = tree.begin("PUT", "/in/a", "Transfer-Encoding: chunked\r\n").unwrap();
    upload.write(b"0123456789").unwrap();
    assert_eq!(upload.write(b"x").unwrap_err().status, 413);
    assert!(tree.names().is_empty());
    assert_eq!(tree.put("/in/a", "", "0123456789").status, 201);
    assert_eq!(tree.put("/in/b", "", "0123456789").status, 201);
    assert_eq!(tree.begin("PUT", "/in/c", "Content-Length: 6\r\n").unwrap_err().status, 507);
    let (mut upload, _) = tree.begin("PUT", "/in/c", "Transfer-Encoding: chunked\r\n").unwrap();
    upload.write(b"01234").unwrap();
    let full = upload.write(b"5").unwrap_err();
    assert_eq!(full.status, 507);
    assert_eq!(tree.names(), ["a", "b"]);
    assert_eq!(tree.put("/in/c", "", "01234").status, 201);
    assert_eq!(tree.put("/in/a", "", "").status, 204);
    assert_eq!(tree.put("/in/d", "", "0123456789").status, 201, "what was replaced is free again");
}

#[test]
fn files_are_deleted_only_where_that_is_wanted() {
    let plain = tree(config());
    plain.put("/in/a", "", "x");
    let refused = plain.ask("DELETE", "/in/a", "");
    assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD, PUT, POST, PATCH")));
    let deleting = tree(UploadConfig { delete: true, ..config() });
    let etag = deleting.put("/in/a", "", "x").field("etag").unwrap().to_owned();
    assert_eq!(deleting.ask("DELETE", "/in/b", "").status, 404);
    assert_eq!(deleting.ask("DELETE", "/in/a", "If-Match: \"other\"\r\n").status, 412);
    assert_eq!(deleting.ask("DELETE", "/in/a", &format!("If-Match: {etag}\r\n")).status, 204);
    assert!(deleting.names().is_empty());
}

#[test]
fn parts_and_codings_are_not_taken_for_whole_files() {
    let tree = tree(config());
    assert_eq!(tree.put("/in/a", "Content-Range: bytes 0-1/2\r\n", "ab").status, 400);
    assert_eq!(tree.put("/in/a", "Content-Encoding: gzip\r\n", "ab").status, 415);
    assert!(tree.names().is_empty());
}
