use std::time::Duration;

use units::Instant;
use vrrp_proto::Priority;

use super::*;
use crate::example::{MAC, ip, vip};

/// Nothing is wrong.
fn well(vip: &Vip) -> Signs<'_> {
    Signs {
        vip,
        state: State::Active,
        interface: true,
        running: true,
        source: Some(ip("10.0.0.1")),
        hold: None,
        is_last_resort: false,
        lacking: Vec::new(),
        rival: None,
        claimed: None,
        refused: None,
        strangers: Vec::new(),
        troubles: Vec::new(),
        notes: &[],
        not_sent: 0,
    }
}

#[test]
fn in_plain_words() {
    let vip = &vip("web", 51, &["10.0.0.9/32"]);
    let named = &Vip { source: Some(ip("10.0.0.7")), ..vip.clone() };
    let peer = ip("10.0.0.2");
    let moment = Instant::ZERO;
    let rival = Heard {
        from: peer,
        priority: Priority::DEFAULT,
        first_unix_ms: 1_700_000_000_000,
        first: moment,
        last: moment,
    };
    let lacking = || vec!["frontend/https".to_owned()];
    let table: [(Signs<'_>, &str); 11] = [
        (Signs { interface: false, ..well(vip) }, "there is no interface eth0"),
        (Signs { running: false, ..well(vip) }, "eth0 is down or has no carrier"),
        (Signs { source: None, ..well(vip) }, "eth0 has no address of its own for adverts to come from"),
        (
            Signs { source: None, ..well(named) },
            "this machine does not have the address 10.0.0.7, which adverts are to come from",
        ),
        (
            Signs { hold: Some(Hold::Held), state: State::Fault, ..well(vip) },
            "it is held: an operator keeps it out until `perron vip resume`",
        ),
        (
            Signs { hold: Some(Hold::GivenUp), state: State::Backup, ..well(vip) },
            "an operator has given it up: it stands behind all others until `perron vip resume`",
        ),
        (
            Signs { lacking: lacking(), is_last_resort: true, ..well(vip) },
            "no router is able: it stays active although frontend/https is not well",
        ),
        (
            Signs { lacking: lacking(), is_last_resort: true, state: State::Backup, ..well(vip) },
            "it stands behind all others, because frontend/https is not well",
        ),
        (
            Signs { lacking: lacking(), state: State::Fault, ..well(vip) },
            "it takes no part, because frontend/https is not well",
        ),
        (
            Signs { rival: Some(rival), ..well(vip) },
            "two active since 2023-11-14T22:13:20.000Z: peer 10.0.0.2, priority 100; its adverts reach us, ours do not reach it",
        ),
        (
            Signs { claimed: Some((peer, LinkAddress::Ethernet(MAC))), ..well(vip) },
            "52:54:00:12:34:56 says that 10.0.0.2 is its own: another machine has the address",
        ),
    ];
    assert!(diagnosis(&well(vip)).is_empty());
    for (signs, expected) in table {
        assert_eq!(diagnosis(&signs), [expected]);
    }
}

#[test]
fn what_comes_from_others_in_plain_words() {
    let vip = &vip("web", 51, &["10.0.0.9/32"]);
    let peer = ip("10.0.0.2");
    let refused = |refusal| Some(Refused { refusal, from: peer, last: Instant::ZERO });
    let other_addresses = [Note::OtherAddresses(peer), Note::Late(Duration::from_secs(1))];
    let table: [(Signs<'_>, &str); 6] = [
        (
            Signs { refused: refused(Refusal::Version), ..well(vip) },
            "an advert of 10.0.0.2 is not taken: it is of another version; one of the two has to change",
        ),
        (
            Signs { refused: refused(Refusal::Authentication), ..well(vip) },
            "an advert of 10.0.0.2 is not taken: its password is not ours; all routers need the same password",
        ),
        (
            Signs { strangers: vec![(52, peer)], ..well(vip) },
            "10.0.0.2 sends adverts of virtual router 52 here, which no vip of ours is",
        ),
        (Signs { notes: &other_addresses, ..well(vip) }, "10.0.0.2 lists other addresses"),
        (Signs { troubles: vec!["adding it: refused"], ..well(vip) }, "adding it: refused"),
        (Signs { not_sent: 3, ..well(vip) }, "3 adverts could not be sent"),
    ];
    for (signs, expected) in table {
        assert_eq!(diagnosis(&signs), [expected]);
    }
}

#[test]
fn a_rival_is_none_of_a_backup() {
    let vip = vip("web", 51, &["10.0.0.9/32"]);
    let moment = Instant::ZERO;
    let rival =
        Heard { from: ip("10.0.0.2"), priority: Priority::DEFAULT, first_unix_ms: 0, first: moment, last: moment };
    assert!(diagnosis(&Signs { state: State::Backup, rival: Some(rival), ..well(&vip) }).is_empty());
}
