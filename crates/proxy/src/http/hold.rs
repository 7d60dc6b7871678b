//! A small answer that comes in pieces does not begin at the client before it is whole, as long as its request could be
//! sent again: a server that dies meanwhile has then lost an attempt, and not the client its answer.

use std::time::Duration;

use super::body::Body;
use super::response::Downstream;
use crate::config::Protocol;
use crate::reason::Reason;
use crate::timer::Timer;
use crate::transfer::{Halt, Watch, read_with};

/// The largest answer that is held, head and body together: about what a machine sends before it waits for the first
/// acknowledgement (RFC 6928 §2: ten segments), so that all of it is on its way when its head is here.
const HELD_BYTES: u64 = 16 * 1024;

/// So long after its head an answer is held at most. Longer than a server's two writes are apart on a busy machine, and
/// as long as nobody minds who waits for the head alone.
const HOLD: Duration = Duration::from_millis(200);

/// Whether an answer of which `here` bytes are written and `body` is left is held. One whose server may not be silent
/// for so long is not: that limit is to be felt as it is configured. Nor is a stream, ever, nor what an application
/// answers: that it says something is how it shows its progress.
pub(crate) fn is_held(way: &Downstream<'_>, body: &Body, here: usize) -> bool {
    let fits = matches!(body, Body::Length(left) if left.saturating_add(here as u64) <= HELD_BYTES);
    let is_application = way.slot.configured().protocol == Protocol::FastCgi;
    fits && way.repeatable && !way.is_stream && !is_application && way.timeout > HOLD
}

/// Waits for the rest of `body`, which goes to `held`, or for the time to be over. `false`: more than the body came.
///
/// # Errors
/// Why the rest will not come. The client has had nothing.
pub(crate) async fn hold(
    way: &Downstream<'_>,
    body: &mut Body,
    held: &mut Vec<u8>,
    timer: &mut Timer,
) -> Result<bool, Reason> {
    let mut is_clean = true;
    timer.set(HOLD);
    while !body.is_done() {
        let watch = Some(Watch::new(way.client));
        let read = read_with(way.server, &way.meta.context.read_buffer, timer, watch, |bytes| {
            let taken = body.take(bytes).map_err(|_| Reason::ServerMalformed)?;
            held.extend_from_slice(&bytes[..taken]);
            Ok(taken == bytes.len())
        });
        match read.await {
            Ok(all_taken) => is_clean = all_taken?,
            Err(Halt::TimedOut) => break,
            Err(halt) => return Err(halt.within_answer()),
        }
    }
    Ok(is_clean)
}
