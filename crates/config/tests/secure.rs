//! What a text becomes that says how connections are secured, and which users may.

use std::path::PathBuf;

use config::{Config, Sources};
use proxy::AllowUsers;
use tls::config::{CertificateFiles, Cipher, ClientAuth, ClientTls, ServerTls, UserField, Version};

fn load(text: &str) -> Config {
    let sources = Sources::from_texts(vec![("perron.toml".into(), text.into())], "/etc/perron".into());
    let loaded = config::load(&sources).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(loaded.warnings.to_string(), "");
    assert_eq!(loaded.config.later, []);
    loaded.config
}

fn frontend(lines: &str) -> proxy::config::Frontend {
    let mut config = load(&format!("[frontend.f]\nbind = \"0.0.0.0:443\"\nrespond = {{}}\n{lines}"));
    config.proxy.frontends.remove(0)
}

fn server(backend: &str, server: &str) -> (Option<ClientTls>, Vec<Option<ClientTls>>) {
    let mut config = load(&format!(
        "[frontend.f]\nbind = \"0.0.0.0:80\"\nbackend = \"b\"\n[backend.b]\n{backend}\n\
         [[backend.b.server]]\naddress = \"10.0.0.1:443\"\n{server}\n"
    ));
    let checks = config.checks.remove(0).remove(0).into_iter().map(|check| check.tls).collect();
    (config.proxy.backends.remove(0).servers.remove(0).tls, checks)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("/etc/perron/{name}"))
}

fn files(certificate: &str, key: Option<&str>) -> CertificateFiles {
    CertificateFiles { certificate: path(certificate), key: key.map(path) }
}

const PLAIN: ClientTls =
    ClientTls { ca: None, verify: true, name: None, certificate: None, oldest: Version::Tls12, http2: false };

#[test]
fn a_certificate_is_enough() {
    let tls = frontend("tls = { certificate = \"tls/front.pem\" }").tls.expect("TLS");
    let expected = ServerTls {
        certificates: vec![files("tls/front.pem", None)],
        oldest: Version::Tls12,
        ciphers: Vec::new(),
        http2: tls.http2,
        client: None,
        ticket_secret: None,
        clear_too: false,
        export_headers: false,
    };
    assert_eq!(tls, expected);
}

#[test]
fn every_key_of_a_frontend() {
    let frontend = frontend(
        "allow-users = [\"admin\", \"node*.example.org\"]\n[frontend.f.tls]\ncertificate = [\"a.pem\", \"/b.pem\"]\n\
         key = [\"a.key\", \"b.key\"]\nmin-version = \"1.3\"\nciphers = [\"TLS_AES_128_GCM_SHA256\"]\n\
         client-certificate = \"optional\"\nclient-ca = \"ca.pem\"\nclient-crl = \"ca.crl\"\nclient-depth = 0\n\
         client-min-serial = 4096\nexport-certificate = true\nexport-headers = true\nuser = \"san.dns\"\n\
         ticket-secret = \"secret\"\nclear-text = true\n",
    );
    assert_eq!(frontend.allow_users, Some(AllowUsers(vec!["admin".into(), "node*.example.org".into()])));
    let tls = frontend.tls.expect("TLS");
    let second = CertificateFiles { certificate: "/b.pem".into(), key: Some(path("b.key")) };
    assert_eq!(tls.certificates, [files("a.pem", Some("a.key")), second]);
    assert_eq!(tls.oldest, Version::Tls13);
    assert_eq!(tls.ciphers, [Cipher::named("TLS_AES_128_GCM_SHA256").expect("it is one")]);
    let client = ClientAuth {
        required: false,
        ca: path("ca.pem"),
        crl: Some(path("ca.crl")),
        depth: 0,
        minimum_serial: Some(vec![0x10, 0x00]),
        user: Some(UserField::SanDns),
        export: true,
    };
    assert_eq!(tls.client, Some(client));
    assert_eq!((tls.ticket_secret, tls.clear_too, tls.export_headers), (Some(path("secret")), true, true));
}

#[test]
fn serial_numbers_are_numbers_or_hexadecimal() {
    for (written, bytes) in [
        ("0", &[][..]),
        ("255", &[255]),
        ("\"0xfF\"", &[255]),
        ("\"0x1000000000000000001\"", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        let tls = format!(
            "tls = {{ certificate = \"a.pem\", client-certificate = \"required\", client-ca = \"ca.pem\", client-min-serial = {written} }}"
        );
        let client = frontend(&tls).tls.and_then(|tls| tls.client).expect("clients are asked");
        let expected = (Some(bytes.to_vec()), true, 6);
        assert_eq!((client.minimum_serial, client.required, client.depth), expected, "{written}");
    }
}

#[test]
fn servers_speak_what_is_said_of_them_or_of_their_checks() {
    let ca = ClientTls { ca: Some(path("ca.pem")), ..PLAIN };
    let named = ClientTls { name: Some("a.example".into()), ..ca.clone() };
    let loose = ClientTls { verify: false, ..PLAIN };
    let (tcp, http) = ("check = { type = \"tcp\" }", "check = { type = \"http\" }");
    let https = "check = { type = \"https\", ca = \"ca.pem\", name = \"a.example.\" }";
    let elsewhere = "check = { type = \"https\", ca = \"ca.pem\", port = 444 }";
    for (backend, lines, tls, check) in [
        (http.to_owned(), "", None, None),
        (https.to_owned(), "", Some(named.clone()), Some(named.clone())),
        (https.to_owned(), "tls = false", None, Some(named.clone())),
        (elsewhere.to_owned(), "", None, Some(ca.clone())),
        (format!("{http}\ntls = {{ ca = \"ca.pem\" }}"), "", Some(ca.clone()), Some(ca.clone())),
        (format!("{tcp}\ntls = {{ ca = \"ca.pem\" }}"), "", Some(ca.clone()), None),
        (format!("{http}\ntls = true"), "tls = { verify = false }", Some(loose.clone()), Some(loose.clone())),
        (format!("{https}\ntls = true"), "", Some(PLAIN), Some(named.clone())),
        ("check = { type = \"https\" }\ntls = { ca = \"ca.pem\" }".to_owned(), "", Some(ca.clone()), Some(ca.clone())),
        ("check = { type = \"http\", port = 80 }\ntls = true".to_owned(), "", Some(PLAIN), None),
    ] {
        assert_eq!(server(&backend, lines), (tls, vec![check]), "{backend} {lines}");
    }
}

#[test]
fn every_key_of_a_server() {
    let lines = "tls = { ca = \"ca.pem\", name = \"10.0.0.9\", certificate = \"us.pem\", key = \"us.key\", min-version = \"1.3\" }";
    let expected = ClientTls {
        ca: Some(path("ca.pem")),
        verify: true,
        name: Some("10.0.0.9".into()),
        certificate: Some(files("us.pem", Some("us.key"))),
        oldest: Version::Tls13,
        http2: false,
    };
    assert_eq!(server("", lines), (Some(expected), Vec::new()));
}
