//! Datagrams to a server, each probe's from a socket of its own: the kernel says when nobody is there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use health::Finding;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::config::{Target, UdpCheck};
use crate::probe::connect_fault;

/// The longest datagram that is read; more of it is cut off.
pub(crate) const DATAGRAM_MAX: usize = 4096;

/// Sends what is to be sent. With a reply to wait for, one that begins so passes; without, any reply does, and so does
/// silence until the deadline: nobody has said that there is no such port.
pub(crate) async fn judge(target: &Target, check: &UdpCheck, deadline: Instant) -> Finding {
    let socket = match open(target).await {
        Ok(socket) => socket,
        Err(finding) => return finding,
    };
    if let Err(error) = socket.send(&check.send).await {
        return connect_fault(&error);
    }
    let mut bytes = [0; DATAGRAM_MAX];
    let mut wrong = None;
    loop {
        match (timeout_at(deadline, socket.recv(&mut bytes)).await, &check.reply) {
            (Ok(Ok(_)), None) => return Finding::Answered,
            (Ok(Ok(length)), Some(reply)) if begins(&bytes[..length], reply) => return Finding::Answered,
            (Ok(Ok(_)), Some(_)) => wrong = Some(Finding::WrongBody),
            (Ok(Err(error)), _) => return connect_fault(&error),
            (Err(_), None) => return Finding::NotRefused,
            (Err(_), Some(_)) => return wrong.unwrap_or(Finding::AnswerTimedOut),
        }
    }
}

/// A socket that hears this target alone.
pub(crate) async fn open(target: &Target) -> Result<UdpSocket, Finding> {
    let address = address_of(target)?;
    let own: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let opened = async {
        let socket = UdpSocket::bind(SocketAddr::new(own, 0)).await?;
        socket.connect(address).await?;
        io::Result::Ok(socket)
    };
    opened.await.map_err(|error| connect_fault(&error))
}

/// Datagrams go to addresses; nothing else is configured for them.
pub(crate) fn address_of(target: &Target) -> Result<SocketAddr, Finding> {
    match target {
        Target::Ip(address) => Ok(*address),
        Target::Unix(_) | Target::Name { .. } => Err(Finding::LocalFault),
    }
}

/// Whether these bytes are at the beginning; `None` stands for any.
fn begins(bytes: &[u8], wanted: &[Option<u8>]) -> bool {
    bytes.len() >= wanted.len() && wanted.iter().zip(bytes).all(|(wanted, byte)| wanted.is_none_or(|it| it == *byte))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENT: Duration = Duration::from_secs(10);
    const HASTY: Duration = Duration::from_millis(100);

    async fn found(server: &UdpSocket, replies: &[&[u8]], check: &UdpCheck, patience: Duration) -> Finding {
        let target = Target::Ip(server.local_addr().expect("an address"));
        let serve = async {
            let mut bytes = [0; 64];
            let (length, client) = server.recv_from(&mut bytes).await.expect("a question");
            assert_eq!(&bytes[..length], check.send);
            for reply in replies {
                server.send_to(reply, client).await.expect("sent");
            }
        };
        tokio::join!(judge(&target, check, Instant::now() + patience), serve).0
    }

    fn asking(reply: Option<&[Option<u8>]>) -> UdpCheck {
        UdpCheck { send: b"\0ping".to_vec(), reply: reply.map(<[_]>::to_vec) }
    }

    #[tokio::test]
    async fn a_reply_that_is_wanted_must_come() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let wanted = asking(Some(&[Some(b'p'), None, Some(b'n')]));
        assert_eq!(found(&server, &[b"pong", b"x"], &wanted, PATIENT).await, Finding::Answered);
        assert_eq!(found(&server, &[b"x", b"", b"p\xffn"], &wanted, PATIENT).await, Finding::Answered);
        assert_eq!(found(&server, &[b"po", b"song"], &wanted, HASTY).await, Finding::WrongBody);
        assert_eq!(found(&server, &[], &wanted, HASTY).await, Finding::AnswerTimedOut);
        assert_eq!(found(&server, &[b""], &asking(None), PATIENT).await, Finding::Answered);
        assert_eq!(found(&server, &[], &asking(None), HASTY).await, Finding::NotRefused);
        let flood = [b'x'; 8192];
        let all_of_it = asking(Some(&[Some(b'x'); 4096]));
        assert_eq!(found(&server, &[&flood], &all_of_it, PATIENT).await, Finding::Answered);
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_refuses_and_strangers_are_not_heard() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = server.local_addr().expect("an address");
        drop(server);
        for reply in [None, Some(&[][..])] {
            let found = judge(&Target::Ip(address), &asking(reply), Instant::now() + PATIENT).await;
            assert_eq!(found, Finding::ConnectFailed);
        }
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let target = Target::Ip(server.local_addr().expect("an address"));
        let wanted = asking(Some(&[Some(b'p')]));
        let serve = async {
            let (_, client) = server.recv_from(&mut [0; 64]).await.expect("a question");
            stranger.send_to(b"pong", client).await.expect("sent");
        };
        let (found, ()) = tokio::join!(judge(&target, &wanted, Instant::now() + HASTY), serve);
        assert_eq!(found, Finding::AnswerTimedOut);
    }
}
