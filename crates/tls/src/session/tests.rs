use super::*;
use crate::testing::{acceptor, authority, carry, client, connector, leaf_params, material, server, shake, signed};

/// A client and a server that have shaken hands.
fn pair() -> (Session, Session) {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let material = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf)]);
    shake(&connector(&client(None), &material), &acceptor(&server(&["server.pem"]), &material), "a.test").unwrap()
}

/// Ciphertext of all of `bytes`.
fn encrypt(session: &mut Session, mut bytes: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    while !bytes.is_empty() {
        bytes = &bytes[session.write(bytes)..];
        while session.wants_write() {
            session.write_tls(&mut wire).unwrap();
        }
    }
    wire
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place % 251) as u8).collect()
}

#[test]
fn a_large_read_is_decrypted_at_once() {
    let (mut client, mut server) = pair();
    let sent = pattern(300_000);
    let wire = encrypt(&mut client, &sent);
    let mut got = Vec::new();
    let mut out = vec![0; 65_536 + Session::HEADROOM];
    for mut part in wire.chunks(65_536) {
        let read = server.feed(&mut part, &mut out).unwrap();
        got.extend_from_slice(&out[..read]);
        assert!(part.is_empty());
        assert_eq!(server.peek().unwrap(), Read::Nothing);
    }
    assert!(got == sent);
}

#[test]
fn what_does_not_fit_is_fed_again() {
    let (mut client, mut server) = pair();
    let sent = pattern(100_000);
    let wire = encrypt(&mut client, &sent);
    for size in [1, 1000, 16_384, 20_000] {
        let mut rest = wire.as_slice();
        let mut got = Vec::new();
        let mut out = vec![0; size];
        if size > 1 {
            (client, server) = pair();
            let again = encrypt(&mut client, &sent);
            got = drain(&mut server, &again, &mut out);
        } else {
            while got.len() < sent.len() {
                let read = server.feed(&mut rest, &mut out).unwrap();
                got.extend_from_slice(&out[..read]);
            }
        }
        assert!(got == sent, "{size}");
    }
}

fn drain(server: &mut Session, mut wire: &[u8], out: &mut [u8]) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        let read = server.feed(&mut wire, out).unwrap();
        got.extend_from_slice(&out[..read]);
        if read == 0 && wire.is_empty() {
            return got;
        }
    }
}

#[test]
fn an_end_is_told_apart_from_a_cut() {
    let (mut client, mut server) = pair();
    let mut wire = encrypt(&mut client, b"last words");
    client.close();
    client.write_tls(&mut wire).unwrap();
    wire.extend_from_slice(b"what comes after the end is not looked at");
    let mut out = [0; 100];
    let mut rest = wire.as_slice();
    assert_eq!(server.feed(&mut rest, &mut out).unwrap(), 10);
    assert_eq!(server.peek().unwrap(), Read::End);
    assert_eq!(server.feed(&mut rest, &mut out).unwrap(), 0);

    let (mut client, mut server) = pair();
    let wire = encrypt(&mut client, b"last words");
    assert_eq!(server.feed(&mut wire.as_slice(), &mut out).unwrap(), 10);
    assert_eq!(server.read_tls(&mut [].as_slice()).unwrap(), Ok(0));
    assert_eq!(server.peek().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_changed_byte_ends_the_connection() {
    let (mut client, mut server) = pair();
    let mut wire = encrypt(&mut client, b"words");
    *wire.last_mut().unwrap() ^= 1;
    let mut out = [0; 100];
    assert_eq!(server.feed(&mut wire.as_slice(), &mut out), Err(SessionError::Protocol));
    assert!(server.wants_write());
}

#[test]
fn no_more_waits_for_a_peer_that_does_not_read_than_is_allowed() {
    let (mut client, mut server) = pair();
    let sent = pattern(1 << 20);
    let taken = server.write(&sent);
    assert_eq!(taken, MAX_UNSENT);
    assert_eq!(server.write(&sent), 0);
    let [Ok(()), Ok(())] = carry_and_read(&mut client, &mut server) else { panic!("refused") };
    assert!(server.write(&sent) > 0);
}

/// [`carry`], of more than a side takes unread.
fn carry_and_read(client: &mut Session, server: &mut Session) -> [Result<(), SessionError>; 2] {
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).unwrap();
    }
    let mut out = vec![0; wire.len() + Session::HEADROOM];
    client.feed(&mut wire.as_slice(), &mut out).unwrap();
    carry(client, server)
}
