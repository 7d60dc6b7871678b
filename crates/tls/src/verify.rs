//! Which certificates of clients are taken.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError};
use rustls::{RootCertStore, SignatureScheme};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::acceptor::provider;
use crate::config::ClientAuth;
use crate::error::SetupError;
use crate::identity::{Unclear, examine};
use crate::material::Material;
use crate::pem;

/// What is wrong with a list that OpenSSL's `ca` makes unless it is told to number its lists.
const OF_VERSION_1: &str = "a list in it is of version 1, and RFC 5280 wants version 2: `openssl ca -gencrl` makes that \
                            where its configuration has crlnumber or crl_extensions";

/// The rules of X.509 (webpki's), and those that a frontend has besides.
#[derive(Debug)]
pub(crate) struct Verifier {
    x509: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    asked: Arc<ClientAuth>,
}

impl Verifier {
    pub(crate) fn new(asked: &Arc<ClientAuth>, material: &Material) -> Result<Verifier, SetupError> {
        let authorities = pem::certificates(&asked.ca, material)?;
        let roots = Arc::new(roots(&asked.ca, &authorities)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        if !asked.required {
            builder = builder.allow_unauthenticated();
        }
        // A list that is out of date still holds: who is on it stays out, and nobody is shut out for its age.
        if let Some(crl) = &asked.crl {
            let lists = pem::revocations(crl, material)?;
            if lists.iter().any(is_of_version_1) {
                return Err(pem::content(crl, OF_VERSION_1));
            }
            builder = builder.with_crls(lists);
        }
        let blamed = asked.crl.as_ref().unwrap_or(&asked.ca);
        let x509 = builder.build().map_err(|error| pem::content(blamed, error.to_string()))?;
        Ok(Verifier { x509, authorities, asked: Arc::clone(asked) })
    }
}

/// webpki takes those of version 2 alone, and says of others that they cannot be parsed.
fn is_of_version_1(list: &CertificateRevocationListDer<'static>) -> bool {
    CertificateRevocationList::from_der(list).is_ok_and(|(_, list)| list.version().is_none())
}

/// Authorities, ready to be compared with.
pub(crate) fn roots(path: &Path, authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let added = roots.add(authority.clone());
        added.map_err(|error| pem::content(path, format!("an authority in it cannot be used: {error}")))?;
    }
    Ok(roots)
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.asked.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.x509.root_hint_subjects()
    }

    /// Looks at no more certificates than may stand between: in the order in which they are sent (RFC 8446 §4.4.2),
    /// without authorities of ours that are sent along.
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let between = sent.iter().filter(|sent| !self.authorities.contains(sent));
        let between: Vec<_> = between.take(usize::from(self.asked.depth)).cloned().collect();
        let verified = self.x509.verify_client_cert(certificate, &between, now)?;
        examine(certificate, &self.asked).map_err(|unclear| match unclear {
            Unclear::OldSerial => CertificateError::Revoked,
            _ => CertificateError::Other(OtherError(Arc::new(unclear))),
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.x509.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.x509.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.x509.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
