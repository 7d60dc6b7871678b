use crate::context::Context;
use crate::read::At;
use crate::sources::Span;
use crate::suggest;
use crate::tree::{Table, Value};

/// What the text calls its frontends, backends, vips and zones, each in its order.
#[derive(Default)]
pub(crate) struct Names {
    frontends: Vec<Name>,
    backends: Vec<Name>,
    vips: Vec<Name>,
    zones: Vec<Name>,
}

struct Name {
    text: String,
    span: Span,
    used: bool,
}

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Frontend,
    Backend,
    Vip,
    Zone,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Frontend => "frontend",
            Kind::Backend => "backend",
            Kind::Vip => "vip",
            Kind::Zone => "zone",
        }
    }
}

impl Names {
    /// All names of the tree that name a table.
    pub(crate) fn collect(root: &Table) -> Names {
        let names = |kind: Kind| match root.entry(kind.word()).map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => {
                let name = |entry: &crate::tree::Entry| Name { text: entry.key.clone(), span: entry.span, used: false };
                let tables = table.entries.iter().filter(|entry| matches!(entry.node.value, Value::Table(_)));
                tables.map(name).collect()
            }
            _ => Vec::new(),
        };
        Names {
            frontends: names(Kind::Frontend),
            backends: names(Kind::Backend),
            vips: names(Kind::Vip),
            zones: names(Kind::Zone),
        }
    }

    /// What backends are called, in their order.
    pub(crate) fn backends(&self) -> Vec<String> {
        self.backends.iter().map(|name| name.text.clone()).collect()
    }

    fn of(&mut self, kind: Kind) -> &mut Vec<Name> {
        match kind {
            Kind::Frontend => &mut self.frontends,
            Kind::Backend => &mut self.backends,
            Kind::Vip => &mut self.vips,
            Kind::Zone => &mut self.zones,
        }
    }
}

/// The place of the named thing in the order of the text; a name that nothing has is an error.
pub(crate) fn resolve(kind: Kind, name: &At<String>, cx: &mut Context) -> Option<usize> {
    let names = cx.names.of(kind);
    if let Some(position) = names.iter().position(|known| known.text == name.value) {
        names[position].used = true;
        return Some(position);
    }
    let known: Vec<String> = names.iter().map(|known| known.text.clone()).collect();
    if !cx.broken {
        let word = kind.word();
        let help = suggest::instead(&name.value, &known, &format!("write a table [{word}.{}]", name.value));
        cx.error(name.span, format!("there is no {word} \"{}\"", name.value)).help(help);
    }
    None
}

/// Warns of backends that nothing leads to, and of zones without a server.
pub(crate) fn warn_unused(cx: &mut Context) {
    let unused = |name: &&Name| !name.used;
    let leftover: Vec<_> = cx.names.backends.iter().filter(unused).map(|name| (name.span, name.text.clone())).collect();
    for (span, name) in leftover {
        cx.warn(span, format!("no frontend or route leads to backend \"{name}\""))
            .help(format!("write backend = \"{name}\" in a frontend or a route, or remove it"));
    }
    let empty: Vec<_> = cx.names.zones.iter().filter(unused).map(|name| (name.span, name.text.clone())).collect();
    for (span, name) in empty {
        cx.warn(span, format!("no server stands in zone \"{name}\""))
            .help(format!("write zone = \"{name}\" in a server, or remove it"));
    }
}

/// Whether `name` may name something: it stands in logs, metrics and commands, where blanks and `/` part words.
pub(crate) fn check(kind: &str, name: &str, span: Span, cx: &mut Context) {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fine) {
        cx.error(span, format!("\"{}\" cannot name a {kind}", name.escape_debug()))
            .help("use 1 to 64 of the characters A-Z a-z 0-9 . _ -");
    }
}
