//! FastCGI 1.0 as a gateway speaks it: records, parameters, requests on their way to an application, and its answers
//! as HTTP/1.1. [`Request`] is an application's side of it.
//!
//! Pure: no socket, no clock. One request at a time is on a connection, and its number is [`REQUEST_ID`].
//!
//! ```
//! use fcgi_proto::{Answer, Params, REQUEST_ID};
//!
//! let mut request = Vec::new();
//! let mut params = Params::begin(&mut request, false);
//! params.add(b"REQUEST_METHOD", b"GET");
//! params.end();
//! assert_eq!(&request[..4], [1, 1, 0, REQUEST_ID as u8]);
//!
//! let mut answer = Answer::new(false);
//! let mut http = Vec::new();
//! let records = b"\x01\x06\x00\x01\x00\x12\x06\x00Status: 204 Gone\n\n......\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0";
//! answer.read(records, &mut http, &mut |_| {}).expect("these records are an answer");
//! assert_eq!(http, b"HTTP/1.1 204 Gone\r\n\r\n");
//! assert!(answer.is_over());
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod answer_error;
mod cgi;
mod params;
mod record;
mod request;

pub use answer::{Answer, HEAD_BYTES_MAX};
pub use answer_error::AnswerError;
pub use params::Params;
pub use record::{ABORT, CONTENT_MAX, HEADER_BYTES, REQUEST_ID, STDIN_END, stdin_header};
pub use request::{Given, PARAMS_BYTES_MAX, Request, RequestError, Said, end_request, stderr_header, stdout_header};
