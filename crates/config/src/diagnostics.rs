use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::sources::{Sources, Span};

/// A place in the text. Displays as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, by the name it was read under.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The configuration cannot run.
    Error,
    /// It can, though it is probably not what was meant.
    Warning,
}

/// Something wrong with the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it stops the configuration.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    #[serde(flatten)]
    pub at: Excerpt,
    /// What to write instead.
    pub help: Option<String>,
    /// Another place that has to do with it, such as the first of two that must differ.
    pub note: Option<Note>,
}

/// A line of the text and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Excerpt {
    /// Where the part begins.
    #[serde(flatten)]
    pub place: Place,
    /// The whole line, without its end.
    pub text: String,
    /// The part, in bytes of the line.
    #[serde(skip)]
    span: (usize, usize),
}

/// Another place, and what it has to do with a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What is there.
    pub message: String,
    /// Where.
    #[serde(flatten)]
    pub at: Excerpt,
}

/// Everything wrong with a text, in its order.
///
/// Displays for people, without colour: `file:line:column: error: message`, the line, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// As `Display`, with a terminal's colours.
    pub fn coloured(&self) -> String {
        self.0.iter().map(|diagnostic| diagnostic.render(Look::Coloured)).collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|diagnostic| formatter.write_str(&diagnostic.render(Look::Plain)))
    }
}

impl std::error::Error for Diagnostics {}

#[derive(Clone, Copy)]
enum Look {
    Plain,
    Coloured,
}

impl Diagnostic {
    fn render(&self, look: Look) -> String {
        let (level, name, colour) = match self.severity {
            Severity::Error => (Level::ERROR, "error", "\x1b[1;31m"),
            Severity::Warning => (Level::WARNING, "warning", "\x1b[1;33m"),
        };
        let mut text = title(&self.at.place, name, colour, &self.message, look);
        let mut group = self.at.snippet(level, AnnotationKind::Primary);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        text.push_str(&draw(group, look));
        if let Some(note) = &self.note {
            text.push_str(&title(&note.at.place, "note", "\x1b[1;36m", &note.message, look));
            text.push_str(&draw(note.at.snippet(Level::NOTE, AnnotationKind::Primary), look));
        }
        text.push('\n');
        text
    }
}

fn title(place: &Place, name: &str, colour: &str, message: &str, look: Look) -> String {
    match look {
        Look::Plain => format!("{place}: {name}: {message}\n"),
        Look::Coloured => format!("\x1b[1m{place}: {colour}{name}:\x1b[0m \x1b[1m{message}\x1b[0m\n"),
    }
}

fn draw(group: Group<'_>, look: Look) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    };
    renderer.render(&[group]) + "\n"
}

impl Excerpt {
    /// The first line of `span`, and as much of the span as stands on it.
    pub(crate) fn new(sources: &Sources, span: Span) -> Excerpt {
        let (name, text) = sources.file(span.file);
        let start = floor(text, span.start as usize);
        let from = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let to = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line = text[from..to].trim_end_matches('\r');
        let begin = (start - from).min(line.len());
        let end = floor(text, span.end as usize).saturating_sub(from).clamp(begin, line.len());
        let place = Place {
            file: name.to_owned(),
            line: count(text[..from].matches('\n').count()),
            column: count(line[..begin].chars().count()),
        };
        Excerpt { place, text: line.to_owned(), span: (begin, end) }
    }

    fn snippet(&self, level: Level<'static>, kind: AnnotationKind) -> Group<'_> {
        let range: Range<usize> = self.span.0..self.span.1;
        let snippet = Snippet::source(self.text.as_str()).line_start(self.place.line as usize);
        Group::with_level(level).element(snippet.annotation(kind.span(range)))
    }
}

fn count(before: usize) -> u32 {
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

fn floor(text: &str, mut offset: usize) -> usize {
    offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
