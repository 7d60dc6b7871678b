//! Uploads in several requests.

use super::*;

const PART: &str = "Content-Type: application/partial-upload\r\n";

impl Tree {
    /// Begins an upload of `/in/a`; where it goes on.
    fn create(&self, fields: &str) -> String {
        let created = self.put("/in/a", &format!("Upload-Complete: ?0\r\n{fields}"), "");
        assert_eq!((created.status, created.field("upload-offset")), (201, Some("0")), "{created:?}");
        created.field("location").unwrap().to_owned()
    }

    fn patch(&self, address: &str, offset: u64, complete: &str, fields: &str, body: &str) -> Answer {
        let fields = format!("{PART}Upload-Offset: {offset}\r\nUpload-Complete: {complete}\r\n{fields}");
        self.send("PATCH", address, &fields, body, "")
    }

    fn offset(&self, address: &str) -> Option<u64> {
        let answer = self.ask("HEAD", address, "");
        assert!(matches!(answer.status, 204 | 404), "{answer:?}");
        answer.field("upload-offset").map(|offset| offset.parse().unwrap())
    }
}

#[test]
fn parts_are_put_together() {
    let tree = tree(UploadConfig { max_size: Some(1000), ..config() });
    let created = tree.put("/in/a", "Upload-Complete: ?0\r\n", "he");
    assert_eq!(created.field("upload-limit"), Some("max-size=1000, max-age=86400"));
    let address = created.field("location").unwrap();
    assert_eq!(tree.offset(address), Some(2));
    let part = tree.patch(address, 2, "?0", "", "llo ");
    assert_eq!((part.status, part.field("upload-offset"), part.field("upload-complete")), (204, Some("6"), Some("?0")));
    let wrong = tree.patch(address, 5, "?1", "", "x");
    assert_eq!((wrong.status, wrong.field("upload-offset")), (409, Some("6")));
    assert!(!tree.path("a").exists());
    let last = tree.patch(address, 6, "?1", &format!("Repr-Digest: sha-256=:{HELLO_WORLD}:\r\n"), "world");
    assert_eq!((last.status, last.field("upload-complete")), (201, Some("?1")));
    assert_eq!((tree.text("a").as_str(), tree.names().len()), ("hello world", 1));
    assert_eq!(tree.ask("GET", "/in/a", "").field("etag"), last.field("etag"));
    assert_eq!(tree.offset(address), None);
    assert_eq!(tree.patch(address, 11, "?1", "", "x").status, 404);
}

#[test]
fn a_client_that_is_cut_goes_on() {
    let tree = tree(config());
    let fields = "Upload-Complete: ?1\r\nContent-Length: 11\r\n";
    let (mut upload, interim) = tree.begin("PUT", "/in/a", fields).unwrap();
    let address = interim.strip_prefix("HTTP/1.1 104 Upload Resumption Supported\r\nLocation: ").unwrap();
    let address = address.trim_end();
    upload.write(b"hel").unwrap();
    upload.abandon(b"lo");
    drop(upload);
    assert_eq!(tree.offset(address), Some(5));
    assert_eq!(tree.patch(address, 5, "?1", "", " world").status, 201);
    assert_eq!(tree.text("a"), "hello world");
}

#[test]
fn whoever_asks_for_the_offset_ends_what_still_writes() {
    let tree = tree(config());
    let address = tree.create("");
    let part = |offset: u64| format!("{PART}Upload-Offset: {offset}\r\nUpload-Complete: ?1\r\nContent-Length: 9\r\n");
    let (mut old, _) = tree.begin("PATCH", &address, &part(0)).unwrap();
    old.write(b"hel").unwrap();
    assert_eq!(tree.offset(&address), Some(3));
    assert_eq!(old.write(b"XXX").unwrap_err().status, 409);
    let (mut second, _) = tree.begin("PATCH", &address, &part(3)).unwrap();
    second.write(b"lo").unwrap();
    let (mut third, _) = tree.begin("PATCH", &address, &part(5)).unwrap();
    assert_eq!(end(&mut second, "").status, 409);
    drop(old);
    drop(second);
    third.write(b"!").unwrap();
    assert_eq!(end(&mut third, "").status, 201);
    assert_eq!(tree.text("a"), "hello!");
}

#[test]
fn a_body_with_a_wrong_checksum_is_forgotten_alone() {
    let tree = tree(config());
    let address = tree.create("");
    assert_eq!(tree.patch(&address, 0, "?0", "", "hello").status, 204);
    let digest = format!("Content-Digest: sha-256=:{HELLO}:\r\n");
    let wrong = tree.patch(&address, 5, "?0", &digest, " world");
    assert_eq!((wrong.status, wrong.field("upload-offset")), (400, Some("5")));
    assert_eq!(tree.offset(&address), Some(5));
    let whole = format!("Repr-Digest: sha-256=:{HELLO}:\r\n");
    assert_eq!(tree.patch(&address, 5, "?1", &whole, " world").status, 400);
    assert_eq!(tree.offset(&address), None, "the whole cannot be mended");
    assert!(tree.names().is_empty());
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    let tree = tree(UploadConfig { max_size: Some(100), ..config() });
    let fields = "Upload-Complete: ?0\r\nUpload-Length: 101\r\nContent-Length: 0\r\n";
    assert_eq!(tree.begin("PUT", "/in/a", fields).unwrap_err().status, 413);
    let address = tree.create("Upload-Length: 11\r\n");
    let length = "Upload-Length: 11\r\n";
    assert_eq!(tree.patch(&address, 0, "?1", length, "hello").status, 400);
    assert_eq!(tree.patch(&address, 5, "?1", length, " world!").status, 400);
    let offset = tree.offset(&address).unwrap();
    assert_eq!(tree.patch(&address, offset, "?1", length, &" world"[offset as usize - 5..]).status, 201);
    assert_eq!(tree.text("a"), "hello world");
}

#[test]
fn what_is_no_part_is_refused() {
    let tree = tree(config());
    let address = tree.create("");
    let refused = |target: &str, fields: &str| tree.send("PATCH", target, fields, "x", "").status;
    assert_eq!(refused("/in/a", PART), 400);
    assert_eq!(refused(&address, "Upload-Offset: 0\r\nUpload-Complete: ?1\r\n"), 415);
    assert_eq!(refused(&address, &format!("{PART}Upload-Offset: 0\r\n")), 400);
    assert_eq!(refused(&address, &format!("{PART}Upload-Complete: ?1\r\n")), 400);
    assert_eq!(refused(&address, &format!("{PART}Upload-Offset: -1\r\nUpload-Complete: ?1\r\n")), 400);
    assert_eq!(refused(&address, &format!("{PART}Upload-Offset: 0\r\nUpload-Complete: 1\r\n")), 400);
    for token in ["", "x", "../../etc/passwd", &"0".repeat(32), &"A".repeat(32)] {
        let fields = format!("{PART}Upload-Offset: 0\r\nUpload-Complete: ?1\r\n");
        assert_eq!(refused(&format!("/in/a?upload={token}"), &fields), 404, "{token}");
    }
    assert_eq!(
        refused(&address.replace("/in/a", "/in/b"), &format!("{PART}Upload-Offset: 0\r\nUpload-Complete: ?1\r\n")),
        404
    );
    assert_eq!(tree.ask("DELETE", &address, "").status, 204);
    assert_eq!(tree.offset(&address), None);
    assert!(tree.names().is_empty());
}

#[test]
fn what_is_under_way_is_not_shown() {
    let tree = tree(config());
    tree.create("");
    let name = tree.names().pop().unwrap();
    assert_eq!(tree.ask("GET", &format!("/in/{name}"), "").status, 404);
    assert!(!tree.ask("GET", "/in/", "").body.contains("perron-"));
}

#[test]
fn a_full_tree_keeps_nothing_half_written() {
    let tree = tree(UploadConfig { quota: Some(8), ..config() });
    let address = tree.create("");
    assert_eq!(tree.patch(&address, 0, "?0", "", "hello").status, 204);
    assert_eq!(tree.patch(&address, 5, "?0", "", " world").status, 507, "told before a byte of it");
    assert_eq!(tree.offset(&address), Some(5));
    let fields = format!("{PART}Upload-Offset: 5\r\nUpload-Complete: ?1\r\nTransfer-Encoding: chunked\r\n");
    let (mut upload, _) = tree.begin("PATCH", &address, &fields).unwrap();
    assert_eq!(upload.write(b" world").unwrap_err().status, 507);
    assert_eq!(tree.offset(&address), None);
    assert!(tree.names().is_empty());
}
