//! However a stream of messages is cut, the same messages come of it; none is longer than may be, and none is empty.

use client::{MESSAGE_BYTES, Message, Separator, Splitter};

use crate::split_first;

/// The first byte chooses what ends a message and where the stream is cut; the rest is the stream.
pub fn messages(bytes: &[u8]) {
    let (choice, stream) = split_first(bytes);
    let separator = match choice % 4 {
        0 => Separator::Auto,
        1 => Separator::Events,
        2 => Separator::Byte(3),
        _ => Separator::Byte(b'\n'),
    };
    let whole = split(separator, [stream]);
    let step = usize::from(choice / 4) + 1;
    assert_eq!(whole, split(separator, stream.chunks(step)));
    for message in &whole {
        assert!(!message.is_empty() && message.len() <= MESSAGE_BYTES);
        Message::read(message);
    }
}

fn split<'a>(separator: Separator, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut splitter = Splitter::new(separator);
    for piece in pieces {
        if splitter.push(piece, |message| messages.push(message.to_vec())).is_err() {
            return messages;
        }
    }
    splitter.finish(|message| messages.push(message.to_vec()));
    messages
}
