//! The files' text as one tree whose every key and value knows its place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::context::Context;
use crate::sources::{Sources, Span};

/// A value and where it stands. A table with a header stands at its header.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// `None`: more than 64 bits.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    Time,
    Array(Vec<Node>),
    Table(Table),
}

/// In the order of the text.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) const EMPTY: &'static Table = &Table { entries: Vec::new() };

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Value {
    /// What it is, as errors say it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "text",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
            Value::Time => "a date or time of day",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// All files as one table. What is no TOML, or is there twice, is reported and left out.
pub(crate) fn read(sources: &Sources, cx: &mut Context) -> Table {
    let mut whole = Table::default();
    for (file, text) in sources.files() {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut last_line = None;
        for error in &errors {
            let range = error.span().unwrap_or(text.len()..text.len());
            let line = text[..range.start].matches('\n').count();
            // What follows on the same line comes from reading on in the middle of it.
            if last_line != Some(line) {
                syntax_error(file, text, range, error.message(), cx);
            }
            last_line = Some(line);
        }
        merge(&mut whole, table(file, root.get_ref()), cx);
    }
    whole
}

/// One value in TOML, standing at `span`.
pub(crate) fn literal(text: &str, span: Span) -> Node {
    let value = DeValue::parse(text).expect("the schema's defaults are TOML; a test reads each");
    let mut node = node(0, &value);
    node.span = span;
    node
}

fn syntax_error(file: u32, text: &str, range: std::ops::Range<usize>, message: &str, cx: &mut Context) {
    let span = span(file, &range);
    let line_start = text[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or("").trim();
    if message != "duplicate key" {
        let (better, help) = syntax_help(line);
        cx.syntax(span, better.unwrap_or(message)).help(help);
        return;
    }
    let problem = if line.starts_with('[') {
        cx.syntax(span, "this table is there already").help("put the keys of both under one header")
    } else {
        let key = &text[range.clone()];
        cx.syntax(span, format!("the key {key} is there already")).help("keep one of the two")
    };
    if let Some(first) = first_of_two(&text[..line_start], line) {
        problem.note(self::span(file, &first), "first here");
    }
}

/// What is wrong with a line that is no TOML, if that can be seen better than by the parser, and what to write.
fn syntax_help(line: &str) -> (Option<&'static str>, String) {
    let line = line.split('#').next().unwrap_or("").trim();
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte));
    match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
        _ if line.starts_with('[') => {
            (None, "a table's header is written [name.of.it], one of a list [[name.of.it]]".to_owned())
        }
        Some((key, "")) => (Some("a value is missing"), format!("write what {key} is, after the =")),
        Some((key, value)) if plain(value) => (Some("text stands in quotes"), format!("write {key} = \"{value}\"")),
        Some(_) => {
            (None, "text stands in \"quotes\", lists in [brackets], tables in {braces}, with commas between".to_owned())
        }
        None => (None, "a line is key = value, a [header], or a # comment".to_owned()),
    }
}

/// Where the header or the key of `line` stands first in the text before it.
fn first_of_two(before: &str, line: &str) -> Option<std::ops::Range<usize>> {
    let header = line.starts_with('[');
    let wanted = if header { line.split('#').next()? } else { line.split('=').next()? }.trim();
    let mut found = None;
    let mut offset = 0;
    for candidate in before.split_inclusive('\n') {
        let text = candidate.trim_start();
        let start = offset + candidate.len() - text.len();
        let rest = text.strip_prefix(wanted).map(str::trim_start);
        if header {
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#')) {
                return Some(start..start + wanted.len());
            }
        } else if text.starts_with('[') {
            found = None;
        } else if found.is_none() && rest.is_some_and(|rest| rest.starts_with('=')) {
            found = Some(start..start + wanted.len());
        }
        offset += candidate.len();
    }
    found
}

fn span(file: u32, range: &std::ops::Range<usize>) -> Span {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { file, start: offset(range.start), end: offset(range.end) }
}

fn table(file: u32, from: &DeTable<'_>) -> Table {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| Entry {
        key: key.get_ref().clone().into_owned(),
        span: span(file, &key.span()),
        node: node(file, value),
    };
    let mut entries: Vec<Entry> = from.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.span);
    Table { entries }
}

fn node(file: u32, from: &Spanned<DeValue<'_>>) -> Node {
    let value = match from.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(_) => Value::Time,
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node(file, item)).collect()),
        DeValue::Table(inner) => Value::Table(table(file, inner)),
    };
    Node { value, span: span(file, &from.span()) }
}

/// Puts `from`, of a later file, into `into`: tables and `[[lists]]` grow together, anything else there twice is an error.
fn merge(into: &mut Table, from: Table, cx: &mut Context) {
    for entry in from.entries {
        let Some(known) = into.entries.iter_mut().find(|known| known.key == entry.key) else {
            into.entries.push(entry);
            continue;
        };
        let open = has_header(cx.sources, &known.node) && has_header(cx.sources, &entry.node);
        match (&mut known.node.value, entry.node.value) {
            (Value::Table(known), Value::Table(more)) if open => merge(known, more, cx),
            (Value::Array(known), Value::Array(more)) if open => known.extend(more),
            _ => {
                cx.error(entry.span, format!("{} is set in another file already", entry.key))
                    .help("keep one of the two")
                    .note(known.span, "first here");
            }
        }
    }
}

/// Whether it is written `[table]` or `[[list]]`, so that more of it may follow elsewhere.
fn has_header(sources: &Sources, node: &Node) -> bool {
    let (_, text) = sources.file(node.span.file);
    let text = &text[node.span.start as usize..];
    match &node.value {
        Value::Table(_) => !text.starts_with('{'),
        Value::Array(items) => items.first().is_some_and(|item| item.span.start == node.span.start),
        _ => false,
    }
}
