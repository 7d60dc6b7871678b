use rcgen::{
    CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    PKCS_RSA_SHA256, SerialNumber, date_time_ymd,
};

use super::*;
use crate::config::Version;
use crate::testing::{
    Authority, NOW, asking, authority, authority_params, client, leaf_params, material, server, signed, signed_for,
};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What is said of `it.pem` and others on 2026-06-01.
fn said(wanted: &ServerTls, files: &[(&str, &str)]) -> Vec<String> {
    let show = |finding: &Finding| format!("{:?} {finding}", finding.severity);
    inspect(wanted, &material(files), at(NOW)).iter().map(show).collect()
}

fn of(params: &CertificateParams, ca: &Authority) -> Vec<String> {
    said(&server(&["it.pem"]), &[("it.pem", &signed(params, ca, &[ca]))])
}

fn changed(change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = leaf_params("a", &["a.test"]);
    change(&mut params);
    params
}

#[test]
fn what_is_right_is_not_talked_of() {
    assert_eq!(of(&changed(|_| ()), &authority("ca")), Vec::<String>::new());
}

#[test]
fn dates_are_told() {
    let ca = authority("ca");
    let until = |year, month, day| of(&changed(|params| params.not_after = date_time_ymd(year, month, day)), &ca);
    assert_eq!(until(2026, 5, 31), ["Warning it.pem: it has expired, on 2026-05-31"]);
    assert_eq!(until(2026, 6, 6), ["Warning it.pem: it expires in 5 days, on 2026-06-06"]);
    assert_eq!(until(2026, 6, 15), Vec::<String>::new());
    let from = changed(|params| params.not_before = date_time_ymd(2026, 7, 1));
    assert_eq!(of(&from, &ca), ["Warning it.pem: it is not valid yet: it is from 2026-07-01 on"]);
}

#[test]
fn an_old_authority_is_told_of() {
    let mut params = authority_params("old");
    params.not_after = date_time_ymd(2026, 1, 1);
    let old = Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    assert_eq!(of(&changed(|_| ()), &old), ["Warning it.pem: \"CN=old\" in it has expired, on 2026-01-01"]);
}

#[test]
fn purposes_and_names_are_told_of() {
    let ca = authority("ca");
    let for_clients = changed(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(of(&for_clients, &ca), ["Warning it.pem: it is not for servers (extended key usage)"]);
    assert_eq!(
        of(&changed(|params| params.subject_alt_names.clear()), &ca),
        ["Warning it.pem: it has its name, a, as a common name only, where clients do not look"]
    );
    let nameless = changed(|params| {
        params.subject_alt_names.clear();
        params.distinguished_name = rcgen::DistinguishedName::new();
    });
    assert_eq!(
        of(&nameless, &ca),
        ["Warning it.pem: it is for no name (subject alternative name), so no client takes it"]
    );
}

#[test]
fn chains_that_are_cut_or_shuffled_are_told_of() {
    let (ca, other) = (authority("ca"), authority("other"));
    let alone = signed(&changed(|_| ()), &ca, &[]);
    let wanted = server(&["it.pem"]);
    assert_eq!(
        said(&wanted, &[("it.pem", &alone)]),
        [
            "Note it.pem: its chain ends before \"CN=ca\": right if that is the authority that the others trust, else add \
          its certificate"
        ]
    );
    let shuffled = signed(&changed(|_| ()), &ca, &[&other]);
    assert_eq!(
        said(&wanted, &[("it.pem", &shuffled)]),
        ["Warning it.pem: certificate 2 in it is of \"CN=other\", and \"CN=ca\" should come there"]
    );
    let unreadable = alone.replacen(
        "-----BEGIN PRIVATE",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE",
        1,
    );
    assert_eq!(said(&wanted, &[("it.pem", &unreadable)]), ["Warning it.pem: certificate 2 in it is not readable"]);
}

#[test]
fn a_certificate_that_is_never_shown_is_told_of() {
    let ca = authority("ca");
    let both = signed(&leaf_params("a", &["a.test", "b.test"]), &ca, &[&ca]);
    let one = signed(&leaf_params("a", &["b.test"]), &ca, &[&ca]);
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let other_kind = signed_for(&leaf_params("a", &["b.test"]), &rsa, &ca, &[&ca]);
    let files = [("both.pem", both.as_str()), ("one.pem", &one), ("rsa.pem", &other_kind)];
    assert_eq!(
        said(&server(&["both.pem", "one.pem", "rsa.pem"]), &files),
        ["Warning one.pem: it is never shown: an earlier one has all of its names"]
    );
    assert_eq!(said(&server(&["one.pem", "both.pem"]), &files), Vec::<String>::new());
}

#[test]
fn every_error_is_told_at_once() {
    let mut wanted = server(&["one.pem", "two.pem"]);
    wanted.client = Some(asking(true));
    wanted.ticket_secret = Some("secret".into());
    assert_eq!(
        said(&wanted, &[("secret", "short"), ("two.pem", "")]),
        [
            "Error one.pem: the file was not read",
            "Error two.pem: there is no certificate in it",
            "Error ca.pem: the file was not read",
            "Error secret: a secret of tickets has at least 32 characters; make one with `openssl rand -hex 32`",
        ]
    );
    let ca = authority("ca");
    let mut impossible = server(&["it.pem"]);
    impossible.oldest = Version::Tls13;
    impossible.ciphers = vec![crate::config::Cipher::named("ECDHE-RSA-AES128-GCM-SHA256").unwrap()];
    let leaf = signed(&changed(|_| ()), &ca, &[&ca]);
    assert_eq!(said(&impossible, &[("it.pem", &leaf)]), ["Error no cipher is of a version that is spoken"]);
}

fn list(by: &Authority, from: i32, next: i32) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(from, 1, 1),
        next_update: date_time_ymd(next, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(by).unwrap().pem().unwrap()
}

#[test]
fn authorities_of_clients_and_their_lists_are_told_of() {
    let (ca, other) = (authority("ca"), authority("other"));
    let mut params = authority_params("no authority");
    params.is_ca = IsCa::NoCa;
    let not = Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let leaf = signed(&changed(|_| ()), &ca, &[&ca]);
    let mut wanted = server(&["it.pem"]);
    wanted.client = Some(asking(true));
    let with =
        |wanted: &ServerTls, ca: &str, crl: &str| said(wanted, &[("it.pem", &leaf), ("ca.pem", ca), ("crl.pem", crl)]);
    assert_eq!(
        with(&wanted, &not.pem(), ""),
        ["Warning ca.pem: \"CN=no authority\" in it is no authority (basic constraints)"]
    );
    if let Some(asked) = &mut wanted.client {
        asked.crl = Some("crl.pem".into());
    }
    assert_eq!(with(&wanted, &ca.pem(), &list(&ca, 2025, 2027)), Vec::<String>::new());
    assert_eq!(
        with(&wanted, &ca.pem(), &list(&ca, 2025, 2026)),
        ["Warning crl.pem: the list of \"CN=ca\" is out of date since 2026-01-01; it still holds"]
    );
    assert_eq!(
        with(&wanted, &ca.pem(), &list(&ca, 2027, 2028)),
        ["Warning crl.pem: the list of \"CN=ca\" is from 2027-01-01"]
    );
    assert_eq!(
        with(&wanted, &(ca.pem() + &other.pem()), &list(&ca, 2025, 2027)),
        ["Warning crl.pem: there is no list of \"CN=other\" in it, so all of its clients are refused"]
    );
    assert_eq!(
        with(&wanted, &ca.pem(), &(list(&ca, 2025, 2027) + &list(&other, 2025, 2027))),
        ["Note crl.pem: \"CN=other\", whose list is in it, is not in ca.pem"]
    );
    assert_eq!(
        with(&wanted, &ca.pem(), ""),
        ["Error crl.pem: there is no list of revoked certificates (X509 CRL) in it"]
    );
}

#[test]
fn what_is_needed_for_a_server_is_told_of() {
    let ca = authority("ca");
    let mut params = leaf_params("me", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_after = date_time_ymd(2026, 6, 2);
    let mine = signed(&params, &ca, &[&ca]);
    let told = |wanted: &ClientTls, files: &[(&str, &str)]| -> Vec<String> {
        inspect_client(wanted, &material(files), at(NOW)).iter().map(ToString::to_string).collect()
    };
    let wanted = client(Some("mine.pem"));
    assert_eq!(
        told(&wanted, &[("ca.pem", &ca.pem()), ("mine.pem", &mine)]),
        ["mine.pem: it expires in 1 day, on 2026-06-02", "mine.pem: it is not for clients (extended key usage)"]
    );
    assert_eq!(told(&wanted, &[]), ["mine.pem: the file was not read", "ca.pem: the file was not read"]);
    let machine = ClientTls { ca: None, ..client(None) };
    assert_eq!(told(&machine, &[]), ["the authorities of this machine: the file was not read"]);
    assert_eq!(told(&machine, &[(MACHINE_AUTHORITIES, &ca.pem())]), Vec::<String>::new());
    let wrong = ClientTls { name: Some("no host".to_owned()), ..client(None) };
    assert_eq!(told(&wrong, &[("ca.pem", &ca.pem())]), ["\"no host\" is no host's name or address"]);
}

#[test]
fn ends_are_known_of_every_file_that_can_be_read() {
    let ca = authority("ca");
    let mut params = leaf_params("a", &["a.test"]);
    params.not_after = date_time_ymd(2026, 6, 2);
    let files = material(&[("it.pem", &signed(&params, &ca, &[])), ("bad.pem", "")]);
    let ends = expiries(&server(&["bad.pem", "it.pem"]).certificates, &files);
    let names = vec!["a.test".to_owned()];
    assert_eq!(ends, [Expiry { path: "it.pem".into(), subject: "CN=a".to_owned(), names, at: at(1_780_358_400) }]);
}

#[test]
fn whether_a_name_has_a_certificate_is_known() {
    let ca = authority("ca");
    let files = material(&[("it.pem", &signed(&leaf_params("a", &["a.test", "*.b.test"]), &ca, &[]))]);
    let covered = |name| covers(&server(&["it.pem"]), &files, name);
    assert!(covered("a.test") && covered("x.b.test"));
    assert!(!covered("b.test") && !covered("y.x.b.test") && !covered("a"));
}
