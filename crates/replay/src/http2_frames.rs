//! Frames are seen the same however their bytes are cut, and no more of them than there are bytes for; what comes before
//! one that is wrong holds those before it, whole.

use std::ops::ControlFlow;

use http_proto::http2::{Frame, Frames};

use crate::split_first;

/// One byte chooses where the rest, what a client sends, is cut.
pub fn http2_frames(bytes: &[u8]) {
    let (cut, bytes) = split_first(bytes);
    let whole = seen(&[bytes]);
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(whole, seen(&[first, second]));
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(whole, seen(&single));
    assert!(whole.len() <= bytes.len() / 9);
    let right = whole.iter().take_while(|frame| frame.fault().is_none()).count();
    let stop = |frame: Frame| if frame.fault().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let passed = Frames::new().follow(bytes, stop);
    assert_eq!(seen(&[&bytes[..passed]]), whole[..right]);
    assert!(right < whole.len() || passed == bytes.len());
}

fn seen(pieces: &[&[u8]]) -> Vec<Frame> {
    let mut frames = Frames::new();
    let mut all = Vec::new();
    for piece in pieces {
        frames.follow(piece, |frame| {
            all.push(frame);
            ControlFlow::Continue(())
        });
    }
    all
}
