//! Servers' messages: what the client got of them, and whether the next request's answer is its own.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use lab::{BadServer, End, Host, SOON, Wire, wait_for};

use crate::corpus::{Case, Outcome, Verdict, bytes, name_in};
use crate::programs::{Program, Server, Site};
use crate::reading::{Answer, Piece, pieces};
use crate::requests::{AFTER, innocent};

/// A body longer than this is told by its length.
const SHOWN_BYTES: usize = 60;

/// What a script does for one case.
struct Part {
    answer: String,
    late: Option<String>,
    close: bool,
}

/// The cases whose client has its answer, and those whose late bytes are with the program.
#[derive(Clone, Default)]
struct Late {
    wanted: Arc<Mutex<BTreeSet<String>>>,
    sent: Arc<Mutex<BTreeSet<String>>>,
}

/// Runs all cases one after the other.
pub(crate) fn run(site: &Site, program: Program, cases: &[&Case]) -> Vec<Outcome> {
    let parts: Vec<Part> = cases
        .iter()
        .map(|case| Part {
            answer: case.answer.clone().unwrap_or_else(|| panic!("{} has no answer", case.name)),
            late: case.late.clone(),
            close: case.close,
        })
        .collect();
    let late = Late::default();
    let (host, port) = (site.scripted.clone(), program.server_port(Server::Scripted));
    let scripted = late.clone();
    let _server = BadServer::start(&site.scripted, port, move |wire| serve(&host, port, wire, &parts, &scripted));
    let front = program.front(Server::Scripted);
    let one = |(number, case): (usize, &&Case)| exchange(site, &front, case, &format!("k{number:03}z"), &late);
    cases.iter().enumerate().map(one).collect()
}

/// Answers requests by their names: `a` with the case's bytes, others with their own names.
fn serve(host: &Host, port: u16, wire: &mut Wire, parts: &[Part], late: &Late) {
    while let Ok(request) = wire.request() {
        let target = request.start.split(' ').nth(1).unwrap_or_default();
        let Some((_, tail)) = target.split_once('k') else { return };
        let (id, name) = (format!("k{}", &tail[..4]), tail[5..].to_owned());
        if name != "a" {
            let answer = format!("HTTP/1.1 200 OK\r\nX-Seen: {target}\r\nContent-Length: 3\r\n\r\nok\n");
            if wire.try_send(answer).is_err() {
                return;
            }
            continue;
        }
        let part = &parts[id[1..4].parse::<usize>().expect("ids have three digits")];
        if wire.try_send(bytes(&part.answer, &id)).is_err() || part.close {
            return;
        }
        if let Some(unasked) = &part.late {
            wait_for(SOON, "the client has its answer", || contains(&late.wanted, &id));
            let _ = wire.try_send(bytes(unasked, &id));
            wait_for(SOON, "the program's machine has the late bytes", || all_acknowledged(host, port));
            late.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
    }
}

fn contains(set: &Mutex<BTreeSet<String>>, id: &str) -> bool {
    set.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
}

/// Whether the kernel has nothing left to send on this port's established connections.
fn all_acknowledged(host: &Host, port: u16) -> bool {
    let table = host.in_namespace(|| fs::read_to_string("/proc/thread-self/net/tcp6")).unwrap_or_default();
    let local = format!(":{port:04X}");
    table.lines().skip(1).all(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_ours = columns[1].ends_with(&local) && columns[3] == "01";
        !is_ours || columns[4].starts_with("00000000:")
    })
}

fn exchange(site: &Site, front: &str, case: &Case, id: &str, late: &Late) -> Outcome {
    let mut wire = site.client.connect(front);
    wire.set_limit(super::STUCK);
    let mut sent = bytes(&case.send, id);
    let mut first = Vec::new();
    if case.late.is_some() {
        wire.send(&sent);
        let answer = wire.answer();
        let seen = answer.field("x-seen").map(str::to_owned);
        first.push(Piece::Answer(Answer { status: answer.status(), seen, body: answer.body, whole: true }));
        late.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        wait_for(SOON, "the server has sent what nobody asked for", || contains(&late.sent, id));
        sent = bytes(AFTER, id);
    } else if case.follow {
        sent.extend(bytes(AFTER, id));
    }
    let _ = wire.try_send(sent);
    let (came, end) = wire.rest();
    first.extend(pieces(&came, end == End::Closed, case.head));
    let mut text = match first.first() {
        None => if end == End::Open { "stuck" } else { "closed" }.to_owned(),
        Some(piece) => word(piece),
    };
    let mut verdict = case.judge(&text);
    let raw = String::from_utf8_lossy(&came).to_ascii_lowercase();
    for (complaint, worse) in case.look_through(&raw) {
        text += &complaint;
        verdict = verdict.max(worse);
    }
    let strange = first.iter().skip(1).filter(|piece| !is_answer_after(piece, id)).map(word);
    let next = innocent(site, front, id).map(|got| format!("the next client got {got:?}"));
    let desyncs: Vec<String> = strange.map(|word| format!("then {word}")).chain(next).collect();
    if !desyncs.is_empty() {
        text += &format!(" DESYNC: {}", desyncs.join("; "));
        verdict = Verdict::Desync;
    }
    Outcome { text, verdict }
}

/// Whether it is the second request's answer: the server's, or an error of the program's.
fn is_answer_after(piece: &Piece, id: &str) -> bool {
    match piece {
        Piece::Garbage(_) => false,
        Piece::Answer(answer) => match answer.seen.as_deref() {
            Some(seen) => name_in(seen, id).as_deref() == Some("after"),
            None => answer.status >= 400,
        },
    }
}

/// An error of the program's is its status; a server's answer is status and body, or `cut`.
fn word(piece: &Piece) -> String {
    match piece {
        Piece::Garbage(_) => "garbage".to_owned(),
        Piece::Answer(answer) if answer.seen.is_none() => answer.status.to_string(),
        Piece::Answer(answer) if !answer.whole => "cut".to_owned(),
        Piece::Answer(Answer { status, body, .. }) if body.len() > SHOWN_BYTES => {
            format!("{status}:{}bytes", body.len())
        }
        Piece::Answer(Answer { status, body, .. }) => format!("{status}:{}", body.escape_ascii()),
    }
}
