use std::mem::MaybeUninit;

/// The most that a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from the first to the blank line's end; beyond: 431.
    pub head_bytes: usize,
    /// Bytes of the request target; beyond: 414.
    pub target_bytes: usize,
    /// Field lines; beyond: 431. At most [`FIELDS_MAX`].
    pub fields: usize,
}

/// The most field lines that a head can be parsed with.
pub const FIELDS_MAX: usize = 128;

impl Default for Limits {
    fn default() -> Limits {
        Limits { head_bytes: 32 * 1024, target_bytes: 16 * 1024, fields: FIELDS_MAX }
    }
}

/// One field line: its name as it was written, its value without surrounding white space.
pub type Field<'b> = httparse::Header<'b>;

/// Room for a head's fields; make a new one for each head, on the stack.
pub type FieldSlots<'b> = [MaybeUninit<Field<'b>>; FIELDS_MAX];

/// A head's field lines in their order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'b>(pub &'b [Field<'b>]);

/// HTTP/1.0 or HTTP/1.1; every other version is refused with 505.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Where a message's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk and its trailers.
    Chunked,
    /// When the server closes; answers only.
    UntilClose,
}

/// What a parser found at the beginning of the bytes.
#[derive(Debug)]
pub enum Parsed<T> {
    /// The head goes on after these bytes; so far nothing is wrong.
    Partial,
    /// A whole head, and how many bytes it took.
    Whole(T, usize),
}

/// A checked request head. (The helper functions a relay needs are filled in by the parser, once.)
#[derive(Debug)]
pub struct RequestHead<'b> {
    /// As sent; methods are case-sensitive.
    pub method: &'b str,
    /// As sent: `/path?query`, `*`, `host:port` (CONNECT), or an absolute URL.
    pub target: &'b str,
    /// The part of the target from the path on: `/path?query`, or `*`; empty for CONNECT.
    pub path_and_query: &'b str,
    /// The authority: of the absolute or CONNECT target, else of the Host field; empty for an HTTP/1.0 request without one.
    pub host: &'b str,
    /// The client's.
    pub version: Version,
    /// All field lines.
    pub fields: Fields<'b>,
    /// The body's.
    pub framing: Framing,
    /// Whether the connection may be kept after the answer (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client awaits `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The Upgrade field's value, if Connection names it.
    pub upgrade: Option<&'b str>,
}

/// A checked answer head.
#[derive(Debug)]
pub struct ResponseHead<'b> {
    /// 100 to 599.
    pub status: u16,
    /// The words after the status.
    pub reason: &'b str,
    /// The server's.
    pub version: Version,
    /// All field lines.
    pub fields: Fields<'b>,
    /// The body's, given the request's method.
    pub framing: Framing,
    /// Whether the connection may be kept after the body.
    pub keep_alive: bool,
}

/// Why a head is refused. One variant a counter, see [`HeadError::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadError {
    /// To be filled in by the parser's rules.
    Malformed,
}
