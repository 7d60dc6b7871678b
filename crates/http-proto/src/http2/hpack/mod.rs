//! Fields as HTTP/2 packs them (RFC 7541).

mod decoder;
mod encoder;
mod huffman;
mod table;

pub use decoder::Decoder;
pub(super) use encoder::{encode_field, encode_status, encode_table_of_nothing};

/// Why a header block cannot be unpacked. Its connection ends, as nothing that follows could be (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// It ends within a field.
    Truncated,
    /// A number beyond all measure.
    Number,
    /// An index that neither table has.
    Index,
    /// A string in no code.
    Huffman,
    /// A table larger than was announced, or one that changes behind a field.
    TableSize,
    /// Its fields come to more than anybody may send, each with 32 bytes more.
    List,
}

impl PackError {
    /// A stable name.
    pub const fn reason(self) -> &'static str {
        match self {
            PackError::Truncated => "truncated",
            PackError::Number => "number",
            PackError::Index => "index",
            PackError::Huffman => "huffman",
            PackError::TableSize => "table_size",
            PackError::List => "list",
        }
    }
}
