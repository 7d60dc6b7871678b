use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Crate, Row, Workspace};

/// What `cargo metadata` prints, as far as it matters here.
#[derive(Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: String,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Metadata {
    pub(super) fn into_workspace(self) -> Workspace {
        let names: BTreeMap<&str, &str> =
            self.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let arrows: BTreeMap<&str, Vec<&str>> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node.runtime_imports())).collect();
        let ours = self.packages.iter().filter(|package| self.workspace_members.contains(&package.id));
        let mut crates: Vec<Crate> = ours
            .map(|package| {
                let folder = package.manifest_path.trim_end_matches("/Cargo.toml");
                let (tests, imports): (Vec<_>, Vec<_>) =
                    package.dependencies.iter().partition(|import| import.kind.as_deref() == Some("dev"));
                Crate {
                    name: package.name.clone(),
                    folder: folder.strip_prefix(&self.workspace_root).unwrap_or(folder).trim_matches('/').to_owned(),
                    row: package.row(),
                    imports: imports.into_iter().map(|import| import.name.clone()).collect(),
                    test_imports: tests.into_iter().map(|import| import.name.clone()).collect(),
                    closure: closure(&package.id, &arrows, &names),
                }
            })
            .collect();
        crates.sort_by(|one, other| one.name.cmp(&other.name));
        let reached = self.resolve.nodes.iter().filter_map(|node| names.get(node.id.as_str()));
        Workspace { crates, packages: reached.map(|name| (*name).to_owned()).collect() }
    }
}

impl Package {
    fn row(&self) -> Option<Row> {
        let word = self.metadata.as_ref()?.get("perron")?.get("row")?.as_str()?;
        Row::from_word(word)
    }
}

impl Node {
    fn runtime_imports(&self) -> Vec<&str> {
        let shipped =
            |import: &&NodeDependency| import.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
        self.deps.iter().filter(shipped).map(|import| import.pkg.as_str()).collect()
    }
}

fn closure(id: &str, arrows: &BTreeMap<&str, Vec<&str>>, names: &BTreeMap<&str, &str>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut ahead: Vec<&str> = arrows.get(id).cloned().unwrap_or_default();
    while let Some(next) = ahead.pop() {
        if seen.insert(next) {
            ahead.extend(arrows.get(next).into_iter().flatten());
        }
    }
    seen.into_iter().filter_map(|id| names.get(id)).map(|name| (*name).to_owned()).collect()
}
