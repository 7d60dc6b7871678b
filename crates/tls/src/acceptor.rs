use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::{CertificateFiles, ServerTls, Version};
use crate::error::SetupError;
use crate::material::Material;
use crate::session::Session;

/// What clients' connections begin with; made once for each frontend and each change of its files.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<rustls::ServerConfig>);

impl Acceptor {
    /// # Errors
    /// If what the files hold cannot be used together.
    pub fn new(wanted: &ServerTls, material: &Material) -> Result<Acceptor, SetupError> {
        if wanted.client.is_some() || wanted.ticket_secret.is_some() || !wanted.ciphers.is_empty() {
            return Err(SetupError::Other("client-ca, ticket-secret and ciphers are not there yet".to_owned()));
        }
        let versions = versions(wanted.oldest);
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|error| SetupError::Other(error.to_string()))?
            .with_no_client_auth();
        let [only] = wanted.certificates.as_slice() else {
            return Err(SetupError::Other("several certificates are not there yet".to_owned()));
        };
        let key = certified_key(only, material)?;
        let mut config = builder.with_cert_resolver(Arc::new(Always(Arc::new(key))));
        if wanted.http2 {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(Acceptor(Arc::new(config)))
    }

    /// A client's session, before its first byte.
    ///
    /// # Errors
    /// If there is no randomness to be had.
    pub fn begin(&self) -> Result<Session, SetupError> {
        let connection = rustls::ServerConnection::new(Arc::clone(&self.0));
        connection.map(|server| Session(server.into())).map_err(|error| SetupError::Other(error.to_string()))
    }
}

/// One certificate for whatever name.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Always {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(crate) fn versions(oldest: Version) -> &'static [&'static rustls::SupportedProtocolVersion] {
    match oldest {
        Version::Tls12 => rustls::ALL_VERSIONS,
        Version::Tls13 => ONLY_TLS13,
    }
}

static ONLY_TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A certificate, its chain and its key, which belong together.
pub(crate) fn certified_key(files: &CertificateFiles, material: &Material) -> Result<CertifiedKey, SetupError> {
    let chain = certificates(&files.certificate, material)?;
    let path = files.key.as_ref().unwrap_or(&files.certificate);
    let text = material.text(path).ok_or_else(|| SetupError::Absent(path.clone()))?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
    let key =
        key.map_err(|_| SetupError::Content { path: path.clone(), what: "there is no private key in it".to_owned() })?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key);
    let key = key.map_err(|error| SetupError::Content { path: path.clone(), what: error.to_string() })?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| SetupError::Content {
        path: path.clone(),
        what: format!("the key is not that of the certificate in {}", files.certificate.display()),
    })?;
    Ok(certified)
}

/// The certificates of a file, at least one.
pub(crate) fn certificates(
    path: &std::path::Path,
    material: &Material,
) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let content = |what: &str| SetupError::Content { path: path.to_owned(), what: what.to_owned() };
    let text = material.text(path).ok_or_else(|| SetupError::Absent(path.to_owned()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = read.map_err(|_| content("a certificate in it is broken off or no base64"))?;
    if chain.is_empty() {
        return Err(content("there is no certificate in it"));
    }
    Ok(chain)
}
