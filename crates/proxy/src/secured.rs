//! TLS at the beginning of clients' connections.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use http_proto::is_field_value;
use tls::Peer;
use tls::config::ServerTls;
use tokio::time::{Instant, timeout_at};

use crate::config::{Frontend, Mode};
use crate::log::Record;
use crate::proxied::Arrival;
use crate::reason::Reason;
use crate::stream::{NoSession, Stream, Tls};
use crate::timer::Timer;
use crate::transfer::{Halt, linger, read_with};
use crate::worker::{ConnectionGuard, Context};

/// What every connection begins with whose client speaks TLS: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

/// Shakes hands with a client, unless it speaks in clear text and may. `None`: there is no session, and that is told.
pub(crate) async fn secure(mut arrival: Arrival, wanted: &ServerTls, guard: &ConnectionGuard) -> Option<Arrival> {
    let context = &guard.context;
    let configured = context.shared.frontend(guard.frontend);
    let mut record = Record::new(Instant::now(), context.is_logged(guard.frontend));
    // Who may speak in clear text may be as slow to begin as where nobody speaks otherwise.
    let patience = if wanted.clear_too { configured.timeouts.keep_alive } else { configured.timeouts.header };
    if arrival.early.is_empty() {
        match await_first(context, &mut arrival, patience).await {
            Ok(()) => {}
            Err(Halt::TimedOut) if !wanted.clear_too => {
                record.fail(Reason::SlowHandshake);
                context.finish(&record, guard.frontend, arrival.peer);
                return None;
            }
            // Many only look whether somebody is at home.
            Err(_) => return None,
        }
    }
    let first = arrival.early.first().copied();
    if first != Some(HANDSHAKE) {
        if wanted.clear_too {
            return Some(arrival);
        }
        if configured.mode == Mode::Http && first.is_some_and(|first| first.is_ascii_alphabetic()) {
            crate::http::refuse(arrival, Reason::ClearText, &mut record, guard).await;
            return None;
        }
    }
    let acceptor = context.shared.acceptor(guard.frontend)?;
    let Arrival { stream, peer, destination, early, .. } = arrival;
    record.bytes_in = early.len() as u64;
    let tls = Tls::new(stream, acceptor.begin().ok()?);
    let deadline = Instant::now() + configured.timeouts.header;
    let reason = match timeout_at(deadline, tls.shake_hands(&early, &context.turns)).await {
        Ok(Ok(agreed)) => {
            context.stats.frontends[usize::from(guard.frontend.0)].handshakes.count(&agreed);
            let stream = Stream::Layer(Box::new(tls));
            return Some(Arrival { stream, peer, destination, early: Vec::new(), secure: Some(Rc::new(agreed)) });
        }
        Ok(Err(NoSession::Gone)) => Reason::ClientGone,
        Ok(Err(NoSession::Refused(error))) => Reason::Tls(error),
        Err(_) => Reason::SlowHandshake,
    };
    record.fail(reason);
    context.finish(&record, guard.frontend, peer);
    if let Reason::Tls(_) = reason {
        // What it still sends would reset the connection, and it would not learn why.
        linger(tls.below(), &context.read_buffer, &mut Timer::new(Duration::ZERO)).await;
    }
    None
}

/// What HTTP servers are told of a client's certificate, as whole field lines: [`Peer::variables`] of `SSL_*`, with names
/// such as `SSL-Client-S-DN`; a certificate itself has its breaks and spaces escaped, as in a URL. What no field can say
/// is left out. `None`: this frontend tells nothing of anybody's.
pub(crate) fn exported(frontend: &Frontend, peer: Option<&Peer>) -> Option<Vec<u8>> {
    frontend.tls.as_ref().filter(|tls| tls.export_headers)?;
    let mut lines = Vec::new();
    for (name, value) in tls::variables(peer).filter(|(name, _)| name.starts_with("SSL_")) {
        let value = if name == "SSL_CLIENT_CERT" { Cow::Owned(escaped(value)) } else { Cow::Borrowed(value) };
        if is_field_value(value.as_bytes()) {
            write_name(&mut lines, name);
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
    }
    Some(lines)
}

/// As fields are called: words of more than three letters begin with a capital one, shorter ones have no others.
fn write_name(out: &mut Vec<u8>, variable: &str) {
    for (place, word) in variable.split('_').enumerate() {
        if place > 0 {
            out.push(b'-');
        }
        let start = out.len();
        out.extend_from_slice(word.as_bytes());
        if word.len() > 3 {
            out[start + 1..].make_ascii_lowercase();
        }
    }
}

/// With all but RFC 3986's unreserved characters escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

async fn await_first(context: &Context, arrival: &mut Arrival, patience: Duration) -> Result<(), Halt> {
    let early = &mut arrival.early;
    let mut timer = Timer::new(patience);
    read_with(&arrival.stream, &context.read_buffer, &mut timer, None, |bytes| early.extend_from_slice(bytes)).await
}

impl Record {
    /// Notes what was agreed on with the client.
    pub(crate) fn secure(&mut self, peer: Option<&Peer>) {
        let Some(peer) = peer.filter(|_| self.wall.is_some()) else { return };
        self.tls = Some((peer.protocol, peer.cipher));
        self.user = self.user.take().or_else(|| peer.identity.as_ref()?.user.clone());
    }
}

#[cfg(test)]
mod tests;
