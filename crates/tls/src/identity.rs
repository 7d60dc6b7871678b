//! Who a client's certificate says that it is.

use aws_lc_rs::digest;
use data_encoding::{HEXLOWER, HEXUPPER};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use crate::config::{ClientAuth, UserField};
use crate::peer::Identity;
use crate::{dates, subject};

/// Why a certificate that its authority has signed names nobody for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclear {
    #[error("it is no certificate as RFC 5280 has them")]
    Malformed,
    #[error("its subject has two common names")]
    TwoCommonNames,
    #[error("its subject has two of what names the user")]
    TwoUsers,
    #[error("a name in it has a control character, or is no text")]
    NoText,
    #[error("its serial number is older than those that are served")]
    OldSerial,
}

/// Refuses a certificate whose names one program could read as another than the next one does, or that is too old.
pub(crate) fn examine(certificate: &CertificateDer<'_>, asked: &ClientAuth) -> Result<(), Unclear> {
    let parsed = parse(certificate).ok_or(Unclear::Malformed)?;
    let mut common_names = 0;
    for attribute in parsed.subject().iter_attributes() {
        let Some(name) = subject::short_name(attribute.attr_type()) else { continue };
        let text = subject::text(attribute).ok_or(Unclear::NoText)?;
        if text.chars().any(char::is_control) {
            return Err(Unclear::NoText);
        }
        common_names += usize::from(name == "CN");
    }
    if common_names > 1 {
        return Err(Unclear::TwoCommonNames);
    }
    if let Some(field) = asked.user {
        let users = users(&parsed, field);
        if users.iter().any(|user| user.chars().any(char::is_control)) {
            return Err(Unclear::NoText);
        }
        if users.len() > 1 && matches!(field, UserField::SubjectUid | UserField::SubjectEmail) {
            return Err(Unclear::TwoUsers);
        }
    }
    match &asked.minimum_serial {
        Some(minimum) if is_less(parsed.raw_serial(), minimum) => Err(Unclear::OldSerial),
        _ => Ok(()),
    }
}

/// Of two numbers, big-endian.
fn is_less(left: &[u8], right: &[u8]) -> bool {
    let trim = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let (left, right) = (trim(left), trim(right));
    (left.len(), left) < (right.len(), right)
}

/// What is known of the holder of a certificate that [`examine`] let pass.
pub(crate) fn identify(certificate: &CertificateDer<'_>, asked: &ClientAuth) -> Option<Identity> {
    let parsed = parse(certificate)?;
    let mut variables = Vec::with_capacity(24);
    let mut add = |name: &str, value: String| variables.push((format!("SSL_CLIENT_{name}"), value));
    add("VERIFY", "SUCCESS".to_owned());
    add("M_VERSION", (parsed.version().0 + 1).to_string());
    add("M_SERIAL", hex_upper(parsed.raw_serial()));
    add("S_DN", subject::rfc2253(parsed.subject()));
    add("I_DN", subject::rfc2253(parsed.issuer()));
    add_parts("S_DN", parsed.subject(), &mut add);
    add_parts("I_DN", parsed.issuer(), &mut add);
    add_alternatives(&parsed, &mut add);
    add("V_START", dates::openssl(parsed.validity().not_before));
    add("V_END", dates::openssl(parsed.validity().not_after));
    add("FINGERPRINT", fingerprint(certificate));
    if asked.export {
        add("CERT", crate::pem::encode("CERTIFICATE", certificate));
    }
    let user = asked.user.and_then(|field| users(&parsed, field).into_iter().next());
    Some(Identity { user: user.filter(|user| !user.is_empty()), variables })
}

/// `SAN_DNS_0` and so on, as Apache counts them.
fn add_alternatives(certificate: &X509Certificate<'_>, add: &mut impl FnMut(&str, String)) {
    for (kind, field) in [("DNS", UserField::SanDns), ("Email", UserField::SanEmail)] {
        let texts = users(certificate, field).into_iter().filter(|text| !text.chars().any(char::is_control));
        texts.enumerate().for_each(|(place, text)| add(&format!("SAN_{kind}_{place}"), text));
    }
}

/// `S_DN_CN` and so on: the first of a kind, then `_1`, `_2`, as Apache counts them.
fn add_parts(prefix: &str, name: &X509Name<'_>, add: &mut impl FnMut(&str, String)) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for attribute in name.iter_attributes() {
        let Some(short) = subject::short_name(attribute.attr_type()) else { continue };
        let Some(text) = subject::text(attribute).filter(|text| !text.chars().any(char::is_control)) else { continue };
        let earlier = match seen.iter_mut().find(|(name, _)| *name == short) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                seen.push((short, 0));
                0
            }
        };
        let suffix = if earlier == 0 { String::new() } else { format!("_{earlier}") };
        if let Some(apache) = subject::apache_name(short) {
            add(&format!("{prefix}_{apache}{suffix}"), text.clone());
        }
        add(&format!("{prefix}_{short}{suffix}"), text);
    }
}

fn users(certificate: &X509Certificate<'_>, field: UserField) -> Vec<String> {
    let of_subject = |wanted: &str| {
        let attributes = certificate.subject().iter_attributes();
        let wanted = attributes.filter(|attribute| subject::short_name(attribute.attr_type()) == Some(wanted));
        wanted.filter_map(subject::text).collect()
    };
    let of_alternatives = |pick: fn(&GeneralName<'_>) -> Option<String>| {
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        alternatives.map_or(Vec::new(), |names| names.value.general_names.iter().filter_map(pick).collect())
    };
    match field {
        UserField::SubjectCn => of_subject("CN"),
        UserField::SubjectUid => of_subject("UID"),
        UserField::SubjectEmail => of_subject("emailAddress"),
        UserField::SanDns => of_alternatives(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        }),
        UserField::SanEmail => of_alternatives(|name| match name {
            GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        }),
        UserField::SanUri => of_alternatives(|name| match name {
            GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        }),
    }
}

/// The certificate as it is, whole.
pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then_some(parsed)
}

/// SHA-256 of a certificate, in lower-case digits.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, certificate).as_ref())
}

/// A serial number as OpenSSL writes it: upper case, two digits a byte, without the byte that keeps it positive.
pub(crate) fn hex_upper(number: &[u8]) -> String {
    let digits = match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    HEXUPPER.encode(digits)
}

#[cfg(test)]
mod tests;
