use rcgen::{KeyPair, PKCS_RSA_SHA256};

use super::*;
use crate::config::Cipher;
use crate::testing::{
    acceptor, asking, authority, client, connector, leaf_params, material, secret, server, shake, signed, signed_for,
};
use crate::{Connector, Peer, SessionError};

/// Certificates for names, of one authority; `server.pem` is for `a.test`.
fn files() -> Material {
    let ca = authority("ca");
    let of = |names: &[&str]| signed(&leaf_params(names[0], names), &ca, &[]);
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    material(&[
        ("ca.pem", &ca.pem()),
        ("server.pem", &of(&["a.test", "default.test"])),
        ("b.pem", &of(&["b.test", "*.wild.test"])),
        ("exact.pem", &of(&["exact.wild.test"])),
        ("rsa.pem", &signed_for(&leaf_params("rsa", &["a.test", "default.test"]), &rsa, &ca, &[])),
        ("rsa-b.pem", &signed_for(&leaf_params("rsa", &["b.test"]), &rsa, &ca, &[])),
    ])
}

/// The common name of the certificate that was shown for `host`, asked without being judged.
fn shown(acceptor: &Acceptor, connector: &Connector, host: &str) -> String {
    let (client, _) = shake(connector, acceptor, host).unwrap();
    let der = client.shown().unwrap();
    let parsed = crate::identity::parse(&der).unwrap();
    crate::subject::rfc2253(parsed.subject())
}

fn anybody(oldest: Version) -> ClientTls {
    ClientTls { verify: false, oldest, ..client(None) }
}

use crate::config::ClientTls;

#[test]
fn a_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let material = files();
    let acceptor = acceptor(&server(&["server.pem", "b.pem", "exact.pem"]), &material);
    let connector = connector(&anybody(Version::Tls12), &material);
    for (host, common) in [
        ("a.test", "CN=a.test"),
        ("b.test", "CN=b.test"),
        ("B.Test", "CN=b.test"),
        ("x.wild.test", "CN=b.test"),
        ("exact.wild.test", "CN=exact.wild.test"),
        ("x.y.wild.test", "CN=a.test"),
        ("wild.test", "CN=a.test"),
        ("unknown.test", "CN=a.test"),
        ("127.0.0.1", "CN=a.test"),
    ] {
        assert_eq!(shown(&acceptor, &connector, host), common, "{host}");
    }
}

#[test]
fn a_certificate_is_chosen_by_what_the_client_can() {
    let material = files();
    let acceptor = acceptor(&server(&["rsa.pem", "server.pem", "rsa-b.pem"]), &material);
    let both = connector(&anybody(Version::Tls12), &material);
    assert_eq!(shown(&acceptor, &both, "a.test"), "CN=a.test");
    assert_eq!(shown(&acceptor, &both, "none.test"), "CN=a.test");
    assert_eq!(shown(&acceptor, &both, "b.test"), "CN=rsa");
    let only_rsa = old_client(&["ECDHE-RSA-AES128-GCM-SHA256"]);
    assert_eq!(shown(&acceptor, &only_rsa, "a.test"), "CN=rsa");
    assert_eq!(shown(&acceptor, &only_rsa, "none.test"), "CN=rsa");
}

/// A client of TLS 1.2 with these suites.
fn old_client(ciphers: &[&str]) -> Connector {
    let ciphers: Vec<_> = ciphers.iter().map(|name| Cipher::named(name).unwrap()).collect();
    Connector::with_ciphers(&anybody(Version::Tls12), &Material::default(), &ciphers).unwrap()
}

fn agreed(acceptor: &Acceptor, connector: &Connector) -> Peer {
    shake(connector, acceptor, "a.test").unwrap().1.peer().unwrap()
}

#[test]
fn ciphers_are_the_ones_that_are_named_in_their_order() {
    let material = files();
    let mut wanted = server(&["server.pem"]);
    let names = ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    wanted.ciphers = names.map(|name| Cipher::named(name).unwrap()).to_vec();
    let acceptor = acceptor(&wanted, &material);
    let peer = agreed(&acceptor, &connector(&anybody(Version::Tls12), &material));
    assert_eq!((peer.protocol, peer.cipher, peer.key_bits), ("TLSv1.3", names[0], 256));
    let peer = agreed(&acceptor, &old_client(&["ECDHE-ECDSA-AES256-GCM-SHA384", names[2]]));
    assert_eq!((peer.protocol, peer.cipher, peer.key_bits), ("TLSv1.2", names[2], 128));
    let refused = shake(&old_client(&["ECDHE-ECDSA-AES256-GCM-SHA384"]), &acceptor, "a.test").map(drop).unwrap_err();
    assert_eq!(refused[1], Err(SessionError::NothingInCommon));
    assert_eq!(refused[0], Err(SessionError::Alert));
}

#[test]
fn ciphers_have_two_names() {
    assert_eq!(Cipher::named("ECDHE-RSA-AES128-GCM-SHA256"), Cipher::named("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
    assert_eq!(Cipher::named("AES128-SHA"), None);
    assert_eq!(Cipher::names().count(), rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.len());
    assert!(Cipher::names().all(|name| Cipher::named(name).and_then(Cipher::suite).is_some()));
}

#[test]
fn ciphers_of_another_version_alone_are_a_mistake() {
    let mut wanted = server(&["server.pem"]);
    wanted.oldest = Version::Tls13;
    wanted.ciphers = vec![Cipher::named("ECDHE-RSA-AES128-GCM-SHA256").unwrap()];
    let error = Acceptor::new(&wanted, &files(), &secret()).unwrap_err();
    assert_eq!(error.to_string(), "no cipher is of a version that is spoken");
}

#[test]
fn an_older_version_than_the_oldest_is_refused() {
    let material = files();
    let mut wanted = server(&["server.pem"]);
    wanted.oldest = Version::Tls13;
    let acceptor = acceptor(&wanted, &material);
    let refused = shake(&old_client(&["ECDHE-ECDSA-AES128-GCM-SHA256"]), &acceptor, "a.test").map(drop).unwrap_err();
    assert_eq!(refused, [Err(SessionError::Alert), Err(SessionError::NothingInCommon)]);
    assert_eq!(agreed(&acceptor, &connector(&anybody(Version::Tls13), &material)).protocol, "TLSv1.3");
}

#[test]
fn http2_is_agreed_on_where_both_want_it() {
    let material = files();
    for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let wanted = ServerTls { http2: ours, ..server(&["server.pem"]) };
        let client = ClientTls { http2: theirs, ..client(None) };
        let (client, server) = shake(&connector(&client, &material), &acceptor(&wanted, &material), "a.test").unwrap();
        assert_eq!(server.peer().unwrap().is_http2, ours && theirs);
        assert_eq!(client.peer().unwrap().is_http2, ours && theirs);
    }
}

#[test]
fn nothing_is_sent_before_a_handshakes_end() {
    let material = files();
    let acceptor = acceptor(&server(&["server.pem"]), &material);
    assert_eq!(acceptor.config.max_early_data_size, 0);
    assert!(!acceptor.config.send_half_rtt_data);
}

fn refused(wanted: &ServerTls, files: &[(&str, &str)]) -> String {
    Acceptor::new(wanted, &material(files), &secret()).unwrap_err().to_string()
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let ca = authority("ca");
    let both = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let (certificate, key) = both.split_at(both.find("-----BEGIN PRIVATE").unwrap());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let wanted = server(&["it.pem"]);
    let of = |text: &str| refused(&wanted, &[("it.pem", text)]);
    assert_eq!(refused(&wanted, &[]), "it.pem: the file was not read");
    assert_eq!(of(""), "it.pem: there is no certificate in it");
    assert_eq!(of(key), "it.pem: there is no certificate in it");
    assert_eq!(of(certificate), "it.pem: there is no private key in it");
    assert_eq!(of(&both[..both.len() - 40]), "it.pem: it is cut off: \"-----END PRIVATE KEY-----\" is missing");
    assert_eq!(of(&certificate[..200]), "it.pem: it is cut off: \"-----END CERTIFICATE-----\" is missing");
    let garbled = both.replacen("MII", "?!#", 1);
    assert_eq!(of(&garbled), "it.pem: what stands between BEGIN and END is no base64");
    let encrypted =
        format!("{certificate}-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    assert_eq!(of(&encrypted), "it.pem: its key is encrypted, and nobody is there to ask for the password");
    assert_eq!(of(&format!("{certificate}{other}")), "it.pem: the key is not that of the first certificate in it.pem");
    let mut apart = wanted.clone();
    apart.certificates[0].key = Some("it.key".into());
    assert_eq!(refused(&apart, &[("it.pem", certificate)]), "it.key: the file was not read");
    assert_eq!(
        refused(&apart, &[("it.pem", certificate), ("it.key", &other)]),
        "it.key: the key is not that of the first certificate in it.pem"
    );
    let nonsense = format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{key}");
    assert_eq!(of(&nonsense), "it.pem: its first certificate cannot be used: invalid peer certificate: BadEncoding");
    let no_key = format!("{certificate}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(of(&no_key).starts_with("it.pem: the key cannot be used: "), "{}", of(&no_key));
    assert_eq!(refused(&server(&[]), &[]), "there is no certificate");
}

#[test]
fn files_about_clients_that_cannot_be_used_are_named_with_the_reason() {
    let ca = authority("ca");
    let leaf = signed(&leaf_params("a", &["a.test"]), &ca, &[]);
    let mut wanted = server(&["it.pem"]);
    let mut asked = asking(true);
    asked.crl = Some("crl.pem".into());
    wanted.client = Some(asked);
    let of = |ca: &str, crl: &str| refused(&wanted, &[("it.pem", &leaf), ("ca.pem", ca), ("crl.pem", crl)]);
    assert_eq!(refused(&wanted, &[("it.pem", &leaf)]), "ca.pem: the file was not read");
    assert_eq!(of("", ""), "ca.pem: there is no certificate in it");
    assert_eq!(of(&ca.pem(), &ca.pem()), "crl.pem: there is no list of revoked certificates (X509 CRL) in it");
    let nonsense = |label| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    assert!(of(&nonsense("CERTIFICATE"), "").starts_with("ca.pem: an authority in it cannot be used: "));
    assert!(of(&ca.pem(), &nonsense("X509 CRL")).starts_with("crl.pem: "));
}
