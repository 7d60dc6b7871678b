//! What a frontend asks of its clients' connections, and a server or a check of ours: valid by construction.

use std::path::PathBuf;

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

/// A cipher suite that this program has, by the name that the standards give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher(pub(crate) rustls::CipherSuite);

impl Cipher {
    /// The suite of this name, such as `TLS13_AES_128_GCM_SHA256` or `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
    pub fn named(name: &str) -> Option<Cipher> {
        let mut suites = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter();
        suites.find(|suite| suite.suite().as_str() == Some(name)).map(|suite| Cipher(suite.suite()))
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter().filter_map(|suite| suite.suite().as_str())
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
