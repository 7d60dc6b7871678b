//! What a frontend asks of its clients' connections, and a server or a check of ours: valid by construction.

use std::path::{Path, PathBuf};

/// TLS with the clients of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// At least one. The first is for clients that ask for no name, or for none that the others have.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub oldest: Version,
    /// Which suites may be used, the best first; empty: those that rustls holds for good.
    pub ciphers: Vec<Cipher>,
    /// Whether HTTP/2 is offered (ALPN, RFC 7301).
    pub http2: bool,
    /// What is asked of clients' certificates; `None`: nothing.
    pub client: Option<ClientAuth>,
    /// The secret that directors share, so that each resumes the sessions of all; `None`: one that this machine makes.
    pub ticket_secret: Option<PathBuf>,
    /// Whether clients that do not begin with TLS are served in clear text; else they are told, in clear, and left.
    pub clear_too: bool,
    /// Whether HTTP servers are told of clients' certificates in header fields.
    pub export_headers: bool,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate first, then its chain.
    pub certificate: PathBuf,
    /// PEM; `None`: in the same file.
    pub key: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// A cipher suite that this program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher(rustls::CipherSuite);

/// By the name that the standards give it, the one that OpenSSL gives it, and the bits of its key.
const CIPHERS: [(rustls::CipherSuite, &str, &str, u16); 9] = {
    use rustls::CipherSuite as S;
    [
        (S::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", 256),
        (S::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", 128),
        (S::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", 256),
        (
            S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            256,
        ),
        (
            S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            128,
        ),
        (
            S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            256,
        ),
        (
            S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            256,
        ),
        (
            S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            128,
        ),
        (
            S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "ECDHE-RSA-CHACHA20-POLY1305",
            256,
        ),
    ]
};

impl Cipher {
    /// The suite of this name: that of the standards, such as `TLS_AES_128_GCM_SHA256` or
    /// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, or OpenSSL's, such as `ECDHE-RSA-AES128-GCM-SHA256`.
    pub fn named(name: &str) -> Option<Cipher> {
        let (id, ..) = CIPHERS.iter().find(|(_, standard, openssl, _)| name == *standard || name == *openssl)?;
        Some(Cipher(*id))
    }

    /// The standards' names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CIPHERS.iter().map(|(_, standard, ..)| *standard)
    }

    pub(crate) fn suite(self) -> Option<rustls::SupportedCipherSuite> {
        rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter().find(|suite| suite.suite() == self.0).copied()
    }

    /// OpenSSL's name of a suite, and the bits of its key.
    pub(crate) fn as_openssl(id: rustls::CipherSuite) -> (&'static str, u16) {
        let known = CIPHERS.iter().find(|(known, ..)| *known == id);
        known.map_or(("unknown", 0), |(_, _, openssl, bits)| (openssl, *bits))
    }
}

/// What is asked of clients' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Whether a client without one is served.
    pub required: bool,
    /// PEM with the authorities that may have signed them.
    pub ca: PathBuf,
    /// PEM with lists of revoked ones.
    pub crl: Option<PathBuf>,
    /// The most certificates between a client's and its authority's.
    pub depth: u8,
    /// Those with a smaller serial number are revoked; big-endian, without leading zeros.
    pub minimum_serial: Option<Vec<u8>>,
    /// Which part of it names the user.
    pub user: Option<UserField>,
    /// Whether applications get it whole (`SSL_CLIENT_CERT`).
    pub export: bool,
}

/// The part of a certificate that names a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserField {
    /// The subject's common name.
    SubjectCn,
    /// The subject's user id.
    SubjectUid,
    /// The subject's e-mail address.
    SubjectEmail,
    /// The first DNS name among the alternative names.
    SanDns,
    /// The first e-mail address there.
    SanEmail,
    /// The first URI there.
    SanUri,
}

/// TLS with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// PEM with the authorities that may have signed its certificate; `None`: those of this machine.
    pub ca: Option<PathBuf>,
    /// Whether its certificate must be right.
    pub verify: bool,
    /// The name that it must have, and that is asked for (SNI); `None`: the server's address.
    pub name: Option<String>,
    /// What we show if we are asked.
    pub certificate: Option<CertificateFiles>,
    /// The oldest version that is spoken.
    pub oldest: Version,
    /// Whether HTTP/2 is asked for (ALPN).
    pub http2: bool,
}

impl ServerTls {
    /// Shows these certificates, and asks for none.
    pub fn showing(certificates: Vec<CertificateFiles>) -> ServerTls {
        ServerTls {
            certificates,
            oldest: Version::Tls12,
            ciphers: Vec::new(),
            http2: false,
            client: None,
            ticket_secret: None,
            clear_too: false,
            export_headers: false,
        }
    }

    /// Every file that is needed.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.iter().flat_map(|client| [Some(&client.ca), client.crl.as_ref()]).flatten();
        let own = self.certificates.iter().flat_map(CertificateFiles::files);
        own.chain(client.chain(&self.ticket_secret).map(PathBuf::as_path))
    }
}

/// Believes the authorities of this machine, and shows nothing.
impl Default for ClientTls {
    fn default() -> ClientTls {
        ClientTls { ca: None, verify: true, name: None, certificate: None, oldest: Version::Tls12, http2: false }
    }
}

impl ClientTls {
    /// Every file that is needed, [`crate::MACHINE_AUTHORITIES`] among them where no other authorities are named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let authorities = self.ca.as_deref().unwrap_or(Path::new(crate::MACHINE_AUTHORITIES));
        let own = self.certificate.iter().flat_map(CertificateFiles::files);
        own.chain(self.verify.then_some(authorities))
    }
}

impl CertificateFiles {
    /// Certificate, chain and key in one file.
    pub fn together(path: impl Into<PathBuf>) -> CertificateFiles {
        CertificateFiles { certificate: path.into(), key: None }
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.certificate), self.key.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }
}
