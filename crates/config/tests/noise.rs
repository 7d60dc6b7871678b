//! No text makes the reader panic, whatever stands where.

use std::fs;
use std::path::Path;

use config::Sources;

const VALUES: [&str; 11] =
    ["5", "-1", "1.5", "true", "\"\"", "\"x\"", "\"/x\"", "\"10.0.0.1:80\"", "[]", "{}", "[{ type = \"http\" }, 5]"];

fn load(text: String) {
    let sources = Sources::from_texts(vec![("noise.toml".into(), text)], "/etc/perron".into());
    match config::load(&sources) {
        Ok(loaded) => drop(loaded.warnings.coloured()),
        Err(told) => assert!(told.errors() > 0 && !told.to_string().is_empty()),
    }
}

/// Every text at hand, right or wrong.
fn texts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["tests/bad", "../../examples"] {
        for entry in fs::read_dir(root.join(folder)).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                texts.push(fs::read_to_string(path).expect("it is text"));
            }
        }
    }
    texts
}

#[test]
fn any_line_may_be_missing() {
    for text in texts() {
        let lines: Vec<&str> = text.lines().collect();
        for missing in 0..lines.len() {
            let (before, after) = (lines[..missing].join("\n"), lines[missing + 1..].join("\n"));
            load(format!("{before}\n{after}"));
        }
    }
}

#[test]
fn any_key_may_have_any_value() {
    for text in texts() {
        let lines: Vec<&str> = text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            let Some((key, _)) = line.split_once('=') else { continue };
            for value in VALUES {
                let (before, after) = (lines[..place].join("\n"), lines[place + 1..].join("\n"));
                load(format!("{before}\n{key} = {value}\n{after}"));
            }
        }
    }
}

#[test]
fn any_text_may_end_anywhere() {
    for text in texts() {
        for (end, _) in text.char_indices().step_by(13) {
            load(text[..end].to_owned());
        }
    }
}

#[test]
fn letters_beyond_ascii_are_underlined_where_they_stand() {
    let text = "[frontend.\"é\"]\nbind = \"0.0.0.0:80\"\nbackend = \"größe\" # ←\n\"état\" = 1\n";
    let sources = Sources::from_texts(vec![("ü.toml".into(), text.into())], "/etc/perron".into());
    let told = config::load(&sources).expect_err("three mistakes");
    let places: Vec<String> = told.0.iter().map(|diagnostic| diagnostic.at.place.to_string()).collect();
    assert_eq!(places, ["ü.toml:1:11", "ü.toml:3:11", "ü.toml:4:1"]);
}
