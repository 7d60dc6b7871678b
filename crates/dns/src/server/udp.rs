use std::rc::Rc;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::{MESSAGE_MAX, Service};
use crate::{Dropped, Transport};

/// After an error that is the socket's, not a message's.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers what comes to one socket, until the service ends. What is then unread is left for whoever has the socket too.
pub(super) async fn answer(service: Rc<Service>, socket: UdpSocket) {
    // One more than is read: what fills it is too long.
    let mut buffer = vec![0; MESSAGE_MAX + 1];
    loop {
        let received = tokio::select! {
            biased;
            () = service.ending() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, source)) = received else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if length > MESSAGE_MAX {
            service.dropped(Dropped::Long);
            continue;
        }
        let Some(reply) = service.answer(&buffer[..length], source, Transport::Udp) else { continue };
        // A client waits for one answer; nobody else waits for this one.
        if socket.try_send_to(&reply, source).is_err() {
            service.dropped(Dropped::Unsent);
        }
    }
}
