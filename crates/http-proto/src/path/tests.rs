use std::borrow::Cow;

use proptest::prelude::*;

use super::{PathError, resolve_path, resolve_with_slashes};

fn path(target: &str) -> String {
    let resolved = resolve_path(target).unwrap();
    String::from_utf8(resolved.path.into_owned()).unwrap()
}

#[test]
fn resolves_as_rfc_3986_does() {
    let table = [
        ("/", "/"),
        ("", "/"),
        ("*", "*"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/b/c/./../../g", "/a/g"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/a/../../../b", "/b"),
        ("/a//../b", "/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a..b/.c", "/a..b/.c"),
    ];
    for (target, expected) in table {
        assert_eq!(path(target), expected, "{target}");
    }
}

#[test]
fn decodes_before_it_resolves() {
    assert_eq!(path("/%61%2Db"), "/a-b");
    assert_eq!(path("/a/%2e%2E/b"), "/b");
    assert_eq!(path("/a/%2e/b"), "/a/b");
    assert_eq!(path("/a/.%2e"), "/");
    assert_eq!(path("/%C3%A9"), "/é");
    assert_eq!(path("/a%3Fb%20c"), "/a?b c");
    assert_eq!(path("/%5c..%5C"), "/\\..\\");
}

#[test]
fn an_encoded_slash_separates_nothing() {
    assert_eq!(path("/a%2fb"), "/a%2Fb");
    assert_eq!(path("/a/..%2F..%2Fetc"), "/a/..%2F..%2Fetc");
    assert_eq!(path("/%252e%252e/x"), "/%2e%2e/x");
}

#[test]
fn cuts_the_query_and_leaves_it_alone() {
    let resolved = resolve_path("/a?x=%zz&y=/../?").unwrap();
    assert_eq!(resolved.path, Cow::Borrowed(b"/a"));
    assert_eq!(resolved.query, Some("x=%zz&y=/../?"));
    assert_eq!(resolve_path("/a?").unwrap().query, Some(""));
    let bare = resolve_path("?q").unwrap();
    assert_eq!((&*bare.path, bare.query), (b"/".as_slice(), Some("q")));
}

#[test]
fn refuses_what_decodes_to_nothing_good() {
    for target in ["/%", "/%4", "/%zz", "/a%/b", "/%+1"] {
        assert_eq!(resolve_path(target), Err(PathError::Percent), "{target}");
    }
    assert_eq!(resolve_path("/a%00.png"), Err(PathError::Nul));
    assert_eq!(resolve_path("/a\0"), Err(PathError::Nul));
}

#[test]
fn borrows_a_path_that_is_resolved_already() {
    assert!(matches!(resolve_path("/a/b.c/.d?e").unwrap().path, Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn what_comes_out_names_nothing_above_the_root(target in "/([a./%?25efEF]|//|/\\.\\.){0,30}") {
        if let Ok(resolved) = resolve_path(&target) {
            prop_assert_eq!(resolved.path.first(), Some(&b'/'));
            prop_assert!(!resolved.path.windows(2).any(|pair| pair == b"//"));
            for segment in resolved.path.split(|&byte| byte == b'/') {
                prop_assert!(segment != b"." && segment != b"..");
            }
        }
    }

    #[test]
    fn noise_never_panics(target in "\\PC{0,60}") {
        let _ = resolve_path(&target);
    }
}

#[test]
fn an_encoded_slash_has_a_second_reading() {
    let read = |path| resolve_with_slashes(path).unwrap().map(|path| String::from_utf8(path).unwrap());
    assert_eq!(read("/private%2fx"), Some("/private/x".to_owned()));
    assert_eq!(read("/x/..%2Fprivate/y?a=%2f"), Some("/private/y".to_owned()));
    assert_eq!(read("/%2fprivate"), Some("/private".to_owned()));
    assert_eq!(read("/a?b=%2F"), None);
    assert_eq!(read("/a%252Fb"), None);
    assert_eq!(read("/a%2"), None);
    assert_eq!(resolve_with_slashes("/a%2F%zz"), Err(PathError::Percent));
}
