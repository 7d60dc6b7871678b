/// What a handshake has agreed on, and who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Such as `TLSv1.3`: the words of OpenSSL, which applications know.
    pub protocol: &'static str,
    /// The suite's name, such as `TLS_AES_256_GCM_SHA384` or `ECDHE-RSA-AES128-GCM-SHA256`: OpenSSL's too.
    pub cipher: &'static str,
    /// The bits of its key.
    pub key_bits: u16,
    /// The name that was asked for (SNI, RFC 6066 §3), in lower case.
    pub server_name: Option<String>,
    /// Whether both sides agreed on HTTP/2 (ALPN).
    pub is_http2: bool,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// Who the client is by its certificate, which is right; `None`: it showed none, or was asked for none. One that
    /// is wrong ends the handshake, however little it is needed.
    pub identity: Option<Identity>,
}

/// Who a certificate says its holder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What [`crate::config::ClientAuth::user`] asks for.
    pub user: Option<String>,
    /// What applications are told of the certificate, by the names of lighttpd and Apache (`SSL_CLIENT_S_DN`, …).
    pub variables: Vec<(String, String)>,
}

impl Peer {
    /// What applications are told of the connection and of the client's certificate: `HTTPS`, `SSL_PROTOCOL`,
    /// `SSL_CIPHER`, `SSL_CIPHER_USEKEYSIZE`, `SSL_CIPHER_ALGKEYSIZE`, `SSL_SESSION_RESUMED`, `SSL_TLS_SNI`,
    /// `SSL_CLIENT_VERIFY` (`SUCCESS` or `NONE`), and the rest of `SSL_CLIENT_*` if a certificate was shown.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let key_bits = if self.key_bits == 128 { "128" } else { "256" };
        let connection = [
            ("HTTPS", "on"),
            ("SSL_PROTOCOL", self.protocol),
            ("SSL_CIPHER", self.cipher),
            ("SSL_CIPHER_USEKEYSIZE", key_bits),
            ("SSL_CIPHER_ALGKEYSIZE", key_bits),
            ("SSL_SESSION_RESUMED", if self.is_resumed { "Resumed" } else { "Initial" }),
        ];
        let name = self.server_name.as_deref().map(|name| ("SSL_TLS_SNI", name));
        let none = self.identity.is_none().then_some(("SSL_CLIENT_VERIFY", "NONE"));
        let shown = self.identity.iter().flat_map(|identity| &identity.variables);
        let shown = shown.map(|(name, value)| (name.as_str(), value.as_str()));
        connection.into_iter().chain(name).chain(none).chain(shown)
    }
}

/// [`Peer::variables`]; nothing for a connection in clear text.
pub fn variables(peer: Option<&Peer>) -> impl Iterator<Item = (&str, &str)> {
    peer.into_iter().flat_map(Peer::variables)
}
