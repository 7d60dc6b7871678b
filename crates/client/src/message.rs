//! What a message says: how far something is, a note, or how it has ended.

use serde_json::Value;

/// A message of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// `{"progress": 0.4}` or `{"progress": {"done": 3, "total": 8}}`, perhaps with `"message": "…"`.
    Progress {
        /// How far it is.
        progress: Progress,
        /// What is being done.
        text: Option<String>,
    },
    /// `{"message": "…"}`.
    Note(String),
    /// `{"success": true, "result": …}`, `{"success": false, "error": …}`, or `[true, …]` as Ganeti's daemons answer.
    Outcome(Outcome),
    /// JSON or text that means nothing here.
    Other(String),
}

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// So much of it, 0 to 1.
    Part(f64),
    /// So many of so many.
    Of {
        /// What is done.
        done: u64,
        /// What is to be done; at least 1.
        total: u64,
    },
}

/// How something has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether it has come about.
    pub success: bool,
    /// What came of it, or what was wrong.
    pub value: Value,
}

impl Message {
    /// The meaning of a message.
    pub fn read(bytes: &[u8]) -> Message {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            return Message::Other(String::from_utf8_lossy(bytes).into_owned());
        };
        if let Some(outcome) = outcome(&value) {
            return Message::Outcome(outcome);
        }
        let text = value.get("message").and_then(Value::as_str).map(str::to_owned);
        match (value.get("progress").and_then(progress), text) {
            (Some(progress), text) => Message::Progress { progress, text },
            (None, Some(text)) if value.get("progress").is_none() => Message::Note(text),
            _ => Message::Other(value.to_string()),
        }
    }
}

fn outcome(value: &Value) -> Option<Outcome> {
    if let Some([Value::Bool(success), value]) = value.as_array().map(Vec::as_slice) {
        return Some(Outcome { success: *success, value: value.clone() });
    }
    let success = value.get("success")?.as_bool()?;
    let known = if success { ["result", "error"] } else { ["error", "result"] };
    let value = known.iter().find_map(|key| value.get(*key)).cloned().unwrap_or(Value::Null);
    Some(Outcome { success, value })
}

fn progress(value: &Value) -> Option<Progress> {
    if let Some(part) = value.as_f64() {
        return (0.0..=1.0).contains(&part).then_some(Progress::Part(part));
    }
    let number = |key| value.get(key).and_then(Value::as_u64);
    let (done, total) = (number("done")?, number("total")?);
    (total > 0).then_some(Progress::Of { done: done.min(total), total })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_messages_say() {
        let ended = |success, value| Message::Outcome(Outcome { success, value });
        let part = |part, text: Option<&str>| Message::Progress {
            progress: Progress::Part(part),
            text: text.map(str::to_owned),
        };
        let of = |done, total| Message::Progress { progress: Progress::Of { done, total }, text: None };
        let other = |text: &str| Message::Other(text.to_owned());
        for (text, said) in [
            (r#"{"progress": 0.4}"#, part(0.4, None)),
            (r#"{"progress": 1, "message": "copying"}"#, part(1.0, Some("copying"))),
            (r#"{"progress": {"done": 3, "total": 8}}"#, of(3, 8)),
            (r#"{"progress": {"done": 9, "total": 8}}"#, of(8, 8)),
            (r#"{"message": "waiting"}"#, Message::Note("waiting".to_owned())),
            (r#"{"success": true, "result": [1, 2]}"#, ended(true, json!([1, 2]))),
            (r#"{"success": false, "result": "no such node"}"#, ended(false, json!("no such node"))),
            (r#"{"success": false, "error": "full"}"#, ended(false, json!("full"))),
            (r#"{"success": true}"#, ended(true, Value::Null)),
            ("[true, null]", ended(true, Value::Null)),
            (r#"[false, "Disk is full"]"#, ended(false, json!("Disk is full"))),
            (r#"{"progress": 1.4}"#, other(r#"{"progress":1.4}"#)),
            (r#"{"progress": {"done": 0, "total": 0}}"#, other(r#"{"progress":{"done":0,"total":0}}"#)),
            (r#"{"success": "yes"}"#, other(r#"{"success":"yes"}"#)),
            ("[true]", other("[true]")),
            ("starting", other("starting")),
        ] {
            assert_eq!(Message::read(text.as_bytes()), said, "{text}");
        }
    }
}
