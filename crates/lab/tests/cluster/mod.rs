//! The cluster of `examples/cluster-http.toml` and `cluster-http-origin.toml`, in clear text on ports of its own.

use std::fs;
use std::path::{Path, PathBuf};

use lab::{Host, Lab, Perron};

/// One tree for all: the shared file system.
pub(crate) fn tree(host: &Host) -> PathBuf {
    let root = host.new_folder("cluster");
    fs::create_dir(root.join("images")).expect("the folder is ours");
    fs::write(root.join("images/node.img"), vec![b'1'; 100_000]).expect("the folder is ours");
    root
}

/// Of island 1, of island 2, and the worker.
#[track_caller]
pub(crate) fn origins(lab: &Lab, root: &Path) -> Vec<Perron> {
    let text = without_tls("cluster-http-origin.toml", &[("/srv/cluster", plain(root))]);
    let hosts = [("island1-a", "10.20.1.1/16"), ("island2-a", "10.20.2.1/16"), ("worker1", "10.20.0.31/16")];
    hosts.map(|(name, address)| Perron::start(&lab.host(name, address), &text)).into()
}

/// What a director is told.
#[track_caller]
pub(crate) fn director_text() -> String {
    without_tls(
        "cluster-http.toml",
        &[
            ("island1-a.cluster.example", "10.20.1.1:443"),
            ("island2-a.cluster.example", "10.20.2.1:443"),
            ("worker1.cluster.example", "10.20.0.31:443"),
            ("\"2s\"", "\"200ms\""),
        ],
    )
}

/// A path as text.
#[track_caller]
pub(crate) fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// An example without what needs TLS, and with these words in the place of others.
#[track_caller]
fn without_tls(name: &str, swaps: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(lab::examples().join(name)).expect("the example is there");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("tls = ")).collect();
    assert!(lines.len() < text.lines().count(), "{name} has no TLS to leave out");
    let always = [("https://", "http://"), ("type = \"https\"", "type = \"http\""), (", ca = \"tls/ca.pem\"", "")];
    let mut text = lines.join("\n");
    for (old, new) in always.iter().chain(swaps) {
        text = text.replace(old, new);
    }
    text
}
