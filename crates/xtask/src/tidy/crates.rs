mod metadata;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::{Problem, Tree, complain};

/// What a pure crate's dependencies must not bring in, however far down.
const IMPURE: [&str; 10] =
    ["tokio", "mio", "libc", "nix", "rustix", "socket2", "rand", "getrandom", "async-std", "polling"];

/// The platform whose dependencies count.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A crate's place: arrows go to a lower row only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// 0: `std` only.
    Units,
    /// 1: bytes.
    Wire,
    /// 2p: cores without clock, socket or chance of their own.
    Pure,
    /// 2s: the system, wrapped.
    System,
    /// 3: sockets, timers, processes.
    Shell,
    /// 4: from text to what the cores need.
    Config,
    /// 5: what an operator sees.
    Admin,
    /// 6: the program.
    Program,
    /// Never shipped.
    Dev,
}

impl Row {
    /// The row that a manifest's word names.
    pub fn from_word(word: &str) -> Option<Row> {
        Some(match word {
            "0" => Row::Units,
            "1" => Row::Wire,
            "2p" => Row::Pure,
            "2s" => Row::System,
            "3" => Row::Shell,
            "4" => Row::Config,
            "5" => Row::Admin,
            "6" => Row::Program,
            "dev" => Row::Dev,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Row::Units => "0",
            Row::Wire => "1",
            Row::Pure => "2p",
            Row::System => "2s",
            Row::Shell => "3",
            Row::Config => "4",
            Row::Admin => "5",
            Row::Program => "6",
            Row::Dev => "dev",
        }
    }

    /// 2p and 2s stand at the same height: neither imports the other.
    fn height(self) -> u8 {
        match self {
            Row::Units => 0,
            Row::Wire => 1,
            Row::Pure | Row::System => 2,
            Row::Shell => 3,
            Row::Config => 4,
            Row::Admin => 5,
            Row::Program => 6,
            Row::Dev => 7,
        }
    }

    /// Whether crates of this row do without clock, socket, file and chance.
    pub(super) fn is_pure(self) -> bool {
        matches!(self, Row::Units | Row::Wire | Row::Pure)
    }

    /// A lower row; crates that are never shipped may import anything.
    fn may_import(self, other: Row) -> bool {
        self == Row::Dev || other.height() < self.height()
    }

    /// For their tests crates may also use their own row and those that are never shipped.
    fn tests_may_import(self, other: Row) -> bool {
        self.may_import(other) || other == Row::Dev || other.height() == self.height()
    }
}

/// One of our crates.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Also the name of its folder.
    pub name: String,
    /// Below the repository's root.
    pub folder: String,
    /// As its manifest says; `None` if it says nothing we know.
    pub row: Option<Row>,
    /// What it and its build script import directly.
    pub imports: Vec<String>,
    /// What only its tests import.
    pub test_imports: Vec<String>,
    /// Everything that its imports bring in.
    pub closure: BTreeSet<String>,
}

/// Our crates, and everything that they are built from.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// In the order of their names.
    pub crates: Vec<Crate>,
    /// The names of all packages, foreign ones too.
    pub packages: BTreeSet<String>,
}

impl Workspace {
    /// What `cargo metadata` says of the workspace at `root`.
    ///
    /// # Errors
    /// If cargo cannot be run or fails.
    pub fn read(root: &Path) -> anyhow::Result<Workspace> {
        let said = cargo(root, &["metadata", "--format-version", "1", "--filter-platform", PLATFORM])?;
        let metadata: metadata::Metadata = serde_json::from_slice(&said).context("cargo metadata")?;
        // Metadata names what is in the lock file, also for features that nobody asks for.
        let tree =
            ["tree", "--workspace", "--target", PLATFORM, "--edges", "all", "--prefix", "none", "--format", "{p}"];
        let built = String::from_utf8(cargo(root, &tree)?).context("cargo tree")?;
        let packages = built.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        Ok(Workspace { packages, ..metadata.into_workspace() })
    }

    fn row(&self, name: &str) -> Option<Option<Row>> {
        self.crates.iter().find(|known| known.name == name).map(|known| known.row)
    }
}

/// What cargo says.
fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program).args(arguments).current_dir(root).output().context("cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// Rows, arrows, dependencies and the manifests' common parts.
pub(super) fn rules(tree: &Tree, workspace: &Workspace, found: &mut Vec<Problem>) {
    let banned = banned_packages(tree);
    for name in workspace.packages.iter().filter(|&name| banned.contains(name)) {
        complain(
            found,
            "deny.toml",
            0,
            format!("`{name}` is banned, and something depends on it: see `cargo tree -i {name}`"),
        );
    }
    for known in &workspace.crates {
        let manifest = format!("{}/Cargo.toml", known.folder);
        let Some(row) = known.row else {
            complain(found, &manifest, 0, "say its row: [package.metadata.perron] row = \"…\"");
            continue;
        };
        if known.folder != format!("crates/{}", known.name) {
            complain(found, &manifest, 0, format!("its folder should be crates/{}", known.name));
        }
        arrows(workspace, known, row, &manifest, found);
        let lints = tree.text(&manifest).and_then(|text| text.parse::<toml::Table>().ok()).is_some_and(|table| {
            table.get("lints").and_then(|lints| lints.get("workspace")) == Some(&toml::Value::Boolean(true))
        });
        if !lints {
            complain(found, &manifest, 0, "take the workspace's lints: [lints] workspace = true");
        }
    }
    same_clippy_everywhere(tree, workspace, found);
}

fn arrows(workspace: &Workspace, known: &Crate, row: Row, manifest: &str, found: &mut Vec<Problem>) {
    for (imports, allowed) in
        [(&known.imports, Row::may_import as fn(Row, Row) -> bool), (&known.test_imports, Row::tests_may_import)]
    {
        for import in imports {
            if let Some(Some(other)) = workspace.row(import)
                && !allowed(row, other)
            {
                complain(
                    found,
                    manifest,
                    0,
                    format!(
                        "row {} may not import `{import}` of row {}: arrows go to lower rows only",
                        row.word(),
                        other.word()
                    ),
                );
            }
        }
    }
    if row == Row::Units && !known.imports.is_empty() {
        complain(found, manifest, 0, "row 0 depends on nothing but std");
    }
    if row.is_pure() {
        for import in known.closure.iter().filter(|&import| IMPURE.contains(&import.as_str())) {
            complain(
                found,
                manifest,
                0,
                format!("a pure crate depends on `{import}`: see `cargo tree -p {} -i {import}`", known.name),
            );
        }
    }
}

/// A crate's clippy.toml replaces the root's and does not merge with it, so each pure crate carries the same one.
fn same_clippy_everywhere(tree: &Tree, workspace: &Workspace, found: &mut Vec<Problem>) {
    let mut first: Option<(&str, &str)> = None;
    for known in workspace.crates.iter().filter(|known| known.row.is_some_and(Row::is_pure)) {
        let path = format!("{}/clippy.toml", known.folder);
        match (tree.text(&path), first) {
            (None, _) => complain(found, &path, 0, "every pure crate carries the common clippy.toml: copy another's"),
            (Some(text), None) => first = Some((&known.folder, text)),
            (Some(text), Some((folder, common))) if text != common => {
                complain(found, &path, 0, format!("it must be the same as {folder}/clippy.toml"));
            }
            (Some(_), Some(_)) => {}
        }
    }
}

fn banned_packages(tree: &Tree) -> BTreeSet<String> {
    let table = tree.text("deny.toml").and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let entries = table.get("bans").and_then(|bans| bans.get("deny")).and_then(toml::Value::as_array);
    let names = entries.into_iter().flatten().filter_map(|entry| entry.get("name").or(entry.get("crate")));
    names.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}
