//! What servers are told of clients.

use tls::Peer;

use super::*;
use crate::secured::exported;

#[test]
fn servers_are_told_of_certificates_in_lines_that_a_head_can_have() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let identity = tls::Identity {
        user: None,
        variables: vec![
            variable("SSL_CLIENT_VERIFY", "SUCCESS"),
            variable("SSL_CLIENT_S_DN", "CN=n1,O=H\u{f6}he"),
            variable("SSL_CLIENT_S_DN_CN", "n1"),
            variable("SSL_CLIENT_I_DN_O", "two\r\nlines"),
            variable("SSL_CLIENT_CERT", "-----BEGIN CERTIFICATE-----\nMI+/=\n"),
        ],
    };
    let mut peer = Peer {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        key_bits: 128,
        server_name: Some("server.example".to_owned()),
        is_http2: false,
        is_resumed: true,
        identity: Some(identity),
    };
    let mut front = frontend(Some(ServerTls { export_headers: true, ..server_tls(Path::new("x.pem")) }));
    let lines = |front: &Frontend, peer: Option<&Peer>| {
        exported(front, peer).map(|lines| String::from_utf8(lines).expect("the test's own are text"))
    };
    let of_connection = "SSL-Protocol: TLSv1.3\r\nSSL-Cipher: TLS_AES_128_GCM_SHA256\r\nSSL-Cipher-Usekeysize: 128\r\n\
                         SSL-Cipher-Algkeysize: 128\r\nSSL-Session-Resumed: Resumed\r\nSSL-TLS-SNI: server.example\r\n";
    let of_certificate = "SSL-Client-Verify: SUCCESS\r\nSSL-Client-S-DN: CN=n1,O=H\u{f6}he\r\nSSL-Client-S-DN-CN: n1\r\n\
                          SSL-Client-Cert: -----BEGIN%20CERTIFICATE-----%0AMI%2B%2F%3D%0A\r\n";
    assert_eq!(lines(&front, Some(&peer)), Some([of_connection, of_certificate].concat()));
    peer.identity = None;
    assert_eq!(lines(&front, Some(&peer)), Some([of_connection, "SSL-Client-Verify: NONE\r\n"].concat()));
    assert_eq!(lines(&front, None).as_deref(), Some(""), "in clear text nothing is told, and forged lines still go");
    front.tls = None;
    assert_eq!(lines(&front, Some(&peer)), None);
}
