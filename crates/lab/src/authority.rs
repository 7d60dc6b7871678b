//! A certificate authority for one test, by the `openssl` command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Skip, program};

/// Signs certificates of keys on the curve P-256, all in one folder.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    name: String,
    next_serial: AtomicU32,
}

impl Authority {
    /// Makes an authority that calls itself `name`; its certificate is `NAME.pem` in `folder`.
    ///
    /// # Errors
    /// If there is no `openssl` on this machine.
    ///
    /// # Panics
    /// If `openssl` fails.
    #[track_caller]
    pub fn new(folder: &Path, name: &str) -> Result<Authority, Skip> {
        program("openssl")?;
        fs::create_dir_all(folder).expect("the folder is ours");
        let authority =
            Authority { folder: folder.to_owned(), name: name.to_owned(), next_serial: AtomicU32::new(0x1000) };
        authority.key(name);
        let request = ["req", "-x509", "-new", "-days", "30", "-subj", &format!("/O=Lab/CN={name}"), "-key"];
        let (key, certificate) = (authority.file(&format!("{name}.key")), authority.certificate());
        let constraints = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign"];
        openssl(&[&request[..], &[&key, "-out", text(&certificate)], &constraints].concat());
        Ok(authority)
    }

    /// PEM with its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    /// Makes `NAME.pem`, the certificate and its key in one file, for a server of these names or addresses.
    ///
    /// # Panics
    /// If `openssl` fails.
    #[track_caller]
    pub fn server(&self, name: &str, reached_as: &[&str]) -> PathBuf {
        let is_address = |name: &str| name.parse::<std::net::IpAddr>().is_ok();
        let alternatives: Vec<String> =
            reached_as.iter().map(|name| format!("{}:{name}", if is_address(name) { "IP" } else { "DNS" })).collect();
        let usage = format!("extendedKeyUsage=serverAuth\nsubjectAltName={}", alternatives.join(","));
        self.sign(name, &format!("/CN={name}"), &usage, &["-days", "20"])
    }

    /// Makes `NAME.pem`, the certificate and its key in one file, for a client of this subject, such as `/O=Lab/CN=x`.
    ///
    /// # Panics
    /// If `openssl` fails.
    #[track_caller]
    pub fn client(&self, name: &str, subject: &str) -> PathBuf {
        self.sign(name, subject, "extendedKeyUsage=clientAuth", &["-days", "20"])
    }

    /// The same with one more extension line and further arguments to `openssl x509`, such as `-not_after`.
    ///
    /// # Panics
    /// If `openssl` fails.
    #[track_caller]
    pub fn sign(&self, name: &str, subject: &str, extensions: &str, arguments: &[&str]) -> PathBuf {
        self.key(name);
        let file = |end: &str| self.file(&format!("{name}{end}"));
        let (key, request, certificate, wanted) = (file(".key"), file(".csr"), file(".crt"), file(".ext"));
        openssl(&["req", "-new", "-key", &key, "-subj", subject, "-out", &request]);
        fs::write(&wanted, extensions).expect("the folder is ours");
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed).to_string();
        let (authority, its_key) = (self.certificate(), self.file(&format!("{}.key", self.name)));
        let sign = ["x509", "-req", "-in", &request, "-CA", text(&authority), "-CAkey", &its_key];
        let with = ["-set_serial", &serial, "-extfile", &wanted, "-out", &certificate];
        openssl(&[&sign[..], &with, arguments].concat());
        let both = [fs::read(&certificate), fs::read(&key)].map(|part| part.expect("it was just written")).concat();
        let whole = self.folder.join(format!("{name}.pem"));
        fs::write(&whole, both).expect("the folder is ours");
        whole
    }

    /// Makes `NAME.crl`, the list of these certificates as revoked.
    ///
    /// # Panics
    /// If `openssl` fails.
    #[track_caller]
    pub fn revoke(&self, name: &str, certificates: &[&Path]) -> PathBuf {
        let (index, settings) = (self.file("index.txt"), self.file("ca.cnf"));
        fs::write(&index, "").expect("the folder is ours");
        let number = self.file("crlnumber");
        let says = format!("[ca]\ndefault_ca=d\n[d]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days=10\n");
        // With a number it is of version 2, which is what RFC 5280 section 5.1.2.1 asks for.
        fs::write(&settings, format!("{says}crlnumber={number}\n")).expect("the folder is ours");
        if !Path::new(&number).exists() {
            fs::write(&number, "01\n").expect("the folder is ours");
        }
        let (authority, its_key) = (self.certificate(), self.file(&format!("{}.key", self.name)));
        let ca = ["ca", "-config", &settings, "-cert", text(&authority), "-keyfile", &its_key];
        for certificate in certificates {
            openssl(&[&ca[..], &["-revoke", text(certificate)]].concat());
        }
        let list = self.folder.join(format!("{name}.crl"));
        openssl(&[&ca[..], &["-gencrl", "-out", text(&list)]].concat());
        list
    }

    #[track_caller]
    fn key(&self, name: &str) {
        let key = self.file(&format!("{name}.key"));
        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key]);
    }

    fn file(&self, name: &str) -> String {
        text(&self.folder.join(name)).to_owned()
    }
}

#[track_caller]
fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is there");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
