use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::ServerName;

use crate::acceptor::{certificates, provider, versions};
use crate::config::ClientTls;
use crate::error::SetupError;
use crate::material::Material;
use crate::session::Session;

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
        let (Some(ca), true, None) = (&wanted.ca, wanted.verify, &wanted.certificate) else {
            return Err(SetupError::Other("TLS to servers needs ca, and verify, for now".to_owned()));
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(ca, material)? {
            let added = roots.add(root);
            added.map_err(|error| SetupError::Content { path: ca.clone(), what: error.to_string() })?;
        }
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(wanted.oldest))
            .map_err(|error| SetupError::Other(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if wanted.http2 {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        let name = wanted.name.clone().map(server_name).transpose()?;
        Ok(Connector { config: Arc::new(config), name })
    }

    /// A session with the server at `address`, which must be it unless the configuration names another.
    ///
    /// # Errors
    /// If `address` is no name or address, or there is no randomness to be had.
    pub fn begin(&self, address: &str) -> Result<Session, SetupError> {
        let name = self.name.clone().map_or_else(|| server_name(address.to_owned()), Ok)?;
        let connection = rustls::ClientConnection::new(Arc::clone(&self.config), name);
        connection.map(|client| Session(client.into())).map_err(|error| SetupError::Other(error.to_string()))
    }
}

fn server_name(text: String) -> Result<ServerName<'static>, SetupError> {
    ServerName::try_from(text.clone())
        .map_err(|_| SetupError::Other(format!("\"{text}\" is no host's name or address")))
}
