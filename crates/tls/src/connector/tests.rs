use super::*;
use crate::config::ServerTls;
use crate::testing::{
    acceptor, asking, authority, client, connector, leaf_params, material, secret, server, shake, signed,
};
use crate::{Acceptor, SessionError};

#[test]
fn a_server_must_be_who_it_is_said_to_be() {
    let (ca, other) = (authority("ca"), authority("ca"));
    let leaf = signed(&leaf_params("a", &["a.test", "127.0.0.1", "::1"]), &ca, &[]);
    let old = {
        let mut params = leaf_params("a", &["a.test"]);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        signed(&params, &ca, &[])
    };
    let files =
        material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf), ("old.pem", &old), ("other.pem", &other.pem())]);
    let asked = |wanted: &ClientTls, host: &str, shown: &str| {
        let acceptor = acceptor(&server(&[shown]), &files);
        shake(&connector(wanted, &files), &acceptor, host).map(drop).map_err(|[came, _]| came.unwrap_err())
    };
    let wanted = client(None);
    for host in ["a.test", "127.0.0.1", "::1", "[::1]"] {
        assert_eq!(asked(&wanted, host, "server.pem"), Ok(()), "{host}");
    }
    for host in ["b.test", "127.0.0.2"] {
        assert_eq!(asked(&wanted, host, "server.pem"), Err(SessionError::CertificateName), "{host}");
    }
    let named = ClientTls { name: Some("a.test".to_owned()), ..client(None) };
    assert_eq!(asked(&named, "10.0.0.1", "server.pem"), Ok(()));
    assert_eq!(asked(&wanted, "a.test", "old.pem"), Err(SessionError::CertificateExpired));
    let elsewhere = ClientTls { ca: Some("other.pem".into()), ..client(None) };
    assert!(asked(&elsewhere, "a.test", "server.pem").is_err());
    let anybody = ClientTls { verify: false, ca: None, ..client(None) };
    assert_eq!(asked(&anybody, "c.test", "old.pem"), Ok(()));
}

#[test]
fn even_a_server_that_is_not_judged_has_the_key_of_what_it_shows() {
    let ca = authority("ca");
    let (mine, other) = (signed(&leaf_params("a", &["a.test"]), &ca, &[]), signed(&leaf_params("b", &[]), &ca, &[]));
    let files = material(&[("mine.pem", &mine), ("other.pem", &other)]);
    let anybody = ClientTls { verify: false, ca: None, ..client(None) };
    let mut forged = certified_key(&server(&["mine.pem"]).certificates[0], &files).unwrap();
    forged.key = certified_key(&server(&["other.pem"]).certificates[0], &files).unwrap().key;
    let mut acceptor = Acceptor::new(&server(&["mine.pem"]), &files, &secret()).unwrap();
    acceptor.show(forged);
    let came = shake(&connector(&anybody, &files), &acceptor, "a.test").map(drop).unwrap_err();
    assert_eq!(came[0], Err(SessionError::Certificate));
}

#[test]
fn a_server_that_asks_is_shown_our_certificate() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let files = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf), ("mine.pem", &mine)]);
    let wanted = ServerTls { client: Some(asking(true)), ..server(&["server.pem"]) };
    let acceptor = acceptor(&wanted, &files);
    let (_, server) = shake(&connector(&client(Some("mine.pem")), &files), &acceptor, "a.test").unwrap();
    assert_eq!(server.peer().unwrap().identity.unwrap().user.as_deref(), Some("me"));
}

#[test]
fn a_session_with_a_server_is_resumed() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let files = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf)]);
    let (acceptor, connector) = (acceptor(&server(&["server.pem"]), &files), connector(&client(None), &files));
    let is_resumed = || shake(&connector, &acceptor, "a.test").unwrap().0.peer().unwrap().is_resumed;
    assert!(!is_resumed());
    assert!(is_resumed());
}

/// Sixty-four tickets, eight for each name: of a ninth name's, those of the first make room.
#[test]
fn of_more_names_than_are_remembered_the_oldest_begins_anew() {
    let ca = authority("ca");
    let names: Vec<String> = (1..=9).map(|number| format!("{number}.test")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let leaf = signed(&leaf_params("a", &hosts), &ca, &[]);
    let files = material(&[("ca.pem", &ca.pem()), ("server.pem", &leaf)]);
    let (acceptor, connector) = (acceptor(&server(&["server.pem"]), &files), connector(&client(None), &files));
    let is_resumed = |host: &str| shake(&connector, &acceptor, host).unwrap().0.peer().unwrap().is_resumed;
    assert!(!hosts[..8].iter().any(|host| is_resumed(host)));
    assert!(hosts[..8].iter().all(|host| is_resumed(host)), "eight names are remembered");
    assert!(!is_resumed(hosts[8]));
    assert!(hosts[1..].iter().all(|host| is_resumed(host)));
    assert!(!is_resumed(hosts[0]), "it had to go");
}

#[test]
fn without_authorities_of_ones_own_the_machines_are_asked() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let wanted = ClientTls { ca: None, ..client(None) };
    let error = Connector::new(&wanted, &Material::default()).unwrap_err();
    assert_eq!(error.to_string(), "the authorities of this machine: the file was not read");
    let files = material(&[(MACHINE_AUTHORITIES, &ca.pem()), ("server.pem", &leaf)]);
    assert!(shake(&connector(&wanted, &files), &acceptor(&server(&["server.pem"]), &files), "a.test").is_ok());
}

#[test]
fn what_cannot_be_used_is_named_with_the_reason() {
    let refused = |wanted: &ClientTls| Connector::new(wanted, &Material::default()).unwrap_err().to_string();
    assert_eq!(refused(&client(None)), "ca.pem: the file was not read");
    let anybody = ClientTls { verify: false, ..client(None) };
    let shows = ClientTls { verify: false, ..client(Some("mine.pem")) };
    assert_eq!(refused(&shows), "mine.pem: the file was not read");
    let named = ClientTls { name: Some("no host".to_owned()), ..anybody.clone() };
    assert_eq!(refused(&named), "\"no host\" is no host's name or address");
    let connector = Connector::new(&anybody, &Material::default()).unwrap();
    assert_eq!(connector.begin("").unwrap_err().to_string(), "\"\" is no host's name or address");
}
