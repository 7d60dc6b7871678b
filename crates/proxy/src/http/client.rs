//! A client's connection: requests one after the other, until one of the two sides has had enough.

use std::net::SocketAddr;
use std::time::Duration;

use http_proto::HeadError;
use http_proto::http2::PREFACE;
use tokio::time::Instant;

use super::exchange::{Errand, exchange};
use super::login::verify;
use super::plan::{Doubt, Meta, Pass, Plan, Planned, Todo, plan};
use super::receive::receive;
use super::reply::write_error;
use super::send::{ask, send};
use crate::log::{Phase, Record};
use crate::proxied::{Arrival, Told};
use crate::reason::Reason;
use crate::secured::exported;
use crate::stream::{Coding, Stream};
use crate::timer::Timer;
use crate::transfer::{Halt, linger, read_with, write_all};
use crate::worker::ConnectionGuard;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request may come.
    Keep,
    /// It ends in order.
    Close,
    /// It ends in order, though the client may still be sending.
    Linger,
    /// It breaks off, so that nobody takes what came for the whole.
    Cut,
    /// It goes on in HTTP/2; what has come of that is kept.
    Http2,
}

/// A client's connection and what has come on it beyond the current request.
pub(crate) struct Client<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) stream: Stream,
    pub(crate) timer: Timer,
    pub(crate) carry: Vec<u8>,
    /// Nothing has come yet that is not HTTP/2, and that may be.
    may_be_http2: bool,
}

/// Serves one connection to its end. What is returned turned out to be HTTP/2.
pub(crate) async fn serve(arrival: Arrival, guard: &ConnectionGuard) -> Option<Arrival> {
    let Arrival { stream, peer, destination, early, secure } = arrival;
    let context = &*guard.context;
    let exported = exported(context.shared.frontend(guard.frontend), secure.as_deref());
    let meta = Meta {
        context,
        frontend: guard.frontend,
        peer,
        destination,
        secure: secure.as_deref(),
        exported: exported.as_deref(),
        shown: None,
        is_http2: false,
    };
    let timer = Timer::new(meta.configured().timeouts.keep_alive);
    let may_be_http2 = meta.configured().http2 && secure.is_none();
    let mut client = Client { meta, stream, timer, carry: early, may_be_http2 };
    let then = loop {
        match client.serve_one().await {
            Then::Keep => {}
            then => break then,
        }
    };
    match then {
        Then::Linger => linger(&client.stream, &meta.context.read_buffer, &mut client.timer).await,
        Then::Cut => {
            client.stream.cut();
        }
        Then::Http2 => {
            let Client { stream, carry: early, .. } = client;
            return Some(Arrival { stream, peer, destination, early, secure: None });
        }
        Then::Keep | Then::Close => {}
    }
    None
}

/// Whose request a stream of HTTP/2 brings.
pub(crate) struct Visitor<'a> {
    pub(crate) guard: &'a ConnectionGuard,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) destination: Option<SocketAddr>,
    pub(crate) secure: Option<&'a tls::Peer>,
    /// See [`Meta::exported`].
    pub(crate) exported: Option<&'a [u8]>,
}

/// Serves the one request of a stream, or says that it is refused. The timer is given back.
pub(crate) async fn serve_one(stream: Stream, visitor: Visitor<'_>, refused: Option<HeadError>, timer: Timer) -> Timer {
    let Visitor { guard, peer, destination, secure, exported } = visitor;
    let (context, frontend) = (&*guard.context, guard.frontend);
    let meta = Meta { context, frontend, peer, destination, secure, exported, shown: None, is_http2: true };
    let mut client = Client { meta, stream, timer, carry: Vec::new(), may_be_http2: false };
    let then = match refused {
        None => client.serve_one().await,
        Some(error) => {
            let mut record = Record::new(Instant::now(), meta.context.is_logged(meta.frontend));
            record.is_http2 = true;
            record.secure(meta.secure);
            let then = client.refuse(Reason::Head(error), &mut record).await;
            meta.context.finish(&record, meta.frontend, meta.peer);
            then
        }
    };
    match then {
        Then::Cut => client.stream.cut(),
        Then::Keep | Then::Close | Then::Linger | Then::Http2 => client.stream.shutdown_write(),
    }
    client.timer
}

/// Answers a client that cannot be served at all, and lets it read that.
pub(crate) async fn refuse(arrival: Arrival, reason: Reason, record: &mut Record, guard: &ConnectionGuard) {
    let Arrival { stream, peer, destination, early, .. } = arrival;
    let (context, frontend) = (&*guard.context, guard.frontend);
    let meta =
        Meta { context, frontend, peer, destination, secure: None, exported: None, shown: None, is_http2: false };
    let timer = Timer::new(meta.configured().timeouts.idle);
    record.bytes_in = early.len() as u64;
    let mut client = Client { meta, stream, timer, carry: early, may_be_http2: false };
    client.refuse(reason, record).await;
    meta.context.finish(record, guard.frontend, peer);
    linger(&client.stream, &meta.context.read_buffer, &mut client.timer).await;
}

impl Client<'_> {
    /// Who it is, as servers are told.
    pub(crate) fn told(&self) -> Told<'_> {
        Told { stream: &self.stream, peer: self.meta.peer, destination: self.meta.destination }
    }

    async fn serve_one(&mut self) -> Then {
        let mut record = None;
        let Some(planned) = self.await_request(&mut record).await else {
            return Then::Close;
        };
        if matches!(planned, Planned::Http2) {
            return Then::Http2;
        }
        self.may_be_http2 = false;
        let context = self.meta.context;
        let mut record = record.expect("a plan is made of bytes, and the first of them begin a record");
        record.head_took = record.began.elapsed();
        let planned = match planned {
            Planned::Doubted(doubt) => Box::pin(self.settle(*doubt, &mut record)).await,
            planned => planned,
        };
        let then = match planned {
            Planned::Request(plan) => {
                let _busy = context.begin_request();
                match plan.traits.coding.and_then(|coding| Some((coding, context.coders.try_acquire().ok()?))) {
                    None => self.carry_out(plan, &mut record).await,
                    Some((coding, _place)) => Box::pin(self.carry_out_coded(plan, coding, &mut record)).await,
                }
            }
            Planned::Refused(reason) => self.refuse(reason, &mut record).await,
            Planned::Partial | Planned::Http2 | Planned::Doubted(_) => Then::Close,
        };
        record.secure(self.meta.secure);
        context.finish(&record, self.meta.frontend, self.meta.peer);
        then
    }

    /// Has the client's name and password verified, and plans its request anew if they are right.
    async fn settle(&mut self, doubt: Doubt, record: &mut Record) -> Planned {
        let Doubt { auth, shown, bytes, refusal } = doubt;
        match verify(self.meta.context, &auth, shown).await {
            Ok(true) => match plan(self.meta, &self.stream, &bytes, Pass::Again, record, &mut Vec::new()) {
                Planned::Doubted(doubt) => Planned::Request(doubt.refusal),
                planned => planned,
            },
            Ok(false) => {
                record.fail(Reason::Unauthorized);
                Planned::Request(refusal)
            }
            Err(reason) => Planned::Refused(reason),
        }
    }

    /// Carries a plan out, its answer coded.
    async fn carry_out_coded(&mut self, plan: Plan, coding: Coding, record: &mut Record) -> Then {
        self.stream.code(coding, plan.traits.is_head, self.meta.context.shared.limits);
        let then = self.carry_out(plan, record).await;
        self.stream.uncode();
        then
    }

    /// The next request; `None` if the client has none.
    async fn await_request(&mut self, record: &mut Option<Record>) -> Option<Planned> {
        let context = self.meta.context;
        let timeouts = &self.meta.configured().timeouts;
        let logged = context.is_logged(self.meta.frontend);
        let mut planned = if self.carry.is_empty() {
            self.timer.set(timeouts.keep_alive);
            let (meta, stream, carry, may_be_http2) = (self.meta, &self.stream, &mut self.carry, self.may_be_http2);
            let first = read_with(stream, &context.read_buffer, &mut self.timer, None, |bytes| {
                let record = record.insert(Record::new(Instant::now(), logged));
                let planned = match may_be_http2.then(|| preface_in(bytes)).flatten() {
                    Some(planned) => planned,
                    None => plan(meta, stream, bytes, Pass::First, record, carry),
                };
                if matches!(planned, Planned::Partial | Planned::Http2) {
                    carry.extend_from_slice(bytes);
                }
                planned
            });
            first.await.ok()?
        } else {
            let record = record.insert(Record::new(Instant::now(), logged));
            self.plan_carried(record)
        };
        let record = record.as_mut()?;
        while matches!(planned, Planned::Partial) {
            self.timer.set_at(record.began + timeouts.header);
            let carry = &mut self.carry;
            let more = read_with(&self.stream, &context.read_buffer, &mut self.timer, None, |bytes| {
                carry.extend_from_slice(bytes);
                bytes.contains(&b'\n') || carry.len() > context.shared.limits.target_bytes
            });
            planned = match more.await {
                // A head cannot become whole, nor a field one more, without the end of a line.
                Ok(true) => self.plan_carried(record),
                Ok(false) => Planned::Partial,
                Err(Halt::TimedOut) => Planned::Refused(Reason::SlowHead),
                Err(_) => Planned::Refused(Reason::ClientGone),
            };
        }
        Some(planned)
    }

    fn plan_carried(&mut self, record: &mut Record) -> Planned {
        let held = std::mem::replace(&mut self.carry, self.meta.context.buffer());
        let planned = match self.may_be_http2.then(|| preface_in(&held)).flatten() {
            Some(planned) => planned,
            None => plan(self.meta, &self.stream, &held, Pass::First, record, &mut self.carry),
        };
        match planned {
            Planned::Partial | Planned::Http2 => self.carry = held,
            _ => self.meta.context.recycle(held),
        }
        if self.carry.is_empty() {
            self.meta.context.recycle(std::mem::take(&mut self.carry));
        }
        planned
    }

    async fn carry_out(&mut self, plan: Plan, record: &mut Record) -> Then {
        match plan.todo {
            Todo::Forward { backend, claim, detour, request, head } => {
                let mut errand = Errand::new(&request, plan.body, plan.traits, plan.route, detour);
                errand.keep_head(head);
                let then = exchange(self, backend, claim, &mut errand, record).await;
                self.meta.context.recycle(request);
                then
            }
            Todo::Send { status, bytes, rest, handler } => {
                record.status = status;
                send(self, bytes, rest, handler, &plan.body, plan.traits, record).await
            }
            Todo::TurnAway { reason, retry_after } => {
                let keep = plan.traits.keep_alive && plan.body.is_done();
                self.answer_error(reason, keep, plan.traits.is_head, retry_after, record).await;
                self.after(keep, plan.body.is_done())
            }
            Todo::Take(taken) => Box::pin(receive(self, *taken, plan.traits, plan.route, record)).await,
            Todo::Ask { handler, head } => {
                ask(self, handler, head, None, &plan.body, plan.traits, plan.route, record).await
            }
        }
    }

    /// Answers with the reason's status, if the client is still there to be told.
    async fn refuse(&mut self, reason: Reason, record: &mut Record) -> Then {
        self.answer_error(reason, false, false, None, record).await;
        match reason {
            Reason::ClientGone => Then::Close,
            _ => Then::Linger,
        }
    }

    /// Sends an error made here. What cannot be sent any more is not sent.
    pub(crate) async fn answer_error(
        &mut self,
        reason: Reason,
        keep: bool,
        is_head: bool,
        retry_after: Option<Duration>,
        record: &mut Record,
    ) {
        record.fail(reason);
        record.status = reason.status();
        if reason == Reason::ClientGone {
            return;
        }
        let mut out = self.meta.context.buffer();
        let page = self.meta.context.shared.error_page(self.meta.frontend, record.status);
        write_error(&mut out, reason, keep, is_head, retry_after, page);
        let patience = self.meta.configured().timeouts.idle;
        if write_all(&self.stream, &mut self.timer, patience, &out).await.is_ok() {
            record.bytes_out += out.len() as u64;
        }
        self.meta.context.recycle(out);
    }

    /// What an answer that is wholly sent means for the connection.
    pub(crate) fn after(&self, keep: bool, body_done: bool) -> Then {
        match (keep, body_done) {
            (true, true) => Then::Keep,
            (false, true) if self.carry.is_empty() => Then::Close,
            _ => Then::Linger,
        }
    }
}

/// Whether a connection begins as HTTP/2 does, or may still (RFC 9113 §3.4); `None`: not so.
fn preface_in(bytes: &[u8]) -> Option<Planned> {
    if bytes.starts_with(PREFACE) {
        return Some(Planned::Http2);
    }
    PREFACE.starts_with(bytes).then_some(Planned::Partial)
}

impl Record {
    /// Notes that nothing is left to do.
    pub(crate) fn end(&mut self) {
        self.phase = Phase::Ended;
    }
}
