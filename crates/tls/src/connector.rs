use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::acceptor::{certified_key, provider_with, system_clock, versions};
use crate::config::{Cipher, ClientTls};
use crate::error::{ConnectError, SessionError, SetupError};
use crate::material::Material;
use crate::pem;
use crate::session::Session;
use crate::verify::roots;

/// By which name [`Material`] has the authorities that this machine trusts: what [`machine_authorities`] reads.
pub const MACHINE_AUTHORITIES: &str = "the authorities of this machine";

/// How many tickets are kept: rustls holds eight for each name, and a connector is for one server, which has one name
/// or a few addresses.
const RESUMABLE: usize = 64;

/// What connections to a server begin with; made once for each server and each change of its files.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<rustls::ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Connector {
    /// # Errors
    /// If what the files hold cannot be used together.
    pub fn new(wanted: &ClientTls, material: &Material) -> Result<Connector, SetupError> {
        Connector::with_ciphers(wanted, material, &[])
    }

    /// With these suites alone, or the usual ones if there are none.
    pub(crate) fn with_ciphers(
        wanted: &ClientTls,
        material: &Material,
        ciphers: &[Cipher],
    ) -> Result<Connector, SetupError> {
        let provider = provider_with(ciphers);
        let builder = rustls::ClientConfig::builder_with_details(Arc::clone(&provider), system_clock())
            .with_protocol_versions(versions(wanted.oldest))
            .map_err(|error| SetupError::Other(error.to_string()))?;
        let verifier: Arc<dyn ServerCertVerifier> = if wanted.verify {
            let path = wanted.ca.as_deref().unwrap_or(Path::new(MACHINE_AUTHORITIES));
            let roots = roots(path, &pem::certificates(path, material)?)?;
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
            verifier.map_err(|error| pem::content(path, error.to_string()))?
        } else {
            Arc::new(Anybody(provider))
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &wanted.certificate {
            Some(files) => {
                let certificate = SingleCertAndKey::from(certified_key(files, material)?);
                builder.with_client_cert_resolver(Arc::new(certificate))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(RESUMABLE);
        if wanted.http2 {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        let name = wanted.name.as_deref().map(server_name).transpose()?;
        Ok(Connector { config: Arc::new(config), name })
    }

    /// The same for a server with a certificate of another name; `None`: of its address.
    ///
    /// # Errors
    /// If that is no name or address.
    pub fn named(&self, name: Option<&str>) -> Result<Connector, SetupError> {
        Ok(Connector { config: Arc::clone(&self.config), name: name.map(server_name).transpose()? })
    }

    /// The same for who is to see the server's certificate each time: no session is resumed.
    pub fn without_memory(&self) -> Connector {
        let mut config = (*self.config).clone();
        config.resumption = Resumption::disabled();
        Connector { config: Arc::new(config), name: self.name.clone() }
    }

    /// A session with the server at `host`, an address or a name without a port, which must be it unless the
    /// configuration names another.
    ///
    /// # Errors
    /// If `host` is no name or address, or there is no randomness to be had.
    pub fn begin(&self, host: &str) -> Result<Session, SetupError> {
        let name = self.name_of(host)?;
        let client = rustls::ClientConnection::new(Arc::clone(&self.config), name);
        let client = client.map_err(|error| SetupError::Other(error.to_string()))?;
        Ok(Session::new(client.into(), None))
    }

    fn name_of(&self, host: &str) -> Result<ServerName<'static>, SetupError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }
}

/// Shakes hands with the server at `host` over `below`, for connections that are not the data path: those of commands.
/// Whether both agreed on HTTP/2 comes with it. What it writes leaves at a flush.
///
/// # Errors
/// Why there is no session.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &Connector,
    host: &str,
    below: S,
) -> Result<(impl AsyncRead + AsyncWrite + Unpin + use<S>, bool), ConnectError> {
    let name = connector.name_of(host)?;
    let connected = tokio_rustls::TlsConnector::from(Arc::clone(&connector.config)).connect(name, below).await;
    let stream = connected.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(refused @ rustls::Error::AlertReceived(alert)) => {
            let text = format!("the server refuses: {alert:?}");
            ConnectError::Refused { why: SessionError::from(refused.clone()), text }
        }
        Some(refused) => ConnectError::Refused { why: SessionError::from(refused.clone()), text: refused.to_string() },
        None => ConnectError::Io(error),
    })?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((stream, is_http2))
}

fn server_name(text: &str) -> Result<ServerName<'static>, SetupError> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let name = ServerName::try_from(bare.to_owned());
    name.map_err(|_| SetupError::Other(format!("\"{text}\" is no host's name or address")))
}

/// The PEM of the authorities that this machine trusts, for [`MACHINE_AUTHORITIES`] in a [`Material`]: of
/// `SSL_CERT_FILE` and `SSL_CERT_DIR`, or else of the folders where distributions have them.
///
/// The one function of this crate that reads files: for whoever may, before privileges are given up.
///
/// # Errors
/// If there are none.
pub fn machine_authorities() -> Result<String, SetupError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or("no file or folder of them exists".to_owned(), ToString::to_string);
        return Err(SetupError::Content { path: PathBuf::from(MACHINE_AUTHORITIES), what: why });
    }
    Ok(found.certs.iter().map(|certificate| pem::encode("CERTIFICATE", certificate)).collect())
}

/// Whoever has the key of whatever certificate: for servers whose network is trusted more than their certificates.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
