//! Bytes both ways until both sides have ended: TCP mode, CONNECT, upgraded connections.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::splice::{BULK, Moved, Patience, move_bytes};
use crate::stream::Stream;
use crate::timer::Timer;
use crate::transfer::{Halt, read_with, write_all};
use crate::worker::Context;

/// What went through a tunnel, and why it ended.
#[derive(Debug)]
pub(crate) struct Tunnelled {
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
    /// `None`: both sides ended in order.
    pub(crate) halt: Option<(Side, Halt)>,
}

/// Who failed, or was silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// One direction: where bytes come from, where they go, and who stands at each end.
struct Way<'a> {
    from: (&'a Stream, Side),
    to: (&'a Stream, Side),
}

/// What both directions know: silence counts only when neither carries anything.
struct Activity {
    last: Cell<Instant>,
    timeout: Duration,
}

/// Relays both ways; `early` are bytes of the client that have been read already.
pub(crate) async fn tunnel(
    context: &Context,
    client: &Stream,
    server: &Stream,
    early: &[u8],
    timeout: Duration,
) -> Tunnelled {
    let activity = Activity { last: Cell::new(Instant::now()), timeout };
    let (mut to_server, mut to_client) = (0, 0);
    let up = Way { from: (client, Side::Client), to: (server, Side::Server) };
    let down = Way { from: (server, Side::Server), to: (client, Side::Client) };
    let result = tokio::try_join!(
        relay(context, up, early, &activity, &mut to_server),
        relay(context, down, &[], &activity, &mut to_client),
    );
    Tunnelled { to_server, to_client, halt: result.err() }
}

/// Relays one way until the giving side ends, and passes that end on.
async fn relay(
    context: &Context,
    way: Way<'_>,
    early: &[u8],
    activity: &Activity,
    count: &mut u64,
) -> Result<(), (Side, Halt)> {
    let (from, to) = (way.from.0, way.to.0);
    let mut timer = Timer::new(activity.timeout);
    write_all(to, &mut timer, activity.timeout, early).await.map_err(|halt| (way.to.1, halt))?;
    *count += early.len() as u64;
    loop {
        timer.set(activity.timeout);
        let read = read_with(from, &context.read_buffer, &mut timer, None, |bytes| {
            let written = to.try_write(bytes).unwrap_or(0);
            (bytes.len(), written, bytes[written..].to_vec())
        });
        let (read, written, rest) = match read.await {
            Ok(read) => read,
            Err(Halt::TimedOut) if activity.is_recent() => continue,
            Err(Halt::Closed) => break,
            Err(halt) => return Err((way.from.1, halt)),
        };
        activity.last.set(Instant::now());
        *count += written as u64;
        if !rest.is_empty() {
            write_all(to, &mut timer, activity.timeout, &rest).await.map_err(|halt| (way.to.1, halt))?;
            *count += rest.len() as u64;
        }
        if read as u64 >= BULK && !relay_bulk(context, &way, &mut timer, activity, count).await? {
            break;
        }
    }
    to.shutdown_write();
    Ok(())
}

/// Moves bulk in the kernel for as long as it keeps coming; says whether the giving side goes on.
async fn relay_bulk(
    context: &Context,
    way: &Way<'_>,
    timer: &mut Timer,
    activity: &Activity,
    count: &mut u64,
) -> Result<bool, (Side, Halt)> {
    /// Moved before looking whether the stream is still bulk.
    const STRETCH: u64 = 16 << 20;
    let Some(mut lease) = context.pipes.take_between(way.from.0, way.to.0) else {
        return Ok(true);
    };
    let patience = Patience { from: activity.timeout, to: activity.timeout };
    loop {
        let before = *count;
        let moved = move_bytes(&mut lease, way.from.0, way.to.0, STRETCH, timer, patience, count).await;
        if *count > before {
            activity.last.set(Instant::now());
        }
        match moved {
            Moved::All => {}
            Moved::Unmovable => return Ok(true),
            Moved::Ended => return Ok(false),
            Moved::From(Halt::TimedOut) if activity.is_recent() => {}
            Moved::From(halt) => return Err((way.from.1, halt)),
            Moved::To(halt) => return Err((way.to.1, halt)),
        }
    }
}

impl Activity {
    fn is_recent(&self) -> bool {
        self.last.get().elapsed() < self.timeout
    }
}
