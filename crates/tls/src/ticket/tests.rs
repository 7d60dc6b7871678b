use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::server::ProducesTickets as _;

use super::*;
use crate::testing::{Clock, NOW, acceptor, asking, authority, client, connector, leaf_params, material, secret};
use crate::testing::{server, shake, signed};
use crate::{Acceptor, Connector};

const HOUR: u64 = 60 * 60;

fn tickets(secret: &TicketSecret, clock: &Arc<Clock>) -> Tickets {
    Tickets::new(secret, &Demands::new(None, &Material::default()), Arc::clone(clock) as Arc<dyn TimeProvider>)
}

#[test]
fn a_ticket_opens_for_whoever_has_the_secret() {
    let clock = Clock::at(NOW);
    let ticket = tickets(&secret(), &clock).encrypt(b"session").unwrap();
    assert_eq!(tickets(&secret(), &clock).decrypt(&ticket).unwrap(), b"session");
    let other = TicketSecret::new(&[8; 32]).unwrap();
    assert_eq!(tickets(&other, &clock).decrypt(&ticket), None);
    assert!(!ticket.windows(7).any(|window| window == b"session"));
}

#[test]
fn a_ticket_is_good_for_its_epoch_and_the_next_and_for_clocks_that_are_late() {
    // NOW is a multiple of six hours.
    let made = Clock::at(NOW + HOUR);
    let ticket = tickets(&secret(), &made).encrypt(b"session").unwrap();
    assert_eq!(tickets(&secret(), &made).lifetime(), 11 * 3600);
    let opened = |seconds: u64| tickets(&secret(), &Clock::at(seconds)).decrypt(&ticket).is_some();
    assert!(opened(NOW + 12 * HOUR - 1));
    assert!(!opened(NOW + 12 * HOUR));
    assert!(opened(NOW - 6 * HOUR));
    assert!(!opened(NOW - 6 * HOUR - 1));
}

#[test]
fn a_changed_or_cut_ticket_opens_for_nobody() {
    let clock = Clock::at(NOW);
    let tickets = tickets(&secret(), &clock);
    let ticket = tickets.encrypt(b"session").unwrap();
    for place in 0..ticket.len() {
        let mut changed = ticket.clone();
        changed[place] ^= 1;
        assert_eq!(tickets.decrypt(&changed), None, "byte {place}");
        assert_eq!(tickets.decrypt(&ticket[..place]), None, "cut at {place}");
    }
    assert_eq!(tickets.decrypt(&vec![0; MAX_TICKET + 1]), None);
    assert_eq!(tickets.encrypt(&[0; 10]).unwrap().len(), EPOCH_LEN + NONCE_LEN + 10 + 16);
}

#[test]
fn a_short_secret_is_refused() {
    assert!(TicketSecret::new(&[1; 31]).is_err());
    assert_ne!(TicketSecret::random().unwrap(), TicketSecret::random().unwrap());
    let mut wanted = server(&["server.pem"]);
    wanted.ticket_secret = Some(PathBuf::from("secret"));
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let of = |text: &str| {
        let material = material(&[("server.pem", &leaf), ("secret", text)]);
        Acceptor::new(&wanted, &material, &secret()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(
        of("too short\n").unwrap_err(),
        "secret: a secret of tickets has at least 32 characters; make one with `openssl rand -hex 32`"
    );
    assert_eq!(of("0123456789abcdef0123456789abcdef\n"), Ok(()));
}

/// Shakes hands twice, so that the second could resume the first; whether it did.
fn is_resumed(connector: &Connector, first: &Acceptor, second: &Acceptor) -> bool {
    let (client, server) = shake(connector, first, "a.test").unwrap();
    assert!(!client.peer().unwrap().is_resumed && !server.peer().unwrap().is_resumed);
    let (client, server) = shake(connector, second, "a.test").unwrap();
    let resumed = server.peer().unwrap().is_resumed;
    assert_eq!(client.peer().unwrap().is_resumed, resumed);
    resumed
}

#[test]
fn directors_with_one_secret_resume_one_anothers_sessions() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let shared = "0123456789abcdef0123456789abcdef";
    let material = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf), ("secret", shared)]);
    let mut wanted = server(&["server.pem"]);
    let machine = |byte: u8| TicketSecret::new(&[byte; 32]).unwrap();
    let director = |wanted: &_, byte| Acceptor::new(wanted, &material, &machine(byte)).unwrap();
    let fresh = || connector(&client(None), &material);
    assert!(is_resumed(&fresh(), &director(&wanted, 1), &director(&wanted, 1)));
    assert!(!is_resumed(&fresh(), &director(&wanted, 1), &director(&wanted, 2)));
    wanted.ticket_secret = Some(PathBuf::from("secret"));
    assert!(is_resumed(&fresh(), &director(&wanted, 1), &director(&wanted, 2)));
}

#[test]
fn a_session_is_not_resumed_where_more_is_asked_of_the_client() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let material = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf), ("mine.pem", &mine)]);
    let with = |client| {
        let mut wanted = server(&["server.pem"]);
        wanted.client = client;
        acceptor(&wanted, &material)
    };
    let anonymous = connector(&client(None), &material);
    assert!(!is_resumed(&anonymous, &with(None), &with(Some(asking(false)))));
    let anonymous = connector(&client(None), &material);
    shake(&anonymous, &with(Some(asking(false))), "a.test").unwrap();
    assert!(shake(&anonymous, &with(Some(asking(true))), "a.test").is_err());
    let known = connector(&client(Some("mine.pem")), &material);
    assert!(is_resumed(&known, &with(Some(asking(true))), &with(Some(asking(true)))));
    let mut newer = asking(true);
    newer.minimum_serial = Some(vec![0x10, 0x00]);
    let known = connector(&client(Some("mine.pem")), &material);
    assert!(!is_resumed(&known, &with(Some(asking(true))), &with(Some(newer))));
}

#[test]
fn a_resumed_session_has_the_identity_of_the_first() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let material = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf), ("mine.pem", &mine)]);
    let mut wanted = server(&["server.pem"]);
    wanted.client = Some(asking(false));
    let acceptor = acceptor(&wanted, &material);
    let connector = connector(&client(Some("mine.pem")), &material);
    let first = shake(&connector, &acceptor, "a.test").unwrap().1.peer().unwrap();
    let second = shake(&connector, &acceptor, "a.test").unwrap().1.peer().unwrap();
    assert!(second.is_resumed);
    assert_eq!(second.identity, first.identity);
    assert_eq!(second.identity.unwrap().user.as_deref(), Some("me"));
}

#[test]
fn keys_of_tickets_change_by_the_clock() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let material = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf)]);
    let clock = Clock::at(NOW);
    let shared = Arc::clone(&clock) as Arc<dyn TimeProvider>;
    let acceptor = Acceptor::with_clock(&server(&["server.pem"]), &material, &secret(), &shared).unwrap();
    let connector = connector(&client(None), &material);
    shake(&connector, &acceptor, "a.test").unwrap();
    clock.0.store(NOW + 12 * HOUR, Ordering::Relaxed);
    assert!(!shake(&connector, &acceptor, "a.test").unwrap().1.peer().unwrap().is_resumed);
}
