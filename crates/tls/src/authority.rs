//! A private authority: for a lab, or a cluster that nobody outside needs to trust.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXUPPER_PERMISSIVE;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, DnsName};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::acceptor::certified_key;
use crate::config::CertificateFiles;
use crate::error::SetupError;
use crate::identity::{self, hex_upper};
use crate::material::Material;
use crate::pem;

/// How long a certificate is valid before it is made: clocks of a cluster that is being built differ.
const EARLIER: Duration = Duration::from_secs(60 * 60);
/// RFC 5280 appendix A, ub-common-name.
const MAX_COMMON_NAME: usize = 64;
const SERIAL_LEN: usize = 16;

/// Which kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// Of the elliptic curve P-256, which everything since 2012 knows and costs least.
    #[default]
    P256,
    /// RSA of 2048 bits, for what is older.
    Rsa2048,
}

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate alone.
    pub certificate: String,
    /// Its key, which nobody else may read.
    pub key: String,
    /// The certificate's serial number, in upper-case digits.
    pub serial: String,
}

/// Does not show the key.
impl std::fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Issued").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// Until when something is valid that is made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Now.
    pub now: SystemTime,
    /// The end.
    pub until: SystemTime,
}

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// A new one, which signs certificates, and no other authorities.
    ///
    /// # Errors
    /// If it cannot be called `name`, or there is no randomness.
    pub fn create(name: &str, kind: KeyKind, validity: Validity) -> Result<Issued, SetupError> {
        let mut params = params(name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key(kind)?;
        let certificate = params.self_signed(&key).map_err(other)?;
        issued(certificate.der(), &key)
    }

    /// One that exists.
    ///
    /// # Errors
    /// If the files hold none.
    pub fn load(files: &CertificateFiles, material: &Material) -> Result<Authority, SetupError> {
        // Says whether both are there, whole, and belong together.
        certified_key(files, material)?;
        let certificate = pem::certificates(&files.certificate, material)?.swap_remove(0);
        let unusable = |what: &str| pem::content(&files.certificate, what);
        if !identity::parse(&certificate).is_some_and(|parsed| parsed.is_ca()) {
            return Err(unusable("it is no authority (basic constraints)"));
        }
        let path = files.key.as_ref().unwrap_or(&files.certificate);
        let key = KeyPair::try_from(pem::key(path, material)?.secret_der())
            .map_err(|error| pem::content(path, error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| unusable(&error.to_string()))?;
        Ok(Authority { issuer, certificate })
    }

    /// A certificate of a server; the first name is also its common name.
    ///
    /// # Errors
    /// If there is neither a name nor an address, or one is no host's name.
    pub fn server(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        kind: KeyKind,
        validity: Validity,
    ) -> Result<Issued, SetupError> {
        let first = names.first().cloned().or_else(|| addresses.first().map(ToString::to_string));
        let first = first.ok_or_else(|| SetupError::Other("a server has a name or an address".to_owned()))?;
        // A name may be longer than a common name; then it stands among the alternative names alone.
        let common = if first.len() > MAX_COMMON_NAME { "server" } else { &first };
        let mut params = params(common, validity)?;
        for name in names {
            let bare = name.strip_prefix("*.").unwrap_or(name);
            DnsName::try_from(bare).map_err(|_| SetupError::Other(format!("\"{name}\" is no host's name")))?;
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into().map_err(other)?));
        }
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        self.leaf(params, ExtendedKeyUsagePurpose::ServerAuth, kind)
    }

    /// A certificate of a client, whose common name is `user`.
    ///
    /// # Errors
    /// If nobody can be called so.
    pub fn client(&self, user: &str, kind: KeyKind, validity: Validity) -> Result<Issued, SetupError> {
        self.leaf(params(user, validity)?, ExtendedKeyUsagePurpose::ClientAuth, kind)
    }

    fn leaf(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        kind: KeyKind,
    ) -> Result<Issued, SetupError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if kind == KeyKind::Rsa2048 {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = key(kind)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(other)?;
        issued(certificate.der(), &key)
    }

    /// The list of revoked certificates: those of `list`, the one before, and these serial numbers.
    ///
    /// # Errors
    /// If `list` is none of this authority.
    pub fn revoke(
        &self,
        list: Option<(&Path, &Material)>,
        serials: &[Vec<u8>],
        validity: Validity,
    ) -> Result<String, SetupError> {
        let mut revoked = Vec::new();
        let mut number = vec![0];
        if let Some((path, material)) = list {
            let lists = pem::revocations(path, material)?;
            let [only] = lists.as_slice() else { return Err(pem::content(path, "there are several lists in it")) };
            let parsed = CertificateRevocationList::from_der(only);
            let (_, parsed) = parsed.map_err(|_| pem::content(path, "the list in it is not readable"))?;
            let issuer = identity::parse(&self.certificate).map(|parsed| parsed.subject().as_raw().to_vec());
            if issuer.as_deref() != Some(parsed.issuer().as_raw()) {
                return Err(pem::content(path, "the list in it is another authority's"));
            }
            number = parsed.crl_number().map_or(number, |number| number.to_bytes_be());
            revoked.extend(parsed.iter_revoked_certificates().map(|entry| {
                let since = entry.revocation_date.timestamp();
                (entry.raw_serial().to_vec(), UNIX_EPOCH + Duration::from_secs(u64::try_from(since).unwrap_or(0)))
            }));
        }
        for serial in serials {
            let is_known = revoked.iter().any(|(known, _)| hex_upper(known) == hex_upper(serial));
            if !is_known {
                revoked.push((serial.clone(), validity.now));
            }
        }
        let entry = |(serial, since): (Vec<u8>, SystemTime)| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(1970, 1, 1) + since_epoch(since),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since_epoch(validity.now),
            next_update: date_time_ymd(1970, 1, 1) + since_epoch(validity.until),
            crl_number: SerialNumber::from(next(number)),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(other)?;
        Ok(pem::encode("X509 CRL", list.der()))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authority")
    }
}

/// A serial number from its digits, with or without colons.
///
/// # Errors
/// If it is none.
pub fn serial(text: &str) -> Result<Vec<u8>, SetupError> {
    let wrong = || {
        SetupError::Other(format!(
            "\"{text}\" is no serial number: it has hexadecimal digits, as `perron cert show` tells it"
        ))
    };
    let digits: String = text.chars().filter(|letter| *letter != ':').collect();
    let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
    let bytes = HEXUPPER_PERMISSIVE.decode(even.as_bytes()).ok().filter(|bytes| !bytes.is_empty()).ok_or_else(wrong)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes[zeros.min(bytes.len() - 1)..].to_vec())
}

/// The serial number of the first certificate of a PEM.
///
/// # Errors
/// If there is none.
pub fn serial_of(path: &Path, material: &Material) -> Result<Vec<u8>, SetupError> {
    let certificates = pem::certificates(path, material)?;
    let parsed = certificates.first().and_then(identity::parse);
    let parsed = parsed.ok_or_else(|| pem::content(path, "the certificate in it is not readable"))?;
    Ok(parsed.raw_serial().to_vec())
}

fn params(common: &str, validity: Validity) -> Result<CertificateParams, SetupError> {
    let is_right = |letter: char| !letter.is_control();
    if common.is_empty() || common.chars().count() > MAX_COMMON_NAME || !common.chars().all(is_right) {
        let wrong =
            format!("\"{}\" is no name: it has 1 to {MAX_COMMON_NAME} letters, none of control", common.escape_debug());
        return Err(SetupError::Other(wrong));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(validity.now).saturating_sub(EARLIER);
    params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(validity.until);
    params.serial_number = Some(SerialNumber::from(new_serial(validity.now)?));
    Ok(params)
}

/// Milliseconds since 1970 first, so that later certificates have larger numbers ([`crate::config::ClientAuth::minimum_serial`]
/// revokes all before one); then chance (RFC 5280 §4.1.2.2).
fn new_serial(now: SystemTime) -> Result<Vec<u8>, SetupError> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let millis = u64::try_from(since).unwrap_or(u64::MAX).to_be_bytes();
    let mut serial = [0; SERIAL_LEN];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| SetupError::Other("there is no randomness to be had".to_owned()))?;
    // Until the year 6429 the first bit is clear, as a positive number's is.
    serial[..6].copy_from_slice(&millis[2..]);
    Ok(serial.to_vec())
}

fn key(kind: KeyKind) -> Result<KeyPair, SetupError> {
    match kind {
        KeyKind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
    .map_err(other)
}

fn issued(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<Issued, SetupError> {
    let serial = identity::parse(certificate).map(|parsed| hex_upper(parsed.raw_serial()));
    let serial = serial.ok_or_else(|| SetupError::Other("what was signed is no certificate".to_owned()))?;
    let certificate = pem::encode("CERTIFICATE", certificate);
    Ok(Issued { certificate, key: pem::encode("PRIVATE KEY", key.serialized_der()), serial })
}

/// A number one larger, big-endian.
fn next(mut number: Vec<u8>) -> Vec<u8> {
    for byte in number.iter_mut().rev() {
        let (more, is_over) = byte.overflowing_add(1);
        *byte = more;
        if !is_over {
            return number;
        }
    }
    number.insert(0, 1);
    number
}

/// What is added to 1970 for a date as rcgen takes it.
fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn other(error: rcgen::Error) -> SetupError {
    SetupError::Other(error.to_string())
}

#[cfg(test)]
mod tests;
