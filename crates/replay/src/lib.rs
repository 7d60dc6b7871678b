//! What must hold of any bytes from outside: the bodies of the fuzz targets, which the tests of this crate replay on
//! the inputs that fuzzing has found (`fuzz/corpora/`).
//!
//! Each target is a function of bytes that panics where a crate does not keep its promise. `fuzz/fuzz_targets/` hands
//! it to libFuzzer, on a nightly compiler; the tests call the very same on a stable one.

mod announcement;
mod authority;
mod capture_file;
mod cgi_head;
mod channel;
mod check_answer;
mod chunked;
mod conditional;
mod config;
mod dns_query;
mod fastcgi_answer;
mod fastcgi_request;
mod files;
mod http2_frames;
mod http2_head;
mod http2_server;
mod load_report;
mod messages;
mod path;
mod peer;
mod probe_answer;
mod proxy_header;
mod range;
mod request_head;
mod response_head;
mod stick;
mod vrrp_advert;

pub use announcement::announcement;
pub use authority::authority;
pub use capture_file::capture_file;
pub use cgi_head::cgi_head;
pub use channel::channel;
pub use check_answer::check_answer;
pub use chunked::chunked;
pub use conditional::conditional;
pub use config::config;
pub use dns_query::dns_query;
pub use fastcgi_answer::fastcgi_answer;
pub use fastcgi_request::fastcgi_request;
pub use files::files;
pub use http2_frames::http2_frames;
pub use http2_head::http2_head;
pub use http2_server::http2_server;
pub use load_report::load_report;
pub use messages::messages;
pub use path::path;
pub use peer::peer;
pub use probe_answer::probe_answer;
pub use proxy_header::proxy_header;
pub use range::range;
pub use request_head::request_head;
pub use response_head::response_head;
pub use stick::stick;
pub use vrrp_advert::vrrp_advert;

/// A fuzz target's body.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 27] = [
    ("announcement", announcement),
    ("authority", authority),
    ("capture_file", capture_file),
    ("cgi_head", cgi_head),
    ("channel", channel),
    ("check_answer", check_answer),
    ("chunked", chunked),
    ("conditional", conditional),
    ("config", config),
    ("dns_query", dns_query),
    ("fastcgi_answer", fastcgi_answer),
    ("fastcgi_request", fastcgi_request),
    ("files", files),
    ("http2_frames", http2_frames),
    ("http2_head", http2_head),
    ("http2_server", http2_server),
    ("load_report", load_report),
    ("messages", messages),
    ("path", path),
    ("peer", peer),
    ("probe_answer", probe_answer),
    ("proxy_header", proxy_header),
    ("range", range),
    ("request_head", request_head),
    ("response_head", response_head),
    ("stick", stick),
    ("vrrp_advert", vrrp_advert),
];

/// A choice, and the rest; 0 where there is nothing.
fn split_first(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(&first, rest)| (first, rest))
}

/// A number, the least byte first, and the rest; 0 where there is too little.
fn split_number(bytes: &[u8]) -> (u64, &[u8]) {
    bytes.split_first_chunk().map_or((0, &[]), |(number, rest)| (u64::from_le_bytes(*number), rest))
}

/// As much as is UTF-8.
fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
