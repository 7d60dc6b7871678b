//! PEM (RFC 7468), read and written.

use std::path::Path;

use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem};

use crate::error::SetupError;
use crate::material::Material;

/// How long a line of base64 is (RFC 7468 §2).
const LINE: usize = 64;

/// The certificates of a file, at least one.
pub(crate) fn certificates(path: &Path, material: &Material) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    all(path, material, "certificate")
}

/// The lists of revoked certificates of a file, at least one.
pub(crate) fn revocations(
    path: &Path,
    material: &Material,
) -> Result<Vec<CertificateRevocationListDer<'static>>, SetupError> {
    all(path, material, "list of revoked certificates (X509 CRL)")
}

/// The first private key of a file.
pub(crate) fn key(path: &Path, material: &Material) -> Result<PrivateKeyDer<'static>, SetupError> {
    let text = text(path, material)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            content(path, "its key is encrypted, and nobody is there to ask for the password")
        }
        pem::Error::NoItemsFound => content(path, "there is no private key in it"),
        other => content(path, broken(&other)),
    })
}

fn all<T: PemObject>(path: &Path, material: &Material, what: &str) -> Result<Vec<T>, SetupError> {
    let text = text(path, material)?;
    let read: Result<Vec<T>, _> = T::pem_slice_iter(text.as_bytes()).collect();
    let read = read.map_err(|error| content(path, broken(&error)))?;
    if read.is_empty() {
        return Err(content(path, format!("there is no {what} in it")));
    }
    Ok(read)
}

pub(crate) fn broken(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("it is cut off: \"-----END {}-----\" is missing", String::from_utf8_lossy(end_marker).trim())
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("\"{}\" begins nothing", String::from_utf8_lossy(line).trim())
        }
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is no base64".to_owned(),
        other => format!("it is no PEM: {other}"),
    }
}

pub(crate) fn text<'a>(path: &Path, material: &'a Material) -> Result<&'a str, SetupError> {
    material.text(path).ok_or_else(|| SetupError::Absent(path.to_owned()))
}

pub(crate) fn content(path: &Path, what: impl Into<String>) -> SetupError {
    SetupError::Content { path: path.to_owned(), what: what.into() }
}

/// A section of PEM, with its lines' ends.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut written = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(LINE));
        written.push_str(line);
        written.push('\n');
        rest = next;
    }
    written.push_str(&format!("-----END {label}-----\n"));
    written
}
