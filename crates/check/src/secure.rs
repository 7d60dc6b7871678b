//! TLS on a probe's connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use health::Finding;
use tls::{Connector, Read, Session, SessionError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Target;
use crate::probe::Stream;

/// A connection whose bytes are encrypted.
pub(crate) struct Secure {
    below: Box<dyn Stream>,
    session: Session,
}

/// Shakes hands with the target, which must be the one that its certificate names. Without a connector nobody is asked.
///
/// # Errors
/// What was found instead.
pub(crate) async fn secure(
    below: Box<dyn Stream>,
    connector: Option<&Connector>,
    target: &Target,
) -> Result<Secure, Finding> {
    let session = connector.and_then(|connector| connector.begin(&name_of(target)).ok()).ok_or(Finding::LocalFault)?;
    let mut secure = Secure { below, session };
    poll_fn(|cx| secure.poll_hands(cx)).await?;
    Ok(secure)
}

/// Who is at the target, if the configuration does not say it.
fn name_of(target: &Target) -> String {
    match target {
        Target::Ip(address) => address.ip().to_string(),
        Target::Unix(_) => "localhost".to_owned(),
        Target::Name { host, .. } => host.clone(),
    }
}

fn finding_of(error: SessionError) -> Finding {
    match error {
        SessionError::CertificateExpired => Finding::CertificateExpired,
        SessionError::CertificateNotYetValid => Finding::CertificateNotYetValid,
        SessionError::CertificateAuthority => Finding::CertificateAuthority,
        SessionError::CertificateName => Finding::CertificateName,
        SessionError::CertificateRevoked | SessionError::Certificate => Finding::CertificateRefused,
        _ => Finding::TlsFailed,
    }
}

impl Secure {
    fn poll_hands(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Finding>> {
        loop {
            ready!(self.poll_flushed(cx)).map_err(|_| Finding::TlsFailed)?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.poll_taken_in(cx)).map_err(|_| Finding::TlsFailed)? {
                Ok(0) => return Poll::Ready(Err(Finding::TlsFailed)),
                Ok(_) => {}
                Err(error) => {
                    // The peer is told why, if that can be told at once.
                    let _ = self.poll_flushed(cx);
                    return Poll::Ready(Err(finding_of(error)));
                }
            }
        }
    }

    /// Reads and decrypts once.
    fn poll_taken_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Result<usize, SessionError>>> {
        let mut below = Polled { stream: &mut *self.below, cx };
        polled(self.session.read_tls(&mut below))
    }

    /// Sends all that is encrypted.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut below = Polled { stream: &mut *self.below, cx };
            if ready!(polled(self.session.write_tls(&mut below)))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Secure {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.session.read(out.initialize_unfilled())? {
                Read::Bytes(read) => {
                    out.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Read::End => return Poll::Ready(Ok(())),
                Read::Nothing => {}
            }
            if let Err(error) = ready!(self.poll_taken_in(cx))? {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error.reason())));
            }
        }
    }
}

impl AsyncWrite for Secure {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flushed(cx))?;
        let written = self.session.write(bytes);
        let _ = self.poll_flushed(cx)?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flushed(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close();
        ready!(self.poll_flushed(cx))?;
        Pin::new(&mut *self.below).poll_shutdown(cx)
    }
}

/// A connection in the midst of being polled, for a session.
struct Polled<'a, 'c> {
    stream: &'a mut dyn Stream,
    cx: &'a mut Context<'c>,
}

impl io::Read for Polled<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What would block is pending: the stream was polled with this task's waker.
fn polled<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

#[cfg(test)]
mod tests;
