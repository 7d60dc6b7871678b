use std::collections::BTreeSet;

use super::{Problem, Tree, complain};

/// Where a reader begins.
const ENTRANCES: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

/// Documents are reachable, their links lead somewhere, and each foreign crate has its reason.
pub(super) fn rules(tree: &Tree, found: &mut Vec<Problem>) {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut ahead: Vec<String> = ENTRANCES.iter().map(|&path| path.to_owned()).collect();
    while let Some(path) = ahead.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let Some(text) = tree.text(&path).filter(|_| path.ends_with(".md")) else {
            continue;
        };
        for (line, target) in links(text) {
            let target = beside(&path, target);
            if tree.files().all(|(known, _)| known != target && !known.starts_with(&format!("{target}/"))) {
                complain(found, &path, line, format!("the link leads to {target}, which is not there"));
            }
            ahead.push(target);
        }
    }
    for (path, _) in tree.files().filter(|(path, _)| path.starts_with("docs/")) {
        if !reached.contains(path) {
            complain(found, path, 0, "no link leads here from README.md or ARCHITECTURE.md");
        }
    }
    reasons(tree, found);
}

fn reasons(tree: &Tree, found: &mut Vec<Problem>) {
    let manifest = tree.text("Cargo.toml").and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let listed = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let architecture = tree.text("ARCHITECTURE.md").unwrap_or_default();
    for (name, entry) in listed.and_then(toml::Value::as_table).into_iter().flatten() {
        let is_ours = entry.get("path").is_some();
        if !is_ours && !architecture.lines().any(|line| line.starts_with(&format!("- `{name}`"))) {
            complain(
                found,
                "ARCHITECTURE.md",
                0,
                format!("say what `{name}` is for: a line that begins \"- `{name}`\""),
            );
        }
    }
}

/// A Markdown text's links to files, each with its line; those in code blocks are none.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = targets.map(|target| target.split('#').next().unwrap_or(target));
        found.extend(files.filter(|file| !file.is_empty() && !file.contains("://")).map(|file| (index + 1, file)));
    }
    found
}

/// The path that a link in the document at `path` leads to.
fn beside(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
