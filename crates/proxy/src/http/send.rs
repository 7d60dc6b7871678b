//! Answers from this machine: bytes, and files without a copy.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use http_proto::{Parsed, field_slots, parse_request, resolve_path};

use super::body::Body;
use super::client::{Client, Then};
use super::plan::Traits;
use super::reply::{write_last_fields, write_now};
use super::send_file::Named;
use crate::config::HandlerIndex;
use crate::handler::{Handler, HandlerAnswer, HandlerRequest, Part, Patience, Storage};
use crate::log::{Phase, Record};
use crate::reason::Reason;
use crate::stats::SendingGuard;
use crate::transfer::{Halt, writable, write_all};
use crate::worker::Context;

/// Sent before looking again whether the file is in memory.
const STRETCH: u64 = 2 << 20;

/// One call of sendfile(2) moves no more than this, so that no client holds a worker for long.
const SENDFILE_MAX: usize = 2 << 20;

/// Sends `bytes`, a whole head at least, and then `rest`.
pub(crate) async fn send(
    client: &mut Client<'_>,
    bytes: Vec<u8>,
    rest: Vec<Part>,
    handler: Option<HandlerIndex>,
    body: &Body,
    traits: Traits,
    record: &mut Record,
) -> Then {
    let keep = traits.keep_alive;
    record.phase = Phase::Data;
    let inline = body_within(&bytes);
    let mut sending = begin(client.meta.context, handler, inline, &rest);
    let sent = if rest.is_empty() {
        let sent = send_bytes(client, &bytes, record).await;
        sent.map(|()| sending.sent(inline))
    } else {
        let parts = Parts { inline, rest, handler, sending: &mut sending };
        Box::pin(send_parts(client, &bytes, parts, record)).await
    };
    drop(sending);
    client.meta.context.recycle(bytes);
    match sent {
        Ok(()) => {
            record.end();
            client.after(keep, body.is_done())
        }
        Err(reason) => {
            record.fail(reason);
            Then::Cut
        }
    }
}

/// How many of an answer's bytes follow its head.
fn body_within(bytes: &[u8]) -> u64 {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
    (bytes.len() - end) as u64
}

/// Counts an answer as under way, if it is a handler's that is part of this machine's load.
fn begin<'a>(context: &'a Context, handler: Option<HandlerIndex>, inline: u64, rest: &[Part]) -> SendingGuard<'a> {
    match handler {
        Some(index) if context.shared.handlers[usize::from(index.0)].is_load() => {
            context.stats.sending.begin(inline + rest.iter().map(Part::length).sum::<u64>())
        }
        _ => SendingGuard::UNCOUNTED,
    }
}

/// What follows an answer's first bytes.
struct Parts<'s, 'a> {
    /// Of the first bytes, how many are of the body.
    inline: u64,
    rest: Vec<Part>,
    handler: Option<HandlerIndex>,
    sending: &'s mut SendingGuard<'a>,
}

async fn send_bytes(client: &mut Client<'_>, bytes: &[u8], record: &mut Record) -> Result<(), Reason> {
    let patience = client.meta.configured().timeouts.idle;
    write_all(&client.stream, &mut client.timer, patience, bytes).await.map_err(Halt::at_client)?;
    record.bytes_out += bytes.len() as u64;
    Ok(())
}

async fn send_parts(
    client: &mut Client<'_>,
    head: &[u8],
    Parts { inline, rest, handler, sending }: Parts<'_, '_>,
    record: &mut Record,
) -> Result<(), Reason> {
    // The head waits in the kernel for the file's first bytes.
    let written = client.stream.try_write_before_more(head).unwrap_or(0);
    record.bytes_out += written as u64;
    send_bytes(client, &head[written..], record).await?;
    sending.sent(inline);
    for part in rest {
        match (part, handler) {
            (Part::Bytes(bytes), _) => {
                send_bytes(client, &bytes, record).await?;
                sending.sent(bytes.len() as u64);
            }
            (Part::File { file, offset, length, storage }, Some(index)) => {
                let handler = Arc::clone(&client.meta.context.shared.handlers[usize::from(index.0)]);
                let mut span = Span { index, handler, file, offset, end: offset + length, sending };
                // Corked, a long file takes fewer packets; a short one is one call of sendfile anyway.
                let is_long = length > STRETCH;
                if is_long {
                    client.stream.set_cork(true);
                }
                match storage {
                    Storage::Memory => span.send(client, length, record).await?,
                    Storage::Local => span.send_from_disk(client, record).await?,
                    Storage::Remote => span.send_from_afar(client, record).await?,
                }
                if is_long {
                    client.stream.set_cork(false);
                }
            }
            (Part::File { .. }, None) => return Err(Reason::HandlerBusy),
        }
    }
    Ok(())
}

/// What is left to send of a file.
struct Span<'s, 'a> {
    index: HandlerIndex,
    handler: Arc<dyn Handler>,
    file: Arc<File>,
    offset: u64,
    end: u64,
    sending: &'s mut SendingGuard<'a>,
}

impl Span<'_, '_> {
    /// Has the kernel send the next `length` bytes, and lets the other connections have their turn now and then.
    async fn send(&mut self, client: &mut Client<'_>, length: u64, record: &mut Record) -> Result<(), Reason> {
        let end = self.offset + length;
        if client.stream.socket().is_none() {
            return self.copy(client, end, record).await;
        }
        while self.offset < end {
            let want = usize::try_from(end - self.offset).unwrap_or(usize::MAX).min(SENDFILE_MAX);
            let (file, offset) = (self.file.as_fd(), &mut self.offset);
            match client.stream.try_write_io(|fd| linux::sendfile(fd, file, offset, want)) {
                Ok(0) => return Err(Reason::FileCut),
                Ok(sent) => {
                    record.bytes_out += sent as u64;
                    self.sending.sent(sent as u64);
                    if self.offset < self.end {
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    client.timer.set(client.meta.configured().timeouts.idle);
                    writable(&client.stream, &mut client.timer).await.map_err(Halt::at_client)?;
                }
                Err(error) => return Err(Halt::from(error).at_client()),
            }
        }
        Ok(())
    }

    /// Sends what is in memory up to `end` where the kernel cannot.
    async fn copy(&mut self, client: &mut Client<'_>, end: u64, record: &mut Record) -> Result<(), Reason> {
        let patience = client.meta.configured().timeouts.idle;
        while self.offset < end {
            let (read, unsent) = {
                let mut buffer = client.meta.context.read_buffer.borrow_mut();
                let want = usize::try_from(end - self.offset).unwrap_or(usize::MAX).min(buffer.len());
                let read = rustix::io::pread(&*self.file, &mut buffer[..want], self.offset);
                let read = read.map_err(|_| Reason::FileCut)?;
                let written = client.stream.try_write(&buffer[..read]).unwrap_or(0);
                (read, buffer[written..read].to_vec())
            };
            if read == 0 {
                return Err(Reason::FileCut);
            }
            write_all(&client.stream, &mut client.timer, patience, &unsent).await.map_err(Halt::at_client)?;
            self.offset += read as u64;
            record.bytes_out += read as u64;
            self.sending.sent(read as u64);
            if self.offset < self.end {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn send_from_disk(&mut self, client: &mut Client<'_>, record: &mut Record) -> Result<(), Reason> {
        while self.offset < self.end {
            let length = (self.end - self.offset).min(STRETCH);
            if !self.handler.is_resident(&self.file, self.offset, length) {
                let (handler, file, offset) = (Arc::clone(&self.handler), Arc::clone(&self.file), self.offset);
                let timeout = handler.timeout();
                patiently(client.meta.context, self.index, timeout, move || handler.bring_in(&file, offset, length))
                    .await?;
            }
            self.send(client, length, record).await?;
        }
        Ok(())
    }

    async fn send_from_afar(&mut self, client: &mut Client<'_>, record: &mut Record) -> Result<(), Reason> {
        let mut bytes = Vec::new();
        while self.offset < self.end {
            let length = (self.end - self.offset).min(STRETCH);
            let (handler, file, offset) = (Arc::clone(&self.handler), Arc::clone(&self.file), self.offset);
            let timeout = handler.timeout();
            bytes.clear();
            let read = patiently(client.meta.context, self.index, timeout, move || {
                let read = handler.read(&file, offset, length as usize, &mut bytes);
                read.map(|()| bytes)
            });
            bytes = read.await?.map_err(|_| Reason::FileCut)?;
            if bytes.is_empty() {
                return Err(Reason::FileCut);
            }
            self.offset += bytes.len() as u64;
            send_bytes(client, &bytes, record).await?;
            self.sending.sent(bytes.len() as u64);
        }
        Ok(())
    }
}

/// Runs `work` on one of the few threads that may wait for this handler, for as long as `timeout`, the wait for such a
/// thread included. Work that hangs keeps its thread.
pub(crate) async fn patiently<T: Send + 'static>(
    context: &Context,
    handler: HandlerIndex,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Reason> {
    let places = Arc::clone(&context.patient[usize::from(handler.0)]);
    let waited = Cell::new(true);
    let done = tokio::time::timeout(timeout, async {
        let place = places.acquire_owned().await.ok()?;
        waited.set(false);
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        task.await.ok()
    });
    match done.await {
        Ok(Some(done)) => Ok(done),
        Err(_) if waited.get() => Err(Reason::HandlerBusy),
        Ok(None) | Err(_) => Err(Reason::HandlerTimeout),
    }
}

/// Has the handler answer from a thread that may wait, and sends that; `named`: what an application wants sent, as if it
/// were that path that was asked for.
#[expect(clippy::too_many_arguments, reason = "what is known of a request is in as many places")]
pub(crate) async fn ask(
    client: &mut Client<'_>,
    index: HandlerIndex,
    head: Vec<u8>,
    named: Option<Named>,
    body: &Body,
    traits: Traits,
    route: Option<u16>,
    record: &mut Record,
) -> Then {
    let context = client.meta.context;
    let handler = Arc::clone(&context.shared.handlers[usize::from(index.0)]);
    let timeout = handler.timeout();
    let limits = context.shared.limits;
    let (mut date, mut fields) = (context.buffer(), context.buffer());
    write_now(&mut date);
    write_last_fields(&mut fields, client.meta, route, traits.version, traits.keep_alive);
    record.phase = Phase::Headers;
    let sending = begin(context, Some(index), 0, &[]);
    // The thread may outlive the connection.
    let identity = client.meta.secure.and_then(|peer| peer.identity.clone());
    let answered = Box::pin(patiently(context, index, timeout, move || {
        let mut out = Vec::new();
        let mut slots = field_slots();
        let Ok(Parsed::Whole(request, _)) = parse_request(&head, &mut slots, &limits) else {
            return None;
        };
        let resolved = resolve_path(request.path_and_query).ok()?;
        let request = HandlerRequest {
            head: &request,
            path: named.as_ref().map_or(&*resolved.path, |named| &named.path),
            query: resolved.query,
            date: &date,
            fields: &fields,
            identity: identity.as_ref(),
        };
        let answer = handler.answer(&request, Patience::Wait, &mut out).ok()?;
        if let Some(named) = named {
            named.join(answer.status, &mut out);
        }
        Some((answer, out))
    }));
    let answered = answered.await;
    drop(sending);
    let reason = match answered {
        Ok(Some((HandlerAnswer { status, rest }, bytes))) => {
            record.status = status;
            let bytes = client.meta.dress(status, bytes, &rest, traits.is_head);
            return send(client, bytes, rest, Some(index), body, traits, record).await;
        }
        Ok(None) => Reason::HandlerTimeout,
        Err(reason) => reason,
    };
    let keep = traits.keep_alive && body.is_done();
    client.answer_error(reason, keep, traits.is_head, None, record).await;
    client.after(keep, body.is_done())
}
