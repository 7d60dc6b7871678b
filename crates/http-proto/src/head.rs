//! What a head is; [`crate::parse_request`] and [`crate::parse_response`] make them from bytes.

use std::mem::MaybeUninit;

use crate::token::list_items;

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

/// A checked request head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b> {
    /// As sent; methods are case-sensitive.
    pub method: &'b str,
    /// As sent: `/path?query`, `*`, `host:port` (CONNECT), or an absolute URL.
    pub target: &'b str,
    /// The part of the target from the path on: `/path?query`, or `*`; empty for CONNECT.
    /// Begins with `?` if an absolute target has a query and no path.
    pub path_and_query: &'b str,
    /// The authority: of the absolute or CONNECT target, else of the Host field, which may be empty;
    /// empty for an HTTP/1.0 request without one.
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
    /// The Upgrade field's value, if Connection names it and a tunnel can be made of it.
    /// Not in HTTP/1.0; not of several lines; not `h2c`, whose requests would pass us unseen.
    pub upgrade: Option<&'b str>,
    pub(crate) raw: Raw<'b>,
}

/// A checked answer head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'b> {
    /// 100 to 599.
    pub status: u16,
    /// The words after the status; empty if there are none, or any that is not ASCII.
    pub reason: &'b str,
    /// The server's.
    pub version: Version,
    /// All field lines.
    pub fields: Fields<'b>,
    /// The body's, given the request's method.
    pub framing: Framing,
    /// Whether the connection may be kept after the body.
    pub keep_alive: bool,
    pub(crate) raw: Raw<'b>,
}

/// A head's bytes and which of its lines a relay treats specially.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw<'b> {
    /// From the first line to the end of the blank one.
    pub(crate) bytes: &'b [u8],
    pub(crate) marks: Marks,
    /// Whether Connection names fields of which no other mark tells.
    pub(crate) nominates: bool,
}

/// Sets of field lines: bit *n* stands for the *n*th.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Never sent onward as they are.
    pub(crate) dropped: u128,
    /// Host.
    pub(crate) host: u128,
    /// Upgrade.
    pub(crate) upgrade: u128,
    /// Content-Length and Transfer-Encoding.
    pub(crate) framing: u128,
    /// X-Forwarded-For, -Proto, -Host and Forwarded.
    pub(crate) forwarding: u128,
}

/// Room for one head's fields. Costs nothing: it is not filled in.
pub fn field_slots<'b>() -> FieldSlots<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

impl<'b> RequestHead<'b> {
    /// The same request for another path and query.
    pub fn with_path(&self, path_and_query: &'b str) -> RequestHead<'b> {
        RequestHead { path_and_query, ..*self }
    }
}

impl<'b> Fields<'b> {
    /// The lines in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'b Field<'b>> + use<'b> {
        self.0.iter()
    }

    /// The first line's value with this name, whatever its case.
    pub fn value(&self, name: &str) -> Option<&'b [u8]> {
        self.values(name).next()
    }

    /// Whether a line of this name lists `token`; neither's case matters.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).flat_map(list_items).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The values of all lines with this name, whatever its case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}
