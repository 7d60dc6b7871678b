//! Echo requests from one socket of each family, and the replies to all of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use health::Finding;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use wire::icmp::{Echo, Family, HEADER_BYTES, parse_reply, write_request};

use crate::chance::unguessable;
use crate::probe::connect_fault;

/// What comes back of a request: whose it is, and which; both are made up here.
const TOKEN: usize = 16;

/// The longest reply that is looked at: a token, and headers of IP and ICMP.
const REPLY_MAX: usize = 60 + HEADER_BYTES + TOKEN + 1;

/// Who sends echo requests, for all checks of a process. It ends with the last of its clones.
#[derive(Clone, Debug)]
pub struct Pinger {
    sockets: Arc<Sockets>,
    _readers: Arc<JoinSet<()>>,
}

#[derive(Debug)]
struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// Tells replies to requests of ours from those to others.
    ours: u64,
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    from: IpAddr,
    replied: oneshot::Sender<()>,
}

/// Forgets a request that nobody waits for any more.
struct Forget<'p>(&'p Sockets, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}

impl Sockets {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, family: Family) -> Option<&UdpSocket> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    async fn read(&self, family: Family) {
        let Some(socket) = self.of(family) else { return };
        let mut bytes = [0; REPLY_MAX];
        loop {
            match socket.recv_from(&mut bytes).await {
                Ok((length, from)) => self.hear(family, &bytes[..length], from.ip()),
                // What is told of an earlier packet; the probes' deadlines say the rest.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// A reply counts if the host that was asked sends back what it was sent.
    fn hear(&self, family: Family, bytes: &[u8], from: IpAddr) {
        let Some(Echo { payload, .. }) = parse_reply(family, bytes) else { return };
        let Ok(token) = <[u8; TOKEN]>::try_from(payload) else { return };
        let (ours, number) = token.split_at(TOKEN / 2);
        if ours != self.ours.to_be_bytes() {
            return;
        }
        let number = number.try_into().map_or(0, u64::from_be_bytes);
        let mut waiting = self.waiting();
        if waiting.get(&number).is_some_and(|waiting| waiting.from == from)
            && let Some(waiting) = waiting.remove(&number)
        {
            let _ = waiting.replied.send(());
        }
    }
}

impl Pinger {
    /// By these sockets of ICMP and ICMPv6, as far as they are there. To be called within a tokio runtime.
    ///
    /// # Errors
    /// If the runtime cannot wait for them.
    pub fn new(v4: Option<std::net::UdpSocket>, v6: Option<std::net::UdpSocket>) -> io::Result<Pinger> {
        let tell = |socket: std::net::UdpSocket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        };
        let sockets = Arc::new(Sockets {
            v4: v4.map(tell).transpose()?,
            v6: v6.map(tell).transpose()?,
            ours: unguessable(),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        });
        let mut readers = JoinSet::new();
        for family in [Family::V4, Family::V6] {
            let sockets = Arc::clone(&sockets);
            readers.spawn(async move { sockets.read(family).await });
        }
        Ok(Pinger { sockets, _readers: Arc::new(readers) })
    }

    /// Asks once.
    pub(crate) async fn judge(&self, address: SocketAddr, deadline: Instant) -> Finding {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let Some(socket) = self.sockets.of(family) else { return Finding::LocalFault };
        let number = self.sockets.next.fetch_add(1, Ordering::Relaxed);
        let (replied, reply) = oneshot::channel();
        self.sockets.waiting().insert(number, Waiting { from: address.ip(), replied });
        let _forget = Forget(&self.sockets, number);
        let mut request = Vec::with_capacity(HEADER_BYTES + TOKEN);
        let payload = [self.sockets.ours.to_be_bytes(), number.to_be_bytes()].concat();
        let (identifier, sequence) = ((self.sockets.ours & 0xffff) as u16, (number & 0xffff) as u16);
        write_request(&mut request, family, Echo { identifier, sequence, payload: &payload });
        // A raw socket of IPv6 takes no port.
        let mut to = address;
        to.set_port(0);
        match timeout_at(deadline, socket.send_to(&request, to)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return connect_fault(&error),
            Err(_) => return Finding::LocalFault,
        }
        match timeout_at(deadline, reply).await {
            Ok(Ok(())) => Finding::Answered,
            Ok(Err(_)) => Finding::LocalFault,
            Err(_) => Finding::AnswerTimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> Sockets {
        Sockets { v4: None, v6: None, ours: 7, next: AtomicU64::new(1), waiting: Mutex::default() }
    }

    fn reply(ours: u64, number: u64, more: &[u8]) -> Vec<u8> {
        let payload = [&ours.to_be_bytes()[..], &number.to_be_bytes(), more].concat();
        let mut bytes = Vec::new();
        write_request(&mut bytes, Family::V6, Echo { identifier: 1, sequence: 1, payload: &payload });
        bytes[0] = 129;
        bytes
    }

    #[test]
    fn only_who_was_asked_answers_and_only_what_was_asked() {
        let sockets = sockets();
        let (asked, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let (replied, mut reply_of) = oneshot::channel();
        sockets.waiting().insert(3, Waiting { from: asked, replied });
        for (bytes, from) in [
            (reply(7, 3, b""), other),
            (reply(8, 3, b""), asked),
            (reply(7, 4, b""), asked),
            (reply(7, 3, b"x"), asked),
            (Vec::new(), asked),
        ] {
            sockets.hear(Family::V6, &bytes, from);
            assert!(reply_of.try_recv().is_err(), "{bytes:?} {from}");
        }
        sockets.hear(Family::V6, &reply(7, 3, b""), asked);
        assert_eq!(reply_of.try_recv(), Ok(()));
        sockets.hear(Family::V6, &reply(7, 3, b""), asked);
        assert!(sockets.waiting().is_empty());
    }

    #[tokio::test]
    async fn without_a_socket_nothing_is_said_of_the_server() {
        let pinger = Pinger::new(None, None).expect("nothing can fail");
        let found = pinger.judge("127.0.0.1:1".parse().expect("an address"), Instant::now()).await;
        assert_eq!(found, Finding::LocalFault);
        assert!(pinger.sockets.waiting().is_empty(), "nothing is left behind");
    }
}
