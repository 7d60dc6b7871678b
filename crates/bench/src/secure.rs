//! Clients with TLS, and certificates for what they ask.
//!
//! Handshakes are OpenSSL's `s_time`: what it offers is what every program under test takes, X25519 and no more. wrk, for
//! requests on kept connections, resumes sessions by itself and so could not tell one kind of handshake from the other.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tls::config::{ClientTls, Version};
use tls::{Connector, Material, Session};

use crate::load::{Moved, connect};
use crate::machine::{OTHER_CORE, on_core, pause};

/// The one suite that is measured, everywhere.
pub(crate) const SUITE: &str = "TLS_AES_128_GCM_SHA256";

/// Clients that shake hands, each one hand after the other.
const HANDS: usize = 4;

/// Of this part of the connections at least the handshake must be of the kind that is measured.
const RIGHT_KIND: f64 = 0.95;

/// How long a client may be late.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a program shows that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    P256,
    Rsa2048,
}

/// Makes a certificate with its key in one file, signed by itself.
///
/// # Errors
/// If `openssl` cannot.
pub(crate) fn certificate(key: Key, folder: &Path) -> anyhow::Result<PathBuf> {
    let kind: &[&str] = match key {
        Key::P256 => &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        Key::Rsa2048 => &["rsa:2048"],
    };
    let both = folder.join("certificate.pem");
    let arguments = ["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=bench.example", "-newkey"];
    let mut command = Command::new("openssl");
    command.args(arguments).args(kind).arg("-keyout").arg(&both).arg("-out").arg("certificate.only");
    let output = command.current_dir(folder).output().context("openssl")?;
    if !output.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let certificate = std::fs::read(folder.join("certificate.only"))?;
    let key = std::fs::read(&both)?;
    std::fs::write(&both, [certificate, key].concat()).with_context(|| both.display().to_string())?;
    Ok(both)
}

/// A client's connection.
pub(crate) trait Stream: Read + Write {}

impl Stream for TcpStream {}
impl Stream for Wire {}

/// Connects, through TLS if `secure`.
///
/// # Errors
/// If that fails.
pub(crate) fn stream(port: u16, secure: bool) -> anyhow::Result<Box<dyn Stream>> {
    Ok(if secure { Box::new(Wire::connect(port)?) } else { Box::new(connect(port)?) })
}

/// TLS with whoever is there.
pub(crate) struct Wire {
    socket: TcpStream,
    session: Session,
}

impl Wire {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn connect(port: u16) -> anyhow::Result<Wire> {
        let (ca, name, certificate) = (None, Some("bench.example".to_owned()), None);
        let wanted = ClientTls { ca, verify: false, name, certificate, oldest: Version::Tls13, http2: false };
        let session = Connector::new(&wanted, &Material::default())?.begin("127.0.0.1")?;
        let mut wire = Wire { socket: connect(port)?, session };
        while wire.session.is_handshaking() {
            wire.flush()?;
            if wire.session.is_handshaking() && wire.take_in()? == 0 {
                bail!("the handshake was broken off");
            }
        }
        wire.flush()?;
        Ok(wire)
    }

    fn take_in(&mut self) -> io::Result<usize> {
        self.session.read_tls(&mut self.socket)?.map_err(|error| io::Error::other(error.reason()))
    }
}

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.read(out)? {
                tls::Read::Bytes(read) => return Ok(read),
                tls::Read::End => return Ok(0),
                tls::Read::Nothing => drop(self.take_in()?),
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.write(bytes);
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

/// One handshake after the other, each with one request, by some clients at once.
///
/// # Errors
/// If `openssl` cannot run, or the handshakes are not of the kind that is wanted.
pub(crate) fn handshakes(port: u16, path: &str, resumed: bool, round: Duration) -> anyhow::Result<Moved> {
    let begun = || {
        let mut command = Command::new("openssl");
        command.args(["s_time", "-connect", &format!("127.0.0.1:{port}"), "-www", path, "-ciphersuites", SUITE]);
        command.args(["-time", &round.as_secs().to_string(), if resumed { "-reuse" } else { "-new" }]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };
    let started = Instant::now();
    let children = on_core(OTHER_CORE, || (0..HANDS).map(|_| begun()).collect::<io::Result<Vec<Child>>>())?;
    let children = children.context("openssl does not start: scripts/setup test")?;
    let mut outputs = Vec::new();
    for mut child in children {
        let mut said = String::new();
        let mut stdout = child.stdout.take().context("openssl's output")?;
        // Its marks, one a connection, are fewer than a pipe holds only if somebody reads them.
        let reader = std::thread::spawn(move || stdout.read_to_string(&mut said).map(|_| said));
        outputs.push((child, reader));
    }
    let mut requests = 0;
    for (mut child, reader) in outputs {
        while child.try_wait()?.is_none() {
            if started.elapsed() > round + PATIENCE {
                let _ = child.kill();
            }
            pause(Duration::from_millis(5))?;
        }
        let said = reader.join().map_err(|_| anyhow::anyhow!("a reader has ended"))??;
        requests += shaken(&said, resumed)?;
    }
    Ok(Moved { requests, bytes: 0, elapsed: started.elapsed() })
}

/// Reads `s_time`'s `1234 connections in 3 real seconds` and its marks: `*` for a full handshake, `r` for a resumed one.
fn shaken(said: &str, resumed: bool) -> anyhow::Result<u64> {
    let line = said.lines().find(|line| line.contains(" real seconds")).with_context(|| format!("it said: {said}"))?;
    let connections: u64 = line.split(' ').next().and_then(|word| word.parse().ok()).context("a number")?;
    let marks = said.lines().filter(|line| line.bytes().all(|byte| matches!(byte, b'*' | b'r'))).collect::<String>();
    let wanted = marks.bytes().filter(|byte| *byte == if resumed { b'r' } else { b'*' }).count();
    if connections == 0 || (wanted as f64) < connections as f64 * RIGHT_KIND {
        bail!("of {connections} handshakes {wanted} were of the kind that is wanted");
    }
    Ok(connections)
}

/// Reads `left` bytes of a body and throws them away.
///
/// # Errors
/// If the body ends early.
pub(crate) fn throw_away(stream: &mut dyn Stream, mut left: u64, buffer: &mut [u8]) -> anyhow::Result<()> {
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = stream.read(&mut buffer[..want])?;
        if read == 0 {
            bail!("a body ends {left} bytes early");
        }
        left -= read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_time_is_understood() {
        let said = "Now timing with session id reuse.\nstarting\nrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr*\n\n\
                    40 connections in 0.08s; 500.00 connections/user sec, bytes read 4000\n\
                    40 connections in 2 real seconds, 100 bytes read per connection\n";
        assert_eq!(shaken(said, true).expect("a number"), 40);
        assert!(shaken(said, false).is_err(), "they are resumed");
        assert!(shaken("0 connections in 2 real seconds, 0 bytes read per connection\n", false).is_err());
    }
}
