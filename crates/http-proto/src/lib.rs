//! HTTP/1.0 and 1.1 as bytes (RFC 9110, RFC 9112): heads, framing, chunks, ranges, conditions, routing.
//!
//! Pure: no socket, no clock, no file. What RFC 9112 calls ambiguous is refused, never repaired and passed on.

mod chunked;
mod conditional;
mod forward;
mod head;
mod path;
mod range;
mod route;

pub use conditional::{Precondition, Validators, applicable_range, evaluate, imf_fixdate, parse_date};
pub use chunked::{ChunkError, Chunked, Step};
pub use forward::{Forwarded, HeaderEdits};
pub use head::{Field, FieldSlots, Fields, Framing, HeadError, Limits, Parsed, RequestHead, ResponseHead, Version};
pub use range::{ByteRange, RANGES_MAX, Ranges, resolve_ranges};
pub use route::Condition;
