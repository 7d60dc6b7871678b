//! Connections to servers, as their checks make them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use units::Instant;

use super::router::Finding;
use super::words::Span;
use crate::Kind;
use crate::frame::Segment;

/// Connections that are followed at once. Of more, the one that was opened longest ago is forgotten.
pub(crate) const CONNECTIONS_MAX: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    open: BTreeMap<(SocketAddr, SocketAddr), Connection>,
    /// What became of each server's last one.
    outcomes: BTreeMap<SocketAddr, Outcome>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    opened: Instant,
    tried: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked,
    Accepted,
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Unanswered,
    Cut,
    ClosedUnanswered,
    Answered,
    Status([u8; 3]),
}

impl Connections {
    /// What it means, if it is of a connection to one of `servers`.
    pub(crate) fn hear(&mut self, now: Instant, segment: &Segment<'_>, servers: &[SocketAddr]) -> Option<Finding> {
        if servers.contains(&segment.destination) {
            self.hear_client(now, segment)
        } else if servers.contains(&segment.source) {
            self.hear_server(now, segment)
        } else {
            None
        }
    }

    fn hear_client(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Finding> {
        let (client, server) = (segment.source, segment.destination);
        let key = (client, server);
        if segment.opens && !segment.acknowledges {
            if let Some(connection) = self.open.get_mut(&key)
                && connection.state == State::Asked
            {
                let silence = Span(now.since(connection.tried));
                connection.tried = now;
                let text = format!("{server} has not answered {client} for {silence} and is asked again to connect");
                return Some(self.outcome(now, server, Outcome::Unanswered, text));
            }
            self.open.insert(key, Connection { opened: now, tried: now, state: State::Asked });
            self.forget();
            return Some(said(now, true, format!("{client} connects to {server}")));
        }
        let connection = *self.open.get(&key)?;
        if segment.resets || segment.ends {
            self.open.remove(&key);
            if connection.state != State::Answered {
                let after = Span(now.since(connection.opened));
                return Some(said(now, true, format!("{client} closes its connection to {server} after {after}")));
            }
        }
        None
    }

    fn hear_server(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Finding> {
        let (server, client) = (segment.source, segment.destination);
        let key = (client, server);
        let connection = self.open.get_mut(&key)?;
        let (state, after) = (connection.state, Span(now.since(connection.opened)));
        if segment.resets {
            self.open.remove(&key);
            let (outcome, text) = match state {
                State::Asked => (Outcome::Refused, format!("{server} refuses the connection of {client}")),
                _ => (Outcome::Cut, format!("{server} cuts the connection of {client} after {after}")),
            };
            return Some(self.outcome(now, server, outcome, text));
        }
        if segment.opens && state == State::Asked {
            connection.state = State::Accepted;
            return Some(said(now, true, format!("{server} accepts the connection of {client} after {after}")));
        }
        if state == State::Answered {
            return None;
        }
        if !segment.payload.is_empty() {
            connection.state = State::Answered;
            let (outcome, text) = match status(segment.payload) {
                Some(status) => {
                    let digits = status.map(char::from);
                    (
                        Outcome::Status(status),
                        format!("{server} answers {client} {} after {after}", String::from_iter(digits)),
                    )
                }
                None => (Outcome::Answered, format!("{server} answers {client} after {after}")),
            };
            return Some(self.outcome(now, server, outcome, text));
        }
        if segment.ends {
            self.open.remove(&key);
            let text = format!("{server} closes the connection of {client} without an answer after {after}");
            return Some(self.outcome(now, server, Outcome::ClosedUnanswered, text));
        }
        None
    }

    /// What became of a connection: worth a line if it is not what became of the one before.
    fn outcome(&mut self, now: Instant, server: SocketAddr, outcome: Outcome, text: String) -> Finding {
        let before = self.outcomes.insert(server, outcome);
        said(now, before == Some(outcome), text)
    }

    fn forget(&mut self) {
        if self.open.len() > CONNECTIONS_MAX
            && let Some((&oldest, _)) = self.open.iter().min_by_key(|(_, connection)| connection.opened)
        {
            self.open.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

fn said(now: Instant, is_routine: bool, text: String) -> Finding {
    Finding { time: now, kind: Kind::Connection, text, is_routine }
}

/// The status of an answer of HTTP/1 (RFC 9112 §4): `HTTP/1.1 200`.
fn status(payload: &[u8]) -> Option<[u8; 3]> {
    let rest = payload.strip_prefix(b"HTTP/1.")?;
    let [_, b' ', first, second, third, ..] = *rest else { return None };
    let status = [first, second, third];
    status.iter().all(u8::is_ascii_digit).then_some(status)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CLIENT: &str = "10.0.0.1:40000";
    const SERVER: &str = "10.0.0.21:80";

    /// Who sends, flags, payload.
    type Sent<'a> = (char, &'a str, &'a str);

    /// What is said of segments, each a millisecond after the one before.
    fn said(connections: &mut Connections, segments: &[Sent<'_>]) -> Vec<(bool, String)> {
        let servers = [SERVER.parse().unwrap()];
        let mut now = Instant::from_millis(1000);
        let mut all = Vec::new();
        for (from, flags, payload) in segments {
            let (client, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
            let (source, destination) = if *from == 'c' { (client, server) } else { (server, client) };
            let segment = Segment {
                source,
                destination,
                opens: flags.contains('S'),
                acknowledges: flags.contains('A'),
                ends: flags.contains('F'),
                resets: flags.contains('R'),
                payload: payload.as_bytes(),
            };
            all.extend(connections.hear(now, &segment, &servers).map(|finding| (finding.is_routine, finding.text)));
            now = now + Duration::from_millis(1);
        }
        all
    }

    #[test]
    fn a_check_that_passes_is_worth_a_line_once() {
        let mut connections = Connections::default();
        let check = [
            ('c', "S", ""),
            ('s', "SA", ""),
            ('c', "A", ""),
            ('c', "A", "GET / HTTP/1.1\r\n\r\n"),
            ('s', "A", "HTTP/1.1 200 OK\r\n"),
            ('s', "A", "more"),
            ('s', "FA", ""),
            ('c', "FA", ""),
        ];
        let texts = |is_routine| {
            [
                (true, format!("{CLIENT} connects to {SERVER}")),
                (true, format!("{SERVER} accepts the connection of {CLIENT} after 1 ms")),
                (is_routine, format!("{SERVER} answers {CLIENT} 200 after 4 ms")),
            ]
        };
        assert_eq!(said(&mut connections, &check), texts(false));
        assert_eq!(said(&mut connections, &check), texts(true));
        let failing = check.map(|(from, flags, payload)| {
            (from, flags, if payload.starts_with("HTTP") { "HTTP/1.1 503 No\r\n" } else { payload })
        });
        assert_eq!(said(&mut connections, &failing)[2], (false, format!("{SERVER} answers {CLIENT} 503 after 4 ms")));
        assert_eq!(connections.len(), 0);
    }

    #[test]
    fn failures_are_told_apart() {
        let table: [(&[Sent<'_>], &str); 6] = [
            (&[('c', "S", ""), ('s', "RA", "")], "10.0.0.21:80 refuses the connection of 10.0.0.1:40000"),
            (
                &[('c', "S", ""), ('c', "S", "")],
                "10.0.0.21:80 has not answered 10.0.0.1:40000 for 1 ms and is asked again to connect",
            ),
            (
                &[('c', "S", ""), ('s', "SA", ""), ('s', "R", "")],
                "10.0.0.21:80 cuts the connection of 10.0.0.1:40000 after 2 ms",
            ),
            (
                &[('c', "S", ""), ('s', "SA", ""), ('s', "FA", "")],
                "10.0.0.21:80 closes the connection of 10.0.0.1:40000 without an answer after 2 ms",
            ),
            (
                &[('c', "S", ""), ('s', "SA", ""), ('c', "RA", "")],
                "10.0.0.1:40000 closes its connection to 10.0.0.21:80 after 2 ms",
            ),
            (
                &[('c', "S", ""), ('s', "SA", ""), ('s', "A", "220 ready")],
                "10.0.0.21:80 answers 10.0.0.1:40000 after 2 ms",
            ),
        ];
        for (segments, expected) in table {
            let all = said(&mut Connections::default(), segments);
            assert_eq!(all.last().map(|(_, text)| text.as_str()), Some(expected));
        }
        // Of a connection whose beginning was not captured nothing is said.
        assert_eq!(said(&mut Connections::default(), &[('s', "A", "HTTP/1.1 200 OK\r\n"), ('s', "R", "")]), []);
    }
}
