//! What certificates call people and hosts: distinguished names as text, in the forms that OpenSSL made usual.

use x509_parser::asn1_rs::{Any, Oid, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Attributes by their object identifiers, and OpenSSL's short names of them.
const SHORT_NAMES: [(&str, &str); 24] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
];

/// What Apache calls some of them.
const APACHE_NAMES: [(&str, &str); 6] =
    [("emailAddress", "Email"), ("SN", "S"), ("GN", "G"), ("title", "T"), ("initials", "I"), ("description", "D")];

/// OpenSSL's short name of an attribute.
pub(crate) fn short_name(kind: &Oid<'_>) -> Option<&'static str> {
    let dotted = kind.to_id_string();
    SHORT_NAMES.iter().find(|(oid, _)| *oid == dotted).map(|(_, name)| *name)
}

/// Apache's name of what OpenSSL calls `short`, if it is another.
pub(crate) fn apache_name(short: &str) -> Option<&'static str> {
    APACHE_NAMES.iter().find(|(name, _)| *name == short).map(|(_, apache)| *apache)
}

/// An attribute's text, whatever kind of string it is; `None`: it is none, or not of its kind.
pub(crate) fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    string(attribute.attr_value())
}

fn string(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => String::from_utf8(value.data.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            value.data.is_ascii().then(|| value.data.iter().map(|&byte| char::from(byte)).collect())
        }
        // In theory T.61; in the field, Latin 1.
        Tag::T61String => Some(value.data.iter().map(|&byte| char::from(byte)).collect()),
        Tag::BmpString => {
            let (pairs, rest) = value.data.as_chunks::<2>();
            let units = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
            rest.is_empty().then(|| char::decode_utf16(units).collect::<Result<_, _>>().ok()).flatten()
        }
        Tag::UniversalString => {
            let (words, rest) = value.data.as_chunks::<4>();
            let chars = words.iter().map(|&word| char::from_u32(u32::from_be_bytes(word)));
            rest.is_empty().then(|| chars.collect()).flatten()
        }
        _ => None,
    }
}

/// A name in the form of RFC 2253 as Apache writes it, the last part first: OpenSSL's `-nameopt RFC2253,-esc_msb`.
pub(crate) fn rfc2253(name: &X509Name<'_>) -> String {
    let mut written = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (place, part) in parts.iter().rev().enumerate() {
        if place > 0 {
            written.push(',');
        }
        let attributes: Vec<_> = part.iter().collect();
        for (place, attribute) in attributes.iter().rev().enumerate() {
            if place > 0 {
                written.push('+');
            }
            write_attribute(&mut written, attribute);
        }
    }
    written
}

fn write_attribute(written: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let short = short_name(attribute.attr_type());
    match short {
        Some(short) => written.push_str(short),
        None => written.push_str(&attribute.attr_type().to_id_string()),
    }
    written.push('=');
    match (short, text(attribute)) {
        (Some(_), Some(text)) => write_escaped(written, &text),
        _ => write_dumped(written, attribute.attr_value()),
    }
}

/// RFC 2253 §2.4, and control characters by their numbers.
fn write_escaped(written: &mut String, text: &str) {
    let last = text.len().saturating_sub(1);
    for (place, letter) in text.char_indices() {
        let is_special = match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => place == 0 || place == last,
            '#' => place == 0,
            _ => false,
        };
        if letter.is_ascii_control() {
            written.push_str(&format!("\\{:02X}", u32::from(letter)));
            continue;
        }
        if is_special {
            written.push('\\');
        }
        written.push(letter);
    }
}

/// RFC 2253 §2.4: a value without a text is `#` and the digits of its encoding.
fn write_dumped(written: &mut String, value: &Any<'_>) {
    let identifier = u8::try_from(value.tag().0).unwrap_or(0x1f) | (u8::from(value.header.constructed()) << 5);
    let mut encoded = vec![identifier];
    let len = value.data.len();
    match u8::try_from(len) {
        Ok(short) if short < 0x80 => encoded.push(short),
        _ => {
            let bytes = len.to_be_bytes();
            let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            encoded.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            encoded.extend(digits);
        }
    }
    encoded.extend(value.data);
    written.push('#');
    encoded.iter().for_each(|byte| written.push_str(&format!("{byte:02X}")));
}
