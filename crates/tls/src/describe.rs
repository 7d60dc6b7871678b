//! What a PEM says, for people.

use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::dates::moment;
use crate::error::SetupError;
use crate::identity::{fingerprint, hex_upper, parse};
use crate::material::Material;
use crate::pem;
use crate::subject::rfc2253;

/// A section of a PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    /// A certificate.
    Certificate(Box<Certificate>),
    /// A private key, of which nothing is said.
    Key,
    /// A list of revoked certificates.
    Revocations(Revocations),
    /// A request to be signed, a public key.
    Other,
}

impl Section {
    /// How many certificates it revokes.
    pub fn revoked(&self) -> usize {
        match self {
            Section::Revocations(list) => list.revoked.len(),
            _ => 0,
        }
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is (RFC 2253).
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Upper-case digits.
    pub serial: String,
    /// From when on it is valid.
    pub from: SystemTime,
    /// Until when.
    pub until: SystemTime,
    /// Alternative names, such as `DNS:www.example.org`, `IP:10.0.0.1`, `email:..`, `URI:..`.
    pub names: Vec<String>,
    /// The kind of its key, such as `EC 256` or `RSA 2048`.
    pub key: String,
    /// Whether it signs others.
    pub is_authority: bool,
    /// Its purposes, `server` and `client`; none: any.
    pub purposes: Vec<&'static str>,
    /// SHA-256, lower-case digits.
    pub fingerprint: String,
}

/// What a list of revoked certificates says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// Whose list it is.
    pub issuer: String,
    /// When it was made.
    pub from: SystemTime,
    /// When the next one is due.
    pub until: Option<SystemTime>,
    /// The revoked certificates' serial numbers, and since when they are.
    pub revoked: Vec<(String, SystemTime)>,
}

/// What is in a file, in its order.
///
/// # Errors
/// If it is no PEM.
pub fn describe(path: &Path, material: &Material) -> Result<Vec<Section>, SetupError> {
    let text = pem::text(path, material)?;
    let mut sections = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|error| pem::content(path, pem::broken(&error)))?;
        let unreadable = |what| pem::content(path, format!("{what} {} in it is not readable", sections.len() + 1));
        sections.push(match kind {
            SectionKind::Certificate => {
                let der = CertificateDer::from(der);
                let parsed = parse(&der).ok_or_else(|| unreadable("certificate"))?;
                Section::Certificate(Box::new(certificate(&parsed, &der)))
            }
            SectionKind::Crl => {
                let der = CertificateRevocationListDer::from(der);
                let parsed = CertificateRevocationList::from_der(&der).map_err(|_| unreadable("list"))?;
                Section::Revocations(revocations(&parsed.1))
            }
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => Section::Key,
            _ => Section::Other,
        });
    }
    if sections.is_empty() {
        return Err(pem::content(path, "there is neither a certificate nor a key nor a list in it"));
    }
    Ok(sections)
}

fn certificate(parsed: &X509Certificate<'_>, der: &CertificateDer<'_>) -> Certificate {
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let names = alternatives.map_or(Vec::new(), |names| names.value.general_names.iter().filter_map(name).collect());
    let usage = parsed.extended_key_usage().ok().flatten();
    let purposes = usage.map_or(Vec::new(), |usage| {
        let known = [("server", usage.value.server_auth), ("client", usage.value.client_auth)];
        known.into_iter().filter(|(_, is_for)| *is_for).map(|(word, _)| word).collect()
    });
    let key = match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
        _ => parsed.public_key().algorithm.algorithm.to_id_string(),
    };
    Certificate {
        subject: rfc2253(parsed.subject()),
        issuer: rfc2253(parsed.issuer()),
        serial: hex_upper(parsed.raw_serial()),
        from: moment(parsed.validity().not_before),
        until: moment(parsed.validity().not_after),
        names,
        key,
        is_authority: parsed.is_ca(),
        purposes,
        fingerprint: fingerprint(der),
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| format!("IP:{address}")),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from)).ok()
}

fn revocations(list: &CertificateRevocationList<'_>) -> Revocations {
    let revoked = list.iter_revoked_certificates();
    Revocations {
        issuer: rfc2253(list.issuer()),
        from: moment(list.last_update()),
        until: list.next_update().map(moment),
        revoked: revoked.map(|entry| (hex_upper(entry.raw_serial()), moment(entry.revocation_date))).collect(),
    }
}
