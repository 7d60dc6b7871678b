use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::config::{Cipher, ClientAuth};
use crate::error::SessionError;
use crate::identity::identify;
use crate::peer::Peer;

/// One connection's TLS, without its socket.
///
/// Ciphertext goes in by [`Session::read_tls`] and comes out by [`Session::write_tls`]; plaintext by
/// [`Session::read`] and [`Session::write`].
pub struct Session {
    connection: rustls::Connection,
    /// What was asked of the client's certificate.
    asked: Option<Arc<ClientAuth>>,
}

/// How much encrypted waits for a peer that does not read, at most: as much as one read of a relay brings. What
/// [`Session::write`] cannot take now is taken when some of it has left.
const MAX_UNSENT: usize = 64 * 1024;

/// The longest record (RFC 8446 §5.2, RFC 5246 §6.2.3).
const MAX_RECORD: usize = 5 + (1 << 14) + 2048;

/// What a read of plaintext found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The peer has ended the stream in order (close_notify, RFC 8446 §6.1).
    End,
}

impl Session {
    /// By how much the buffer of [`Session::feed`] is longer than what it is fed.
    pub const HEADROOM: usize = MAX_RECORD;

    pub(crate) fn new(mut connection: rustls::Connection, asked: Option<Arc<ClientAuth>>) -> Session {
        connection.set_buffer_limit(Some(MAX_UNSENT));
        Session { connection, asked }
    }

    /// Whether the handshake is still under way.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether what waits to be sent may wait for what is written next: tickets (RFC 8446 §4.6.1), which the peer needs
    /// for another connection, not for this one.
    pub fn may_delay(&self) -> bool {
        matches!(&self.connection, rustls::Connection::Server(server)
            if !server.is_handshaking() && server.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3))
    }

    /// Whether ciphertext waits to be sent.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Whether ciphertext may be read: not while much plaintext waits.
    pub fn wants_read(&self) -> bool {
        self.connection.wants_read()
    }

    /// Takes what one read of `from` gives, and decrypts it; 0 is the end of `from`. It reads 4 KiB at a time, more
    /// only where a record is longer: for handshakes. [`Session::feed`] takes any number of bytes.
    ///
    /// # Errors
    /// What `from` says; or `Ok(Err(..))`: the connection is over, and what [`Session::write_tls`] has yet to send
    /// tells the peer why.
    pub fn read_tls(&mut self, from: &mut dyn io::Read) -> io::Result<Result<usize, SessionError>> {
        let read = self.connection.read_tls(from)?;
        Ok(self.connection.process_new_packets().map(|_| read).map_err(SessionError::from))
    }

    /// Decrypts what one large read of a socket has brought, such as one into a buffer that many connections share:
    /// takes from the front of `ciphertext` and fills `out`, first with plaintext that waited. How much is in `out`;
    /// 0 for a handshake's message, a part of a record, or an end, which [`Session::peek`] tells.
    ///
    /// All is taken where `out` is longer than `ciphertext` by [`Session::HEADROOM`], unless the peer has ended the
    /// stream; with a shorter one, what is left is to be fed again.
    ///
    /// # Errors
    /// The connection is over, and what [`Session::write_tls`] has yet to send tells the peer why.
    pub fn feed(&mut self, ciphertext: &mut &[u8], out: &mut [u8]) -> Result<usize, SessionError> {
        let mut filled = 0;
        loop {
            while let Ok(Read::Bytes(read)) = self.read_some(&mut out[filled..]) {
                filled += read;
            }
            if ciphertext.is_empty() || filled == out.len() {
                return Ok(filled);
            }
            // It fails only where much plaintext waits, and none does.
            match self.read_tls(ciphertext) {
                Ok(Ok(0)) | Err(_) => return Ok(filled),
                Ok(taken) => taken?,
            };
        }
    }

    fn read_some(&mut self, out: &mut [u8]) -> io::Result<Read> {
        if out.is_empty() { Ok(Read::Nothing) } else { self.read(out) }
    }

    /// Plaintext into `out`, which is not empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`]: the stream was cut off.
    pub fn read(&mut self, out: &mut [u8]) -> io::Result<Read> {
        match io::Read::read(&mut self.connection.reader(), out) {
            Ok(0) => Ok(Read::End),
            Ok(read) => Ok(Read::Bytes(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    /// What the next [`Session::read`] finds.
    ///
    /// # Errors
    /// As there.
    pub fn peek(&mut self) -> io::Result<Read> {
        match io::BufRead::fill_buf(&mut self.connection.reader()) {
            Ok([]) => Ok(Read::End),
            Ok(bytes) => Ok(Read::Bytes(bytes.len())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Encrypts as much of `bytes` as there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        // It fails only where the connection is over, which the next read tells.
        io::Write::write(&mut self.connection.writer(), bytes).unwrap_or(0)
    }

    /// Sends ciphertext by one write to `to`.
    ///
    /// # Errors
    /// What `to` says.
    pub fn write_tls(&mut self, to: &mut dyn io::Write) -> io::Result<usize> {
        self.connection.write_tls(to)
    }

    /// Tells the peer that nothing more comes.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// The certificate that the peer has shown.
    pub(crate) fn shown(&self) -> Option<CertificateDer<'static>> {
        self.connection.peer_certificates().and_then(<[_]>::first).cloned()
    }

    /// What the handshake has agreed on, and who the client is; `None` before its end. It reads a client's
    /// certificate: a connection asks once.
    pub fn peer(&self) -> Option<Peer> {
        let version = self.connection.protocol_version()?;
        let suite = self.connection.negotiated_cipher_suite()?;
        if self.connection.is_handshaking() {
            return None;
        }
        let server_name = match &self.connection {
            rustls::Connection::Server(server) => server.server_name().map(str::to_owned),
            rustls::Connection::Client(_) => None,
        };
        let (cipher, key_bits) = Cipher::as_openssl(suite.suite());
        Some(Peer {
            protocol: if version == rustls::ProtocolVersion::TLSv1_3 { "TLSv1.3" } else { "TLSv1.2" },
            cipher,
            key_bits,
            server_name,
            is_http2: self.connection.alpn_protocol() == Some(b"h2"),
            is_resumed: self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            identity: self.asked.as_deref().and_then(|asked| identify(&self.shown()?, asked)),
        })
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("is_handshaking", &self.is_handshaking()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
