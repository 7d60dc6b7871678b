//! HTTP/1.0 and 1.1 as bytes (RFC 9110, RFC 9112): heads, framing, chunks, ranges, conditions, routing; and what of
//! HTTP/2 becomes these.
//!
//! Pure: no socket, no clock, no file. What RFC 9112 calls ambiguous is refused, never repaired and passed on.
//!
//! ```
//! use http_proto::{Framing, Limits, Parsed, field_slots, parse_request};
//!
//! let received = b"POST /jobs HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\n\r\n{}";
//! let mut slots = field_slots();
//! let Ok(Parsed::Whole(head, taken)) = parse_request(received, &mut slots, &Limits::default()) else {
//!     panic!("this is a whole request");
//! };
//! assert_eq!((head.host, head.framing), ("example.org", Framing::Length(2)));
//! assert_eq!(&received[taken..], b"{}");
//! ```

mod authority;
mod base64;
mod chunked;
mod conditional;
mod date;
mod digest;
mod forward;
mod head;
mod head_error;
pub mod http2;
mod path;
mod range;
mod request;
mod response;
mod route;
mod status;
mod survey;
mod token;

pub use base64::from_base64;
pub use chunked::{ChunkError, Chunked, LAST_CHUNK, Step, write_chunk_head};
pub use conditional::{
    Precondition, Validators, applicable_range, evaluate, evaluate_absent, evaluate_fields, imf_fixdate, parse_date,
};
pub use date::write_date;
pub use digest::{DigestAlgorithm, read_digests, write_digest};
pub use forward::{Connection, Forwarded, HeaderEdits, RequestForward, ResponseForward, write_request, write_response};
pub use head::{
    FIELDS_MAX, Field, FieldSlots, Fields, Framing, Limits, Parsed, RequestHead, ResponseHead, Version, field_slots,
};
pub use head_error::HeadError;
pub use path::{PathError, ResolvedPath, resolve_path, resolve_with_slashes};
pub use range::{ByteRange, RANGES_MAX, Ranges, resolve_ranges};
pub use request::parse_request;
pub use response::parse_response;
pub use route::{Condition, RouteQuery, host_without_port};
pub use status::reason_phrase;
pub use token::{is_field_name, is_field_value};
