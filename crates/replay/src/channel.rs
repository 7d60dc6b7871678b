//! What arrives between two of our processes is the same messages in whatever pieces it comes, or noise that is refused.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use linux::{Channel, Receiver};

use crate::split_first;

/// A sender is not to wait for the receiver: less than a socket holds.
const BYTES_MAX: usize = 16 * 1024;

/// One byte is the length of the pieces; the rest is what is sent, without descriptors.
pub fn channel(bytes: &[u8]) {
    let (size, sent) = split_first(bytes);
    let sent = &sent[..sent.len().min(BYTES_MAX)];
    let whole = received(sent, sent.len().max(1));
    assert_eq!(received(sent, sent.len() / (usize::from(size) + 1) + 1), whole);

    let (bodies, end) = whole;
    let mut rest = sent;
    for body in bodies {
        let header = [body.len() as u32, 0].map(u32::to_ne_bytes).concat();
        rest = rest.strip_prefix(&header[..]).and_then(|rest| rest.strip_prefix(&body[..])).expect("it was sent");
    }
    assert_eq!(end.is_none(), rest.is_empty());
}

/// The messages, and why there is not another one; `None`: the end was in order.
fn received(sent: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<io::ErrorKind>) {
    let (here, there) = Channel::pair().expect("descriptors are left");
    let (_, mut receiver) = there.split().expect("descriptors are left");
    let mut here = UnixStream::from(here.into_fd());
    let mut bodies = Vec::new();
    for piece in sent.chunks(piece) {
        here.write_all(piece).expect("there is room");
        match drained(&mut receiver, &mut bodies) {
            Some(io::ErrorKind::WouldBlock) => {}
            end => return (bodies, end),
        }
    }
    drop(here);
    let end = drained(&mut receiver, &mut bodies);
    (bodies, end)
}

fn drained(receiver: &mut Receiver, bodies: &mut Vec<Vec<u8>>) -> Option<io::ErrorKind> {
    loop {
        match receiver.try_receive() {
            Ok(Some(received)) => bodies.push(received.body),
            Ok(None) => return None,
            Err(error) => return Some(error.kind()),
        }
    }
}
