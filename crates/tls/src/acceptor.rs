use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};

use crate::by_name::ByName;
use crate::challenge::{self, Challenges, Proving};
use crate::config::{CertificateFiles, Cipher, ClientAuth, ServerTls, Version};
use crate::error::SetupError;
use crate::material::Material;
use crate::pem;
use crate::session::Session;
use crate::ticket::{Demands, TicketSecret, Tickets};
use crate::verify::Verifier;

/// What clients' connections begin with; made once for each frontend and each change of its files.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<rustls::ServerConfig>,
    client: Option<Arc<ClientAuth>>,
}

impl Acceptor {
    /// `secret` is what tickets are made of unless [`ServerTls::ticket_secret`] names a file.
    ///
    /// # Errors
    /// If what the files hold cannot be used together. What is merely unwise, such as a certificate that has expired,
    /// [`crate::inspect`] finds.
    pub fn new(wanted: &ServerTls, material: &Material, secret: &TicketSecret) -> Result<Acceptor, SetupError> {
        Acceptor::with_clock(wanted, material, secret, &system_clock())
    }

    pub(crate) fn with_clock(
        wanted: &ServerTls,
        material: &Material,
        secret: &TicketSecret,
        clock: &Arc<dyn TimeProvider>,
    ) -> Result<Acceptor, SetupError> {
        let builder = rustls::ServerConfig::builder_with_details(provider_with(&wanted.ciphers), Arc::clone(clock))
            .with_protocol_versions(versions(wanted.oldest))
            .map_err(|_| SetupError::Other("no cipher is of a version that is spoken".to_owned()))?;
        let client = wanted.client.clone().map(Arc::new);
        let builder = match &client {
            Some(asked) => builder.with_client_cert_verifier(Arc::new(Verifier::new(asked, material)?)),
            None => builder.with_no_client_auth(),
        };
        let certificates = wanted.certificates.iter().map(|files| certified_key(files, material).map(Arc::new));
        let certificates: Vec<_> = certificates.collect::<Result<_, _>>()?;
        if certificates.is_empty() {
            return Err(SetupError::Other("there is no certificate".to_owned()));
        }
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(&certificates)));
        config.ignore_client_order = !wanted.ciphers.is_empty();
        if wanted.http2 {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        let shared = wanted.ticket_secret.as_ref().map(|path| TicketSecret::from_file(path, material)).transpose()?;
        let demands = Demands::new(wanted.client.as_ref(), material);
        config.ticketer = Arc::new(Tickets::new(shared.as_ref().unwrap_or(secret), &demands, Arc::clone(clock)));
        // Clients that resume without tickets (TLS 1.2) would need a memory behind a lock, which other directors lack.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // 0-RTT could be replayed (RFC 8446 §8): rustls' default, which must not change.
        config.max_early_data_size = 0;
        Ok(Acceptor { config: Arc::new(config), client })
    }

    /// Shows this certificate, whatever it is worth.
    #[cfg(test)]
    pub(crate) fn show(&mut self, certificate: CertifiedKey) {
        let mut config = (*self.config).clone();
        config.cert_resolver = Arc::new(ByName::new(&[Arc::new(certificate)]));
        self.config = Arc::new(config);
    }

    /// The same, and shows authorities what proves that names are ours.
    #[must_use]
    pub fn proving(self, challenges: Challenges) -> Acceptor {
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Proving { challenges, clients: Arc::clone(&config.cert_resolver) });
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        }
        config.alpn_protocols.push(challenge::PROTOCOL.to_vec());
        Acceptor { config: Arc::new(config), ..self }
    }

    /// A client's session, before its first byte.
    ///
    /// # Errors
    /// If there is no randomness to be had.
    pub fn begin(&self) -> Result<Session, SetupError> {
        let server = rustls::ServerConnection::new(Arc::clone(&self.config));
        let server = server.map_err(|error| SetupError::Other(error.to_string()))?;
        Ok(Session::new(server.into(), self.client.clone()))
    }
}

/// The one place where this crate reads a clock: certificates and tickets are judged by it.
pub(crate) fn system_clock() -> Arc<dyn TimeProvider> {
    Arc::new(DefaultTimeProvider)
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// With these suites, in this order; with the usual ones if there are none.
pub(crate) fn provider_with(ciphers: &[Cipher]) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !ciphers.is_empty() {
        provider.cipher_suites = ciphers.iter().filter_map(|cipher| cipher.suite()).collect();
    }
    Arc::new(provider)
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
    let chain = pem::certificates(&files.certificate, material)?;
    let path = files.key.as_ref().unwrap_or(&files.certificate);
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&pem::key(path, material)?);
    let key = key.map_err(|error| pem::content(path, format!("the key cannot be used: {error}")))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => pem::content(
            path,
            format!("the key is not that of the first certificate in {}", files.certificate.display()),
        ),
        other => pem::content(&files.certificate, format!("its first certificate cannot be used: {other}")),
    })?;
    Ok(certified)
}

#[cfg(test)]
mod tests;
