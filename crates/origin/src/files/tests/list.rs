//! Listings of folders.

use super::*;
use std::ffi::OsStr;

fn listed() -> Tree {
    let mut tree = Tree::new();
    tree.config.listing = true;
    tree.write("b.txt", "hello");
    tree.write(".hidden", "x");
    tree.write("sub/a", "a");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
    fs::File::open(tree.path("sub")).unwrap().set_modified(time).unwrap();
    tree
}

fn json(tree: &Tree, target: &str) -> serde_json::Value {
    serde_json::from_slice(&tree.ask(target, "").body).unwrap()
}

#[test]
fn as_json() {
    let tree = listed();
    let name = tree.config.root.join(OsStr::from_bytes(b"odd \"\xff"));
    fs::write(&name, "").unwrap();
    set_modified(&name, MODIFIED);
    let expected = r#"{"path":"/","truncated":false,"limit":10000,"entries":[
{"name":"sub","href":"sub/","type":"directory","modified":"1994-11-06T08:49:37Z"},
{"name":"b.txt","href":"b.txt","type":"file","size":5,"modified":"1994-11-06T08:49:37Z"},
{"name":"odd \"�","href":"odd%20%22%FF","type":"file","size":0,"modified":"1994-11-06T08:49:37Z"}
]}
"#;
    for (target, fields) in [("/?format=json", ""), ("/", "Accept: application/json\r\n")] {
        let answer = tree.ask(target, fields);
        assert_eq!((answer.status, answer.text()), (200, expected), "{target}");
        assert_eq!(answer.field("Content-Type"), Some("application/json"));
        assert_eq!(answer.field("Vary"), Some("Accept"));
    }
    assert_eq!(json(&tree, "/?format=json")["limit"], 10_000);
    assert_eq!(tree.ask("/odd%20%22%FF", "").status, 200);
}

#[test]
fn as_html() {
    let tree = listed();
    let answer = tree.ask("/", "");
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(answer.text().contains("<a href=\"b.txt\">b.txt</a>"));
    assert!(answer.text().contains("<a class=\"d\" href=\"sub/\">sub/</a>"));
    assert!(!answer.text().contains("hidden") && !answer.text().contains("href=\"../\""));
    assert!(tree.ask("/sub/", "").text().contains("href=\"../\""));
}

#[test]
fn an_index_comes_before_a_listing_but_not_before_json() {
    let mut tree = listed();
    tree.write("index.html", "page");
    assert_eq!(tree.ask("/", "").text(), "page");
    assert!(tree.ask("/?format=json", "").text().starts_with("{\"path\":"));
    tree.config.listing = false;
    assert_eq!(tree.ask("/?format=json", "").text(), "page");
    assert_eq!(tree.status("/sub/"), 403);
    assert_eq!(tree.status("/missing/"), 404);
}

#[test]
fn a_listing_never_runs_on_a_worker() {
    let tree = listed();
    let files = tree.files();
    assert_eq!(attempt(&files, "GET", "/", "", true).unwrap().status, 200);
    assert!(attempt(&files, "GET", "/", "", false).is_err());
}

#[test]
fn links_are_listed_as_what_they_lead_to() {
    let mut tree = listed();
    symlink("b.txt", tree.path("inside")).unwrap();
    symlink("../secret", tree.path("outside")).unwrap();
    symlink("sub", tree.path("folder")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, tree.path("fifo"), FileType::Fifo, 0o644.into(), 0).unwrap();
    let names = |tree: &Tree| {
        let json = json(tree, "/?format=json");
        let entries = json["entries"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["href"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&tree), ["sub/", "b.txt"]);
    tree.config.symlinks = true;
    assert_eq!(names(&tree), ["folder/", "sub/", "b.txt", "inside"]);
}

#[test]
fn a_huge_folder_is_cut() {
    let tree = listed();
    fs::create_dir(tree.path("huge")).unwrap();
    fs::write(tree.path("huge/0"), "").unwrap();
    for number in 1..10_001 {
        fs::hard_link(tree.path("huge/0"), tree.path(&format!("huge/{number}"))).unwrap();
    }
    let cut = json(&tree, "/huge/?format=json");
    assert_eq!((cut["entries"].as_array().unwrap().len(), &cut["truncated"]), (10_000, &true.into()));
    fs::remove_file(tree.path("huge/0")).unwrap();
    let whole = json(&tree, "/huge/?format=json");
    assert_eq!((whole["entries"].as_array().unwrap().len(), &whole["truncated"]), (10_000, &false.into()));
}
