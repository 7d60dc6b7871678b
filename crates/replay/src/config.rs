//! Whatever a configuration says, it is read to the end, and each problem is told with its place.

use config::{Diagnostics, Excerpt, Loaded, Sources};

/// The texts of a folder's files, with a NUL between two of them.
pub fn config(bytes: &[u8]) {
    let texts: Vec<(String, String)> = bytes
        .split(|&byte| byte == 0)
        .enumerate()
        .map(|(number, text)| (format!("{number}.toml"), String::from_utf8_lossy(text).into_owned()))
        .collect();
    let found = load(texts.clone());
    match &found {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0);
            told(&loaded.warnings, &texts);
            is_in_step(loaded);
        }
        Err(wrong) => {
            assert!(wrong.errors() > 0);
            told(wrong, &texts);
        }
    }
    // A file that says nothing changes nothing.
    let with_empty = [texts, vec![("empty.toml".to_owned(), String::new())]].concat();
    assert_eq!(load(with_empty), found);
}

fn load(texts: Vec<(String, String)>) -> Result<Loaded, Diagnostics> {
    config::load(&Sources::from_texts(texts, "/etc/perron".into()))
}

/// Each diagnostic shows a line that is there, for people and for programs.
fn told(diagnostics: &Diagnostics, texts: &[(String, String)]) {
    let plain = diagnostics.to_string();
    assert!(diagnostics.coloured().len() >= plain.len());
    for diagnostic in &diagnostics.0 {
        assert!(!diagnostic.message.is_empty());
        assert!(plain.contains(&diagnostic.at.place.to_string()));
        is_there(&diagnostic.at, texts);
        if let Some(note) = &diagnostic.note {
            is_there(&note.at, texts);
        }
    }
    serde_json::to_string(diagnostics).expect("JSON can say it");
}

fn is_there(excerpt: &Excerpt, texts: &[(String, String)]) {
    let (_, text) = texts.iter().find(|(name, _)| *name == excerpt.place.file).expect("the place is in a file");
    let line = text.split('\n').nth(excerpt.place.line as usize - 1).expect("the place is on a line");
    assert_eq!(excerpt.text, line.trim_end_matches('\r'));
    assert!((excerpt.place.column as usize) <= line.chars().count() + 1);
}

/// What points to another part points to one that is there.
fn is_in_step(loaded: &Loaded) {
    let config = &loaded.config;
    let (frontends, backends) = (&config.proxy.frontends, &config.proxy.backends);
    assert!(config.listens.iter().all(|listen| usize::from(listen.frontend.0) < frontends.len()));
    let checked: Vec<usize> = config.checks.iter().map(Vec::len).collect();
    assert_eq!(checked, backends.iter().map(|backend| backend.servers.len()).collect::<Vec<_>>());
    for backend in backends {
        assert_eq!(backend.pool.servers.len(), backend.servers.len());
    }
}
