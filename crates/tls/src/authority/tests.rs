use std::process::Command;

use super::*;
use crate::describe::{Section, describe};
use crate::testing::material;

fn validity(days: u64) -> Validity {
    let now = SystemTime::now();
    Validity { now, until: now + Duration::from_secs(days * 24 * 60 * 60) }
}

fn authority(kind: KeyKind) -> (Authority, Issued) {
    let issued = Authority::create("lab", kind, validity(10)).unwrap();
    (load(&issued).unwrap(), issued)
}

fn load(issued: &Issued) -> Result<Authority, SetupError> {
    let files = CertificateFiles { certificate: "ca.pem".into(), key: Some("ca.key".into()) };
    Authority::load(&files, &material(&[("ca.pem", &issued.certificate), ("ca.key", &issued.key)]))
}

/// What OpenSSL says in a folder with these files, and whether it is content.
fn openssl(files: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn openssl_takes_what_is_signed() {
    for kind in [KeyKind::P256, KeyKind::Rsa2048] {
        let (authority, ca) = authority(kind);
        let names = ["www.lab.test".to_owned(), "*.lab.test".to_owned()];
        let addresses = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let server = authority.server(&names, &addresses, kind, validity(1)).unwrap();
        let client = authority.client("rapi-1", kind, validity(1)).unwrap();
        let files = [
            ("ca.pem", ca.certificate.as_str()),
            ("server.pem", &server.certificate),
            ("client.pem", &client.certificate),
            ("server.key", &server.key),
        ];
        let verify = |arguments: &[&str]| {
            let arguments = [&["verify", "-x509_strict", "-CAfile", "ca.pem"], arguments].concat();
            openssl(&files, &arguments)
        };
        for arguments in [
            ["-purpose", "sslserver", "-verify_hostname", "www.lab.test", "server.pem"],
            ["-purpose", "sslserver", "-verify_hostname", "x.lab.test", "server.pem"],
            ["-purpose", "sslserver", "-verify_ip", "fd00::1", "server.pem"],
            ["-purpose", "sslclient", "-attime", &now_text(), "client.pem"],
        ] {
            let (is_right, said) = verify(&arguments);
            assert!(is_right, "{arguments:?}: {said}");
        }
        assert!(!verify(&["-purpose", "sslclient", "server.pem"]).0);
        assert!(!verify(&["-purpose", "sslserver", "client.pem"]).0);
        let (_, subject) = openssl(&files, &["x509", "-in", "client.pem", "-noout", "-subject", "-serial"]);
        assert_eq!(subject, format!("subject=CN = rapi-1\nserial={}\n", client.serial));
        let (_, key) = openssl(&files, &["pkey", "-in", "server.key", "-noout", "-text"]);
        assert!(key.contains(if kind == KeyKind::P256 { "P-256" } else { "2048 bit" }), "{key}");
    }
}

fn now_text() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string()
}

#[test]
fn openssl_refuses_what_is_revoked() {
    let (authority, ca) = authority(KeyKind::P256);
    let first = authority.client("first", KeyKind::P256, validity(1)).unwrap();
    let second = authority.client("second", KeyKind::P256, validity(1)).unwrap();
    let empty = authority.revoke(None, &[], validity(1)).unwrap();
    let before = material(&[("crl.pem", &empty)]);
    let list = authority.revoke(Some((Path::new("crl.pem"), &before)), &[serial(&first.serial).unwrap()], validity(1));
    let list = list.unwrap();
    let verify = |list: &str, certificate: &str| {
        let files = [("ca.pem", ca.certificate.as_str()), ("crl.pem", list), ("it.pem", certificate)];
        openssl(&files, &["verify", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", "-crl_check", "it.pem"])
    };
    assert!(verify(&empty, &first.certificate).0);
    let (is_right, said) = verify(&list, &first.certificate);
    assert!(!is_right && said.contains("certificate revoked"), "{said}");
    assert!(verify(&list, &second.certificate).0);
    // Who is on the list stays there, and is there once.
    let before = material(&[("crl.pem", &list)]);
    let again = [serial(&first.serial).unwrap(), serial(&second.serial).unwrap()];
    let longer = authority.revoke(Some((Path::new("crl.pem"), &before)), &again, validity(1)).unwrap();
    assert!(!verify(&longer, &first.certificate).0 && !verify(&longer, &second.certificate).0);
    let (_, said) = openssl(&[("crl.pem", &longer)], &["crl", "-in", "crl.pem", "-noout", "-text"]);
    assert_eq!(said.matches("Serial Number:").count(), 2);
    assert!(said.contains("X509v3 CRL Number: \n                3"), "{said}");
}

#[test]
fn lists_of_others_are_not_continued() {
    let (authority, _) = authority(KeyKind::P256);
    let other = load(&Authority::create("other", KeyKind::P256, validity(1)).unwrap()).unwrap();
    let theirs = other.revoke(None, &[], validity(1)).unwrap();
    let refused = |text: &str| {
        let before = material(&[("crl.pem", text)]);
        authority.revoke(Some((Path::new("crl.pem"), &before)), &[], validity(1)).unwrap_err().to_string()
    };
    assert_eq!(refused(&theirs), "crl.pem: the list in it is another authority's");
    assert_eq!(refused(&(theirs.clone() + &theirs)), "crl.pem: there are several lists in it");
    assert_eq!(refused(""), "crl.pem: there is no list of revoked certificates (X509 CRL) in it");
}

#[test]
fn serial_numbers_grow_with_time() {
    let (authority, _) = authority(KeyKind::P256);
    let at = |seconds| {
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let made = authority.client("a", KeyKind::P256, Validity { now, until: now + EARLIER }).unwrap();
        made.serial
    };
    // 1 780 272 000 000 ms are 0x019E_807A_EC00.
    assert!(at(1_780_272_000).starts_with("019E807AEC00"), "{}", at(1_780_272_000));
    assert_eq!(at(1_780_272_000).len(), 32);
    assert!(at(1_780_272_001) > at(1_780_272_000));
}

#[test]
fn serial_numbers_are_read_as_they_are_written() {
    assert_eq!(serial("0A:00:FF").unwrap(), [0x0a, 0x00, 0xff]);
    assert_eq!(serial("a00ff").unwrap(), [0x0a, 0x00, 0xff]);
    assert_eq!(serial("0000").unwrap(), [0]);
    for wrong in ["", ":", "0x10", "+1", "1g", "é1"] {
        assert!(serial(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn nobody_has_a_wrong_name() {
    let (authority, _) = authority(KeyKind::P256);
    let long = "a".repeat(65);
    for wrong in ["", "a\nb", "a\0", &long] {
        assert!(authority.client(wrong, KeyKind::P256, validity(1)).is_err(), "{wrong:?}");
        assert!(Authority::create(wrong, KeyKind::P256, validity(1)).is_err(), "{wrong:?}");
    }
    for wrong in ["", "a b", "*", "*.*.a", "a..b", "10.0.0.1:80", "-"] {
        let made = authority.server(&[wrong.to_owned()], &[], KeyKind::P256, validity(1));
        assert!(made.is_err(), "{wrong:?}");
    }
    assert!(authority.server(&[], &[], KeyKind::P256, validity(1)).is_err());
    let long_host = format!("{}.{}.test", "a".repeat(60), "b".repeat(60));
    assert!(authority.server(&[long_host], &[], KeyKind::P256, validity(1)).is_ok());
}

#[test]
fn only_an_authority_signs() {
    let (authority, ca) = authority(KeyKind::P256);
    let client = authority.client("a", KeyKind::P256, validity(1)).unwrap();
    assert_eq!(load(&client).unwrap_err().to_string(), "ca.pem: it is no authority (basic constraints)");
    let mixed = Issued { key: client.key.clone(), ..ca };
    assert_eq!(load(&mixed).unwrap_err().to_string(), "ca.key: the key is not that of the first certificate in ca.pem");
    assert!(!format!("{client:?}").contains("PRIVATE"));
}

#[test]
fn what_is_in_a_file_is_told() {
    let (authority, ca) = authority(KeyKind::Rsa2048);
    let server =
        authority.server(&["a.test".to_owned()], &["::1".parse().unwrap()], KeyKind::P256, validity(1)).unwrap();
    let list = authority.revoke(None, &[vec![0x0a, 0xff]], validity(1)).unwrap();
    let all = format!("{}{}{}{}", server.certificate, server.key, ca.certificate, list);
    let sections = describe(Path::new("it"), &material(&[("it", &all)])).unwrap();
    let [Section::Certificate(leaf), Section::Key, Section::Certificate(root), Section::Revocations(list)] =
        sections.as_slice()
    else {
        panic!("{sections:?}")
    };
    assert_eq!((leaf.subject.as_str(), leaf.issuer.as_str(), leaf.key.as_str()), ("CN=a.test", "CN=lab", "EC 256"));
    assert_eq!(
        (leaf.names.as_slice(), leaf.purposes.as_slice()),
        (["DNS:a.test".to_owned(), "IP:::1".to_owned()].as_slice(), ["server"].as_slice())
    );
    assert!(!leaf.is_authority && root.is_authority);
    assert_eq!((root.key.as_str(), root.subject.as_str()), ("RSA 2048", "CN=lab"));
    assert_eq!(leaf.serial, server.serial);
    assert_eq!(list.revoked[0].0, "0AFF");
    let error = describe(Path::new("it"), &material(&[("it", "words")])).unwrap_err();
    assert_eq!(error.to_string(), "it: there is neither a certificate nor a key nor a list in it");
    assert_eq!(next(vec![0xff, 0xff]), [1, 0, 0]);
    assert_eq!(next(vec![1, 0xff]), [2, 0]);
}
