use super::code::functions;
use super::{Problem, Row, Tree, Workspace, complain};

/// Which fuzz target reaches which parser of outside bytes: `crate::function` and the target's name.
const PARSERS: &str = "crates/xtask/parsers.toml";

/// Every public function that parses or decodes bytes, and every listed one, has a fuzz target.
pub(super) fn rules(tree: &Tree, workspace: &Workspace, found: &mut Vec<Problem>) {
    let listed = tree.text(PARSERS).and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    for (parser, target) in &listed {
        let target = target.as_str().unwrap_or_default();
        if !tree.has(&format!("fuzz/fuzz_targets/{target}.rs")) {
            complain(found, PARSERS, 0, format!("{parser}: there is no fuzz/fuzz_targets/{target}.rs"));
        }
        if !exists(tree, parser) {
            complain(found, PARSERS, 0, format!("{parser}: there is no such function"));
        }
    }
    for known in workspace.crates.iter().filter(|known| known.row.is_some_and(|row| row != Row::Dev)) {
        for (path, file) in tree.sources(&format!("{}/src/", known.folder)) {
            for function in functions(&file.code) {
                let reads = function.name.starts_with("parse") || function.name.starts_with("decode");
                let key = format!("{}::{}", known.name, function.name);
                if function.public && reads && function.signature.contains("[u8]") && !listed.contains_key(&key) {
                    complain(
                        found,
                        path,
                        function.line,
                        format!("{key} parses bytes: fuzz it, and add it to {PARSERS}"),
                    );
                }
            }
        }
    }
}

fn exists(tree: &Tree, parser: &str) -> bool {
    let Some((name, function)) = parser.rsplit_once("::") else {
        return false;
    };
    let folder = format!("crates/{}/src/", name.split("::").next().unwrap_or(name));
    tree.sources(&folder).any(|(_, file)| functions(&file.code).iter().any(|known| known.name == function))
}
