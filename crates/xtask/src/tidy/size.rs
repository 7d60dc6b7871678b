use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::code::functions;
use super::{Problem, Tree, complain};

/// Larger functions and files than the limits allow, each with the size that it may only shrink from.
pub(super) const RATCHET: &str = "crates/xtask/ratchet.toml";

/// A function fits a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// A longer file says in its module documentation why it is long.
const FILE_LINES_EXPLAINED: usize = 600;

/// No file is longer.
const FILE_LINES_MAX: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratchet {
    #[serde(default)]
    files: BTreeMap<String, usize>,
    #[serde(default)]
    functions: BTreeMap<String, usize>,
}

/// Sizes of files and functions.
pub(super) fn rules(tree: &Tree, found: &mut Vec<Problem>) {
    let ratchet = read_ratchet(tree, found);
    let files = large_files(tree);
    let functions = large_functions(tree);
    compare(&ratchet.files, &files, FILE_LINES_MAX, found);
    compare(&ratchet.functions, &functions, FUNCTION_LINES_MAX, found);
    for (path, file) in tree.sources("") {
        let lines = file.text.lines().count();
        let explained = file.text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("long"));
        if lines > FILE_LINES_EXPLAINED && !explained && !path.ends_with("tests.rs") && !path.contains("/tests/") {
            complain(
                found,
                path,
                0,
                format!("{lines} lines: split it, or say in its module documentation why it is long"),
            );
        }
    }
}

/// The ratchet as it would be with the sizes of today, none of them raised.
pub(super) fn lowered(tree: &Tree) -> String {
    let ratchet = read_ratchet(tree, &mut Vec::new());
    let mut text = String::from(
        "# What is larger than allowed, with its lines. It may only shrink: `cargo xtask ratchet` lowers the numbers.\n",
    );
    for (title, listed, large) in
        [("files", &ratchet.files, large_files(tree)), ("functions", &ratchet.functions, large_functions(tree))]
    {
        let _ = write!(text, "\n[{title}]\n");
        for (name, limit) in listed {
            if let Some((lines, _)) = large.get(name) {
                let _ = writeln!(text, "\"{name}\" = {}", lines.min(limit));
            }
        }
    }
    text
}

fn read_ratchet(tree: &Tree, found: &mut Vec<Problem>) -> Ratchet {
    let text = tree.text(RATCHET).unwrap_or_default();
    toml::from_str(text).unwrap_or_else(|error| {
        complain(found, RATCHET, 0, format!("{error}"));
        Ratchet::default()
    })
}

/// What is larger than allowed, by name: its lines, and the line where it begins.
type Large = BTreeMap<String, (usize, usize)>;

fn large_files(tree: &Tree) -> Large {
    let sizes = tree.sources("").map(|(path, file)| (path.to_owned(), (file.text.lines().count(), 0)));
    sizes.filter(|(_, (lines, _))| *lines > FILE_LINES_MAX).collect()
}

fn large_functions(tree: &Tree) -> Large {
    let mut large = Large::new();
    for (path, file) in tree.sources("") {
        for function in functions(&file.code).iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            let size = large.entry(format!("{path}::{}", function.name)).or_default();
            *size = (*size).max((function.lines, function.line));
        }
    }
    large
}

fn compare(listed: &BTreeMap<String, usize>, large: &Large, limit: usize, found: &mut Vec<Problem>) {
    for (name, (lines, line)) in large {
        let path = name.split("::").next().unwrap_or(name);
        match listed.get(name) {
            None => complain(found, path, *line, format!("{name} has {lines} lines; {limit} are allowed: split it")),
            Some(before) if lines > before => {
                complain(
                    found,
                    path,
                    *line,
                    format!("{name} has grown from {before} lines to {lines}: it may only shrink"),
                );
            }
            Some(before) if lines < before => {
                complain(found, RATCHET, 0, format!("{name} has shrunk to {lines} lines: run `cargo xtask ratchet`"));
            }
            Some(_) => {}
        }
    }
    for name in listed.keys().filter(|&name| !large.contains_key(name)) {
        complain(found, RATCHET, 0, format!("{name} needs no exception: run `cargo xtask ratchet`"));
    }
}
