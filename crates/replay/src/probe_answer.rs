//! What mail servers, agents and pinged hosts answer means the same whatever comes after it.

use wire::icmp::{Echo, Family, parse_reply as parse_echo, write_request};
use wire::{agent, smtp};

use crate::split_first;

/// One byte chooses who answers.
pub fn probe_answer(bytes: &[u8]) {
    let (choice, answer) = split_first(bytes);
    match choice % 4 {
        0 => of_mail_server(answer),
        1 => assert_eq!(agent::parse_line(answer), agent::parse_line(&[answer, b"# up"].concat())),
        2 => of_host(Family::V4, answer),
        _ => of_host(Family::V6, answer),
    }
}

fn of_mail_server(answer: &[u8]) {
    let Ok(Some(reply)) = smtp::parse_reply(answer) else { return };
    assert_eq!(smtp::parse_reply(&answer[..reply.taken]), Ok(Some(reply)));
    assert_eq!(smtp::parse_reply(&answer[..reply.taken - 1]), Ok(None));
}

fn of_host(family: Family, answer: &[u8]) {
    let Some(Echo { identifier, sequence, payload }) = parse_echo(family, answer) else { return };
    let mut request = Vec::new();
    write_request(&mut request, family, Echo { identifier, sequence, payload });
    assert_eq!(request[4..], answer[answer.len() - request.len() + 4..], "it is sent back as it was");
    assert_eq!(parse_echo(family, &request), None, "a request is no reply");
}
