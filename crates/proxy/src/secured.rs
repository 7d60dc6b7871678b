//! TLS at the beginning of clients' connections.

use std::rc::Rc;

use tls::Acceptor;
use tokio::time::Instant;

use crate::log::Record;
use crate::proxied::Arrival;
use crate::reason::Reason;
use crate::stream::{NoSession, Stream, Tls};
use crate::timer::Timer;
use crate::worker::ConnectionGuard;

/// Shakes hands with a client. `None`: there is no session, and that is told.
pub(crate) async fn secure(arrival: Arrival, acceptor: &Acceptor, guard: &ConnectionGuard) -> Option<Arrival> {
    let context = &guard.context;
    let mut record = Record::new(Instant::now(), context.is_logged(guard.frontend));
    let Arrival { stream, peer, destination, early, .. } = arrival;
    let mut timer = Timer::new(context.shared.frontend(guard.frontend).timeouts.header);
    let session = acceptor.begin().ok()?;
    let reason = match Tls::shake_hands(stream, session, &early, &mut timer).await {
        Ok((stream, agreed)) => {
            let stream = Stream::Layer(Box::new(stream));
            return Some(Arrival { stream, peer, destination, early: Vec::new(), secure: Some(Rc::new(agreed)) });
        }
        // Many only look whether somebody is at home.
        Err(NoSession::Gone) => return None,
        Err(NoSession::TimedOut) => Reason::SlowHandshake,
        Err(NoSession::Refused(error)) => Reason::Tls(error),
    };
    record.fail(reason);
    context.finish(&record, guard.frontend, peer);
    None
}
