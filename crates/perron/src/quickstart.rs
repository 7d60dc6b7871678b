//! What `perron run` does without a configuration: the folder it is started in, on loopback.

use std::io;

use config::Sources;

/// What errors and `check --explain` call it.
const NAME: &str = "built-in.toml";

/// Printed by `perron check --explain`; paths are relative to the folder that the command is started in.
pub(crate) const TEXT: &str = include_str!("quickstart.toml");

/// The built-in configuration for the folder that this process stands in.
pub(crate) fn sources() -> io::Result<Sources> {
    let texts = vec![(NAME.to_owned(), TEXT.to_owned())];
    Ok(Sources::from_texts(texts, std::env::current_dir()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_configuration_is_right() {
        let loaded = config::load(&sources().unwrap()).unwrap();
        assert_eq!(loaded.warnings.to_string(), "");
        assert_eq!(loaded.config.listens[0].text, "127.0.0.1:8080");
        assert_eq!(loaded.config.admin.bind.unwrap().to_string(), "127.0.0.1:7070");
    }
}
