use std::collections::BTreeSet;

use proxy::config::Backend;

use crate::diagnostics::{Diagnostic, Diagnostics, Excerpt, Note, Severity};
use crate::names::Names;
use crate::sources::{Sources, Span};
use crate::{Acme, Application, AppliedDefault, Handler, Part};

/// What reading leaves behind besides the values: problems, defaults, later parts.
pub(crate) struct Context<'s> {
    pub(crate) sources: &'s Sources,
    /// What the text calls things, known before anything is read.
    pub(crate) names: Names,
    /// Where to listen and who asked for it.
    pub(crate) claims: Vec<crate::binds::Claim>,
    /// What the kernel is to forward, and who asked for it.
    pub(crate) services: Vec<(forward_plan::Key, Span)>,
    /// How frontends want their forwarded connections to be known elsewhere.
    pub(crate) syncs: Vec<crate::sections::sync::Wish>,
    pub(crate) handlers: Vec<Handler>,
    /// What a [`proxy::config::PasswordsIndex`] points to.
    pub(crate) password_files: Vec<std::path::PathBuf>,
    /// Backends that routes make; they come behind those that have names in the text.
    pub(crate) applications: Vec<Backend>,
    /// The authority, and what frontends have asked of it so far.
    pub(crate) acme: Option<Acme>,
    /// Those that are run here.
    pub(crate) spawned: Vec<Application>,
    pub(crate) defaults: Vec<AppliedDefault>,
    /// The paths of `defaults`.
    told: BTreeSet<String>,
    /// Whether the text has syntax errors, so that what is missing may have been lost with them.
    pub(crate) broken: bool,
    parts: Vec<(String, Span)>,
    later: Vec<(String, Span)>,
    problems: Vec<Problem>,
}

/// A [`Diagnostic`] before its places are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    span: Span,
    severity: Severity,
    message: String,
    help: Option<String>,
    note: Option<(Span, String)>,
    syntax: bool,
}

impl Problem {
    /// Says what to write instead.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Problem {
        self.help = Some(help.into());
        self
    }

    /// Says what another place has to do with it.
    pub(crate) fn note(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.note = Some((span, message.into()));
        self
    }
}

impl<'s> Context<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Context<'s> {
        Context {
            sources,
            names: Names::default(),
            claims: Vec::new(),
            services: Vec::new(),
            syncs: Vec::new(),
            handlers: Vec::new(),
            password_files: Vec::new(),
            applications: Vec::new(),
            acme: None,
            spawned: Vec::new(),
            defaults: Vec::new(),
            told: BTreeSet::new(),
            broken: false,
            parts: Vec::new(),
            later: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.problem(span, Severity::Error, message.into())
    }

    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.problem(span, Severity::Warning, message.into())
    }

    pub(crate) fn syntax(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.broken = true;
        let problem = self.problem(span, Severity::Error, message.into());
        problem.syntax = true;
        problem
    }

    /// How many errors were found, of which further problems may only be the consequence.
    pub(crate) fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Collects a part that is right but that this version cannot run; once for each `part`.
    pub(crate) fn later(&mut self, part: impl Into<String>, span: Span) {
        let part = part.into();
        if self.later.iter().all(|(known, _)| *known != part) {
            self.later.push((part, span));
        }
    }

    /// Collects a part that can be left out; once for each `part`.
    pub(crate) fn part(&mut self, part: String, span: Span) {
        if self.parts.iter().all(|(known, _)| *known != part) {
            self.parts.push((part, span));
        }
    }

    pub(crate) fn default(&mut self, path: String, value: String, meaning: &str) {
        if self.told.insert(path.clone()) {
            self.defaults.push(AppliedDefault { path, value, meaning: meaning.replace('`', "") });
        }
    }

    /// The later parts, in the order of the text.
    pub(crate) fn later_parts(&mut self) -> Vec<Part> {
        let later = std::mem::take(&mut self.later);
        self.place(later)
    }

    /// Those of [`Context::part`], in the order of the text.
    pub(crate) fn parts(&mut self) -> Vec<Part> {
        let parts = std::mem::take(&mut self.parts);
        self.place(parts)
    }

    fn place(&self, mut parts: Vec<(String, Span)>) -> Vec<Part> {
        parts.sort_by_key(|(_, span)| *span);
        let place = |span| Excerpt::new(self.sources, span).place;
        parts.into_iter().map(|(part, span)| Part { part, place: place(span) }).collect()
    }

    /// All problems, in the order of the text, each once.
    pub(crate) fn diagnostics(&mut self) -> Diagnostics {
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| problem.span);
        let mut found: Vec<Problem> = Vec::new();
        for problem in problems {
            if !found.contains(&problem) {
                found.push(problem);
            }
        }
        let mut diagnostics: Vec<_> =
            found.into_iter().map(|problem| (problem.syntax, self.resolve(problem))).collect();
        let broken: Vec<_> = diagnostics.iter().filter(|(syntax, _)| *syntax).map(|(_, found)| line(found)).collect();
        diagnostics.retain(|(syntax, found)| *syntax || !broken.contains(&line(found)));
        Diagnostics(diagnostics.into_iter().map(|(_, diagnostic)| diagnostic).collect())
    }

    fn resolve(&self, problem: Problem) -> Diagnostic {
        Diagnostic {
            severity: problem.severity,
            message: problem.message,
            at: Excerpt::new(self.sources, problem.span),
            help: problem.help,
            note: problem.note.map(|(span, message)| Note { message, at: Excerpt::new(self.sources, span) }),
        }
    }

    fn problem(&mut self, span: Span, severity: Severity, message: String) -> &mut Problem {
        self.problems.push(Problem { span, severity, message, help: None, note: None, syntax: false });
        self.problems.last_mut().expect("one was just pushed")
    }
}

/// A line's identity, to see that two diagnostics stand on the same.
fn line(diagnostic: &Diagnostic) -> (String, u32) {
    (diagnostic.at.place.file.clone(), diagnostic.at.place.line)
}
