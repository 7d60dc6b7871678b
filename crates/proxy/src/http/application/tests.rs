use super::*;

#[test]
fn the_longest_prefix_names_the_program() {
    let prefixes = ["/rpc/".to_owned(), "/rpc/deep".to_owned()];
    for (path, name) in [
        ("/rpc", 4),
        ("/rpc/", 4),
        ("/rpc/call", 4),
        ("/rpc/deep", 9),
        ("/rpc/deep/call", 9),
        ("/rpc/deeper", 4),
        ("/rpcs", 0),
        ("/", 0),
    ] {
        assert_eq!(below(&prefixes, path.as_bytes()), name, "{path}");
    }
    assert_eq!(below(&["/".to_owned()], b"/a"), 0);
    assert_eq!(below(&[], b"/a"), 0);
}

#[test]
fn a_program_is_the_first_segment_that_ends_like_one() {
    for (path, end) in [
        ("/a.php", Some(6)),
        ("/a.php/b.php", Some(6)),
        ("/a.phps/b.php", Some(13)),
        ("/.php", Some(5)),
        ("/a/", None),
        ("/a.PHP", None),
    ] {
        assert_eq!(script_end(path.as_bytes(), ".php"), end, "{path}");
    }
}

#[test]
fn some_fields_are_not_told() {
    for name in ["Host", "X-Forwarded-For", "Proxy-Authorization", "a1"] {
        assert!(is_told(name.as_bytes()), "{name}");
    }
    for name in ["Proxy", "PROXY", "X_Forwarded_For", "Content-Length", "Transfer-Encoding", "Expect", "X.Y", "X!"] {
        assert!(!is_told(name.as_bytes()), "{name}");
    }
}

#[test]
fn field_lines_are_those_of_the_head() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nX:b:c \r\n\r\nbody: no\r\n";
    let read: Vec<_> = lines(head).collect();
    assert_eq!(read, [(b"Host".as_slice(), b"a".as_slice()), (b"X", b"b:c")]);
}
