use proxy::config::{BackendTimeouts, FrontendTimeouts};

use crate::reference::SCHEMAS;
use crate::schema::Fallback;
use crate::{Loaded, Sources, load, reference};

fn loaded(text: &str) -> Loaded {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"))
}

#[test]
fn every_default_is_toml_and_every_key_is_explained() {
    for schema in SCHEMAS {
        assert!(schema.keys.len() <= 64, "{}: a bit for each key", schema.path);
        for key in schema.keys {
            assert!(key.meaning.ends_with(['.', ';']), "{}.{}: {}", schema.path, key.name, key.meaning);
            assert!(!key.meaning.contains('|') && !key.form.contains('|'), "{}.{}", schema.path, key.name);
            if let Fallback::Value(default) = key.fallback {
                let text = format!("x = {default}");
                assert!(toml::de::DeTable::parse(&text).is_ok(), "{}.{}: {default}", schema.path, key.name);
            }
        }
    }
}

#[test]
fn the_language_and_the_proxy_have_the_same_defaults() {
    let text = "[frontend.a]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n[[backend.b.server]]\naddress = \"10.0.0.1:80\"";
    let proxy = loaded(text).config.proxy;
    assert_eq!(proxy.frontends[0].timeouts, FrontendTimeouts::default());
    assert_eq!(proxy.backends[0].timeouts, BackendTimeouts::default());
}

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, reference()).expect("the reference can be written");
    }
    let written = std::fs::read_to_string(path).expect("docs/configuration.md is there");
    assert!(written == reference(), "docs/configuration.md is old: UPDATE=1 cargo test -p config writes it");
}
