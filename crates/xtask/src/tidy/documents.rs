use std::collections::BTreeSet;

use super::{Crate, Problem, Tree, Workspace, complain};

/// Where a reader begins.
const ENTRANCES: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

/// What goes wrong, and the tests that hold us to what is done then: their names, of several words, stand in backquotes.
const FAULTS: &str = "docs/failover-faults.md";

/// Documents are reachable, their links lead somewhere, and each foreign crate has its reason.
pub(super) fn rules(tree: &Tree, workspace: &Workspace, found: &mut Vec<Problem>) {
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
    reasons(tree, workspace, found);
    named_tests(tree, found);
}

fn named_tests(tree: &Tree, found: &mut Vec<Problem>) {
    let text = tree.text(FAULTS).unwrap_or_default();
    let rows = text.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    for (index, line) in rows {
        let quoted = line.split('`').skip(1).step_by(2);
        for name in quoted.filter(|name| name.contains('_')) {
            let function = format!("fn {name}(");
            if !tree.files().any(|(_, file)| file.code.contains(&function)) {
                complain(found, FAULTS, index + 1, format!("there is no test {name}"));
            }
        }
    }
}

fn reasons(tree: &Tree, workspace: &Workspace, found: &mut Vec<Problem>) {
    let manifest = tree.text("Cargo.toml").and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let listed = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let entries = listed.and_then(toml::Value::as_table).into_iter().flatten();
    let foreign: Vec<&str> =
        entries.filter(|(_, entry)| entry.get("path").is_none()).map(|(name, _)| name.as_str()).collect();
    let reasons = explained(tree.text("ARCHITECTURE.md").unwrap_or_default());
    for &name in &foreign {
        if !reasons.iter().any(|(_, known)| *known == name) {
            complain(
                found,
                "ARCHITECTURE.md",
                0,
                format!("say what `{name}` is for: a line that begins \"- `{name}`\""),
            );
        }
        let imports = |known: &Crate| known.imports.iter().chain(&known.test_imports).any(|import| import == name);
        if !workspace.crates.iter().any(imports) {
            complain(found, "Cargo.toml", 0, format!("no crate uses `{name}`: remove it"));
        }
    }
    for (line, name) in reasons {
        if !foreign.contains(&name) {
            complain(found, "ARCHITECTURE.md", line, format!("`{name}` is no dependency: remove the line"));
        }
    }
}

/// The dependencies that have a line of their own below the heading "Dependencies".
fn explained(architecture: &str) -> Vec<(usize, &str)> {
    let numbered = architecture.lines().enumerate().map(|(index, line)| (index + 1, line));
    let below = numbered.skip_while(|(_, line)| *line != "## Dependencies").skip(1);
    let section = below.take_while(|(_, line)| !line.starts_with("## "));
    section.filter_map(|(number, line)| Some((number, line.strip_prefix("- `")?.split('`').next()?))).collect()
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
