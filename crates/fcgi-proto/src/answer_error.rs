/// Why an application's bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerError {
    /// A record of another version than 1.
    Version,
    /// A record of a type that no application sends.
    RecordType,
    /// A record of a request that there is not.
    RequestId,
    /// An END_REQUEST that is not 8 bytes long.
    EndLength,
    /// A record after END_REQUEST.
    AfterEnd,
    /// A head of more than 32 KiB, or more than 64 interim heads.
    HeadTooLarge,
    /// A line of the head that is no field.
    HeadLine,
    /// A status that is none, or that an application cannot give.
    Status,
    /// It ended without a head.
    NoHead,
    /// The application takes one request at a time, and there is one (FCGI_CANT_MPX_CONN).
    CannotMultiplex,
    /// The application has too much to do (FCGI_OVERLOADED).
    Overloaded,
    /// The application is no responder (FCGI_UNKNOWN_ROLE).
    UnknownRole,
    /// It ended in a way that the specification does not know.
    EndStatus,
}

impl AnswerError {
    /// Every reason, for counters.
    pub const ALL: [AnswerError; 13] = [
        AnswerError::Version,
        AnswerError::RecordType,
        AnswerError::RequestId,
        AnswerError::EndLength,
        AnswerError::AfterEnd,
        AnswerError::HeadTooLarge,
        AnswerError::HeadLine,
        AnswerError::Status,
        AnswerError::NoHead,
        AnswerError::CannotMultiplex,
        AnswerError::Overloaded,
        AnswerError::UnknownRole,
        AnswerError::EndStatus,
    ];

    /// A stable name, for metrics and logs.
    pub const fn reason(self) -> &'static str {
        match self {
            AnswerError::Version => "fastcgi_version",
            AnswerError::RecordType => "fastcgi_record_type",
            AnswerError::RequestId => "fastcgi_request_id",
            AnswerError::EndLength => "fastcgi_end_length",
            AnswerError::AfterEnd => "fastcgi_after_end",
            AnswerError::HeadTooLarge => "fastcgi_head_too_large",
            AnswerError::HeadLine => "fastcgi_head_line",
            AnswerError::Status => "fastcgi_status",
            AnswerError::NoHead => "fastcgi_no_head",
            AnswerError::CannotMultiplex => "fastcgi_cannot_multiplex",
            AnswerError::Overloaded => "fastcgi_overloaded",
            AnswerError::UnknownRole => "fastcgi_unknown_role",
            AnswerError::EndStatus => "fastcgi_end_status",
        }
    }
}
