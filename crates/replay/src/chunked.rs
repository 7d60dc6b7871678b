//! A chunked body means the same whole, in pieces, scanned, and with its payload passed unseen.

use http_proto::{ChunkError, Chunked, LAST_CHUNK, write_chunk_head};

use crate::split_first;

/// One byte is the length of the pieces; the rest is the body and what follows it.
pub fn chunked(bytes: &[u8]) {
    let (size, body) = split_first(bytes);
    let whole = advance(body, body.len().max(1));
    let pieces = advance(body, usize::from(size).max(1));
    assert_eq!(whole, pieces);

    let mut scanned = Chunked::new();
    match (scanned.scan(body), &whole) {
        (Ok((taken, ended)), Ok((payload, followed, whole_ended))) => {
            assert_eq!((taken, ended), (*followed, *whole_ended));
            if ended {
                assert_eq!(advance(&encode(payload), 7).map(|again| again.0), Ok(payload.clone()));
            }
        }
        (Err(found), Err(expected)) => assert_eq!(found, *expected),
        (found, expected) => panic!("scan gave {found:?}, advance {expected:?}"),
    }
    assert_eq!(pass(body), whole.map(|(_, taken, ended)| (taken, ended)));
}

/// The payload, the bytes followed, and whether the message ended.
fn advance(body: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
    let mut chunked = Chunked::new();
    let (mut payload, mut taken) = (Vec::new(), 0);
    for piece in body.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() && !chunked.ended() {
            let step = chunked.advance(rest)?;
            payload.extend_from_slice(&rest[step.data.clone()]);
            taken += step.taken;
            rest = &rest[step.taken..];
        }
    }
    Ok((payload, taken, chunked.ended()))
}

/// As a relay does that moves payload in the kernel.
fn pass(body: &[u8]) -> Result<(usize, bool), ChunkError> {
    let mut chunked = Chunked::new();
    let mut taken = 0;
    while taken < body.len() && !chunked.ended() {
        let unseen = chunked.data_left().min((body.len() - taken) as u64);
        chunked.pass(unseen);
        taken += unseen as usize;
        if let Some(byte) = body.get(taken..taken + 1) {
            taken += chunked.scan(byte)?.0;
        }
    }
    Ok((taken, chunked.ended()))
}

fn encode(payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in payload.chunks(16) {
        write_chunk_head(&mut body, chunk.len() as u64);
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(LAST_CHUNK);
    body
}
