use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use config::Sources;

use super::*;

fn config(text: &str) -> Config {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    config::load(&sources).unwrap().config
}

#[test]
fn every_file_is_named_with_the_part_that_names_it_first() {
    let text = "[frontend.f]\nbind = \"0.0.0.0:443\"\nbackend = \"b\"\n[frontend.f.tls]\ncertificate = [\"a.pem\", \"b.pem\"]\n\
                key = [\"a.key\", \"b.key\"]\nclient-certificate = \"required\"\nclient-ca = \"ca.pem\"\n\
                client-crl = \"ca.crl\"\nticket-secret = \"secret\"\n\
                [backend.b]\ncheck = { type = \"https\", ca = \"ca.pem\" }\n\
                [[backend.b.server]]\nname = \"one\"\naddress = \"10.0.0.1:443\"\n\
                [[backend.b.server]]\nname = \"two\"\naddress = \"10.0.0.2:443\"\ntls = { certificate = \"us.pem\" }\n";
    let named = named(&config(text));
    let named: Vec<_> = named.iter().map(|(path, part)| (path.to_str().unwrap(), part.as_str())).collect();
    let of_frontend =
        ["a.key", "a.pem", "b.key", "b.pem", "ca.crl", "ca.pem", "secret"].map(|name| format!("/etc/perron/{name}"));
    let mut expected: Vec<_> = of_frontend.iter().map(|path| (path.as_str(), "frontend.f.tls")).collect();
    expected.extend([
        ("/etc/perron/us.pem", "backend.b.server.two.tls"),
        ("the authorities of this machine", "backend.b.server.two.tls"),
    ]);
    assert_eq!(named, expected);
}

fn named_alone(path: &Path) -> BTreeMap<PathBuf, String> {
    [(path.to_owned(), "frontend.f.tls".to_owned())].into_iter().collect()
}

#[test]
fn why_a_file_cannot_be_read_is_told_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("long"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    fs::write(path("longest"), vec![b'x'; 1024 * 1024]).unwrap();
    fs::write(path("der"), [0x30, 0x82, 0xff, 0xfe]).unwrap();
    let fifo = rustix::fs::CWD;
    rustix::fs::mknodat(fifo, path("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    for (name, said) in [
        ("none", "there is no such file; put it there, or name where it is"),
        ("", "it is a folder; name the file in it"),
        ("fifo", "it is no file"),
        ("long", "it has more than 1 MiB; is it the right file?"),
        ("der", "it is no text; write PEM, which"),
    ] {
        let why = read(&named_alone(&path(name))).unwrap_err();
        let expected = format!("error: frontend.f.tls: {}: {said}", path(name).display());
        assert!(why.starts_with(&expected), "{why}");
    }
    assert!(read(&named_alone(&path("longest"))).is_ok());
}

#[test]
fn all_files_together_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut named = BTreeMap::new();
    for number in 0..16 {
        let path = folder.path().join(number.to_string());
        fs::write(&path, vec![b'x'; 1024 * 1024]).unwrap();
        named.insert(path, "frontend.f.tls".to_owned());
    }
    assert!(read(&named).is_ok());
    let one_more = folder.path().join("x");
    fs::write(&one_more, "x").unwrap();
    named.insert(one_more, "frontend.f.tls".to_owned());
    assert_eq!(read(&named).unwrap_err(), "error: all files of TLS together have more than 16 MiB\n");
}

#[test]
fn keys_that_others_may_read_are_noticed_and_certificates_not() {
    let folder = tempfile::tempdir().unwrap();
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAA==\n-----END {what}-----\n");
    for (text, mode, open) in [
        (pem("PRIVATE KEY"), 0o600, false),
        (pem("PRIVATE KEY"), 0o640, false),
        (pem("PRIVATE KEY"), 0o644, true),
        (pem("EC PRIVATE KEY"), 0o604, true),
        (pem("CERTIFICATE"), 0o644, false),
        (pem("CERTIFICATE") + &pem("PRIVATE KEY"), 0o644, true),
        ("0123456789abcdef0123456789abcdef".to_owned(), 0o644, true),
    ] {
        let path = folder.path().join("it");
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = read(&named_alone(&path)).unwrap();
        assert_eq!(!found.open_to_others.is_empty(), open, "{text} {mode:o}");
        assert_eq!(found.stamps[&path], Stamp::of(&path));
    }
}

/// PEM of a certificate for `a.example` and of its key.
fn pair() -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let (key, certificate) = (path("key"), path("certificate"));
    let more =
        ["-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example", "-keyout", &key, "-out", &certificate];
    let made = std::process::Command::new("openssl").args(arguments).args(more).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = |path: &str| fs::read_to_string(path).unwrap();
    (text(&certificate), text(&key))
}

fn material(files: &[(&str, &str)]) -> Material {
    files.iter().map(|(name, text)| (PathBuf::from(format!("/etc/perron/{name}")), (*text).to_owned())).collect()
}

#[test]
fn what_goes_together_is_taken_and_the_rest_waits_for_the_rest() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        println!("SKIPPED: there is no openssl");
        return;
    }
    let config = config(
        "[frontend.a]\nbind = \"0.0.0.0:443\"\nrespond = {}\ntls = { certificate = \"a.pem\", key = \"a.key\" }\n\
         [frontend.b]\nbind = \"0.0.0.0:444\"\nrespond = {}\ntls = { certificate = \"b.pem\", key = \"b.key\" }\n",
    );
    let [(one, one_key), (two, two_key)] = [pair(), pair()];
    let old = material(&[("a.pem", &one), ("a.key", &one_key), ("b.pem", &one), ("b.key", &one_key)]);
    let now = SystemTime::now();
    let renewed = |fresh: &[(&str, &str)]| renew(&config, &old, &material(fresh), now);

    // A certificate whose key is not there yet changes nothing; the other frontend's is taken all the same.
    let half = renewed(&[("a.pem", &two), ("b.pem", &two), ("b.key", &two_key)]);
    let expected = material(&[("a.pem", &one), ("a.key", &one_key), ("b.pem", &two), ("b.key", &two_key)]);
    assert!(half.material == expected);
    let [refused] = half.refused.as_slice() else { panic!("{:?}", half.refused) };
    assert_eq!(
        refused.to_string(),
        "/etc/perron/a.key: the key is not that of the first certificate in /etc/perron/a.pem"
    );

    let whole = renewed(&[("a.pem", &two), ("a.key", &two_key)]);
    assert!(whole.refused.is_empty());
    assert!(whole.material == material(&[("a.pem", &two), ("a.key", &two_key), ("b.pem", &one), ("b.key", &one_key)]));

    let broken = renewed(&[("a.pem", "nothing")]);
    assert!(broken.material == old && broken.refused.len() == 1, "{:?}", broken.refused);
    let shown: Vec<_> = shown(&config, &old).into_iter().map(|shown| (shown.path, shown.names)).collect();
    let of = |name: &str| (PathBuf::from(format!("/etc/perron/{name}")), vec!["a.example".to_owned()]);
    assert_eq!(shown, [of("a.pem"), of("b.pem")]);
}
