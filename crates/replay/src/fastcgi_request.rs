//! Whatever a gateway sends is the same request however it is cut, and no more of its parameters is held than may be.

use fcgi_proto::{Request, RequestError, Said};

use crate::split_first;

/// One byte chooses where the records are cut; the rest is records.
pub fn fastcgi_request(bytes: &[u8]) {
    let (cut, bytes) = split_first(bytes);
    let whole = read(&[bytes]);
    let (first, second) = bytes.split_at(bytes.len() * usize::from(cut) / 256);
    let singly: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(whole, read(&[first, second]));
    assert_eq!(whole, read(&singly));
    let held: usize = whole.given.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(held + whole.body.len() <= bytes.len());
}

/// What came of some records.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    given: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    ends: usize,
    aborts: usize,
    error: Option<RequestError>,
}

fn read(pieces: &[&[u8]]) -> Outcome {
    let mut request = Request::new();
    let mut outcome = Outcome::default();
    for mut piece in pieces.iter().copied() {
        loop {
            match request.next(&mut piece) {
                Ok(Some(Said::Params(given))) => outcome.given.extend(given),
                Ok(Some(Said::Body(piece))) => outcome.body.extend_from_slice(piece),
                Ok(Some(Said::BodyEnd)) => outcome.ends += 1,
                Ok(Some(Said::Abort)) => outcome.aborts += 1,
                Ok(None) => {
                    assert!(piece.is_empty(), "all of it was read");
                    break;
                }
                Err(error) => return Outcome { error: Some(error), ..outcome },
            }
        }
    }
    outcome
}
