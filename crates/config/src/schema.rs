//! What the language is: each section's keys with their form, default and meaning.
//!
//! One list serves the reader (which keys are known, what applies when one is missing), `check --explain` and the
//! reference, so none of them can say something else than the others.

/// A table of the text.
pub(crate) struct Schema {
    /// As its header is written, `NAME` standing for the user's word; or where an inline table stands.
    pub(crate) path: &'static str,
    /// What it is for; Markdown.
    pub(crate) about: &'static str,
    /// In the order of the reference.
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What its value is; Markdown.
    pub(crate) form: &'static str,
    pub(crate) fallback: Fallback,
    /// One line; Markdown.
    pub(crate) meaning: &'static str,
    /// Whether it is read and checked, but not yet run.
    pub(crate) later: bool,
}

/// What applies when a key is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Nothing: it must be there.
    Required,
    /// This, in TOML.
    Value(&'static str),
    /// What these words say; reported as a default.
    Words(&'static str),
    /// It does not apply.
    Nothing,
}

impl Schema {
    /// The place of `name` in the keys.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.name == name)
    }
}

impl Key {
    /// The same, of a part that is not yet run.
    pub(crate) const fn later(mut self) -> Key {
        self.later = true;
        self
    }
}

pub(crate) const fn required(name: &'static str, form: &'static str, meaning: &'static str) -> Key {
    Key { name, form, fallback: Fallback::Required, meaning, later: false }
}

pub(crate) const fn optional(name: &'static str, form: &'static str, meaning: &'static str) -> Key {
    Key { name, form, fallback: Fallback::Nothing, meaning, later: false }
}

/// `default` is TOML.
pub(crate) const fn with(name: &'static str, form: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key { name, form, fallback: Fallback::Value(default), meaning, later: false }
}

/// `default` says in words what applies.
pub(crate) const fn says(name: &'static str, form: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key { name, form, fallback: Fallback::Words(default), meaning, later: false }
}

/// What forms are called, here and in errors.
pub(crate) mod form {
    pub(crate) const TIME: &str = "time";
    pub(crate) const NUMBER: &str = "number";
    pub(crate) const BOOLEAN: &str = "true or false";
    pub(crate) const TABLE: &str = "table";
    pub(crate) const TABLES: &str = "list of tables";
    pub(crate) const TEXT: &str = "text";
    pub(crate) const TEXTS: &str = "text or list";
    pub(crate) const SIZE: &str = "size";
    pub(crate) const PATH: &str = "path";
    pub(crate) const NETWORKS: &str = "network or list";
    pub(crate) const ADDRESS: &str = "`\"IP:port\"`";
    pub(crate) const ADDRESSES: &str = "`\"IP:port\"` or list";
    pub(crate) const COMMAND: &str = "list: program and arguments";
}
