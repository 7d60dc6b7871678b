//! A server's answer on its way to the client.

use std::cell::Cell;
use std::time::Duration;

use http_proto::{
    Connection, Framing, Parsed, ResponseForward, ResponseHead, Version, field_slots, parse_response, write_response,
};
use tokio::time::Instant;

use super::body::Body;
use super::hold::{hold, is_held};
use super::plan::{Meta, Traits, edits};
use super::reply::unix_now;
use super::send_file::Named;
use crate::held::Stay;
use crate::log::{Phase, Record};
use crate::quest::Slot;
use crate::reason::Reason;
use crate::splice::{BULK, Moved, Patience, move_bytes};
use crate::stream::Stream;
use crate::timer::Timer;
use crate::transfer::{Halt, Watch, read_with, write_all};

/// Up to this many bytes of a body are copied behind their head: that costs less than a write of two pieces.
const JOIN_BYTES: usize = 2048;

/// Interim heads before a final one: a server that sends more plays with its clients' time-outs.
const INTERIM_MAX: u32 = 64;

/// Where an answer comes from, where it goes, and what the request has to say about it.
#[derive(Clone, Copy)]
pub(crate) struct Downstream<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) client: &'a Stream,
    pub(crate) server: &'a Stream,
    pub(crate) traits: Traits,
    pub(crate) route: Option<u16>,
    /// How long the server may be silent.
    pub(crate) timeout: Duration,
    /// When the request had been sent as far as it was here.
    pub(crate) sent: Instant,
    /// While the request's body is still being sent.
    pub(crate) upload: Option<&'a Upload>,
    /// Whether the request is sent again, should its answer end before the client has had any of it.
    pub(crate) repeatable: bool,
    /// Whether every byte is to go on at once.
    pub(crate) is_stream: bool,
    /// The server's.
    pub(crate) slot: &'a Slot<'a>,
}

/// What the two directions of an exchange know of each other.
pub(crate) struct Upload {
    /// When the body last made a step: a server may be silent meanwhile.
    pub(crate) last: Cell<Instant>,
    /// Whether any of the body has been taken from the client: the request is then nowhere whole.
    pub(crate) has_begun: Cell<bool>,
    /// Whether the answer has begun.
    pub(crate) answering: Cell<bool>,
}

impl Upload {
    pub(crate) fn new(now: Instant) -> Upload {
        Upload { last: Cell::new(now), has_begun: Cell::new(false), answering: Cell::new(false) }
    }
}

/// How an answer ended.
#[derive(Debug)]
pub(crate) enum Answered {
    /// It is with the client, whole.
    Whole { keep_server: bool, keep_client: bool },
    /// The server agreed to an upgrade or a CONNECT; the client knows.
    Switched,
    /// An application wants a file sent in the place of its answer.
    SendFile(Box<Named>),
    /// It did not come, or not whole.
    Failed { reason: Reason, heard: Heard },
}

/// What the client has had of an answer that did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing: another answer may be given.
    Nothing,
    /// A part, and its head tells where the whole would have ended.
    Part,
    /// A part that looks like a whole if the connection ends in order.
    PartWithoutEnd,
}

/// What the bytes of a server turned out to be.
enum Progress {
    /// The head goes on; these bytes are to be read again with the next.
    Partial(Vec<u8>),
    /// A final head went out, with as much of the body as was there; or none of it did, if it is `held`.
    Final { body: Body, dechunk: bool, keep_server: bool, keep_client: bool, unsent: Vec<u8>, held: bool },
    /// The head of an answer that ends HTTP on this connection went out.
    Switched { unsent: Vec<u8> },
    /// An application wants a file sent in the place of its answer.
    SendFile(Box<Named>),
}

/// Relays one answer.
pub(crate) async fn receive(
    way: &Downstream<'_>,
    watch: Option<Watch<'_>>,
    timer: &mut Timer,
    record: &mut Record,
) -> Answered {
    let mut stay = way.stay();
    let mut progress = match receive_head(way, watch, timer, record, &mut stay).await {
        Ok(progress) => progress,
        Err(reason) => {
            return Answered::Failed { reason, heard: Heard::Nothing };
        }
    };
    let first_byte = way.sent.elapsed();
    if let Progress::Final { held: true, body, keep_server, unsent, .. } = &mut progress {
        match Box::pin(hold(way, body, unsent, timer)).await {
            Ok(is_clean) => *keep_server &= is_clean,
            Err(reason) => {
                record.status = 0;
                return Answered::Failed { reason, heard: Heard::Nothing };
            }
        }
        record.bytes_out += unsent.len() as u64;
    }
    record.first_byte = Some(first_byte);
    record.phase = Phase::Data;
    let idle = way.meta.configured().timeouts.idle;
    match progress {
        Progress::Final { mut body, dechunk, mut keep_server, keep_client, unsent, held } => {
            let endless = dechunk || matches!(body, Body::UntilClose);
            let heard = if endless { Heard::PartWithoutEnd } else { Heard::Part };
            if !unsent.is_empty()
                && let Err(halt) = write_all(way.client, timer, idle, &unsent).await
            {
                return Answered::Failed { reason: halt.at_client(), heard };
            }
            stay.end(!unsent.is_empty());
            if held {
                way.meta.context.recycle(unsent);
            }
            if !body.is_done() {
                match Box::pin(relay_body(way, &mut body, dechunk, timer, record)).await {
                    Ok(is_clean) => keep_server &= is_clean,
                    Err(reason) => return Answered::Failed { reason, heard },
                }
            }
            Answered::Whole { keep_server, keep_client }
        }
        Progress::Switched { unsent } => match write_all(way.client, timer, idle, &unsent).await {
            Ok(()) => Answered::Switched,
            Err(halt) => Answered::Failed { reason: halt.at_client(), heard: Heard::Part },
        },
        Progress::SendFile(named) => Answered::SendFile(named),
        Progress::Partial(_) => Answered::Failed { reason: Reason::ServerMalformed, heard: Heard::Nothing },
    }
}

/// Waits for a final head; interim ones are passed on as they come.
async fn receive_head(
    way: &Downstream<'_>,
    mut watch: Option<Watch<'_>>,
    timer: &mut Timer,
    record: &mut Record,
    stay: &mut Stay<'_>,
) -> Result<Progress, Reason> {
    let mut held = Vec::new();
    let mut interim_heads = 0;
    timer.set(way.timeout);
    loop {
        let read = read_with(way.server, &way.meta.context.read_buffer, timer, watch.take(), |bytes| {
            stay.begin();
            if held.is_empty() {
                return way.digest(bytes, &mut interim_heads, record);
            }
            held.extend_from_slice(bytes);
            way.digest(&held, &mut interim_heads, record)
        });
        let (progress, interim) = match read.await {
            Ok(digested) => digested?,
            Err(Halt::TimedOut) if way.upload_is_recent() => {
                timer.set(way.timeout);
                continue;
            }
            Err(halt) => return Err(halt.at_server()),
        };
        if !interim.is_empty() {
            let idle = way.meta.configured().timeouts.idle;
            write_all(way.client, timer, idle, &interim).await.map_err(Halt::at_client)?;
            timer.set(way.timeout);
        }
        match progress {
            Progress::Partial(rest) => held = rest,
            progress => return Ok(progress),
        }
        if way.upload.is_none() {
            watch = Some(Watch::new(way.client));
        }
    }
}

impl Downstream<'_> {
    /// Reads heads from `bytes`, and writes what goes to the client. With it come interim heads that could not be sent yet.
    fn digest(
        &self,
        bytes: &[u8],
        interim_heads: &mut u32,
        record: &mut Record,
    ) -> Result<(Progress, Vec<u8>), Reason> {
        let context = self.meta.context;
        let mut out = context.buffer();
        let mut at = 0;
        let method = match self.traits {
            Traits { is_head: true, .. } => "HEAD",
            Traits { is_connect: true, .. } => "CONNECT",
            _ => "GET",
        };
        loop {
            let mut slots = field_slots();
            let parsed = parse_response(&bytes[at..], &mut slots, &context.shared.limits, method);
            let (head, length) = match parsed.map_err(|_| Reason::ServerMalformed)? {
                Parsed::Whole(head, length) => (head, length),
                Parsed::Partial => return Ok((Progress::Partial(bytes[at..].to_vec()), out)),
            };
            at += length;
            if self.switches(&head)? {
                self.write(&mut out, &head, Connection::Upgrade, Framing::None);
                record.status = head.status;
                out.extend_from_slice(&bytes[at..]);
                record.bytes_out += out.len() as u64;
                return Ok((Progress::Switched { unsent: out }, Vec::new()));
            }
            if head.status < 200 {
                *interim_heads += 1;
                if *interim_heads > INTERIM_MAX {
                    return Err(Reason::ServerMalformed);
                }
                // RFC 9110 §15.2: never to a client of HTTP/1.0.
                if self.traits.version == Version::Http11 {
                    self.write(&mut out, &head, Connection::KeepAlive, Framing::None);
                }
                continue;
            }
            if self.may_send_files()
                && let Some(named) = Named::in_head(&head)
            {
                return Ok((Progress::SendFile(Box::new(named)), out));
            }
            return self.begin(out, &head, &bytes[at..], record).map(|progress| (progress, Vec::new()));
        }
    }

    fn may_send_files(&self) -> bool {
        let backend = &self.meta.context.shared.config.backends[usize::from(self.slot.backend.0)];
        backend.application.as_ref().is_some_and(|application| application.send_file.is_some())
    }

    /// Whether this head ends HTTP on the connection; a server may not do so unasked.
    fn switches(&self, head: &ResponseHead<'_>) -> Result<bool, Reason> {
        match head.status {
            101 if self.traits.wants_upgrade => Ok(true),
            101 => Err(Reason::ServerMalformed),
            200..300 if self.traits.is_connect => Ok(true),
            _ => Ok(false),
        }
    }

    /// Sends a final head and as much of the body as came with it, in one write if the client takes it; or holds them.
    fn begin(
        &self,
        mut out: Vec<u8>,
        head: &ResponseHead<'_>,
        after: &[u8],
        record: &mut Record,
    ) -> Result<Progress, Reason> {
        let context = self.meta.context;
        record.status = head.status;
        if let Some(upload) = self.upload {
            upload.answering.set(true);
        }
        if let Framing::Length(length) = head.framing {
            self.slot.answered(length, head.status == 200);
        }
        if let Some(sticky) = context.shared.backend(self.slot.backend).sticky() {
            sticky.learn(&head.fields, self.slot.server);
        }
        let mut body = Body::new(head.framing);
        let dechunk = head.framing == Framing::Chunked && self.traits.version == Version::Http10;
        let framing = if dechunk { Framing::UntilClose } else { head.framing };
        let keep_client = self.traits.keep_alive && framing != Framing::UntilClose && !context.shared.is_draining();
        let connection = if keep_client { Connection::KeepAlive } else { Connection::Close };
        self.write(&mut out, head, connection, framing);
        let mut payload: &[u8] = &[];
        let taken = if dechunk { body.take_payload(after, &mut out) } else { body.take(after) };
        let taken = taken.map_err(|_| Reason::ServerMalformed)?;
        if is_held(self, &body, out.len() + taken) {
            out.extend_from_slice(&after[..taken]);
            let keep_server = head.keep_alive;
            return Ok(Progress::Final { body, dechunk, keep_server, keep_client, unsent: out, held: true });
        }
        if !dechunk && taken <= JOIN_BYTES {
            out.extend_from_slice(&after[..taken]);
        } else if !dechunk {
            payload = &after[..taken];
        }
        // Bytes beyond the end belong to nobody: such a connection is not used again.
        let keep_server = head.keep_alive && head.framing != Framing::UntilClose && taken == after.len();
        let written = self.client.try_write_two(&out, payload).unwrap_or(0);
        record.bytes_out += (out.len() + payload.len()) as u64;
        let unsent = if written < out.len() {
            out.extend_from_slice(payload);
            out.drain(..written);
            out
        } else {
            let unsent = payload[written - out.len()..].to_vec();
            context.recycle(out);
            unsent
        };
        Ok(Progress::Final { body, dechunk, keep_server, keep_client, unsent, held: false })
    }

    fn write(&self, out: &mut Vec<u8>, head: &ResponseHead<'_>, connection: Connection, framing: Framing) {
        let edits = edits(self.meta.configured(), self.route, |f| &f.response_headers, |r| &r.response_headers);
        let forward =
            ResponseForward { edits, connection, client_version: self.traits.version, framing, came: unix_now() };
        write_response(out, head, &forward);
    }

    /// Counts how long the bytes of a stream are here; those of other answers, never.
    fn stay(&self) -> Stay<'_> {
        let stats = &self.meta.context.stats.frontends[usize::from(self.meta.frontend.0)].streams;
        Stay::new(self.is_stream.then_some(stats))
    }

    fn upload_is_recent(&self) -> bool {
        self.upload.is_some_and(|upload| upload.last.get().elapsed() < self.timeout)
    }
}

/// Relays what is left of a body. `false`: more than the body came.
async fn relay_body(
    way: &Downstream<'_>,
    body: &mut Body,
    dechunk: bool,
    timer: &mut Timer,
    record: &mut Record,
) -> Result<bool, Reason> {
    let idle = way.meta.configured().timeouts.idle;
    let mut lease = None;
    // A body without a length may be a slow stream: it is bulk only once it has filled the buffer.
    let mut is_bulk = !matches!(body, Body::UntilClose);
    while !body.is_done() {
        if is_bulk && !dechunk && !way.is_stream && body.unseen() >= BULK {
            if lease.is_none() {
                lease = way.meta.context.pipes.take_between(way.server, way.client);
            }
            if let Some(lease) = &mut lease {
                let patience = Patience { from: way.timeout, to: idle };
                let mut moved_bytes = 0;
                let moved =
                    move_bytes(lease, way.server, way.client, body.unseen(), timer, patience, &mut moved_bytes).await;
                record.bytes_out += moved_bytes;
                body.pass(moved_bytes);
                match moved {
                    Moved::All => continue,
                    Moved::Unmovable => {}
                    Moved::Ended if matches!(body, Body::UntilClose) => return Ok(true),
                    Moved::Ended => return Err(Reason::ServerCut),
                    Moved::From(halt) => return Err(halt.within_answer()),
                    Moved::To(halt) => return Err(halt.at_client()),
                }
            }
        }
        match copy_some(way, body, dechunk, timer, record).await? {
            Copied { read: 0, .. } => break,
            Copied { is_clean: false, .. } => return Ok(false),
            Copied { read, .. } => is_bulk = is_bulk || read as u64 >= BULK,
        }
    }
    Ok(true)
}

/// What came of one read.
struct Copied {
    /// 0 is the orderly end of a body that ends with its connection.
    read: usize,
    /// Whether all of it was the body's. What follows the body belongs to nobody.
    is_clean: bool,
}

/// Relays one read's worth.
async fn copy_some(
    way: &Downstream<'_>,
    body: &mut Body,
    dechunk: bool,
    timer: &mut Timer,
    record: &mut Record,
) -> Result<Copied, Reason> {
    timer.set(way.timeout);
    let watch = way.upload.is_none().then(|| Watch::new(way.client));
    let ends_with_connection = matches!(body, Body::UntilClose);
    let mut stay = way.stay();
    let read = read_with(way.server, &way.meta.context.read_buffer, timer, watch, |bytes| {
        stay.begin();
        let mut plain = Vec::new();
        let taken = if dechunk { body.take_payload(bytes, &mut plain) } else { body.take(bytes) };
        let taken = taken.map_err(|_| Reason::ServerMalformed)?;
        let payload = if dechunk { plain.as_slice() } else { &bytes[..taken] };
        let written = way.client.try_write(payload).unwrap_or(0);
        record.bytes_out += payload.len() as u64;
        Ok((Copied { read: bytes.len(), is_clean: taken == bytes.len() }, payload[written..].to_vec()))
    });
    let (copied, unsent) = match read.await {
        Ok(read) => read?,
        Err(Halt::Closed) if ends_with_connection => return Ok(Copied { read: 0, is_clean: true }),
        Err(halt) => return Err(halt.within_answer()),
    };
    let idle = way.meta.configured().timeouts.idle;
    write_all(way.client, timer, idle, &unsent).await.map_err(Halt::at_client)?;
    stay.end(!unsent.is_empty());
    Ok(copied)
}
