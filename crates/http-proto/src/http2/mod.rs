//! HTTP/2 (RFC 9113). [`Server`] is a whole connection of a client's: bytes in, requests as heads and bodies of HTTP/1,
//! answers of HTTP/1 in, bytes out. Besides, for connections whose frames a library reads: which frames come and go.

mod budget;
mod fields;
mod frames;
mod head;
mod hpack;
mod server;

pub use budget::{Budget, Flood};
pub use fields::{Line, lines, split_head};
pub use frames::{Fault, Frame, Frames, PREFACE, kind};
pub use head::{BodyForm, HEADER_LIST_BYTES, HeadScratch, HeadWriter, Outline, RequestFault, write_trailers};
pub use hpack::{Decoder, PackError};
pub use server::{Begun, Code, End, Event, Key, OUT_BYTES, Ready, Server, Tally, WriteError};
