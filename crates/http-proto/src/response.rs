//! Bytes into an answer's head.

use crate::head::{FieldSlots, Fields, Framing, Limits, Parsed, Raw, ResponseHead, Version};
use crate::head_error::HeadError;
use crate::survey::{Survey, field_fault};

/// Reads the head of an answer to a `request_method` request at the beginning of `bytes`.
///
/// After a 2xx to CONNECT and after 101 the framing is [`Framing::None`], and what follows belongs to the tunnel.
///
/// # Errors
/// Every head that clients might read differently, see [`HeadError`]; all mean that the server is at fault (502).
pub fn parse_response<'b>(
    bytes: &'b [u8],
    slots: &'b mut FieldSlots<'b>,
    limits: &Limits,
    request_method: &str,
) -> Result<Parsed<ResponseHead<'b>>, HeadError> {
    if matches!(bytes, [b'\r' | b'\n', ..]) {
        return Err(HeadError::StatusLine);
    }
    let mut response = httparse::Response::new(&mut []);
    let room = limits.fields.min(slots.len());
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut slots[..room]) {
        Ok(httparse::Status::Complete(taken)) if taken > limits.head_bytes => Err(HeadError::HeadTooLarge),
        Ok(httparse::Status::Complete(taken)) => {
            let head = check(&bytes[..taken], response, request_method)?;
            Ok(Parsed::Whole(head, taken))
        }
        Ok(httparse::Status::Partial) if bytes.len() >= limits.head_bytes => Err(HeadError::HeadTooLarge),
        Ok(httparse::Status::Partial) => Ok(Parsed::Partial),
        Err(error) => Err(fault(bytes, error)),
    }
}

fn check<'b>(
    bytes: &'b [u8],
    response: httparse::Response<'b, 'b>,
    request_method: &str,
) -> Result<ResponseHead<'b>, HeadError> {
    let (Some(status), Some(minor)) = (response.code, response.version) else {
        return Err(HeadError::StatusLine);
    };
    if !(100..=599).contains(&status) {
        return Err(HeadError::StatusLine);
    }
    let fields: &'b [httparse::Header<'b>] = response.headers;
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let survey = Survey::of(bytes, fields)?;
    // The fields must be sound even where they frame nothing: a HEAD's answer is compared with a GET's.
    let framed = survey.framing(version)?.unwrap_or(Framing::UntilClose);
    let framing = match status {
        100..=199 | 204 | 304 => Framing::None,
        200..=299 if request_method == "CONNECT" => Framing::None,
        _ if request_method == "HEAD" => Framing::None,
        _ => framed,
    };
    Ok(ResponseHead {
        status,
        reason: response.reason.unwrap_or(""),
        version,
        fields: Fields(fields),
        framing,
        keep_alive: survey.persists(version) && framing != Framing::UntilClose,
        raw: Raw { bytes, marks: survey.marks, nominates: survey.nominates },
    })
}

/// What was wrong where `httparse` stopped.
#[cold]
fn fault(bytes: &[u8], error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => match bytes {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', ..] => HeadError::StatusLine,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => HeadError::UnknownVersion,
            _ => HeadError::StatusLine,
        },
        httparse::Error::Status | httparse::Error::Token => HeadError::StatusLine,
        _ => field_fault(bytes),
    }
}

#[cfg(test)]
mod tests;
