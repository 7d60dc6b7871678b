//! Which file a path leads to, and which it must not lead to.

use super::*;

#[test]
fn a_file_is_served_with_an_exact_head() {
    let tree = Tree::new();
    tree.write("a.txt", "hello");
    let answer = tree.ask("/a.txt", "");
    let expected = "HTTP/1.1 200 OK\r\n\
        Date: Sat, 21 Nov 2026 01:00:00 GMT\r\n\
        Connection: close\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 5\r\n\
        ETag: \"ae1b981bc490a00-5\"\r\n\
        Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Accept-Ranges: bytes\r\n\r\n";
    let sorted = |head: &str| {
        let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&answer.head), sorted(expected), "{}", answer.head);
    assert_eq!(answer.text(), "hello");
}

#[test]
fn only_what_lies_beneath_the_root_is_served() {
    let mut tree = Tree::new();
    tree.write("dir/a", "a");
    symlink("../secret", tree.path("relative")).unwrap();
    symlink(tree.folder.path().join("secret"), tree.path("absolute")).unwrap();
    symlink(tree.path("dir/a"), tree.path("absolute-inside")).unwrap();
    symlink("dir/a", tree.path("inside")).unwrap();
    symlink("dir", tree.path("folder")).unwrap();
    symlink("loop", tree.path("loop")).unwrap();
    symlink("/proc/self/root/etc/hostname", tree.path("magic")).unwrap();
    symlink("../../../../../../../../etc", tree.path("dir/etc")).unwrap();
    for symlinks in [false, true] {
        tree.config.symlinks = symlinks;
        let inside = if symlinks { 200 } else { 404 };
        for (target, status) in [
            ("/dir/a", 200),
            ("//dir//a", 200),
            ("/dir/../dir/./a", 200),
            ("/../dir/a", 200),
            ("/%64ir/%61", 200),
            ("/inside", inside),
            ("/folder/a", inside),
            ("/../secret", 404),
            ("/..%2fsecret", 404),
            ("/%2e%2e/secret", 404),
            ("/%2e%2e%2fsecret", 404),
            ("/dir%2fa", 404),
            ("/dir%2Fa", 404),
            ("/relative", 404),
            ("/absolute", 404),
            ("/absolute-inside", 404),
            ("/loop", 404),
            ("/magic", 404),
            ("/dir/etc/hostname", 404),
            ("/dir/a/", 404),
            ("/dir/a/b", 404),
            ("/missing", 404),
            ("/missing/", 404),
        ] {
            assert_eq!(tree.status(target), status, "{target}, symlinks {symlinks}");
        }
        let long = format!("/{}", "x".repeat(300));
        assert_eq!(tree.status(&long), 404);
    }
}

/// Paths that no resolver would give, straight to the kernel.
#[test]
fn unresolved_paths_do_not_escape_either() {
    let mut tree = Tree::new();
    tree.config.symlinks = true;
    let files = tree.files();
    for path in ["/../secret", "//etc/hostname", "/x/../../secret", "/\0", "../secret", "", "*"] {
        for blocking in [true, false] {
            let mut out = Vec::new();
            let status = request("GET", "/", "", |request| {
                let request = FileRequest { path: path.as_bytes(), ..*request };
                files.answer(&request, blocking, &mut out).map_or(404, |answer| answer.status)
            });
            let redirected = if path.is_empty() { 301 } else { 404 };
            assert_eq!(status, redirected, "{path:?}");
        }
    }
}

#[test]
fn magic_links_of_proc_are_not_followed() {
    let mut tree = Tree::new();
    tree.config.root = "/proc/self".into();
    tree.config.symlinks = true;
    assert_eq!(tree.status("/root/etc/hostname"), 404);
    assert_eq!(tree.status("/exe"), 404);
    assert_eq!(tree.status("/status"), 200);
}

#[test]
fn what_has_no_bytes_to_serve_is_not_waited_for() {
    let tree = Tree::new();
    rustix::fs::mknodat(rustix::fs::CWD, tree.path("fifo"), FileType::Fifo, 0o644.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path("socket")).unwrap();
    assert_eq!(tree.status("/fifo"), 404);
    assert_eq!(tree.status("/socket"), 404);
    let mut devices = Tree::new();
    devices.config.root = "/dev".into();
    assert_eq!(devices.status("/null"), 404);
}

#[test]
fn only_reading_is_allowed() {
    let tree = Tree::new();
    tree.write("a", "a");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        let answer = ask(&tree.files(), method, "/a", "");
        assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn a_prefix_is_taken_off() {
    let mut tree = Tree::new();
    tree.write("a", "a");
    tree.write("export/a", "b");
    for prefix in ["/export/", "/export"] {
        tree.config.strip_prefix = prefix.to_owned();
        assert_eq!(tree.ask("/export/a", "").text(), "a");
        assert_eq!(tree.ask("/export/export/a", "").text(), "b");
        assert_eq!(tree.status("/a"), 404);
        assert_eq!(tree.status("/exporta"), 404);
        let answer = tree.ask("/export", "");
        assert_eq!((answer.status, answer.field("Location")), (301, Some("/export/")));
    }
    tree.config.strip_prefix = "export".to_owned();
    assert!(matches!(Files::open(tree.config.clone()), Err(FilesError::Prefix(_))));
}

#[test]
fn folders_have_an_index_and_a_slash() {
    let mut tree = Tree::new();
    tree.config.index = vec!["index.html".to_owned(), "boot.ipxe".to_owned()];
    tree.write("with/index.html", "page");
    tree.write("with/boot.ipxe", "no");
    tree.write("script/boot.ipxe", "script");
    tree.write("bare/a", "a");
    tree.write("odd name/index.html", "odd");
    fs::create_dir(tree.path("bare/index.html")).unwrap();
    assert_eq!(tree.ask("/with/", "").text(), "page");
    assert_eq!(tree.ask("/with/", "").field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(tree.ask("/script/", "").text(), "script");
    assert_eq!(tree.status("/bare/"), 403);
    assert_eq!(tree.status("/"), 403);
    let location = |target: &str| tree.ask(target, "").field("Location").map(str::to_owned);
    assert_eq!(location("/with"), Some("/with/".to_owned()));
    assert_eq!(location("/with?a=1&b"), Some("/with/?a=1&b".to_owned()));
    assert_eq!(location("//with"), Some("/with/".to_owned()));
    assert_eq!(location("/odd%20name"), Some("/odd%20name/".to_owned()));
    assert_eq!(location("//with/"), None);
}

#[test]
fn boot_firmware_is_never_redirected() {
    let mut tree = Tree::new();
    tree.write("with/index.html", "page");
    for agent in ["iPXE/1.21.1", "GRUB 2.06", "UefiHttpBoot/1.0"] {
        let answer = tree.ask("/with", &format!("User-Agent: {agent}\r\n"));
        assert_eq!((answer.status, answer.text()), (200, "page"), "{agent}");
    }
    tree.config.strip_prefix = "/export/".to_owned();
    tree.write("index.html", "root");
    assert_eq!(tree.ask("/export", "User-Agent: iPXE/1.0\r\n").text(), "root");
}

#[test]
fn a_changed_file_is_served_changed() {
    let tree = Tree::new();
    let files = tree.files();
    tree.write("a", "one");
    let first = ask(&files, "GET", "/a", "");
    fs::write(tree.path("a"), "three").unwrap();
    let second = ask(&files, "GET", "/a", "");
    assert_eq!((first.text(), second.text()), ("one", "three"));
    assert_ne!(first.field("ETag"), second.field("ETag"));
    fs::remove_file(tree.path("a")).unwrap();
    assert_eq!(ask(&files, "GET", "/a", "").status, 404);
}

#[test]
fn a_root_may_come_later_and_be_switched() {
    let mut tree = Tree::new();
    tree.config.root = tree.folder.path().join("current");
    let files = tree.files();
    let missing = ask(&files, "GET", "/a", "");
    assert_eq!((missing.status, missing.field("Retry-After")), (503, Some("2")));
    for version in ["one", "two"] {
        let release = tree.folder.path().join(version);
        fs::create_dir(&release).unwrap();
        fs::write(release.join("a"), version).unwrap();
        let next = tree.folder.path().join("next");
        symlink(&release, &next).unwrap();
        fs::rename(&next, &tree.config.root).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while attempt(&files, "GET", "/a", "", true).unwrap().body != version.as_bytes() {
            assert!(std::time::Instant::now() < deadline, "the root was not opened again");
            std::thread::yield_now();
        }
    }
}
