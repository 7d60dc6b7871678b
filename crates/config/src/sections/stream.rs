use proxy::config::{Answer, StreamConfig};

use crate::context::Context;
use crate::read::{Period, Read};
use crate::schema::{Key, Schema, form, optional, with};
use crate::section::Section;
use crate::tree::{Table, Value};

pub(crate) static STREAM: Schema = Schema {
    path: "stream",
    about: "In a route: `stream = true`, or a table with these keys, for answers that are streams of messages. Nothing of \
            such an answer waits here for more of it, it is not compressed, and how long its bytes were here is counted; \
            see docs/streams.md.",
    keys: &[with(
        "idle",
        form::TIME,
        "\"1h\"",
        "Silence of the server, before its answer and within, and of a client that sends a stream itself, instead of \
         the backend's `timeouts.server` and the frontend's `timeouts.idle`.",
    )],
};

/// A route's key.
pub(crate) const fn route_key() -> Key {
    optional("stream", "true, false or table", "Its answers are streams: every message passes at once; see `stream`.")
}

/// Reads `stream` of a route.
pub(crate) fn stream(owner: &mut Section<'_>, cx: &mut Context) -> Option<StreamConfig> {
    let entry = owner.entry("stream")?;
    let path = format!("{}.stream", owner.path);
    let mut section = match &entry.node.value {
        Value::Table(table) => Section::of(table, entry.node.span, &STREAM, path, cx),
        _ => match bool::read(&entry.node, cx)? {
            true => Section::of(Table::EMPTY, entry.node.span, &STREAM, path, cx),
            false => return None,
        },
    };
    let Period(idle) = section.value("idle", cx);
    Some(StreamConfig { idle })
}

/// Says so where `answer` is made here, and is no stream.
pub(crate) fn check(owner: &mut Section<'_>, answer: &Answer, cx: &mut Context) {
    if let (false, Some(entry)) = (matches!(answer, Answer::Backend(_)), owner.entry("stream")) {
        cx.error(entry.span, "only what servers answer can be a stream").help("remove stream, or write a backend");
    }
}
