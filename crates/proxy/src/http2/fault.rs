/// Why a connection of HTTP/2 was ended, or a stream refused, before there was a request to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2Error {
    /// The connection broke the protocol (RFC 9113 §5.4.1).
    Protocol,
    /// A stream did: its request was malformed (RFC 9113 §8.1.1).
    Malformed,
    /// More requests at once than may be.
    StreamRefused,
    /// More frames that serve the connection alone than any use has.
    ControlFlood,
    /// More requests reset than any use has.
    ResetFlood,
    /// The library's own limits: header blocks without end, streams reset before they were seen, small frames.
    Excess,
}

impl Http2Error {
    /// Every reason, for counters.
    pub const ALL: [Http2Error; 6] = [
        Http2Error::Protocol,
        Http2Error::Malformed,
        Http2Error::StreamRefused,
        Http2Error::ControlFlood,
        Http2Error::ResetFlood,
        Http2Error::Excess,
    ];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            Http2Error::Protocol => "http2_protocol",
            Http2Error::Malformed => "http2_malformed",
            Http2Error::StreamRefused => "http2_stream_refused",
            Http2Error::ControlFlood => "http2_control_flood",
            Http2Error::ResetFlood => "http2_reset_flood",
            Http2Error::Excess => "http2_excess",
        }
    }
}
