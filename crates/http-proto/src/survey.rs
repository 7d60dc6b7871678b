//! One pass over a head's field lines: what frames the body, what ends at this hop.

use crate::head::{Field, Framing, Marks, Version};
use crate::head_error::HeadError;
use crate::token::{is_token, is_value_byte, list_items, offset_in};

/// Connection options in one head. Real ones have one to three; each costs a look at every field.
const CONNECTION_OPTIONS_MAX: u32 = 32;

/// The longest body that is understood. Servers count in signed numbers, where more would turn negative.
pub(crate) const LENGTH_MAX: u64 = i64::MAX as u64;

/// What the field lines say.
#[derive(Default)]
pub(crate) struct Survey<'b> {
    pub(crate) marks: Marks,
    /// The first Host line.
    pub(crate) host: Option<&'b [u8]>,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    /// Connection names Upgrade.
    pub(crate) upgrades: bool,
    /// Connection names fields of which no mark tells.
    pub(crate) nominates: bool,
    pub(crate) expects_continue: bool,
    /// Expect lines.
    pub(crate) expect: u128,
    /// The Upgrade line, if there is one only.
    pub(crate) upgrade: Option<&'b [u8]>,
    length: Option<u64>,
    codings: Option<Codings>,
    options: u32,
}

#[derive(Clone, Copy, Default)]
struct Codings {
    chunked: u32,
    others: u32,
    ends_chunked: bool,
    malformed: bool,
}

impl<'b> Survey<'b> {
    /// Looks at all lines of `head`, which begins with its first line and ends with the blank one.
    ///
    /// # Errors
    /// For line ends other than CRLF and for lengths that can be read in more than one way.
    pub(crate) fn of(head: &[u8], fields: &[Field<'b>]) -> Result<Survey<'b>, HeadError> {
        let mut survey = Survey::default();
        for (index, field) in fields.iter().enumerate() {
            let start = offset_in(head, field.name.as_bytes());
            if !head[..start].ends_with(b"\r\n") {
                return Err(HeadError::BareLf);
            }
            survey.add(1 << index, field)?;
        }
        if !head.ends_with(b"\r\n\r\n") {
            return Err(HeadError::BareLf);
        }
        Ok(survey)
    }

    /// The framing that Content-Length and Transfer-Encoding give; `None` without either (RFC 9112 §6.1, §6.3).
    pub(crate) fn framing(&self, version: Version) -> Result<Option<Framing>, HeadError> {
        match (self.codings, self.length) {
            (None, None) => Ok(None),
            (None, Some(length)) => Ok(Some(Framing::Length(length))),
            (Some(_), Some(_)) => Err(HeadError::LengthWithCoding),
            (Some(_), None) if version == Version::Http10 => Err(HeadError::CodingInHttp10),
            (Some(codings), None) => codings.check().map(|()| Some(Framing::Chunked)),
        }
    }

    /// Whether the connection outlives this message, as far as its fields tell (RFC 9112 §9.3).
    pub(crate) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    fn add(&mut self, bit: u128, field: &Field<'b>) -> Result<(), HeadError> {
        let name = field.name.as_bytes();
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            2 if is("te") => self.marks.dropped |= bit,
            4 if is("host") => {
                self.marks.host |= bit;
                self.host = self.host.or(Some(field.value));
            }
            6 if is("expect") => {
                self.expect |= bit;
                self.expects_continue = field.value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if is("upgrade") => {
                let first = self.marks.upgrade == 0;
                self.upgrade = first.then_some(field.value);
                self.marks.upgrade |= bit;
            }
            10 if is("connection") => {
                self.marks.dropped |= bit;
                self.add_options(field.value)?;
            }
            10 if is("keep-alive") => self.marks.dropped |= bit,
            14 if is("content-length") => {
                self.marks.framing |= bit;
                let length = parse_length(field.value)?;
                if self.length.replace(length).is_some() {
                    return Err(HeadError::LengthRepeated);
                }
            }
            16 if is("proxy-connection") => self.marks.dropped |= bit,
            17 if is("transfer-encoding") => {
                self.marks.framing |= bit;
                self.codings.get_or_insert_default().add(field.value);
            }
            9 => self.mark_forwarding(bit, name, b"forwarded"),
            15 => self.mark_forwarding(bit, name, b"x-forwarded-for"),
            16 => self.mark_forwarding(bit, name, b"x-forwarded-host"),
            17 => self.mark_forwarding(bit, name, b"x-forwarded-proto"),
            _ => {}
        }
        Ok(())
    }

    /// Names that differ in `_` only become one variable in CGI and its heirs: such a line is a forgery.
    fn mark_forwarding(&mut self, bit: u128, name: &[u8], wanted: &[u8]) {
        let alike =
            |(&byte, &wanted): (&u8, &u8)| byte.eq_ignore_ascii_case(&wanted) || (byte == b'_' && wanted == b'-');
        if name.eq_ignore_ascii_case(wanted) {
            self.marks.forwarding |= bit;
        } else if name.iter().zip(wanted).all(alike) {
            self.marks.dropped |= bit;
        }
    }

    fn add_options(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in list_items(value) {
            self.options += 1;
            if self.options > CONNECTION_OPTIONS_MAX {
                return Err(HeadError::TooManyOptions);
            }
            let is = |other: &str| option.eq_ignore_ascii_case(other.as_bytes());
            match option.len() {
                0 => {}
                5 if is("close") => self.close = true,
                7 if is("upgrade") => self.upgrades = true,
                10 if is("keep-alive") => self.keep_alive = true,
                _ => self.nominates = true,
            }
        }
        Ok(())
    }
}

impl Codings {
    fn add(&mut self, value: &[u8]) {
        for coding in list_items(value) {
            self.ends_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.malformed |= !is_token(coding);
            if self.ends_chunked {
                self.chunked += 1;
            } else {
                self.others += 1;
            }
        }
    }

    fn check(self) -> Result<(), HeadError> {
        if self.malformed {
            Err(HeadError::CodingMalformed)
        } else if self.chunked > 1 || (self.chunked == 1 && !self.ends_chunked) {
            Err(HeadError::ChunkedNotLast)
        } else if self.others > 0 {
            Err(HeadError::CodingUnknown)
        } else {
            Ok(())
        }
    }
}

/// What is wrong with the first bad line after the first one, where `httparse` found something wrong.
#[cold]
pub(crate) fn field_fault(head: &[u8]) -> HeadError {
    head.split(|&byte| byte == b'\n').skip(1).find_map(line_fault).unwrap_or(HeadError::FieldValue)
}

fn line_fault(line: &[u8]) -> Option<HeadError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let colon = line.iter().position(|&byte| byte == b':');
    let name = &line[..colon.unwrap_or(line.len())];
    match line.first()? {
        b' ' | b'\t' => Some(HeadError::FoldedLine),
        _ if line.contains(&b'\r') => Some(HeadError::BareCr),
        b':' => Some(HeadError::EmptyFieldName),
        _ if is_token(name) && colon.is_some() => {
            let sound = line.iter().all(|&byte| is_value_byte(byte));
            (!sound).then_some(HeadError::FieldValue)
        }
        _ if is_token(name.trim_ascii_end()) && colon.is_some() => Some(HeadError::SpaceBeforeColon),
        _ => Some(HeadError::FieldName),
    }
}

fn parse_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.contains(&b',') {
        return Err(HeadError::LengthRepeated);
    }
    if value.is_empty() {
        return Err(HeadError::LengthInvalid);
    }
    let mut length = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(HeadError::LengthInvalid);
        }
        length = length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(byte - b'0')))
            .filter(|&length| length <= LENGTH_MAX)
            .ok_or(HeadError::LengthInvalid)?;
    }
    Ok(length)
}
