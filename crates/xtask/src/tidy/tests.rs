use std::collections::BTreeSet;

use super::*;

/// A repository with nothing wrong: a pure core, the system crate, a shell, a test crate.
fn sound() -> (Tree, Workspace) {
    let mut tree = Tree::default();
    let mut workspace = Workspace::default();
    for (name, row, imports) in [
        ("core", Row::Pure, vec![]),
        ("linux", Row::System, vec!["libc"]),
        ("shell", Row::Shell, vec!["core", "linux"]),
        ("other-shell", Row::Shell, vec!["core"]),
        ("lab", Row::Dev, vec!["shell"]),
    ] {
        let folder = format!("crates/{name}");
        tree.insert(&format!("{folder}/Cargo.toml"), "[lints]\nworkspace = true\n");
        tree.insert(&format!("{folder}/src/lib.rs"), "//! A crate.\n");
        workspace.crates.push(Crate {
            name: name.to_owned(),
            folder,
            row: Some(row),
            imports: imports.into_iter().map(str::to_owned).collect(),
            test_imports: vec!["lab".to_owned()],
            closure: BTreeSet::new(),
        });
    }
    tree.insert("crates/core/clippy.toml", "x = 1\n");
    tree.insert("crates/core/src/head.rs", "pub fn parse_head(bytes: &[u8]) {}\n");
    tree.insert("fuzz/fuzz_targets/head.rs", "//! Heads.\n");
    tree.insert("crates/xtask/parsers.toml", "\"core::parse_head\" = \"head\"\n");
    tree.insert("Cargo.toml", "[workspace.dependencies]\nlibc = \"0.2\"\ncore = { path = \"crates/core\" }\n");
    tree.insert(
        "README.md",
        "See [the limits](docs/limits.md), [the web](https://example.org/) and [below](#below).\n",
    );
    tree.insert("ARCHITECTURE.md", "## Dependencies\n\n- `libc`: what rustix lacks.\n\n## More\n\n- `head`: a word.\n");
    tree.insert("docs/limits.md", "Back to [the entrance](../README.md).\n");
    tree.insert("deny.toml", "[bans]\ndeny = [{ name = \"ring\" }]\n");
    (tree, workspace)
}

/// What is said about the sound repository once `path` holds `text`.
fn with(path: &str, text: &str) -> Vec<String> {
    let (mut tree, workspace) = sound();
    tree.insert(path, text);
    said(&tree, &workspace)
}

/// What is said about the sound repository once the crate `name` is changed.
fn with_crate(name: &str, change: impl FnOnce(&mut Crate)) -> Vec<String> {
    let (tree, mut workspace) = sound();
    change(workspace.crates.iter_mut().find(|known| known.name == name).expect("a crate of the fixture"));
    said(&tree, &workspace)
}

fn said(tree: &Tree, workspace: &Workspace) -> Vec<String> {
    problems(tree, workspace).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_says(said: &[String], begins: &str) {
    assert!(said.len() == 1 && said[0].starts_with(begins), "awaited only {begins:?}, got {said:#?}");
}

#[test]
fn the_sound_repository_has_no_problem() {
    let (tree, workspace) = sound();
    assert_eq!(said(&tree, &workspace), Vec::<String>::new());
}

#[test]
fn arrows_go_to_lower_rows_only() {
    let up = with_crate("core", |known| known.imports.push("shell".to_owned()));
    assert_says(&up, "crates/core/Cargo.toml: row 2p may not import `shell` of row 3");
    let sideways = with_crate("shell", |known| known.imports.push("other-shell".to_owned()));
    assert_says(&sideways, "crates/shell/Cargo.toml: row 3 may not import `other-shell` of row 3");
    let system = with_crate("core", |known| known.imports.push("linux".to_owned()));
    assert_says(&system, "crates/core/Cargo.toml: row 2p may not import `linux` of row 2s");
    let back = with_crate("linux", |known| known.imports.push("core".to_owned()));
    assert_says(&back, "crates/linux/Cargo.toml: row 2s may not import `core` of row 2p");
    let lab = with_crate("shell", |known| known.imports.push("lab".to_owned()));
    assert_says(&lab, "crates/shell/Cargo.toml: row 3 may not import `lab` of row dev");
    let test_up = with_crate("core", |known| known.test_imports.push("shell".to_owned()));
    assert_says(&test_up, "crates/core/Cargo.toml: row 2p may not import `shell` of row 3");
    assert!(with_crate("shell", |known| known.test_imports.push("other-shell".to_owned())).is_empty());
}

#[test]
fn manifests_say_their_row_and_take_the_lints() {
    assert_says(&with_crate("core", |known| known.row = None), "crates/core/Cargo.toml: say its row");
    assert_says(
        &with_crate("shell", |known| known.folder = "crates/lab".to_owned()),
        "crates/lab/Cargo.toml: its folder",
    );
    assert_says(&with("crates/shell/Cargo.toml", "[package]\n"), "crates/shell/Cargo.toml: take the workspace's lints");
}

#[test]
fn row_zero_stands_on_std_alone() {
    let units = with_crate("core", |known| {
        known.row = Some(Row::Units);
        known.imports.push("memchr".to_owned());
    });
    assert_says(&units, "crates/core/Cargo.toml: row 0 depends on nothing but std");
}

#[test]
fn pure_crates_bring_in_nothing_impure() {
    let below = with_crate("core", |known| known.closure = BTreeSet::from(["mio".to_owned()]));
    assert_says(&below, "crates/core/Cargo.toml: a pure crate depends on `mio`");
    for line in [
        "let now = std::time::Instant::now();",
        "std::time::SystemTime::now();",
        "thread::sleep(second);",
        "use std::fs;",
        "fn f(_: TcpStream) {}",
        "fn f(_: UdpSocket) {}",
        "fn f(_: UnixStream) {}",
        "use std::collections::HashMap;",
        "use std::collections::HashSet;",
    ] {
        assert_says(&with("crates/core/src/clock.rs", &format!("\n{line}\n")), "crates/core/src/clock.rs:2: `");
        assert!(with("crates/shell/src/clock.rs", line).is_empty(), "a shell may: {line}");
    }
    assert!(
        with("crates/core/src/clock.rs", "// Instant::now is the shell's.\nconst S: &str = \"sleep(1)\";\n").is_empty()
    );
}

#[test]
fn pure_crates_carry_one_clippy_file() {
    let (mut tree, mut workspace) = sound();
    let second = Crate { name: "core2".to_owned(), folder: "crates/core2".to_owned(), ..workspace.crates[0].clone() };
    workspace.crates.push(second);
    tree.insert("crates/core2/Cargo.toml", "[lints]\nworkspace = true\n");
    assert_says(&said(&tree, &workspace), "crates/core2/clippy.toml: every pure crate carries");
    tree.insert("crates/core2/clippy.toml", "x = 2\n");
    assert_says(&said(&tree, &workspace), "crates/core2/clippy.toml: it must be the same as crates/core/clippy.toml");
}

#[test]
fn banned_packages_are_not_depended_on() {
    let (tree, mut workspace) = sound();
    workspace.packages.insert("ring".to_owned());
    assert_says(&said(&tree, &workspace), "deny.toml: `ring` is banned");
}

#[test]
fn unsafe_stands_in_one_crate_with_its_reason() {
    let call = "fn f() {\n    unsafe { g() }\n}\n";
    assert_says(&with("crates/shell/src/call.rs", call), "crates/shell/src/call.rs:2: only the `linux` crate");
    assert_says(&with("crates/linux/src/call.rs", call), "crates/linux/src/call.rs:2: say above it why");
    let stale = "// SAFETY: g is sound.\nlet a = 1;\nlet b = unsafe { g() };\n";
    assert_says(&with("crates/linux/src/call.rs", stale), "crates/linux/src/call.rs:3: say above it why");
    let reasoned = "// SAFETY: g reads\n// nothing.\n#[inline]\nlet a =\n    unsafe { g() };\n";
    assert!(with("crates/linux/src/call.rs", reasoned).is_empty());
    let allowed = concat!("#![allow(unsa", "fe_code)]\n");
    assert_says(&with("crates/shell/src/call.rs", allowed), "crates/shell/src/call.rs:1: `allow(");
    assert!(with("crates/linux/src/call.rs", allowed).is_empty());
}

#[test]
fn functions_fit_a_screen() {
    let function = |lines: usize| format!("fn long_one() {{\n{}}}\n", "    step();\n".repeat(lines - 2));
    assert!(with("crates/shell/src/a.rs", &function(70)).is_empty());
    let name = "crates/shell/src/a.rs::long_one";
    assert_says(
        &with("crates/shell/src/a.rs", &function(71)),
        &format!("crates/shell/src/a.rs:1: {name} has 71 lines"),
    );

    let ratchet = |listed: usize, lines: usize| {
        let (mut tree, workspace) = sound();
        tree.insert(size::RATCHET, &format!("[functions]\n\"{name}\" = {listed}\n"));
        tree.insert("crates/shell/src/a.rs", &function(lines));
        (said(&tree, &workspace), size::lowered(&tree))
    };
    assert!(ratchet(80, 80).0.is_empty());
    assert_says(&ratchet(80, 81).0, &format!("crates/shell/src/a.rs:1: {name} has grown from 80 lines to 81"));
    assert!(ratchet(80, 81).1.contains(&format!("\"{name}\" = 80\n")));
    assert_says(&ratchet(80, 79).0, &format!("{}: {name} has shrunk to 79", size::RATCHET));
    assert!(ratchet(80, 79).1.contains(&format!("\"{name}\" = 79\n")));
    assert_says(&ratchet(80, 70).0, &format!("{}: {name} needs no exception", size::RATCHET));
    assert!(!ratchet(80, 70).1.contains(name));
    assert!(with(size::RATCHET, "[function]\n")[0].starts_with(size::RATCHET));
}

#[test]
fn long_files_say_why_and_none_is_longer_than_a_thousand_lines() {
    let file = |doc: &str, lines: usize| format!("{doc}\n{}", "// x\n".repeat(lines - 1));
    assert!(with("crates/shell/src/a.rs", &file("//! A.", 600)).is_empty());
    assert_says(&with("crates/shell/src/a.rs", &file("//! A.", 601)), "crates/shell/src/a.rs: 601 lines: split it");
    assert!(with("crates/shell/src/a.rs", &file("//! It is long because all is one table.", 1000)).is_empty());
    let name = "crates/shell/src/a.rs";
    assert_says(
        &with(name, &file("//! It is long.", 1001)),
        &format!("{name}: {name} has 1001 lines; 1000 are allowed"),
    );
}

#[test]
fn nothing_is_left_unfinished() {
    for line in [
        concat!("// TO", "DO later"),
        concat!("fn f() { to", "do!() }"),
        concat!("fn f() { unimpl", "emented!() }"),
        concat!("fn f() { db", "g!(1); }"),
        concat!("#[ig", "nore]"),
        concat!("#[ig", "nore = \"slow\"]"),
        concat!("#![allow(miss", "ing_docs)]"),
    ] {
        assert_says(&with("crates/shell/src/a.rs", line), "crates/shell/src/a.rs:1: ");
    }
    assert_says(&with("Makefile", concat!("# FIX", "ME")), "Makefile:1: ");
}

#[test]
fn nothing_tells_of_one_machine() {
    for word in [
        concat!("/ho", "me/me"),
        concat!("/ro", "ot/.x"),
        concat!("/wo", "rk/main"),
        concat!("https://static.", "crates.io/"),
    ] {
        assert_says(&with("docs/limits.md", &format!("[up](../README.md)\n{word}\n")), "docs/limits.md:2: ");
    }
    let lock = "source = \"registry+https://mirror.example/index\"\n";
    assert_says(&with("Cargo.lock", lock), "Cargo.lock:1: ");
    assert!(with("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n").is_empty());
}

#[test]
fn parsers_of_bytes_are_fuzzed() {
    let decoder = "impl Frame {\n    pub fn decode<'b>(bytes: &'b [u8]) -> Frame {}\n}\n";
    assert_says(&with("crates/shell/src/a.rs", decoder), "crates/shell/src/a.rs:2: shell::decode parses bytes");
    assert!(
        with("crates/shell/src/a.rs", "pub fn parse_duration(text: &str) {}\nfn parse_inner(b: &[u8]) {}\n").is_empty()
    );
    let listed = "\"core::parse_head\" = \"head\"\n\"core::parse_tail\" = \"head\"\n";
    assert_says(
        &with("crates/xtask/parsers.toml", listed),
        "crates/xtask/parsers.toml: core::parse_tail: there is no such function",
    );
    let listed = "\"core::parse_head\" = \"tail\"\n";
    assert_says(
        &with("crates/xtask/parsers.toml", listed),
        "crates/xtask/parsers.toml: core::parse_head: there is no fuzz/fuzz_targets/tail.rs",
    );
}

#[test]
fn documents_are_reachable_and_links_lead_somewhere() {
    assert_says(&with("docs/forgotten.md", "Nobody links here.\n"), "docs/forgotten.md: no link leads here");
    assert_says(
        &with("README.md", "[a](docs/limits.md)\n[b](docs/gone.md)\n"),
        "README.md:2: the link leads to docs/gone.md",
    );
    assert!(with("README.md", "[a](docs/limits.md#head) [b](crates/core)\n```\n[c](gone.md)\n```\n").is_empty());
}

#[test]
fn tests_that_the_table_of_faults_names_are_there() {
    let (mut tree, workspace) = sound();
    tree.insert("README.md", "[a](docs/limits.md), [b](docs/failover-faults.md)\n");
    tree.insert("crates/core/src/tests.rs", "#[test]\nfn it_is_there() {}\n");
    tree.insert("docs/failover-faults.md", "Not `of_the_table`.\n| a | `b` | `it_is_there` |\n");
    assert_eq!(said(&tree, &workspace), Vec::<String>::new());
    tree.insert("docs/failover-faults.md", "| a | `b` | `it_is_there`, `it_is_gone` |\n");
    assert_says(&said(&tree, &workspace), "docs/failover-faults.md:1: there is no test it_is_gone");
}

#[test]
fn every_foreign_crate_has_its_reason_and_its_use() {
    let (mut tree, mut workspace) = sound();
    tree.insert("Cargo.toml", "[workspace.dependencies]\nlibc = \"0.2\"\nmemchr = { version = \"2\" }\n");
    workspace.crates[2].imports.push("memchr".to_owned());
    assert_says(&said(&tree, &workspace), "ARCHITECTURE.md: say what `memchr` is for");
    tree.insert("ARCHITECTURE.md", "## Dependencies\n\n- `libc`: more.\n- `memchr`: bytes.\n");
    assert_eq!(said(&tree, &workspace), Vec::<String>::new());
    workspace.crates[2].imports.pop();
    assert_says(&said(&tree, &workspace), "Cargo.toml: no crate uses `memchr`");
    workspace.crates[2].imports.push("memchr".to_owned());
    tree.insert("ARCHITECTURE.md", "## Dependencies\n\n- `libc`: more.\n- `memchr`: bytes.\n- `nix`: gone.\n");
    assert_says(&said(&tree, &workspace), "ARCHITECTURE.md:5: `nix` is no dependency");
}
