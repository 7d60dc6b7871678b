use proptest::prelude::*;

use super::ChunkError as E;
use super::{ChunkError, Chunked, LAST_CHUNK, Step, write_chunk_head};

/// The payload and how many bytes the body took, fed in these pieces; `None` if it goes on.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<(Vec<u8>, usize)>, ChunkError> {
    let mut chunked = Chunked::new();
    let (mut payload, mut total) = (Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() && !chunked.ended() {
            let step = chunked.advance(&piece[at..])?;
            assert!(step.taken > 0 || step.ended, "no progress at {at} of {piece:?}");
            payload.extend_from_slice(&piece[at..][step.data]);
            at += step.taken;
        }
        total += at;
    }
    Ok(chunked.ended().then_some((payload, total)))
}

fn whole(body: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ChunkError> {
    decode([body])
}

fn refused(body: &str) -> Option<ChunkError> {
    whole(body.as_bytes()).err()
}

#[test]
fn gives_the_payload_one_run_at_a_time() {
    let body = b"4\r\nWiki\r\n6;name=\"v; x\";y\r\npedia \r\n0\r\nA: b\r\n\r\nGET /";
    let mut chunked = Chunked::new();
    assert_eq!(chunked.advance(body), Ok(Step { taken: 7, data: 3..7, ended: false }));
    assert_eq!(chunked.advance(&body[7..]), Ok(Step { taken: 25, data: 19..25, ended: false }));
    assert_eq!(chunked.advance(&body[32..]), Ok(Step { taken: 13, data: 13..13, ended: true }));
    assert_eq!(chunked.advance(b"GET /"), Ok(Step { taken: 0, data: 0..0, ended: true }));
    assert_eq!(Chunked::new().scan(body), Ok((45, true)));
    assert_eq!(whole(body), Ok(Some((b"Wikipedia ".to_vec(), 45))));
}

#[test]
fn payload_may_pass_unseen() {
    let mut chunked = Chunked::new();
    assert_eq!(chunked.scan(b"ffff\r\nabc"), Ok((9, false)));
    assert_eq!(chunked.data_left(), 65_532);
    chunked.pass(65_000);
    assert_eq!(chunked.data_left(), 532);
    chunked.pass(532);
    chunked.pass(0);
    assert_eq!((chunked.data_left(), chunked.ended()), (0, false));
    assert_eq!(chunked.scan(b"\r\n0\r\n\r\n"), Ok((7, true)));
}

#[test]
#[should_panic(expected = "payload of the current chunk")]
fn no_more_passes_than_there_is() {
    let mut chunked = Chunked::new();
    chunked.scan(b"3\r\n").unwrap();
    chunked.pass(4);
}

#[test]
fn each_chunk_has_a_size_of_its_own() {
    let body = format!("{}{}", "00000001\r\nx\r\n".repeat(20), "0\r\n\r\n");
    assert_eq!(whole(body.as_bytes()), Ok(Some((vec![b'x'; 20], 265))));
}

#[test]
fn every_split_gives_the_same() {
    let bodies: &[&[u8]] = &[
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0005;a=b ; c\r\nhello\r\nA\r\n0123456789\r\n000\r\nX-Sum: 1\r\nEmpty:\r\n\r\nrest",
        b"1\r\n\r\r\n2\r\n\r\n\r\n0;x\r\n\r\n",
    ];
    for body in bodies {
        let expected = whole(body);
        assert!(matches!(expected, Ok(Some(_))), "{body:?}");
        for split in 0..=body.len() {
            let (first, second) = body.split_at(split);
            assert_eq!(decode([first, second]), expected, "{split} of {body:?}");
        }
        assert_eq!(decode(body.chunks(1)), expected, "{body:?}");
    }
}

#[test]
fn every_beginning_goes_on() {
    let body = b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for end in 0..body.len() {
        assert_eq!(whole(&body[..end]), Ok(None), "{end}");
    }
}

#[test]
fn sizes_are_hexadecimal_digits_and_nothing_else() {
    for size in ["", "x", "+5", "-5", "0x5", " 5", "5 ", "5\t", "5 ;a", "5,", "\u{665}", "5h", "'5'", "\r", "5_0"] {
        assert_eq!(refused(&format!("{size}\r\nhello")), Some(E::Size), "{size:?}");
    }
    assert_eq!(refused("fffffffffffffffff\r\n"), Some(E::SizeTooLarge));
    assert_eq!(refused("00000000000000005\r\n"), Some(E::SizeTooLarge));
    assert_eq!(refused("ffffffffffffffff\r\n"), Some(E::SizeTooLarge));
    assert_eq!(refused("8000000000000000\r\n"), Some(E::SizeTooLarge));
    let mut chunked = Chunked::new();
    chunked.scan(b"7FFFffffffffffff\r\n").unwrap();
    assert_eq!(chunked.data_left(), 9_223_372_036_854_775_807);
    chunked = Chunked::new();
    chunked.scan(b"0000000000000005\r\n").unwrap();
    assert_eq!(chunked.data_left(), 5);
}

#[test]
fn lines_end_with_both() {
    let table = [
        ("5\nhello\r\n", E::LineEnd),
        ("5\rhello\r\n", E::LineEnd),
        ("5\r\rhello\r\n", E::LineEnd),
        ("5;a\nhello\r\n", E::LineEnd),
        ("5;a\rb\r\n", E::LineEnd),
        ("5\r\nhello\n0", E::DataEnd),
        ("5\r\nhello0\r\n", E::DataEnd),
        ("5\r\nhello\r0\r\n", E::DataEnd),
        ("5\r\nhello!\r\n", E::DataEnd),
        ("0\r\n\n", E::LineEnd),
        ("0\r\n\rX", E::LineEnd),
        ("0\n\n", E::LineEnd),
        ("0\r\nA: b\n\r\n", E::LineEnd),
        ("0\r\nA: b\rc\r\n", E::LineEnd),
    ];
    for (body, expected) in table {
        assert_eq!(refused(body), Some(expected), "{body:?}");
    }
}

#[test]
fn extensions_have_names_and_no_controls() {
    for body in ["5;a\r\n", "5;a=\"b\\\"c\"\r\n", "5;a;b=c ;\td=\u{e9}\r\n"] {
        assert_eq!(refused(body), None, "{body:?}");
    }
    for body in ["5;\r\n", "5;;a\r\n", "5; a\r\n", "5;a\0\r\n", "5;a\u{7f}\r\n", "5;=a\r\n"] {
        assert_eq!(refused(body), Some(E::Extension), "{body:?}");
    }
}

#[test]
fn extensions_are_limited_over_the_whole_body() {
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(1024));
    assert_eq!(refused(&chunk.repeat(4)), None);
    assert_eq!(refused(&format!("{}1;a\r\n", chunk.repeat(4))), Some(E::ExtensionsTooLarge));
}

#[test]
fn trailers_are_field_lines_within_limits() {
    for line in ["A: b", "A:", "a!~: \t\u{e9}\u{1f600}", "Content-Length-Hint: 1", "Hosts: x", "X-Content-Length: 3"] {
        assert_eq!(refused(&format!("0\r\n{line}\r\n\r\n")), None, "{line:?}");
    }
    for line in [" A: b", "A : b", ": b", "A", "A: b\r\n c", "A\0: b", "A: \0", "é: b"] {
        assert_eq!(refused(&format!("0\r\n{line}\r\n\r\n")), Some(E::Trailer), "{line:?}");
    }
    let forbidden = [
        "Content-Length",
        "TRANSFER-ENCODING",
        "host",
        "Connection",
        "Trailer",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "Expect",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "TE",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Max-Forwards",
    ];
    for name in forbidden {
        assert_eq!(refused(&format!("0\r\nA: b\r\n{name}: 1\r\n\r\n")), Some(E::TrailerForbidden), "{name}");
    }
    let line = format!("A: {}\r\n", "a".repeat(1020));
    assert_eq!(refused(&format!("0\r\n{}\r\n", line.repeat(7))), None);
    assert_eq!(refused(&format!("0\r\n{}\r\n", line.repeat(9))), Some(E::TrailersTooLarge));
}

#[test]
fn chunk_heads_are_written_in_hexadecimal() {
    let head = |len: u64| {
        let mut out = Vec::new();
        write_chunk_head(&mut out, len);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(head(1), "1\r\n");
    assert_eq!(head(15), "f\r\n");
    assert_eq!(head(16), "10\r\n");
    assert_eq!(head(65_536), "10000\r\n");
    assert_eq!(head(u64::MAX), "ffffffffffffffff\r\n");
    assert_eq!(whole(LAST_CHUNK), Ok(Some((Vec::new(), 5))));
}

#[test]
fn reasons_are_stable_and_differ() {
    assert_eq!(E::Size.reason(), "chunk_size");
    let mut reasons: Vec<_> = ChunkError::ALL.iter().map(|error| error.reason()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), ChunkError::ALL.len());
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        piece in 1..50_usize,
    ) {
        let mut body = Vec::new();
        for chunk in &chunks {
            write_chunk_head(&mut body, chunk.len() as u64);
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(LAST_CHUNK);
        let taken = body.len();
        body.extend_from_slice(b"GET / HTTP/1.1");
        prop_assert_eq!(decode(body.chunks(piece)), Ok(Some((chunks.concat(), taken))));
    }

    #[test]
    fn noise_is_judged_alike_in_any_pieces(
        body in "([0-3afA;:=x \r\n]|\r\n|0\r\n|1\r\nz\r\n|A: b\r\n){0,20}",
        piece in 1..9_usize,
    ) {
        let whole = whole(body.as_bytes());
        prop_assert_eq!(decode(body.as_bytes().chunks(piece)), whole);
    }

    #[test]
    fn bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Chunked::new().scan(&body);
    }
}

#[test]
fn trailers_are_kept_whatever_their_pieces() {
    let body = b"3;a=b\r\nabc\r\n0\r\nRepr-Digest: sha-256=:AA==:\r\nX: y\r\n\r\nNEXT";
    for piece in 1..=body.len() {
        let (mut chunked, mut trailers, mut data) = (Chunked::new(), Vec::new(), Vec::new());
        for input in body.chunks(piece) {
            let mut at = 0;
            while at < input.len() && !chunked.ended() {
                let step = chunked.advance_keeping(&input[at..], &mut trailers).unwrap();
                data.extend_from_slice(&input[at..][step.data]);
                at += step.taken;
            }
        }
        assert!(chunked.ended());
        assert_eq!(data, b"abc");
        assert_eq!(trailers, b"Repr-Digest: sha-256=:AA==:\r\nX: y\r\n\r\n", "pieces of {piece}");
    }
}
