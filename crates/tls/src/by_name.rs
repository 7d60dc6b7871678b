//! Which certificate a client is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use crate::identity;
use crate::subject;

/// Certificates by the names that clients ask for (SNI, RFC 6066 §3).
#[derive(Debug)]
pub(crate) struct ByName {
    /// Of lower-case names; `*.` before the domain is one label whatever (RFC 6125 §6.4.3). Those of elliptic curves
    /// stand before those of RSA, whose signatures cost ten times as much.
    names: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
    /// For other names, and for none.
    default: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    /// The first is for names that none has, with those for the same names.
    pub(crate) fn new(certificates: &[Arc<CertifiedKey>]) -> ByName {
        let mut ordered: Vec<_> = certificates.iter().collect();
        ordered.sort_by_key(|certificate| certificate.key.algorithm() == SignatureAlgorithm::RSA);
        let mut names: BTreeMap<String, Vec<Arc<CertifiedKey>>> = BTreeMap::new();
        for certificate in &ordered {
            for name in leaf(certificate).map(host_names).unwrap_or_default() {
                names.entry(name).or_default().push(Arc::clone(certificate));
            }
        }
        let of = |certificate: &CertifiedKey| leaf(certificate).map(host_names).unwrap_or_default();
        let first = certificates.first().map(|first| of(first));
        let same = ordered.into_iter().filter(|certificate| Some(of(certificate)) == first);
        ByName { names, default: same.map(Arc::clone).collect() }
    }

    fn named(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let wildcard = || name.split_once('.').and_then(|(_, domain)| self.names.get(&format!("*.{domain}")));
        self.names.get(&name).or_else(wildcard).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suited = hello.server_name().map_or(self.default.as_slice(), |name| self.named(name));
        let can = |certificate: &&Arc<CertifiedKey>| certificate.key.choose_scheme(hello.signature_schemes()).is_some();
        suited.iter().find(can).or(suited.first()).cloned()
    }
}

fn leaf(certificate: &CertifiedKey) -> Option<&CertificateDer<'static>> {
    certificate.cert.first()
}

/// The names of hosts that a certificate is for, in lower case, in order: alternative names, or else common names.
pub(crate) fn host_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Some(parsed) = identity::parse(certificate) else { return Vec::new() };
    let mut names: Vec<String> = match parsed.subject_alternative_name() {
        Ok(Some(alternatives)) => {
            let dns = alternatives.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            });
            dns.collect()
        }
        _ => {
            let common = parsed.subject().iter_common_name().filter_map(subject::text);
            common.map(|name| name.to_ascii_lowercase()).collect()
        }
    };
    names.sort();
    names.dedup();
    names
}
