//! Answers from this machine: bytes, and files without a copy.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_proto::{Parsed, field_slots, parse_request, resolve_path};

use super::body::Body;
use super::client::{Client, Then};
use super::plan::Traits;
use super::reply::write_last_fields;
use crate::config::HandlerIndex;
use crate::handler::{Handler, HandlerAnswer, HandlerRequest, Part, Patience};
use crate::log::{Phase, Record};
use crate::reason::Reason;
use crate::transfer::{Halt, writable, write_all};

/// Sent before looking again whether the file is in memory.
const SPAN: u64 = 1 << 20;

/// Threads of one worker that may wait for a handler at once: a hung mount takes these and no more.
const PATIENT_MAX: u32 = 32;

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
    let keep = traits.keep_alive && !client.meta.context.shared.is_draining();
    record.phase = Phase::Data;
    let sent = if rest.is_empty() {
        send_bytes(client, &bytes, record).await
    } else {
        Box::pin(send_parts(client, &bytes, rest, handler, record)).await
    };
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

async fn send_bytes(
    client: &mut Client<'_>,
    bytes: &[u8],
    record: &mut Record,
) -> Result<(), Reason> {
    let patience = client.meta.configured().timeouts.idle;
    write_all(&client.stream, &mut client.timer, patience, bytes)
        .await
        .map_err(Halt::at_client)?;
    record.bytes_out += bytes.len() as u64;
    Ok(())
}

async fn send_parts(
    client: &mut Client<'_>,
    head: &[u8],
    parts: Vec<Part>,
    handler: Option<HandlerIndex>,
    record: &mut Record,
) -> Result<(), Reason> {
    // The head waits in the kernel for the file's first bytes.
    let more = |fd: std::os::fd::BorrowedFd<'_>| {
        Ok(rustix::net::send(fd, head, rustix::net::SendFlags::MORE)?)
    };
    let written = client.stream.try_write_io(more).unwrap_or(0);
    record.bytes_out += written as u64;
    send_bytes(client, &head[written..], record).await?;
    for part in parts {
        match (part, handler) {
            (Part::Bytes(bytes), _) => send_bytes(client, &bytes, record).await?,
            (
                Part::File {
                    file,
                    offset,
                    length,
                },
                Some(handler),
            ) => {
                let handler =
                    Arc::clone(&client.meta.context.shared.handlers[usize::from(handler.0)]);
                send_file(client, &handler, &file, offset, length, record).await?;
            }
            (Part::File { .. }, None) => return Err(Reason::HandlerBusy),
        }
    }
    Ok(())
}

async fn send_file(
    client: &mut Client<'_>,
    handler: &Arc<dyn Handler>,
    file: &Arc<File>,
    mut offset: u64,
    length: u64,
    record: &mut Record,
) -> Result<(), Reason> {
    let end = offset + length;
    while offset < end {
        let span = (end - offset).min(SPAN);
        if !handler.is_resident(file, offset, span) {
            bring_in(client, handler, file, offset, span).await?;
        }
        let span_end = offset + span;
        while offset < span_end {
            let want = (span_end - offset) as usize;
            match client
                .stream
                .try_write_io(|fd| linux::sendfile(fd, file.as_fd(), &mut offset, want))
            {
                // The file has become shorter than its head promised.
                Ok(0) => return Err(Reason::HandlerTimeout),
                Ok(sent) => record.bytes_out += sent as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    client.timer.set(client.meta.configured().timeouts.idle);
                    writable(&client.stream, &mut client.timer)
                        .await
                        .map_err(Halt::at_client)?;
                }
                Err(error) => return Err(Halt::from(error).at_client()),
            }
        }
    }
    Ok(())
}

/// Waits, on a thread that may, until a span of a file is in memory.
async fn bring_in(
    client: &Client<'_>,
    handler: &Arc<dyn Handler>,
    file: &Arc<File>,
    offset: u64,
    length: u64,
) -> Result<(), Reason> {
    let timeout = handler.timeout();
    let (handler, file) = (Arc::clone(handler), Arc::clone(file));
    patiently(client, timeout, move || {
        handler.bring_in(&file, offset, length)
    })
    .await
}

/// Runs `work` on a thread that may wait, for as long as `timeout`. Work that hangs keeps its thread, and its place among the few.
async fn patiently<T: Send + 'static>(
    client: &Client<'_>,
    timeout: std::time::Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Reason> {
    let patient = Arc::clone(&client.meta.context.patient);
    if patient.fetch_add(1, Ordering::Relaxed) >= PATIENT_MAX {
        patient.fetch_sub(1, Ordering::Relaxed);
        return Err(Reason::HandlerBusy);
    }
    let task = tokio::task::spawn_blocking(move || {
        let done = work();
        patient.fetch_sub(1, Ordering::Relaxed);
        done
    });
    match tokio::time::timeout(timeout, task).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(Reason::HandlerTimeout),
    }
}

/// Has the handler answer from a thread that may wait, and sends that.
pub(crate) async fn ask(
    client: &mut Client<'_>,
    index: HandlerIndex,
    head: Vec<u8>,
    body: &Body,
    traits: Traits,
    route: Option<u16>,
    record: &mut Record,
) -> Then {
    let context = client.meta.context;
    let handler = Arc::clone(&context.shared.handlers[usize::from(index.0)]);
    let timeout = handler.timeout();
    let limits = context.shared.limits;
    let mut fields = context.buffer();
    write_last_fields(
        &mut fields,
        client.meta,
        route,
        traits.version,
        traits.keep_alive,
    );
    record.phase = Phase::Headers;
    let answered = Box::pin(patiently(client, timeout, move || {
        let mut out = Vec::new();
        let mut slots = field_slots();
        let Ok(Parsed::Whole(request, _)) = parse_request(&head, &mut slots, &limits) else {
            return None;
        };
        let resolved = resolve_path(request.path_and_query).ok()?;
        let request = HandlerRequest {
            head: &request,
            path: &resolved.path,
            query: resolved.query,
            fields: &fields,
        };
        let answer = handler.answer(&request, Patience::Wait, &mut out).ok()?;
        Some((answer, out))
    }));
    let reason = match answered.await {
        Ok(Some((HandlerAnswer { status, rest }, bytes))) => {
            record.status = status;
            return send(client, bytes, rest, Some(index), body, traits, record).await;
        }
        Ok(None) => Reason::HandlerTimeout,
        Err(reason) => reason,
    };
    let keep = traits.keep_alive && body.is_done();
    client
        .answer_error(reason, keep, traits.is_head, record)
        .await;
    client.after(keep, body.is_done())
}
