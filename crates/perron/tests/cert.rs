//! `perron cert`, and OpenSSL, which judges what it makes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// `perron cert WORDS` in a folder.
fn cert(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perron")).current_dir(folder).arg("cert").args(words).output().unwrap()
}

fn made(folder: &Path, words: &[&str]) -> String {
    let output = cert(folder, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, words: &[&str]) -> (i32, String) {
    let output = cert(folder, words);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn openssl(folder: &Path, words: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").current_dir(folder).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_signs_and_revokes_and_openssl_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    made(at, &["authority", "ca", "--name", "Lab"]);
    made(at, &["server", "--authority", "ca", "www.lab.test", "*.lab.test", "--ip", "10.0.0.9"]);
    made(at, &["client", "--authority", "ca", "--user", "rapi-1", "--rsa", "--out", "rapi"]);
    for (file, expected) in [
        ("ca/ca.pem", 0o644),
        ("ca/crl.pem", 0o644),
        ("ca/ca.key", 0o600),
        ("ca/www.lab.test.pem", 0o644),
        ("ca/www.lab.test.key", 0o600),
        ("rapi.pem", 0o644),
        ("rapi.key", 0o600),
    ] {
        assert_eq!(mode(&at.join(file)), expected, "{file}");
    }
    assert_eq!(fs::read_dir(at.join("ca")).unwrap().count(), 5, "nothing else is left");
    let server = ["verify", "-CAfile", "ca/ca.pem", "-verify_hostname", "x.lab.test", "ca/www.lab.test.pem"];
    let client = ["verify", "-CAfile", "ca/ca.pem", "-CRLfile", "ca/crl.pem", "-crl_check", "rapi.pem"];
    assert!(openssl(at, &server).0, "{}", openssl(at, &server).1);
    assert!(openssl(at, &client).0, "{}", openssl(at, &client).1);
    assert!(openssl(at, &["rsa", "-in", "rapi.key", "-check", "-noout"]).0);

    assert_eq!(made(at, &["revoke", "--authority", "ca", "rapi.pem"]), "ca/crl.pem has 1 revoked\n");
    let (is_right, said) = openssl(at, &client);
    assert!(!is_right && said.contains("certificate revoked"), "{said}");
    let (_, serial) = openssl(at, &["x509", "-in", "ca/www.lab.test.pem", "-noout", "-serial"]);
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    assert_eq!(made(at, &["revoke", "--authority", "ca", serial]), "ca/crl.pem has 2 revoked\n");
    assert_eq!(made(at, &["revoke", "--authority", "ca"]), "ca/crl.pem has 2 revoked\n");
    let (_, list) = openssl(at, &["crl", "-in", "ca/crl.pem", "-noout", "-text"]);
    assert!(list.contains(serial) && list.contains("Issuer: CN = Lab"), "{list}");
}

#[test]
fn nothing_is_written_over_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    made(at, &["authority", "ca"]);
    made(at, &["client", "--authority", "ca", "--user", "a"]);
    let before = fs::read(at.join("ca/a.key")).unwrap();
    for words in [["client", "--authority", "ca", "--user", "a"].as_slice(), &["authority", "ca"]] {
        let (code, said) = refused(at, words);
        assert!(code == 1 && said.contains("exists already; --force writes over it"), "{said}");
    }
    assert_eq!(fs::read(at.join("ca/a.key")).unwrap(), before);
    made(at, &["client", "--authority", "ca", "--user", "a", "--force"]);
    assert_ne!(fs::read(at.join("ca/a.key")).unwrap(), before);
    // Names are no way out of the folder, and not over the authority.
    made(at, &["client", "--authority", "ca", "--user", "../../x"]);
    assert!(at.join("ca/_.._.._x.pem").exists());
    made(at, &["client", "--authority", "ca", "--user", "ca"]);
    assert!(at.join("ca/ca_.pem").exists());
}

#[test]
fn what_is_wrong_is_told_with_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    made(at, &["authority", "ca"]);
    fs::write(at.join("words"), "words").unwrap();
    for (words, expected, part) in [
        (["client", "--authority", "none", "--user", "a"].as_slice(), 1, "reading none/ca.pem"),
        (&["client", "--authority", "ca", "--user", "a\nb"], 2, "is no name"),
        (&["client", "--authority", "ca"], 2, "--user"),
        (&["server", "--authority", "ca"], 2, "NAME"),
        (&["server", "--authority", "ca", "a b"], 2, "\"a b\" is no host's name"),
        (&["server", "--authority", "ca", "a", "--days", "0"], 2, "--days"),
        (&["revoke", "--authority", "ca", "xyz"], 2, "is no serial number"),
        (&["revoke", "--authority", "ca", "words"], 1, "there is no certificate in it"),
        (&["show", "none"], 1, "reading none"),
        (&["show", "words"], 1, "there is neither a certificate nor a key nor a list in it"),
    ] {
        let (code, said) = refused(at, words);
        assert!(code == expected && said.contains(part), "{words:?}: {code} {said}");
    }
}

#[test]
fn a_file_is_told_of_as_text_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    made(at, &["authority", "ca", "--name", "Lab", "--days", "10"]);
    made(at, &["server", "--authority", "ca", "a.test", "--ip", "::1", "--days", "2"]);
    let text = made(at, &["show", "ca/a.test.pem"]);
    for part in ["certificate CN=a.test", "CN=Lab", "DNS:a.test, IP:::1", "1 days left", "server", "EC 256"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(made(at, &["show", "ca/a.test.key"]), "private key\n");
    let (_, end) = openssl(at, &["x509", "-in", "ca/a.test.pem", "-noout", "-enddate", "-dateopt", "iso_8601"]);
    let (_, sum) = openssl(at, &["x509", "-in", "ca/a.test.pem", "-noout", "-fingerprint", "-sha256"]);
    let json: serde_json::Value = serde_json::from_str(&made(at, &["show", "ca/a.test.pem", "--json"])).unwrap();
    let leaf = &json["sections"][0];
    let until = leaf["until"].as_str().unwrap().replace('T', " ");
    assert_eq!(end.trim(), format!("notAfter={until}"));
    let fingerprint = sum.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert_eq!(leaf["fingerprint"], fingerprint.as_str());
    assert_eq!((&leaf["valid"], &leaf["authority"]), (&true.into(), &false.into()));
    let list: serde_json::Value = serde_json::from_str(&made(at, &["show", "ca/crl.pem", "--json"])).unwrap();
    assert_eq!(list["sections"][0]["kind"], "revocations");
    assert_eq!(list["sections"][0]["revoked"], serde_json::json!([]));
}
