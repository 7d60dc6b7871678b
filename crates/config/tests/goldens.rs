//! What an operator is told of each mistake: `tests/bad/NAME.toml`, or a folder NAME of several, and `NAME.expected`.
//!
//! `UPDATE=1` writes the expected texts anew; read them before they are kept.

use std::path::{Path, PathBuf};
use std::{env, fs};

use config::Sources;

fn bad() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

/// The file, or every file of the folder, named without the folder that this machine keeps them in.
fn sources(path: &Path) -> Sources {
    let read = Sources::read(path).expect("the case can be read");
    let prefix = format!("{}/", bad().display());
    let texts = read.texts().into_iter().map(|(name, text)| (name.replace(&prefix, ""), text));
    Sources::from_texts(texts.collect(), "/etc/perron".into())
}

#[test]
fn mistakes_are_explained() {
    let mut differ = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(bad()).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let expected = path.with_extension("expected");
        if path == expected {
            continue;
        }
        cases += 1;
        let told = match config::load(&sources(&path)) {
            Ok(loaded) => loaded.warnings,
            Err(wrong) => wrong,
        };
        let told = told.to_string();
        assert!(!told.is_empty(), "{} says nothing", path.display());
        if env::var_os("UPDATE").is_some() {
            fs::write(&expected, &told).expect("the expected text can be written");
        }
        if fs::read_to_string(&expected).unwrap_or_default() != told {
            differ.push(format!("{}:\n{told}", path.display()));
        }
    }
    assert!(cases > 20, "only {cases} cases");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn every_line_with_a_mistake_is_told() {
    let told = config::load(&sources(&bad().join("many.toml"))).expect_err("it is full of mistakes");
    let lines: Vec<u32> = told.0.iter().map(|diagnostic| diagnostic.at.place.line).collect();
    let text = fs::read_to_string(bad().join("many.toml")).expect("it is there");
    let marked = (1..).zip(text.lines()).filter(|(_, line)| line.contains("# wrong"));
    assert_eq!(lines, marked.map(|(number, _)| number).collect::<Vec<u32>>());
}

#[test]
fn programs_read_the_same() {
    let text = "[frontend.web]\nbind = \"10.0.0.1\"\nbackend = \"app\"\n".to_owned();
    let sources = Sources::from_texts(vec![("a.toml".into(), text)], "/etc/perron".into());
    let told = config::load(&sources).expect_err("two mistakes");
    let json = serde_json::to_value(&told).expect("it can be written");
    assert_eq!(
        json[0],
        serde_json::json!({
            "severity": "error", "message": "nobody can listen at \"10.0.0.1\"",
            "file": "a.toml", "line": 2, "column": 8, "text": "bind = \"10.0.0.1\"",
            "help": "write its port: \"10.0.0.1:80\"",
            "note": null
        })
    );
    assert_eq!(json[1]["message"], "there is no backend \"app\"");
}
