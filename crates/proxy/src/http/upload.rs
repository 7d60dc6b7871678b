//! The rest of a request's body, from the client to the server.

use tokio::time::Instant;

use super::body::Body;
use super::plan::Meta;
use super::response::Upload;
use crate::reason::Reason;
use crate::splice::{BULK, Moved, Patience, move_bytes};
use crate::stream::Stream;
use crate::timer::Timer;
use crate::transfer::{read_with, write_all};

/// Why a body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadEnd {
    /// The client's doing.
    Client(Reason),
    /// The server takes no more.
    Server,
}

/// Sends what is left of `body`; what the client sends beyond it goes to `carry`.
#[expect(clippy::too_many_arguments, reason = "one direction of a relay borrows each part of it singly")]
pub(crate) async fn upload(
    meta: Meta<'_>,
    client: &Stream,
    server: &Stream,
    body: &mut Body,
    carry: &mut Vec<u8>,
    patience: Patience,
    timer: &mut Timer,
    progress: &Upload,
    uploaded: &mut u64,
) -> Result<(), UploadEnd> {
    let mut lease = None;
    while !body.is_done() {
        if body.unseen() >= BULK
            && let Some(lease) = lease_or_take(&mut lease, meta, client, server)
        {
            progress.has_begun.set(true);
            let before = *uploaded;
            let stretch = body.unseen().min(BULK * 16);
            let moved = move_bytes(lease, client, server, stretch, timer, patience, uploaded).await;
            body.pass(*uploaded - before);
            progress.last.set(Instant::now());
            match moved {
                Moved::All => continue,
                Moved::Unmovable => {}
                Moved::Ended => return Err(UploadEnd::Client(Reason::ClientGone)),
                Moved::From(halt) => return Err(UploadEnd::Client(halt.at_client())),
                Moved::To(_) => return Err(UploadEnd::Server),
            }
        }
        timer.set(patience.from);
        let read = read_with(client, &meta.context.read_buffer, timer, None, |bytes| {
            progress.has_begun.set(true);
            let taken = body.take(bytes).map_err(Reason::Chunk)?;
            carry.extend_from_slice(&bytes[taken..]);
            let written = server.try_write(&bytes[..taken]).unwrap_or(0);
            Ok((taken, bytes[written..taken].to_vec()))
        });
        let (taken, rest) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(reason)) => return Err(UploadEnd::Client(reason)),
            Err(halt) => return Err(UploadEnd::Client(halt.at_client())),
        };
        write_all(server, timer, patience.to, &rest).await.map_err(|_| UploadEnd::Server)?;
        *uploaded += taken as u64;
        progress.last.set(Instant::now());
    }
    Ok(())
}

fn lease_or_take<'l, 'c>(
    lease: &'l mut Option<crate::splice::Lease<'c>>,
    meta: Meta<'c>,
    client: &Stream,
    server: &Stream,
) -> Option<&'l mut crate::splice::Lease<'c>> {
    if lease.is_none() {
        *lease = meta.context.pipes.take_between(client, server);
    }
    lease.as_mut()
}
