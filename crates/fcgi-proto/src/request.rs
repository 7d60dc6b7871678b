//! A gateway's records as an application reads them: one request at a time on a connection.

use crate::record::{ABORT_REQUEST, BEGIN_REQUEST, END_REQUEST, HEADER_BYTES, Header, PARAMS, STDERR, STDIN, STDOUT};

/// The most that a request's parameters may be: a head of 32 KiB and a chain of certificates are far below.
pub const PARAMS_BYTES_MAX: usize = 1 << 20;

/// Responder (FastCGI 1.0 §6.2).
const RESPONDER: u16 = 1;

/// Lengths below are one byte, others four of which the first bit is set (§3.4).
const LONG: u8 = 128;

/// Why a gateway's bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestError {
    /// A record of another version than 1.
    Version,
    /// A record of a type that has no place here.
    RecordType,
    /// A record of another request than the one that was begun.
    RequestId,
    /// A BEGIN_REQUEST that is not 8 bytes long, or an ABORT_REQUEST with content.
    Length,
    /// Another role than that of a responder.
    Role,
    /// More parameters than [`PARAMS_BYTES_MAX`].
    ParamsTooLarge,
    /// Parameters that end before they should.
    ParamsCut,
}

impl RequestError {
    /// Every reason, for counters.
    pub const ALL: [RequestError; 7] = [
        RequestError::Version,
        RequestError::RecordType,
        RequestError::RequestId,
        RequestError::Length,
        RequestError::Role,
        RequestError::ParamsTooLarge,
        RequestError::ParamsCut,
    ];

    /// A stable name, for logs.
    pub const fn reason(self) -> &'static str {
        match self {
            RequestError::Version => "version",
            RequestError::RecordType => "record_type",
            RequestError::RequestId => "request_id",
            RequestError::Length => "length",
            RequestError::Role => "role",
            RequestError::ParamsTooLarge => "params_too_large",
            RequestError::ParamsCut => "params_cut",
        }
    }
}

/// Name and value of each parameter, in their order.
pub type Given = Vec<(Vec<u8>, Vec<u8>)>;

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'b> {
    /// All that is known of the request but for its body.
    Params(Given),
    /// A piece of the body.
    Body(&'b [u8]),
    /// The body is over.
    BodyEnd,
    /// Nobody wants the answer any more.
    Abort,
}

/// Follows one request through the pieces in which its records arrive. After an error it must not be used further.
#[derive(Debug, Default)]
pub struct Request {
    stage: Stage,
    id: u16,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    kind: u8,
    left: usize,
    padding: usize,
    begin: [u8; 8],
    params: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Begin,
    Params,
    Body,
    Over,
}

impl Request {
    /// Nothing of it is here yet.
    pub fn new() -> Request {
        Request::default()
    }

    /// Its number, which every record of the answer has; 0 until it is known.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// What comes next in `input`, from which what was read is taken away; `None`: all of it was read.
    ///
    /// # Errors
    /// Why these bytes are no request.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Said<'b>>, RequestError> {
        while !input.is_empty() {
            if self.header_bytes < HEADER_BYTES {
                let piece = take(input, HEADER_BYTES - self.header_bytes);
                self.header[self.header_bytes..][..piece.len()].copy_from_slice(piece);
                self.header_bytes += piece.len();
                if self.header_bytes < HEADER_BYTES {
                    return Ok(None);
                }
                self.begin_record()?;
                if self.left == 0
                    && let Some(said) = self.end_content()?
                {
                    return Ok(Some(said));
                }
            } else if self.left > 0 {
                let piece = take(input, self.left);
                let at = self.begin.len().saturating_sub(self.left);
                self.left -= piece.len();
                match self.kind {
                    BEGIN_REQUEST => self.begin[at..][..piece.len()].copy_from_slice(piece),
                    PARAMS if self.params.len() + piece.len() > PARAMS_BYTES_MAX => {
                        return Err(RequestError::ParamsTooLarge);
                    }
                    PARAMS => self.params.extend_from_slice(piece),
                    _ => return Ok(Some(Said::Body(piece))),
                }
                if self.left == 0 && self.kind == BEGIN_REQUEST {
                    self.begin_request()?;
                }
            } else {
                self.padding -= take(input, self.padding).len();
            }
            self.end_if_whole();
        }
        Ok(None)
    }

    fn begin_record(&mut self) -> Result<(), RequestError> {
        let header = Header::of(self.header);
        if !header.is_version_1() {
            return Err(RequestError::Version);
        }
        let expected = match (self.stage, header.kind) {
            (Stage::Begin, BEGIN_REQUEST) if header.content == 8 => true,
            (Stage::Begin, BEGIN_REQUEST) => return Err(RequestError::Length),
            (Stage::Params, PARAMS) | (Stage::Body, STDIN) => true,
            (Stage::Params | Stage::Body | Stage::Over, ABORT_REQUEST) if header.content == 0 => true,
            (Stage::Params | Stage::Body | Stage::Over, ABORT_REQUEST) => return Err(RequestError::Length),
            _ => false,
        };
        if !expected {
            return Err(RequestError::RecordType);
        }
        match self.stage {
            Stage::Begin => self.id = header.request_id,
            _ if header.request_id != self.id => return Err(RequestError::RequestId),
            _ => {}
        }
        self.kind = header.kind;
        self.left = usize::from(header.content);
        self.padding = usize::from(header.padding);
        Ok(())
    }

    fn begin_request(&mut self) -> Result<(), RequestError> {
        if u16::from_be_bytes([self.begin[0], self.begin[1]]) != RESPONDER {
            return Err(RequestError::Role);
        }
        self.stage = Stage::Params;
        Ok(())
    }

    /// What a record without content says.
    fn end_content(&mut self) -> Result<Option<Said<'static>>, RequestError> {
        let said = match self.kind {
            PARAMS => {
                self.stage = Stage::Body;
                Some(Said::Params(parse(&std::mem::take(&mut self.params))?))
            }
            STDIN => {
                self.stage = Stage::Over;
                Some(Said::BodyEnd)
            }
            ABORT_REQUEST => Some(Said::Abort),
            _ => None,
        };
        self.end_if_whole();
        Ok(said)
    }

    fn end_if_whole(&mut self) {
        if self.header_bytes == HEADER_BYTES && self.left == 0 && self.padding == 0 {
            self.header_bytes = 0;
        }
    }
}

fn take<'b>(input: &mut &'b [u8], most: usize) -> &'b [u8] {
    let (piece, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    piece
}

fn parse(mut bytes: &[u8]) -> Result<Given, RequestError> {
    let mut given = Vec::new();
    while !bytes.is_empty() {
        let name = length(&mut bytes)?;
        let value = length(&mut bytes)?;
        let (name, rest) = bytes.split_at_checked(name).ok_or(RequestError::ParamsCut)?;
        let (value, rest) = rest.split_at_checked(value).ok_or(RequestError::ParamsCut)?;
        given.push((name.to_vec(), value.to_vec()));
        bytes = rest;
    }
    Ok(given)
}

fn length(bytes: &mut &[u8]) -> Result<usize, RequestError> {
    match **bytes {
        [short, ref rest @ ..] if short < LONG => {
            *bytes = rest;
            Ok(usize::from(short))
        }
        [a, b, c, d, ref rest @ ..] => {
            *bytes = rest;
            Ok(u32::from_be_bytes([a & !LONG, b, c, d]) as usize)
        }
        _ => Err(RequestError::ParamsCut),
    }
}

/// The header of a record of the answer's body; at most [`CONTENT_MAX`](crate::CONTENT_MAX) follow it.
pub const fn stdout_header(id: u16, content: u16) -> [u8; HEADER_BYTES] {
    header(STDOUT, id, content)
}

/// The header of a record of what went wrong, for a log.
pub const fn stderr_header(id: u16, content: u16) -> [u8; HEADER_BYTES] {
    header(STDERR, id, content)
}

/// Ends the answer: the program ended with this status (FastCGI 1.0 §5.5).
pub const fn end_request(id: u16, status: u32) -> [u8; HEADER_BYTES + 8] {
    let [a, b, c, d, e, f, g, h] = header(END_REQUEST, id, 8);
    let [s, t, u, v] = status.to_be_bytes();
    // FCGI_REQUEST_COMPLETE and three bytes that are reserved.
    [a, b, c, d, e, f, g, h, s, t, u, v, 0, 0, 0, 0]
}

const fn header(kind: u8, id: u16, content: u16) -> [u8; HEADER_BYTES] {
    let ([id_high, id_low], [high, low]) = (id.to_be_bytes(), content.to_be_bytes());
    [1, kind, id_high, id_low, high, low, 0, 0]
}

#[cfg(test)]
mod tests;
