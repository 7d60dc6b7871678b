use std::path::Path;

use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType, SerialNumber};

use super::*;
use crate::testing::{asking, authority, leaf_params, material, name};

fn der(text: &str) -> CertificateDer<'static> {
    crate::pem::certificates(Path::new("it"), &material(&[("it", text)])).unwrap().remove(0)
}

fn of(text: &str, field: UserField) -> Identity {
    let mut asked = asking(true);
    asked.user = Some(field);
    asked.export = true;
    identify(&der(text), &asked).unwrap()
}

/// Values: what Apache 2.4.71 and lighttpd 1.4.69 told a CGI program of this certificate, which OpenSSL made.
#[test]
fn an_odd_certificate_is_told_of_as_apache_and_lighttpd_do() {
    let text = include_str!("certificates/odd.pem");
    let told = of(text, UserField::SubjectCn);
    let name = "title=Dr,GN=Jane,SN=Doe,serialNumber=42,1.3.6.1.4.1.99999.1=#0C04626C7565,\
        emailAddress=ops@example.org,UID=u123+CN=node1,OU=three,OU=two=2,OU=\\#one,\
        O=Grüße\\, \\\"Café\\\" \\+ \\<Fils\\>\\; a\\\\b,ST=\\ spaced\\ ,C=FR";
    let expected = [
        ("VERIFY", "SUCCESS"),
        ("M_VERSION", "3"),
        ("M_SERIAL", "0A00FF"),
        ("S_DN", name),
        ("I_DN", name),
        ("S_DN_C", "FR"),
        ("S_DN_ST", " spaced "),
        ("S_DN_O", "Grüße, \"Café\" + <Fils>; a\\b"),
        ("S_DN_OU", "#one"),
        ("S_DN_OU_1", "two=2"),
        ("S_DN_OU_2", "three"),
        ("S_DN_CN", "node1"),
        ("S_DN_UID", "u123"),
        ("S_DN_Email", "ops@example.org"),
        ("S_DN_emailAddress", "ops@example.org"),
        ("S_DN_serialNumber", "42"),
        ("S_DN_S", "Doe"),
        ("S_DN_SN", "Doe"),
        ("S_DN_G", "Jane"),
        ("S_DN_GN", "Jane"),
        ("S_DN_T", "Dr"),
        ("S_DN_title", "Dr"),
        ("I_DN_CN", "node1"),
        ("SAN_DNS_0", "Node1.example.org"),
        ("SAN_Email_0", "jane@example.org"),
        ("V_START", "Nov 21 17:51:21 2026 GMT"),
        ("V_END", "Oct 28 17:51:21 2126 GMT"),
        ("FINGERPRINT", "2db8f2a0d1467b242d5cd16177b4ce58914d1f9428e3be1f1798f285479019b9"),
        ("CERT", text),
    ];
    for (variable, value) in expected {
        let variable = format!("SSL_CLIENT_{variable}");
        let found: Vec<_> = told.variables.iter().filter(|(name, _)| *name == variable).collect();
        assert_eq!(found, [&(variable, value.to_owned())]);
    }
}

/// Names: what `openssl x509 -nameopt RFC2253,-esc_msb` says.
#[test]
fn strings_of_old_certificates_become_utf_8() {
    let t61 = of(include_str!("certificates/t61.pem"), UserField::SubjectCn);
    let bmp = of(include_str!("certificates/bmp.pem"), UserField::SubjectCn);
    let value = |told: &Identity, wanted: &str| {
        told.variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    assert_eq!(value(&t61, "SSL_CLIENT_S_DN").as_deref(), Some("CN=node2,O=Müller"));
    assert_eq!(value(&t61, "SSL_CLIENT_M_SERIAL").as_deref(), Some("FF00"));
    assert_eq!(value(&t61, "SSL_CLIENT_M_VERSION").as_deref(), Some("1"));
    assert_eq!(value(&bmp, "SSL_CLIENT_S_DN_O").as_deref(), Some("Мюллер"));
    assert_eq!(value(&bmp, "SSL_CLIENT_M_SERIAL").as_deref(), Some("01"));
}

#[test]
fn the_user_is_what_is_asked_for() {
    let text = include_str!("certificates/odd.pem");
    let user = |field| of(text, field).user;
    assert_eq!(user(UserField::SubjectCn).as_deref(), Some("node1"));
    assert_eq!(user(UserField::SubjectUid).as_deref(), Some("u123"));
    assert_eq!(user(UserField::SubjectEmail).as_deref(), Some("ops@example.org"));
    assert_eq!(user(UserField::SanDns).as_deref(), Some("Node1.example.org"));
    assert_eq!(user(UserField::SanEmail).as_deref(), Some("jane@example.org"));
    assert_eq!(user(UserField::SanUri).as_deref(), Some("spiffe://cluster/node1"));
    let plain = include_str!("certificates/bmp.pem");
    assert_eq!(of(plain, UserField::SanUri).user, None);
    assert_eq!(of(plain, UserField::SubjectUid).user, None);
    let mut asked = asking(true);
    (asked.user, asked.export) = (None, false);
    let told = identify(&der(text), &asked).unwrap();
    assert_eq!(told.user, None);
    assert!(told.variables.iter().all(|(name, _)| name != "SSL_CLIENT_CERT"));
}

fn made(params: &CertificateParams) -> CertificateDer<'static> {
    params.signed_by(&KeyPair::generate().unwrap(), &authority("ca")).unwrap().der().clone()
}

fn with_subject(parts: &[(DnType, &str)]) -> CertificateDer<'static> {
    let mut params = leaf_params("", &[]);
    params.distinguished_name = name(parts);
    made(&params)
}

/// OpenSSL makes it from a configuration, rcgen holds one of each kind.
#[test]
fn who_has_two_common_names_is_nobody() {
    let text = include_str!("certificates/two.pem");
    assert_eq!(examine(&der(text), &asking(true)), Err(Unclear::TwoCommonNames));
}

#[test]
fn names_with_control_characters_are_nobodys() {
    for bad in ["admin\0", "\0", "ad\nmin", "admin\r", "\u{7f}", "\u{85}", "a\tb"] {
        let subject = with_subject(&[(DnType::CommonName, bad)]);
        assert_eq!(examine(&subject, &asking(true)), Err(Unclear::NoText), "{bad:?}");
        let beside = with_subject(&[(DnType::CommonName, "admin"), (DnType::OrganizationName, bad)]);
        assert_eq!(examine(&beside, &asking(true)), Err(Unclear::NoText), "{bad:?}");
    }
    assert_eq!(examine(&with_subject(&[(DnType::CommonName, "Zoë")]), &asking(true)), Ok(()));
    let mut params = leaf_params("a", &[]);
    params.subject_alt_names = vec![SanType::Rfc822Name("a\nb@example.org".try_into().unwrap())];
    let mut asked = asking(true);
    asked.user = Some(UserField::SanEmail);
    assert_eq!(examine(&made(&params), &asked), Err(Unclear::NoText));
    params.distinguished_name.push(DnType::OrganizationName, DnValue::BmpString("a".try_into().unwrap()));
    assert_eq!(examine(&made(&params), &asking(true)), Ok(()));
}

#[test]
fn who_has_two_of_what_names_the_user_is_nobody() {
    let mut asked = asking(true);
    asked.user = Some(UserField::SubjectUid);
    let text = include_str!("certificates/two-uids.pem");
    assert_eq!(examine(&der(text), &asked), Err(Unclear::TwoUsers));
    assert_eq!(examine(&der(text), &asking(true)), Ok(()));
}

#[test]
fn what_is_no_certificate_is_malformed() {
    let whole = der(include_str!("certificates/odd.pem"));
    for cut in 0..whole.len() {
        let part = CertificateDer::from(whole[..cut].to_vec());
        assert_eq!(examine(&part, &asking(true)), Err(Unclear::Malformed), "cut at {cut}");
        assert_eq!(identify(&part, &asking(true)), None);
    }
    let longer = CertificateDer::from([whole.as_ref(), &[0]].concat());
    assert_eq!(examine(&longer, &asking(true)), Err(Unclear::Malformed));
}

#[test]
fn older_serial_numbers_are_refused() {
    let examined = |serial: &[u8], minimum: &[u8]| {
        let mut params = leaf_params("a", &[]);
        params.serial_number = Some(SerialNumber::from(serial.to_vec()));
        let mut asked = asking(true);
        asked.minimum_serial = Some(minimum.to_vec());
        examine(&made(&params), &asked)
    };
    assert_eq!(examined(&[0x10, 0x00], &[0x10, 0x00]), Ok(()));
    assert_eq!(examined(&[0x10, 0x00], &[0x0f, 0xff]), Ok(()));
    assert_eq!(examined(&[0x10, 0x00], &[0x10, 0x01]), Err(Unclear::OldSerial));
    assert_eq!(examined(&[0xff], &[0x01, 0x00]), Err(Unclear::OldSerial));
    assert_eq!(examined(&[0x80, 0x00], &[0x7f, 0xff]), Ok(()));
    assert_eq!(examined(&[0x01, 0x00], &[0xff]), Ok(()));
}
