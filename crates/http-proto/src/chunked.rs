use std::ops::Range;

/// Follows a chunked body (RFC 9112 §7.1) through the pieces in which it arrives.
#[derive(Clone, Debug)]
pub struct Chunked {
    /// Data bytes of the current chunk not yet seen.
    data_left: u64,
}

/// What one call of [`Chunked::advance`] went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that belong to the message and were followed.
    pub taken: usize,
    /// The payload among them; empty if there was none.
    pub data: Range<usize>,
    /// Whether the message ended with them, trailers included.
    pub ended: bool,
}

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkError {
    /// To be filled in.
    Malformed,
}
