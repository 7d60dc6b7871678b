use super::*;
use crate::config::ServerTls;
use crate::testing::{acceptor, authority, leaf_params, material, server, signed};

/// What a server says of bytes that are no handshake.
fn said(bytes: &[u8]) -> SessionError {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let wanted: ServerTls = server(&["server.pem"]);
    let mut session = acceptor(&wanted, &material(&[("server.pem", &leaf)])).begin().unwrap();
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Err(error) = session.read_tls(&mut rest).unwrap() {
            return error;
        }
    }
    panic!("taken");
}

#[test]
fn clear_text_is_no_tls() {
    assert_eq!(said(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), SessionError::NotTls);
    assert_eq!(said(b"SSH-2.0-OpenSSH_9.2\r\n"), SessionError::NotTls);
}

#[test]
fn an_alert_is_an_alert() {
    assert_eq!(said(&[21, 3, 3, 0, 2, 2, 40]), SessionError::Alert);
}

#[test]
fn a_broken_handshake_breaks_the_protocol() {
    // A ServerHello to a server; a record that is too long; an empty ClientHello.
    assert_eq!(said(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), SessionError::Protocol);
    assert_eq!(said(&[22, 3, 1, 0xff, 0xff, 1]), SessionError::Protocol);
    assert_eq!(said(&[22, 3, 1, 0, 4, 1, 0, 0, 0]), SessionError::Protocol);
    // A message that is longer than 64 KiB is not waited for.
    assert_eq!(said(&[22, 3, 1, 0, 4, 1, 1, 0, 0]), SessionError::Protocol);
}

#[test]
fn each_has_a_word_of_its_own() {
    let mut words: Vec<_> = SessionError::ALL.iter().map(|error| error.reason()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), SessionError::ALL.len());
    assert!(words.iter().all(|word| word.starts_with("tls_")));
}
