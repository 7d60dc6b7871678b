use super::code::{line_of, word_places};
use super::{Problem, Tree, complain};

/// Marks of unfinished work, in any text.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Rust that is not finished, or not meant to stay.
const UNFINISHED: [(&str, &str); 6] = [
    (concat!("to", "do!"), "finish it"),
    (concat!("unimpl", "emented!"), "finish it"),
    (concat!("db", "g!"), "remove it"),
    (concat!("#[ig", "nore"), "a test runs or does not exist; one that lacks what it needs says so loudly and returns"),
    (concat!("allow(miss", "ing_docs"), "every public item is documented"),
    (concat!("allow(unsa", "fe_code"), "only the `linux` crate holds `unsafe`"),
];

/// Words that tell of the machine on which a text was written, not of the program.
const PLACES: [&str; 7] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/."),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("static.", "crates.io"),
    concat!("artifact", "ory"),
    concat!("registry.", "npmjs"),
];

/// The one place that packages come from, in Cargo.lock.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// No marks of unfinished work, no words of the machine it was written on.
pub(super) fn rules(tree: &Tree, found: &mut Vec<Problem>) {
    for (path, file) in tree.files() {
        for mark in MARKS {
            for at in word_places(&file.text, mark) {
                complain(found, path, line_of(&file.text, at), format!("{mark}: do it, or open an issue"));
            }
        }
        for word in PLACES {
            for (at, _) in file.text.match_indices(word) {
                complain(
                    found,
                    path,
                    line_of(&file.text, at),
                    format!("`{word}` belongs to one machine: leave it out"),
                );
            }
        }
        for (words, instead) in UNFINISHED {
            if words.starts_with(concat!("allow(unsa", "fe")) && path.starts_with("crates/linux/") {
                continue;
            }
            for (at, _) in file.code.match_indices(words) {
                complain(found, path, line_of(&file.code, at), format!("`{words}`: {instead}"));
            }
        }
    }
    for (index, line) in tree.text("Cargo.lock").unwrap_or_default().lines().enumerate() {
        if let Some(source) = line.strip_prefix("source = ")
            && source.trim_matches('"') != REGISTRY
        {
            complain(found, "Cargo.lock", index + 1, format!("{source} is not where packages come from"));
        }
    }
}
