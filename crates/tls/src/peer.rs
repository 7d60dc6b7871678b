/// What a handshake has agreed on, and who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Such as `TLSv1.3`: the words of OpenSSL, which applications know.
    pub protocol: &'static str,
    /// The suite's name, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// The name that was asked for (SNI, RFC 6066 §3).
    pub server_name: Option<String>,
    /// Whether both sides agreed on HTTP/2 (ALPN).
    pub is_http2: bool,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// The peer's certificate, if it showed a right one.
    pub identity: Option<Identity>,
}

/// Who a certificate says its holder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What [`crate::config::ClientAuth::user`] asks for.
    pub user: Option<String>,
    /// What applications are told of the certificate: names as lighttpd and Apache have them (`SSL_CLIENT_S_DN`, …), and values.
    pub variables: Vec<(String, String)>,
}
