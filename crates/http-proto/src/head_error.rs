/// Why a head is refused. One variant a counter, see [`HeadError::reason`].
///
/// A refused request is answered with [`HeadError::status`] and the connection closed; a refused answer means 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeadError {
    /// The head is longer than the limit.
    HeadTooLarge,
    /// The request target is longer than the limit.
    TargetTooLong,
    /// More field lines than the limit.
    TooManyFields,
    /// Too many empty lines before the request line.
    EmptyLines,
    /// The request line is not a method, a target and a version with one space between them.
    RequestLine,
    /// The method is no token.
    Method,
    /// The target has a byte that no target has, or a form that its method does not take (RFC 9112 §3.2).
    Target,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    UnknownVersion,
    /// The status line is not a version, a status from 100 to 599 and a reason.
    StatusLine,
    /// A carriage return that no line feed follows.
    BareCr,
    /// A line feed that follows no carriage return.
    BareLf,
    /// A field name that is no token, or a field line without a colon.
    FieldName,
    /// A field line that begins with the colon.
    EmptyFieldName,
    /// White space between a field's name and the colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// A line that begins with white space (RFC 9112 §5.2).
    FoldedLine,
    /// A control character in a field's value.
    FieldValue,
    /// An HTTP/1.1 request without a Host field.
    HostMissing,
    /// More than one Host field.
    HostRepeated,
    /// A Host field that is not `host` or `host:port`.
    HostInvalid,
    /// A Content-Length that is no decimal number, or more than 2^63 - 1.
    LengthInvalid,
    /// More than one Content-Length, in lines or in a list.
    LengthRepeated,
    /// Both Content-Length and Transfer-Encoding.
    LengthWithCoding,
    /// A transfer coding other than `chunked`.
    CodingUnknown,
    /// `chunked` is not the last transfer coding, or is there twice.
    ChunkedNotLast,
    /// A Transfer-Encoding that is no list of tokens.
    CodingMalformed,
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 §6.1).
    CodingInHttp10,
    /// More connection options than the limit.
    TooManyOptions,
    /// A CONNECT request with a body, whose end a server may see elsewhere than we.
    ConnectWithBody,
}

impl HeadError {
    /// Every reason, for counters.
    pub const ALL: [HeadError; 28] = [
        HeadError::HeadTooLarge,
        HeadError::TargetTooLong,
        HeadError::TooManyFields,
        HeadError::EmptyLines,
        HeadError::RequestLine,
        HeadError::Method,
        HeadError::Target,
        HeadError::UnknownVersion,
        HeadError::StatusLine,
        HeadError::BareCr,
        HeadError::BareLf,
        HeadError::FieldName,
        HeadError::EmptyFieldName,
        HeadError::SpaceBeforeColon,
        HeadError::FoldedLine,
        HeadError::FieldValue,
        HeadError::HostMissing,
        HeadError::HostRepeated,
        HeadError::HostInvalid,
        HeadError::LengthInvalid,
        HeadError::LengthRepeated,
        HeadError::LengthWithCoding,
        HeadError::CodingUnknown,
        HeadError::ChunkedNotLast,
        HeadError::CodingMalformed,
        HeadError::CodingInHttp10,
        HeadError::TooManyOptions,
        HeadError::ConnectWithBody,
    ];

    /// The status that answers a request refused for this: 400, 414, 431, 501 or 505.
    pub const fn status(self) -> u16 {
        match self {
            HeadError::HeadTooLarge | HeadError::TooManyFields => 431,
            HeadError::TargetTooLong => 414,
            HeadError::CodingUnknown => 501,
            HeadError::UnknownVersion => 505,
            _ => 400,
        }
    }

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            HeadError::HeadTooLarge => "head_too_large",
            HeadError::TargetTooLong => "target_too_long",
            HeadError::TooManyFields => "too_many_fields",
            HeadError::EmptyLines => "empty_lines",
            HeadError::RequestLine => "request_line",
            HeadError::Method => "method",
            HeadError::Target => "target",
            HeadError::UnknownVersion => "unknown_version",
            HeadError::StatusLine => "status_line",
            HeadError::BareCr => "bare_cr",
            HeadError::BareLf => "bare_lf",
            HeadError::FieldName => "field_name",
            HeadError::EmptyFieldName => "empty_field_name",
            HeadError::SpaceBeforeColon => "space_before_colon",
            HeadError::FoldedLine => "folded_line",
            HeadError::FieldValue => "field_value",
            HeadError::HostMissing => "host_missing",
            HeadError::HostRepeated => "host_repeated",
            HeadError::HostInvalid => "host_invalid",
            HeadError::LengthInvalid => "length_invalid",
            HeadError::LengthRepeated => "length_repeated",
            HeadError::LengthWithCoding => "length_with_coding",
            HeadError::CodingUnknown => "coding_unknown",
            HeadError::ChunkedNotLast => "chunked_not_last",
            HeadError::CodingMalformed => "coding_malformed",
            HeadError::CodingInHttp10 => "coding_in_http10",
            HeadError::TooManyOptions => "too_many_options",
            HeadError::ConnectWithBody => "connect_with_body",
        }
    }
}
