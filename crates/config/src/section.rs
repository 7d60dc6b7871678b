use crate::context::Context;
use crate::read::{Read, wrong};
use crate::schema::{Fallback, Key, Schema};
use crate::sources::Span;
use crate::suggest;
use crate::tree::{self, Entry, Node, Table, Value};

/// A table being read by its schema: knows what is known, what is missing, and what applies instead.
///
/// Keys that the schema does not have are reported when it is opened. Every key that the schema has must be asked
/// for before it is dropped, so that no key can be written, accepted and ignored.
pub(crate) struct Section<'t> {
    /// As `check --explain` names it: `backend.api.timeouts`.
    pub(crate) path: String,
    /// The header, or the inline table.
    pub(crate) span: Span,
    table: &'t Table,
    schema: &'static Schema,
    /// A bit for each of the schema's keys.
    asked: u64,
}

impl<'t> Section<'t> {
    /// The table at `node`; anything else is reported.
    pub(crate) fn open(node: &'t Node, schema: &'static Schema, path: String, cx: &mut Context) -> Option<Section<'t>> {
        let Value::Table(table) = &node.value else {
            let first = schema.keys.first().map_or("key", |key| key.name);
            return wrong(node, "a table", &format!("write {{ {first} = … }}, with the keys of [{}]", schema.path), cx);
        };
        Some(Section::of(table, node.span, schema, path, cx))
    }

    /// `table` as a section.
    pub(crate) fn of(
        table: &'t Table,
        span: Span,
        schema: &'static Schema,
        path: String,
        cx: &mut Context,
    ) -> Section<'t> {
        for entry in &table.entries {
            if schema.position(&entry.key).is_none() {
                unknown_key(entry, schema, &path, cx);
            }
        }
        Section { path, span, table, schema, asked: 0 }
    }

    /// The key's entry, if it is there.
    pub(crate) fn entry(&mut self, name: &str) -> Option<&'t Entry> {
        self.ask(name);
        self.table.entry(name)
    }

    /// Whether the key is there, without asking for it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.entry(name).is_some()
    }

    /// The key's value, or the schema's default if it is missing or wrong.
    pub(crate) fn value<T: Read>(&mut self, name: &str, cx: &mut Context) -> T {
        let key = self.ask(name);
        let Fallback::Value(default) = key.fallback else {
            panic!("{}.{name} has no default in its schema", self.schema.path);
        };
        let entry = self.table.entry(name);
        if let Some(value) = entry.and_then(|entry| T::read(&entry.node, cx)) {
            return value;
        }
        if entry.is_none() {
            cx.default(self.below(name), default.to_owned(), key.meaning);
        }
        let node = tree::literal(default, self.span);
        T::read(&node, cx).expect("the schema's defaults are right; a test reads each")
    }

    /// The key's value; `None` if it is missing or wrong.
    pub(crate) fn optional<T: Read>(&mut self, name: &str, cx: &mut Context) -> Option<T> {
        let key = self.ask(name);
        let Some(entry) = self.table.entry(name) else {
            if let Fallback::Words(words) = key.fallback {
                cx.default(self.below(name), words.to_owned(), key.meaning);
            }
            return None;
        };
        T::read(&entry.node, cx)
    }

    /// The key's value; `None`, and an error, if it is missing or wrong.
    pub(crate) fn required<T: Read>(&mut self, name: &str, cx: &mut Context) -> Option<T> {
        if self.entry(name).is_none() {
            self.missing(name, cx);
            return None;
        }
        self.optional(name, cx)
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&mut self, name: &str, cx: &mut Context) {
        let key = self.ask(name);
        if !cx.broken {
            cx.error(self.span, format!("{name} is missing"))
                .help(format!("write {name} = … ({})", key.form.replace('`', "")));
        }
    }

    /// The key's value, or `default`, which `check --explain` shows as `written`.
    pub(crate) fn computed<T: Read>(&mut self, name: &str, default: T, written: String, cx: &mut Context) -> T {
        let key = self.ask(name);
        match self.table.entry(name) {
            Some(entry) => T::read(&entry.node, cx).unwrap_or(default),
            None => {
                cx.default(self.below(name), written, key.meaning);
                default
            }
        }
    }

    /// The key's value, or the one that is `shared` with others, which `check --explain` shows as it is written;
    /// `None` if neither is there.
    pub(crate) fn shared<T: Read>(&mut self, name: &str, shared: Option<(T, String)>, cx: &mut Context) -> Option<T> {
        match shared {
            Some((value, written)) if !self.has(name) => Some(self.computed(name, value, written, cx)),
            _ => self.optional(name, cx),
        }
    }

    /// One of a few words, or the schema's default.
    pub(crate) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)], cx: &mut Context) -> T {
        let word: String = self.value(name, cx);
        let find = |wanted: &str| words.iter().find(|(word, _)| *word == wanted).map(|(_, meaning)| *meaning);
        if let Some(meaning) = find(&word) {
            return meaning;
        }
        let entry = self.table.entry(name).expect("a default is one of the words, so this one was written");
        unknown_word(name, &word, words, entry.node.span, cx);
        words[0].1
    }

    /// One of a few words, or `None` if the key is missing or wrong.
    pub(crate) fn optional_choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)], cx: &mut Context) -> Option<T> {
        let word: crate::read::At<String> = self.optional(name, cx)?;
        let found = words.iter().find(|(known, _)| *known == word.value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            unknown_word(name, &word.value, words, word.span, cx);
        }
        found
    }

    /// The table under `name`; an empty one if it is missing, so that its defaults are told.
    pub(crate) fn section(&mut self, name: &str, schema: &'static Schema, cx: &mut Context) -> Section<'t> {
        let path = self.below(name);
        let found = self.optional_section(name, schema, cx);
        found.unwrap_or_else(|| Section::of(Table::EMPTY, self.span, schema, path, cx))
    }

    /// The table under `name`, if there is one.
    pub(crate) fn optional_section(
        &mut self,
        name: &str,
        schema: &'static Schema,
        cx: &mut Context,
    ) -> Option<Section<'t>> {
        let entry = self.entry(name)?;
        Section::open(&entry.node, schema, self.below(name), cx)
    }

    /// The tables under `name` (`[[name]]`, a list, or one table alone).
    pub(crate) fn list(&mut self, name: &str) -> Vec<&'t Node> {
        match self.entry(name).map(|entry| &entry.node) {
            None => Vec::new(),
            Some(Node { value: Value::Array(items), .. }) => items.iter().collect(),
            Some(one) => vec![one],
        }
    }

    /// The tables under `name`, each with the user's word for it: `[name.WORD]`.
    pub(crate) fn named(
        &mut self,
        name: &str,
        schema: &'static Schema,
        cx: &mut Context,
    ) -> Vec<(&'t Entry, Section<'t>)> {
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        let path = self.below(name);
        let Value::Table(table) = &entry.node.value else {
            let help = format!("write [{path}.NAME]");
            let _: Option<()> = wrong(&entry.node, "a table for each name", &help, cx);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for entry in &table.entries {
            crate::names::check(name, &entry.key, entry.span, cx);
            if let Some(section) = Section::open(&entry.node, schema, format!("{path}.{}", entry.key), cx) {
                sections.push((entry, section));
            }
        }
        sections
    }

    /// Reports each of these keys that is there: `why` it has no place, and what to do.
    pub(crate) fn refuse(&mut self, names: &[&str], why: &str, help: &str, cx: &mut Context) {
        for name in names {
            if let Some(entry) = self.entry(name) {
                cx.error(entry.span, format!("{name} {why}")).help(help);
            }
        }
    }

    /// Asks for keys that are read only where another key makes sense of them.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.ask(name);
        }
    }

    /// Forgets about what is left: an error makes it meaningless.
    pub(crate) fn abandon(mut self) {
        self.asked = u64::MAX;
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn ask(&mut self, name: &str) -> &'static Key {
        let position = self.schema.position(name);
        let position = position.unwrap_or_else(|| panic!("[{}] has no {name} in its schema", self.schema.path));
        self.asked |= 1 << position;
        &self.schema.keys[position]
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if cfg!(debug_assertions) && !std::thread::panicking() {
            for (position, key) in self.schema.keys.iter().enumerate() {
                let asked = self.asked >> position & 1 == 1;
                assert!(asked, "nobody asked for {} of [{}]", key.name, self.schema.path);
            }
        }
    }
}

fn unknown_key(entry: &Entry, schema: &Schema, path: &str, cx: &mut Context) {
    let key = entry.key.escape_debug().to_string();
    let known: Vec<&str> = schema.keys.iter().map(|key| key.name).collect();
    let near = suggest::nearest(&key, &known).map(|near| format!("did you mean {near}?"));
    let elsewhere = crate::reference::sections_with(&entry.key);
    let help = match (near, elsewhere.as_slice()) {
        (Some(near), _) => near,
        (None, []) => format!("known: {}", known.join(", ")),
        (None, sections) => format!("{key} belongs to {}", sections.join(", ")),
    };
    let table = if path.is_empty() { "at the top".to_owned() } else { format!("in {path}") };
    cx.error(entry.span, format!("unknown key {key} {table}")).help(help);
}

/// Reports that `word` is none of `words`.
pub(crate) fn unknown_word<T>(name: &str, word: &str, words: &[(&str, T)], span: Span, cx: &mut Context) {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let list: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
    let near = suggest::nearest(word, &known).map(|near| format!("did you mean \"{near}\"? "));
    let help = format!("{}known: {}", near.unwrap_or_default(), list.join(", "));
    cx.error(span, format!("unknown {name} \"{}\"", word.escape_debug())).help(help);
}
