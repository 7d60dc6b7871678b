//! What is agreed on in TLS and what is not, by trying all that OpenSSL has: versions, cipher suites, groups, signatures,
//! names, renegotiation, compression.

use std::path::Path;

use lab::{Authority, Host, Lab, Perron, SOON, Skip, wait_for};

const FRONT: &str = "10.0.0.2:443";

/// The suites of TLS 1.2 that are spoken, by OpenSSL's names: those of RFC 7525 §4.2 and ChaCha20 (RFC 7905).
const SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// Handshakes of one script: the slowest machine makes them within the time that a program of the lab has.
const AT_ONCE: usize = 8;

struct Site {
    client: Host,
    perron: Perron,
    _lab: Lab,
}

/// A frontend that has a certificate of a curve and one of RSA for the same name, and one for another.
fn site(name: &str) -> Result<Site, Skip> {
    let lab = Lab::new(name)?;
    let client = lab.host("client", "10.0.0.1/24");
    let front = lab.host("front", "10.0.0.2/24");
    let authority = Authority::new(&lab.folder().join("certificates"), "ca")?;
    let curve = authority.server("curve", &["a.example"]);
    let other = authority.server("other", &["b.example"]);
    let rsa = curve.with_file_name("rsa.pem");
    let request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "20", "-subj", "/CN=rsa"];
    let files = ["-addext", "subjectAltName=DNS:a.example", "-keyout", text(&rsa), "-out", text(&rsa)];
    client.run(&[&request[..], &files].concat()).success();
    let config = format!(
        "[frontend.web]\nbind = \"{FRONT}\"\nrespond = {{ body = \"here\\n\" }}\n\
         tls = {{ certificate = [\"{}\", \"{}\", \"{}\"] }}\n",
        text(&curve),
        text(&rsa),
        text(&other),
    );
    let perron = Perron::start(&front, &config);
    Ok(Site { client, perron, _lab: lab })
}

impl Site {
    /// What OpenSSL says of a connection with each of these arguments.
    fn tried(&self, arguments: &[String]) -> Vec<String> {
        let said = arguments.chunks(AT_ONCE).map(|some| {
            let tries = some.iter().map(|one| {
                let name = if one.contains("servername") { "" } else { "-servername a.example" };
                format!("openssl s_client -connect {FRONT} {name} {one} </dev/null 2>&1; printf '\\001'\n")
            });
            let output = self.client.run(&["sh", "-c", &tries.collect::<String>()]);
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        let said: String = said.collect();
        said.split_terminator('\u{1}').map(ToOwned::to_owned).collect()
    }

    fn try_one(&self, arguments: &str) -> String {
        self.tried(&[arguments.to_owned()]).remove(0)
    }

    /// The values with which there is a connection.
    fn taken<'a>(&self, how: impl Fn(&str) -> String, values: &[&'a str]) -> Vec<&'a str> {
        let arguments: Vec<String> = values.iter().map(|value| how(value)).collect();
        let said = self.tried(&arguments);
        assert_eq!(said.len(), values.len());
        // A suite is named as soon as the server has chosen it; the certificate comes after.
        let is_made = |said: &str| said.contains("\nNew, TLSv1") && said.contains("BEGIN CERTIFICATE");
        let with = values.iter().zip(said).filter(|(_, said)| is_made(said) && !said.contains(" alert "));
        with.map(|(value, _)| *value).collect()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}

#[test]
fn suites_with_forward_secrecy_and_authentication_are_spoken_and_no_others() {
    let site = lab::require!(site("tls-matrix-suites"));
    let all = site.client.run(&["openssl", "ciphers", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]).text();
    let all: Vec<&str> = all.trim().split(':').filter(|name| !name.starts_with("TLS_")).collect();
    assert!(all.len() > 100, "OpenSSL has many: {all:?}");
    let mut taken = site.taken(|name| format!("-tls1_2 -cipher {name}:@SECLEVEL=0"), &all);
    taken.sort_unstable();
    assert_eq!(taken, SUITES);
    let newer = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256",
    ];
    let taken = site.taken(|name| format!("-tls1_3 -ciphersuites {name}"), &newer);
    assert_eq!(taken, newer[..3]);
    let refused = || site.perron.status()["frontends"][0]["refused"]["tls_nothing_in_common"].as_u64();
    // Some that OpenSSL lists it does not offer without a key of its own (PSK, SRP): these never ask.
    wait_for(SOON, "those that asked are counted", || refused().is_some_and(|count| count > 50));
}

#[test]
fn versions_groups_and_signatures_are_those_of_today() {
    let site = lab::require!(site("tls-matrix-versions"));
    let versions = ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"];
    assert_eq!(site.taken(|version| format!("{version} -cipher ALL:@SECLEVEL=0"), &versions), ["-tls1_2", "-tls1_3"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let groups = ["X25519", "P-256", "P-384", "P-521", "X448", "secp256k1", "brainpoolP256r1", "P-224"];
        // Of TLS 1.2 the groups would bind the certificate's curve too (RFC 8422 §5.1).
        let taken = site.taken(|group| format!("{version} -groups {group} -sigalgs RSA-PSS+SHA256"), &groups);
        assert_eq!(taken, ["X25519", "P-256", "P-384"], "{version}");
    }
    // Groups without elliptic curves (RFC 7919).
    assert_eq!(site.taken(|group| format!("-tls1_3 -groups {group}"), &["ffdhe2048", "ffdhe3072"]), [""; 0]);
    let signatures = [
        "ECDSA+SHA256",
        "RSA-PSS+SHA256",
        "RSA-PSS+SHA384",
        "RSA-PSS+SHA512",
        "RSA+SHA256",
        "RSA+SHA384",
        "RSA+SHA512",
        "ECDSA+SHA1",
        "RSA+SHA1",
        "RSA+SHA224",
        "ECDSA+SHA224",
        "DSA+SHA256",
    ];
    let taken = |version: &str| {
        site.taken(|signature| format!("{version} -sigalgs {signature} -cipher ALL:@SECLEVEL=0"), &signatures)
    };
    assert_eq!(taken("-tls1_2"), signatures[..7]);
    // RFC 8446 §4.2.3: RSA's older signatures are not for handshakes.
    assert_eq!(taken("-tls1_3"), signatures[..4]);
}

#[test]
fn certificates_are_chosen_by_name_and_by_what_the_client_can_read() {
    let site = lab::require!(site("tls-matrix-names"));
    for (arguments, subject) in [
        ("-servername a.example", "CN = curve"),
        ("-servername A.EXAMPLE", "CN = curve"),
        ("-servername b.example", "CN = other"),
        ("-servername unknown.example", "CN = curve"),
        ("-noservername", "CN = curve"),
        ("-servername a.example -sigalgs RSA-PSS+SHA256", "CN = rsa"),
        ("-servername unknown.example -sigalgs RSA-PSS+SHA256", "CN = rsa"),
    ] {
        let said = site.try_one(arguments);
        assert!(said.contains(&format!("subject={subject}")), "{arguments}: {said}");
    }
}

#[test]
fn what_weakens_a_connection_is_not_there() {
    let site = lab::require!(site("tls-matrix-weak"));
    let older = site.try_one("-tls1_2 -comp");
    for holds in ["Compression: NONE", "Secure Renegotiation IS supported", "Extended master secret: yes"] {
        assert!(older.contains(holds), "{holds}: {older}");
    }
    let newer = site.try_one("-tls1_3 -comp");
    for holds in ["Compression: NONE", "Early data was not sent"] {
        assert!(newer.contains(holds), "{holds}: {newer}");
    }
    // The certificate of a curve is preferred: its signatures cost a tenth.
    let said = site.try_one("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384");
    assert!(said.contains("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"), "{said}");
}
