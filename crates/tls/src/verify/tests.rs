use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd};
use rcgen::{CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair};

use crate::config::{ClientAuth, ServerTls};
use crate::testing::{
    Authority, acceptor, asking, authority, authority_params, client, connector, leaf_params, material, name, server,
    shake, signed,
};
use crate::{Identity, Material, SessionError, variables};

/// A server of `a.test` and its authority, and whatever else.
fn files(authorities: &[&Authority], others: &[(&str, &str)]) -> Material {
    let leaf = signed(&leaf_params("a", &["a.test"]), authorities[0], &[]);
    let ca: String = authorities.iter().map(|authority| authority.pem()).collect();
    let mut files = vec![("ca.pem", ca.as_str()), ("server.pem", leaf.as_str())];
    files.extend_from_slice(others);
    material(&files)
}

/// What comes of a client with this certificate, where it is asked for.
fn judged(asked: ClientAuth, files: &Material, shows: Option<&str>) -> Result<Option<Identity>, SessionError> {
    let wanted = ServerTls { client: Some(asked), ..server(&["server.pem"]) };
    match shake(&connector(&client(shows), files), &acceptor(&wanted, files), "a.test") {
        Ok((_, server)) => Ok(server.peer().unwrap().identity),
        Err([_, came]) => Err(came.unwrap_err()),
    }
}

#[test]
fn who_shows_nothing_is_told_from_who_shows_something() {
    let ca = authority("ca");
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let files = files(&[&ca], &[("mine.pem", &mine)]);
    assert_eq!(judged(asking(false), &files, None), Ok(None));
    assert_eq!(judged(asking(true), &files, None), Err(SessionError::CertificateMissing));
    for required in [false, true] {
        let identity = judged(asking(required), &files, Some("mine.pem")).unwrap().unwrap();
        assert_eq!(identity.user.as_deref(), Some("me"));
    }
}

#[test]
fn applications_are_told_of_the_connection() {
    let ca = authority("ca");
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let files = files(&[&ca], &[("mine.pem", &mine)]);
    let wanted = ServerTls { client: Some(asking(false)), ..server(&["server.pem"]) };
    let acceptor = acceptor(&wanted, &files);
    let told = |shows| {
        let peer = shake(&connector(&client(shows), &files), &acceptor, "a.test").unwrap().1.peer().unwrap();
        variables(Some(&peer)).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let connection = [
        "HTTPS=on",
        "SSL_PROTOCOL=TLSv1.3",
        "SSL_CIPHER=TLS_AES_256_GCM_SHA384",
        "SSL_CIPHER_USEKEYSIZE=256",
        "SSL_CIPHER_ALGKEYSIZE=256",
        "SSL_SESSION_RESUMED=Initial",
        "SSL_TLS_SNI=a.test",
    ];
    assert_eq!(told(None), [connection.as_slice(), &["SSL_CLIENT_VERIFY=NONE"]].concat());
    let shown = told(Some("mine.pem"));
    assert_eq!(shown[..7], connection);
    assert_eq!(shown[7..10], ["SSL_CLIENT_VERIFY=SUCCESS", "SSL_CLIENT_M_VERSION=3", "SSL_CLIENT_M_SERIAL=1001"]);
    assert_eq!(variables(None).count(), 0);
}

#[test]
fn wrong_certificates_are_refused_however_little_they_are_needed() {
    let (ca, stranger) = (authority("ca"), authority("stranger"));
    let params = |change: fn(&mut CertificateParams)| {
        let mut params = leaf_params("me", &[]);
        change(&mut params);
        params
    };
    let old = params(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = params(|params| params.not_before = date_time_ymd(2100, 1, 1));
    let of_server = params(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let newline = params(|params| params.distinguished_name = name(&[(DnType::CommonName, "me\n")]));
    for (certificate, why) in [
        (signed(&params(|_| ()), &stranger, &[]), SessionError::CertificateAuthority),
        (signed(&old, &ca, &[]), SessionError::CertificateExpired),
        (signed(&early, &ca, &[]), SessionError::CertificateNotYetValid),
        (signed(&of_server, &ca, &[]), SessionError::Certificate),
        (signed(&newline, &ca, &[]), SessionError::Certificate),
    ] {
        let files = files(&[&ca], &[("mine.pem", &certificate)]);
        for required in [false, true] {
            assert_eq!(judged(asking(required), &files, Some("mine.pem")), Err(why));
        }
    }
}

#[test]
fn older_serial_numbers_count_as_revoked() {
    let ca = authority("ca");
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let files = files(&[&ca], &[("mine.pem", &mine)]);
    let from = |serial: &[u8]| ClientAuth { minimum_serial: Some(serial.to_vec()), ..asking(true) };
    assert!(judged(from(&[0x10, 0x01]), &files, Some("mine.pem")).is_ok());
    assert_eq!(judged(from(&[0x10, 0x02]), &files, Some("mine.pem")), Err(SessionError::CertificateRevoked));
}

/// An authority that another has signed.
fn between(common: &str, by: &Authority) -> Authority {
    let mut params = authority_params(common);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), by).unwrap()
}

#[test]
fn a_chain_is_as_long_as_the_depth_says() {
    let ca = authority("ca");
    let mut chain = vec![between("1", &ca)];
    for common in ["2", "3"] {
        chain.push(between(common, chain.last().unwrap()));
    }
    let sent: Vec<_> = chain.iter().rev().collect();
    let mine = signed(&leaf_params("me", &[]), sent[0], &sent);
    let with_root = signed(&leaf_params("me", &[]), sent[0], &[sent.as_slice(), &[&ca]].concat());
    let direct = signed(&leaf_params("me", &[]), &ca, &[]);
    let files = files(&[&ca], &[("mine.pem", &mine), ("root.pem", &with_root), ("direct.pem", &direct)]);
    let at = |depth, shows| judged(ClientAuth { depth, ..asking(true) }, &files, Some(shows)).map(drop);
    assert_eq!(at(3, "mine.pem"), Ok(()));
    assert_eq!(at(3, "root.pem"), Ok(()));
    assert_eq!(at(2, "mine.pem"), Err(SessionError::CertificateAuthority));
    assert_eq!(at(0, "mine.pem"), Err(SessionError::CertificateAuthority));
    assert_eq!(at(0, "direct.pem"), Ok(()));
}

/// Six is what `client-depth` may say at most, and what webpki builds.
#[test]
fn the_longest_chain_that_may_be_asked_for_is_taken_and_no_longer_one() {
    let ca = authority("ca");
    let mut chain = vec![between("1", &ca)];
    for number in 2..=7 {
        chain.push(between(&number.to_string(), chain.last().unwrap()));
    }
    let behind = |count: usize| {
        let sent: Vec<_> = chain[..count].iter().rev().collect();
        signed(&leaf_params("me", &[]), sent[0], &sent)
    };
    let files = files(&[&ca], &[("six.pem", &behind(6)), ("seven.pem", &behind(7))]);
    let at = |depth, shows| judged(ClientAuth { depth, ..asking(true) }, &files, Some(shows)).map(drop);
    assert_eq!(at(6, "six.pem"), Ok(()));
    assert_eq!(at(5, "six.pem"), Err(SessionError::CertificateAuthority));
    assert_eq!(at(6, "seven.pem"), Err(SessionError::CertificateAuthority));
}

/// Twenty that lead somewhere are judged by the depth; twenty that lead nowhere are no work.
#[test]
fn a_chain_of_twenty_certificates_is_refused_in_order_or_taken() {
    let ca = authority("ca");
    let mut chain = vec![between("1", &ca)];
    for number in 2..=19 {
        chain.push(between(&number.to_string(), chain.last().unwrap()));
    }
    let sent: Vec<_> = chain.iter().rev().collect();
    let long = signed(&leaf_params("me", &[]), sent[0], &sent);
    let direct = signed(&leaf_params("me", &[]), &ca, &sent);
    let files = files(&[&ca], &[("long.pem", &long), ("direct.pem", &direct)]);
    let at = |depth, shows| judged(ClientAuth { depth, ..asking(true) }, &files, Some(shows)).map(drop);
    assert_eq!(at(2, "long.pem"), Err(SessionError::CertificateAuthority));
    assert_eq!(at(2, "direct.pem"), Ok(()));
    // webpki builds no longer path than of six.
    assert!(at(u8::MAX, "long.pem").is_err());
}

/// A list of revoked certificates of `by`.
fn revoking(by: &Authority, serials: &[u8], next_year: i32) -> String {
    let revoked = |serial: &u8| RevokedCertParams {
        serial_number: SerialNumber::from(vec![0x10, *serial]),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 1, 1),
        next_update: date_time_ymd(next_year, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(by).unwrap().pem().unwrap()
}

#[test]
fn who_is_on_the_list_is_refused_even_if_the_list_is_old() {
    let (ca, other) = (authority("ca"), authority("other"));
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let theirs = signed(&leaf_params("they", &[]), &other, &[]);
    let asked = ClientAuth { crl: Some("crl.pem".into()), ..asking(true) };
    let with = |crl: &str, shows| {
        let files = files(&[&ca, &other], &[("mine.pem", &mine), ("theirs.pem", &theirs), ("crl.pem", crl)]);
        judged(asked.clone(), &files, Some(shows)).map(drop)
    };
    for next_year in [2099, 2026] {
        assert_eq!(with(&revoking(&ca, &[1], next_year), "mine.pem"), Err(SessionError::CertificateRevoked));
        assert_eq!(with(&revoking(&ca, &[2], next_year), "mine.pem"), Ok(()));
    }
    // Whether a certificate is revoked whose authority has no list, nobody knows.
    assert_eq!(with(&revoking(&ca, &[], 2099), "theirs.pem"), Err(SessionError::Certificate));
    let both = revoking(&ca, &[1], 2099) + &revoking(&other, &[], 2099);
    assert_eq!(with(&both, "theirs.pem"), Ok(()));
    assert_eq!(with(&both, "mine.pem"), Err(SessionError::CertificateRevoked));
}

#[test]
fn a_list_that_another_signed_says_nothing() {
    let (ca, forger) = (authority("ca"), authority("ca"));
    let mine = signed(&leaf_params("me", &[]), &ca, &[]);
    let files = files(&[&ca], &[("mine.pem", &mine), ("crl.pem", &revoking(&forger, &[], 2099))]);
    let asked = ClientAuth { crl: Some("crl.pem".into()), ..asking(true) };
    assert_eq!(judged(asked, &files, Some("mine.pem")), Err(SessionError::Certificate));
}
