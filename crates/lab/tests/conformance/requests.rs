//! Clients' messages: what real servers saw of them, and what came back.

use lab::End;

use crate::corpus::{Case, Outcome, REFUSED, Verdict, bytes, name_in};
use crate::programs::{PRIVATE, Program, Server, Site};
use crate::reading::{Answer, Piece, pieces};
use crate::recorder::Seen;

/// Ends its connection: whoever keeps its answer back has another idea of where messages end.
pub(crate) const AFTER: &str = r"GET {after} HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n";

/// Comes on a connection of its own, so from an innocent client.
const SYNC: &str = r"GET {sync} HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n";

/// The word for a request that nobody may see as one.
const CANARY: &str = "canary";

/// What a client got for one case.
struct Exchange {
    id: String,
    words: Vec<(String, bool)>,
    /// What was wrong with the innocent client's answer.
    sync: Option<String>,
}

/// Runs all cases one after the other against one server.
pub(crate) fn run(site: &Site, program: Program, server: Server, cases: &[&Case]) -> Vec<Outcome> {
    let prefix = format!("k{}{}", program as usize, server as usize);
    let exchanges: Vec<Exchange> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| exchange(site, &program.front(server), case, format!("{prefix}n{number:03}z")))
        .collect();
    let last = format!("{prefix}last");
    innocent(site, &program.front(server), &last);
    let seen = site.seen(program, server, &last);
    let windows = windows(&seen, &exchanges);
    let judge = |((case, exchange), seen): ((&&Case, &Exchange), &Vec<&Seen>)| judge(case, exchange, seen);
    cases.iter().zip(&exchanges).zip(&windows).map(judge).collect()
}

fn exchange(site: &Site, front: &str, case: &Case, id: String) -> Exchange {
    let mut wire = site.client.connect(front);
    wire.set_limit(super::STUCK);
    let mut sent = bytes(&case.send, &id);
    if case.follow {
        sent.extend(bytes(AFTER, &id));
    }
    // Whoever refuses the first bytes may not take the last ones.
    let _ = wire.try_send(sent);
    if !case.follow {
        wire.finish_sending();
    }
    let (came, end) = wire.rest();
    let words = words(&pieces(&came, end == End::Closed, case.head), end, &id);
    let sync = innocent(site, front, &id);
    Exchange { id, words, sync }
}

/// What came as words of an outcome, each with whether a server may have said it.
fn words(pieces: &[Piece], end: End, id: &str) -> Vec<(String, bool)> {
    let mut words: Vec<(String, bool)> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Garbage(_) => ("garbage".to_owned(), false),
            Piece::Answer(Answer { status: status @ 400, .. }) => (status.to_string(), true),
            Piece::Answer(Answer { status, seen: None, .. }) => (status.to_string(), false),
            Piece::Answer(Answer { seen: Some(seen), .. }) => {
                (name_in(seen, id).unwrap_or_else(|| "another's".to_owned()), true)
            }
        })
        .collect();
    match end {
        End::Open => words.push(("stuck".to_owned(), false)),
        End::Closed | End::Reset if words.is_empty() => words.push(("closed".to_owned(), false)),
        End::Closed | End::Reset => {}
    }
    words
}

/// A plain request on a connection of its own; what was wrong with its answer.
pub(crate) fn innocent(site: &Site, front: &str, id: &str) -> Option<String> {
    let mut wire = site.client.connect(front);
    wire.set_limit(super::STUCK);
    wire.try_send(bytes(SYNC, id)).ok()?;
    let (came, end) = wire.rest();
    let words = words(&pieces(&came, end == End::Closed, false), end, id);
    let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
    (words != ["sync"]).then(|| words.join(" "))
}

/// What the server saw in the time of each case: lines that name no case belong to the one that is named next.
fn windows<'s>(seen: &'s [Seen], exchanges: &[Exchange]) -> Vec<Vec<&'s Seen>> {
    let mut windows = vec![Vec::new(); exchanges.len()];
    let mut strays = Vec::new();
    for line in seen {
        match exchanges.iter().position(|exchange| line.request.contains(&exchange.id)) {
            None => strays.push(line),
            Some(number) => {
                windows[number].append(&mut strays);
                windows[number].push(line);
            }
        }
    }
    windows
}

fn judge(case: &Case, exchange: &Exchange, seen: &[&Seen]) -> Outcome {
    let mut desyncs = Vec::new();
    let mut saw = Vec::new();
    for line in seen {
        let is_a = |beginning: &String| line.request.starts_with(beginning.as_str());
        let name = match name_in(&line.request, &exchange.id) {
            None if case.logged.as_ref().is_some_and(is_a) => "a".to_owned(),
            None => {
                desyncs.push(format!("the server saw {:?}", line.request));
                continue;
            }
            Some(name) if name == "sync" => continue,
            Some(name) => name,
        };
        if name == CANARY && !case.mentions(CANARY) {
            desyncs.push("the server saw the canary".to_owned());
        }
        let place = if line.path.starts_with(PRIVATE) { "@private" } else { "" };
        let status = if line.status == 400 { REFUSED } else { "" };
        saw.push(format!("{name}{place}{status}"));
    }
    let words = with_refusals(exchange, &saw);
    let answered: Vec<&String> = words.iter().filter(|word| !is_ours(word)).collect();
    let mut text = words.join(" ");
    if !is_same(&answered, &saw) {
        text += &format!(" (saw {})", if saw.is_empty() { "nothing".to_owned() } else { saw.join(" ") });
    }
    if !answered.iter().all(|word| saw.iter().any(|name| plain(name) == plain(word))) {
        desyncs.push("answers and requests are not each other's".to_owned());
    }
    if let Some(sync) = &exchange.sync {
        desyncs.push(format!("the next client got {sync:?}"));
    }
    let mut verdict = case.judge(&text);
    for (complaint, worse) in raw_complaints(case, exchange, seen) {
        text += &complaint;
        verdict = verdict.max(worse);
    }
    if !desyncs.is_empty() {
        text += &format!(" DESYNC: {}", desyncs.join("; "));
        verdict = Verdict::Desync;
    }
    Outcome { text, verdict }
}

/// The words, with a server's own 400 as the name of what it refused.
fn with_refusals(exchange: &Exchange, saw: &[String]) -> Vec<String> {
    let mut refused = saw.iter().filter(|name| name.ends_with(REFUSED));
    let word = |(word, is_servers): &(String, bool)| match word.as_str() {
        "400" if *is_servers => refused.next().cloned().unwrap_or_else(|| word.clone()),
        _ => word.clone(),
    };
    exchange.words.iter().map(word).collect()
}

/// Whether the word tells of no server's answer.
fn is_ours(word: &str) -> bool {
    ["closed", "stuck", "garbage"].contains(&word) || word.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether these are the same, in any order: a server may log a request after the next one's.
fn is_same(answered: &[&String], saw: &[String]) -> bool {
    let (mut answered, mut saw) = (answered.to_vec(), saw.iter().collect::<Vec<_>>());
    answered.sort();
    saw.sort();
    answered == saw
}

/// A name without what is marked on it.
fn plain(name: &str) -> &str {
    name.split(['@', '!']).next().unwrap_or_default()
}

/// What the recorder's first request has that it should not, or lacks; and what is malformed in any.
fn raw_complaints(case: &Case, exchange: &Exchange, seen: &[&Seen]) -> Vec<(String, Verdict)> {
    let mut complaints = Vec::new();
    for line in seen {
        let Some(raw) = &line.raw else { continue };
        if name_in(&line.request, &exchange.id).as_deref() == Some("a") {
            complaints.extend(case.look_through(raw));
        }
        if let (400, Some((_, why))) = (line.status, raw.rsplit_once(" [")) {
            complaints.push((format!(" [malformed for the server: {}]", why.trim_end_matches(']')), Verdict::Wrong));
        }
    }
    complaints
}
