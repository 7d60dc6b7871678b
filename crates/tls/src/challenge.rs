//! Certificates that prove to an authority that a name is ours (RFC 8737), shown to nobody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::error::SetupError;

/// The application protocol by which an authority asks (RFC 8737 §4).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// What authorities are shown now, by the name that they ask for. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Challenges(Arc<Mutex<BTreeMap<String, Arc<CertifiedKey>>>>);

impl Challenges {
    /// Has whoever asks for `name` by `acme-tls/1` shown a certificate with this digest.
    ///
    /// # Errors
    /// If `name` cannot stand in a certificate.
    pub fn show(&self, name: &str, digest: &[u8; 32]) -> Result<(), SetupError> {
        let failed = |error: &dyn std::fmt::Display| SetupError::Other(format!("no proof for {name}: {error}"));
        let mut wanted = rcgen::CertificateParams::new(vec![name.to_owned()]).map_err(|error| failed(&error))?;
        wanted.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(digest)];
        let key = rcgen::KeyPair::generate().map_err(|error| failed(&error))?;
        let certificate = wanted.self_signed(&key).map_err(|error| failed(&error))?;
        let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| failed(&error))?;
        let signs = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).map_err(|error| failed(&error))?;
        let chain = vec![CertificateDer::from(certificate)];
        self.lock().insert(name.to_ascii_lowercase(), Arc::new(CertifiedKey::new(chain, signs)));
        Ok(())
    }

    /// Shows nothing any more.
    pub fn withdraw(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows authorities what they look for, and clients what there was before.
#[derive(Debug)]
pub(crate) struct Proving {
    pub(crate) challenges: Challenges,
    pub(crate) clients: Arc<dyn ResolvesServerCert>,
}

impl ResolvesServerCert for Proving {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == PROTOCOL));
        if !asks {
            return self.clients.resolve(hello);
        }
        self.challenges.lock().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}

/// A certificate of our own and its key, one PEM, for as long as there is none from an authority: clients do not trust it.
///
/// # Errors
/// If one of `names` cannot stand in a certificate.
pub fn placeholder(names: &[String]) -> Result<String, SetupError> {
    let failed = |error: rcgen::Error| SetupError::Other(format!("no certificate for {}: {error}", names.join(", ")));
    let wanted = rcgen::CertificateParams::new(names.to_vec()).map_err(failed)?;
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let certificate = wanted.self_signed(&key).map_err(failed)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerTls;
    use crate::testing::{acceptor, carry, material, server};
    use crate::{Acceptor, Session};

    fn proving(challenges: &Challenges, http2: bool) -> Acceptor {
        let text = placeholder(&["front.example".to_owned()]).unwrap();
        let wanted = ServerTls { http2, ..server(&["front.pem"]) };
        acceptor(&wanted, &material(&[("front.pem", &text)])).proving(challenges.clone())
    }

    /// The certificate that is shown to who offers these protocols.
    fn shown(acceptor: &Acceptor, offered: &[&[u8]]) -> Option<Vec<u8>> {
        let mut config = rustls::ClientConfig::builder_with_provider(crate::acceptor::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Onlooker))
            .with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        let name = "front.example".try_into().unwrap();
        let mut client = Session::new(rustls::ClientConnection::new(Arc::new(config), name).unwrap().into(), None);
        let came = carry(&mut client, &mut acceptor.begin().unwrap());
        client.shown().filter(|_| came == [Ok(()), Ok(())]).map(|certificate| certificate.to_vec())
    }

    /// Whether a certificate has the extension id-pe-acmeIdentifier (RFC 8737 §3), critical, with these 32 bytes.
    fn proves(certificate: &[u8], digest: &[u8; 32]) -> bool {
        let oid =
            [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f, 0x01, 0x01, 0xff, 0x04, 0x22, 0x04, 0x20];
        let wanted = [&oid[..], digest].concat();
        certificate.windows(wanted.len()).any(|window| window == wanted)
    }

    #[test]
    fn only_who_asks_for_a_proof_is_shown_it_and_only_while_there_is_one() {
        let challenges = Challenges::default();
        for http2 in [false, true] {
            let acceptor = proving(&challenges, http2);
            challenges.show("front.example", &[9; 32]).unwrap();
            assert!(proves(&shown(&acceptor, &[PROTOCOL]).unwrap(), &[9; 32]));
            for offered in [&[b"http/1.1".as_slice()][..], &[b"h2", b"http/1.1"], &[]] {
                assert!(!proves(&shown(&acceptor, offered).unwrap(), &[9; 32]), "{offered:?}");
            }
            challenges.withdraw();
            assert_eq!(shown(&acceptor, &[PROTOCOL]), None);
        }
    }

    #[test]
    fn a_placeholder_is_nobodys_certificate() {
        let text = placeholder(&["a.example".to_owned(), "b.example".to_owned()]).unwrap();
        assert_eq!(crate::issued(&text), None);
        assert!(text.contains("PRIVATE KEY"));
        assert!(placeholder(&["ä".to_owned()]).is_err());
    }

    /// Looks at what is shown, and judges nothing: webpki takes no certificate with a critical extension that it does
    /// not know, not even to see whether the server has its key.
    #[derive(Debug)]
    struct Onlooker;

    impl rustls::client::danger::ServerCertVerifier for Onlooker {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            crate::acceptor::provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
