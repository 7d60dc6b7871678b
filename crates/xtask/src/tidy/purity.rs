use super::code::{line_of, word_places};
use super::{Problem, Row, Tree, Workspace, complain};

/// What sources of pure crates do not say, and what they say instead.
const IMPURE: [(&str, &str); 17] = [
    ("Instant::now", "take `now: units::Instant` as an argument"),
    ("SystemTime::now", "take the date as an argument"),
    ("sleep", "return a deadline; the shell waits"),
    ("std::fs", "the shell reads files"),
    ("File", "the shell reads files"),
    ("std::env", "take it as an argument"),
    ("std::process", "the shell starts processes"),
    ("std::thread", "the shell owns the threads"),
    ("TcpStream", "the shell owns the sockets"),
    ("TcpListener", "the shell owns the sockets"),
    ("UdpSocket", "the shell owns the sockets"),
    ("UnixStream", "the shell owns the sockets"),
    ("UnixListener", "the shell owns the sockets"),
    ("UnixDatagram", "the shell owns the sockets"),
    ("println", "return what is to be said"),
    ("HashMap", "its order is chance: use a BTreeMap or a Vec"),
    ("HashSet", "its order is chance: use a BTreeSet or a Vec"),
];

/// Lines above an `unsafe` in which its reason is looked for.
const REASON_LINES: usize = 16;

/// Pure rows say nothing impure; `unsafe` stands in one crate, each with its reason.
pub(super) fn rules(tree: &Tree, workspace: &Workspace, found: &mut Vec<Problem>) {
    for known in workspace.crates.iter().filter(|known| known.row.is_some_and(Row::is_pure)) {
        let folder = format!("{}/src/", known.folder);
        for (path, file) in tree.sources(&folder) {
            for (word, instead) in IMPURE {
                for at in word_places(&file.code, word) {
                    complain(found, path, line_of(&file.code, at), format!("`{word}` in a pure crate: {instead}"));
                }
            }
        }
    }
    for (path, file) in tree.sources("") {
        let lines: Vec<&str> = file.text.lines().collect();
        for at in word_places(&file.code, "unsafe") {
            let line = line_of(&file.code, at);
            if !path.starts_with("crates/linux/") {
                complain(found, path, line, "only the `linux` crate holds `unsafe`: wrap it there");
            } else if !has_reason(&lines, line) {
                complain(found, path, line, "say above it why it is sound: `// SAFETY: …`");
            }
        }
    }
}

/// Whether the comment or statement that ends at this line (counted from one) names the reason.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let above = lines[..line].iter().rev().take(REASON_LINES);
    for (distance, text) in above.enumerate() {
        if text.contains("SAFETY:") || text.contains("# Safety") {
            return true;
        }
        let text = text.trim();
        let is_remark = text.starts_with("//") || text.starts_with("#[");
        if distance > 0 && !is_remark && (text.is_empty() || text.ends_with(';') || text.ends_with('}')) {
            return false;
        }
    }
    false
}
