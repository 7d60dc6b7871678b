//! Has a handler take a request's body, which may be of any length.
//!
//! Pieces go to threads that may wait, one after the other; while one is written the next is read, and no more is read
//! than that: a client is as fast as the disk. A disk that does not answer costs the upload, never the worker.

use std::sync::Arc;

use http_proto::{Framing, Parsed, RequestHead, Version, field_slots, parse_request, resolve_path};

use super::body::Body;
use super::client::{Client, Then};
use super::plan::Traits;
use super::reply::{Reply, write_last_fields, write_reply};
use super::send::patiently;
use crate::config::HandlerIndex;
use crate::handler::{Begun, HandlerRequest, Intake, Receipt};
use crate::log::{Phase, Record};
use crate::reason::Reason;
use crate::transfer::{Halt, read_with, write_all};
use crate::worker::Context;

/// What goes to a thread at once. Larger pieces take no less time for each byte, and every upload has two of them.
const PIECE: usize = 256 * 1024;

/// A request whose body a handler takes.
pub(crate) struct Taken {
    handler: HandlerIndex,
    head: Vec<u8>,
    framing: Framing,
    /// As much of the body as came with the head, with its framing.
    early: Vec<u8>,
    awaits_continue: bool,
}

impl Taken {
    pub(crate) fn new(handler: HandlerIndex, head: &RequestHead<'_>, bytes: &[u8], early: &[u8]) -> Taken {
        // Who has begun to send does not wait (RFC 9110 §10.1.1).
        let awaits_continue = head.expects_continue && early.is_empty();
        Taken { handler, head: bytes.to_vec(), framing: head.framing, early: early.to_vec(), awaits_continue }
    }
}

/// A handler's intake. Wherever it is dropped, no worker waits for that.
struct Taking(Option<Box<dyn Intake>>);

impl Taking {
    fn intake(&mut self) -> &mut dyn Intake {
        &mut **self.0.as_mut().expect("only dropping takes the intake away")
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if let Some(intake) = self.0.take() {
            tokio::task::spawn_blocking(move || drop(intake));
        }
    }
}

/// How an upload ended without being refused.
enum End {
    /// The handler has answered.
    Answered(Receipt),
    /// Something else is to blame.
    Failed(Reason),
}

/// Has the handler take the body, and sends what it answers.
pub(crate) async fn receive(
    client: &mut Client<'_>,
    taken: Taken,
    traits: Traits,
    route: Option<u16>,
    record: &mut Record,
) -> Then {
    let Taken { handler, head, framing, early, awaits_continue } = taken;
    let mut incoming = Incoming { body: Body::new(framing), piece: Vec::new(), trailers: Vec::new() };
    record.phase = Phase::Data;
    let end = match client.meta.context.intakes[usize::from(handler.0)].clone().try_acquire() {
        Err(_) => End::Failed(Reason::HandlerBusy),
        Ok(_place) => match begin(client, handler, head).await {
            Err(end) => end,
            Ok(begun) => {
                let taking = Taking(Some(begun.intake));
                let interim = interim(begun.interim, awaits_continue, traits);
                let beginning = (interim, early);
                take(client, handler, taking, beginning, &mut incoming, record).await
            }
        },
    };
    let is_whole = incoming.body.is_done();
    match end {
        End::Answered(receipt) => {
            let keep = traits.keep_alive && is_whole && !client.meta.context.shared.is_draining();
            answer(client, &receipt, Traits { keep_alive: keep, ..traits }, route, record).await;
            client.after(keep, is_whole)
        }
        End::Failed(reason @ (Reason::ClientGone | Reason::ClientTimeout)) => {
            record.fail(reason);
            Then::Cut
        }
        End::Failed(reason) => {
            client.answer_error(reason, false, traits.is_head, None, record).await;
            client.after(false, is_whole)
        }
    }
}

/// What is told before the body comes.
fn interim(mut interim: Vec<u8>, awaits_continue: bool, traits: Traits) -> Vec<u8> {
    // RFC 9110 §15.2: never to a client of HTTP/1.0.
    if traits.version == Version::Http10 {
        return Vec::new();
    }
    if awaits_continue {
        interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    interim
}

async fn begin(client: &Client<'_>, index: HandlerIndex, head: Vec<u8>) -> Result<Begun, End> {
    let context = client.meta.context;
    let handler = Arc::clone(&context.shared.handlers[usize::from(index.0)]);
    let (limits, timeout) = (context.shared.limits, handler.take_timeout());
    let identity = client.meta.secure.and_then(|peer| peer.identity.clone());
    let begun = patiently(context, index, timeout, move || {
        let mut slots = field_slots();
        let Ok(Parsed::Whole(request, _)) = parse_request(&head, &mut slots, &limits) else {
            return None;
        };
        let resolved = resolve_path(request.path_and_query).ok()?;
        let (path, query, identity) = (&*resolved.path, resolved.query, identity.as_ref());
        Some(handler.begin(&HandlerRequest { head: &request, path, query, date: b"", fields: b"", identity }))
    });
    match begun.await {
        Ok(Some(begun)) => begun.map_err(End::Answered),
        Ok(None) => Err(End::Failed(Reason::Path)),
        Err(reason) => Err(End::Failed(reason)),
    }
}

/// Reads and writes the body to its end.
async fn take(
    client: &mut Client<'_>,
    index: HandlerIndex,
    mut taking: Taking,
    (interim, early): (Vec<u8>, Vec<u8>),
    incoming: &mut Incoming,
    record: &mut Record,
) -> End {
    let context = client.meta.context;
    let patience = client.meta.configured().timeouts.idle;
    let told = write_all(&client.stream, &mut client.timer, patience, &interim).await;
    let mut read = match (told, incoming.feed(&early)) {
        (Err(halt), _) => Err(halt.at_client()),
        (_, Err(reason)) => Err(reason),
        (Ok(()), Ok(_)) => incoming.fill(client, record).await,
    };
    record.bytes_out += interim.len() as u64;
    while read.is_ok() && !incoming.piece.is_empty() {
        let piece = std::mem::take(&mut incoming.piece);
        let reading = async { Ok(incoming.fill(client, record).await) };
        match tokio::try_join!(write(context, index, taking, piece), reading) {
            Ok((still_taking, next)) => (taking, read) = (still_taking, next),
            Err(end) => return end,
        }
    }
    match read {
        Ok(()) => finish(context, index, taking, std::mem::take(&mut incoming.trailers)).await,
        Err(reason) => {
            let rest = std::mem::take(&mut incoming.piece);
            let timeout = context.shared.handlers[usize::from(index.0)].take_timeout();
            // What comes of it nobody hears any more.
            let _ = patiently(context, index, timeout, move || taking.intake().abandon(&rest)).await;
            End::Failed(reason)
        }
    }
}

/// Has a piece written.
async fn write(context: &Context, index: HandlerIndex, mut taking: Taking, piece: Vec<u8>) -> Result<Taking, End> {
    let timeout = context.shared.handlers[usize::from(index.0)].take_timeout();
    let written = patiently(context, index, timeout, move || taking.intake().write(&piece).map(|()| taking));
    match written.await {
        Ok(written) => written.map_err(End::Answered),
        Err(reason) => Err(End::Failed(reason)),
    }
}

/// Has the body brought to its end, in as many steps as that takes.
async fn finish(context: &Context, index: HandlerIndex, mut taking: Taking, trailers: Vec<u8>) -> End {
    let timeout = context.shared.handlers[usize::from(index.0)].take_timeout();
    let trailers: Arc<[u8]> = trailers.into();
    loop {
        let trailers = Arc::clone(&trailers);
        let step = patiently(context, index, timeout, move || (taking.intake().finish(&trailers), taking));
        match step.await {
            Ok((Some(receipt), _)) => return End::Answered(receipt),
            Ok((None, still_taking)) => taking = still_taking,
            Err(reason) => return End::Failed(reason),
        }
    }
}

/// What has come of a body and is not yet written.
struct Incoming {
    body: Body,
    piece: Vec<u8>,
    trailers: Vec<u8>,
}

impl Incoming {
    /// Takes bytes in; says how many of them are the body's.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, Reason> {
        self.body.take_apart(bytes, &mut self.piece, &mut self.trailers).map_err(Reason::Chunk)
    }

    /// Reads until there is a piece, or the body's end.
    async fn fill(&mut self, client: &mut Client<'_>, record: &mut Record) -> Result<(), Reason> {
        let idle = client.meta.configured().timeouts.idle;
        while !self.body.is_done() && self.piece.len() < PIECE {
            client.timer.set(idle);
            let carry = &mut client.carry;
            let read = read_with(&client.stream, &client.meta.context.read_buffer, &mut client.timer, None, |bytes| {
                let taken = self.feed(bytes)?;
                carry.extend_from_slice(&bytes[taken..]);
                Ok(taken)
            });
            record.bytes_in += read.await.map_err(Halt::at_client)?? as u64;
        }
        Ok(())
    }
}

async fn answer(client: &mut Client<'_>, receipt: &Receipt, traits: Traits, route: Option<u16>, record: &mut Record) {
    let context = client.meta.context;
    let (mut out, mut fields) = (context.buffer(), context.buffer());
    fields.extend_from_slice(&receipt.fields);
    write_last_fields(&mut fields, client.meta, route, traits.version, traits.keep_alive);
    let content_type = Some("text/plain; charset=utf-8");
    let reply = Reply { status: receipt.status, content_type, body: receipt.body.as_bytes(), ..Reply::default() };
    write_reply(&mut out, &reply, &fields, traits.is_head);
    record.status = receipt.status;
    let patience = client.meta.configured().timeouts.idle;
    match write_all(&client.stream, &mut client.timer, patience, &out).await {
        Ok(()) => {
            record.bytes_out += out.len() as u64;
            record.end();
        }
        Err(halt) => record.fail(halt.at_client()),
    }
    context.recycle(fields);
    context.recycle(out);
}
