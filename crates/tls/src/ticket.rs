//! Tickets: what a server gives its clients so that they resume a session with it, or with another director.
//!
//! A ticket is `epoch (4) | nonce (12) | AES-256-GCM of the session`, its key derived (HKDF-SHA256, RFC 5869) from a
//! secret, the epoch, and what is asked of clients' certificates. So directors with one secret take one another's
//! tickets without a word between them, keys change by the clock, and a session that was begun under other demands
//! is not resumed: its key is another one.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, rand};
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;

use crate::config::ClientAuth;
use crate::error::SetupError;
use crate::material::Material;

/// How long a key makes tickets, in seconds. They are taken for as long again: long enough for clients that come back
/// within a working day, short enough that a secret key does not open what was said last week.
const EPOCH_SECONDS: u64 = 6 * 60 * 60;
const EPOCH_LEN: usize = 4;
/// The longest ticket that is looked at. A session with a long chain of the client's has some kilobytes.
const MAX_TICKET: usize = 64 * 1024;

/// What the keys of tickets are made of. Whoever has it can read the sessions that are resumed with its tickets.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret(Vec<u8>);

impl TicketSecret {
    /// The fewest bytes: as many as a key has.
    pub const MIN_LEN: usize = 32;

    /// A secret that is known already.
    ///
    /// # Errors
    /// If it is shorter than [`TicketSecret::MIN_LEN`].
    pub fn new(bytes: &[u8]) -> Result<TicketSecret, SetupError> {
        if bytes.len() < Self::MIN_LEN {
            return Err(SetupError::Other(format!("a secret of tickets has at least {} bytes", Self::MIN_LEN)));
        }
        Ok(TicketSecret(bytes.to_vec()))
    }

    /// A new one, by chance: the supervisor makes it once and hands it to each `serve`.
    ///
    /// # Errors
    /// If there is no randomness to be had.
    pub fn random() -> Result<TicketSecret, SetupError> {
        let mut bytes = vec![0; Self::MIN_LEN];
        rand::fill(&mut bytes).map_err(|_| SetupError::Other("there is no randomness to be had".to_owned()))?;
        Ok(TicketSecret(bytes))
    }

    /// The bytes, to hand over.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text of a file that directors share, without the space around it.
    pub(crate) fn from_file(path: &Path, material: &Material) -> Result<TicketSecret, SetupError> {
        let text = material.text(path).ok_or_else(|| SetupError::Absent(path.to_owned()))?.trim();
        TicketSecret::new(text.as_bytes()).map_err(|_| SetupError::Content {
            path: path.to_owned(),
            what: format!(
                "a secret of tickets has at least {} characters; make one with `openssl rand -hex 32`",
                Self::MIN_LEN
            ),
        })
    }
}

/// Does not show it.
impl std::fmt::Debug for TicketSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TicketSecret")
    }
}

/// Makes and opens the tickets of one frontend.
pub(crate) struct Tickets {
    root: hkdf::Prk,
    clock: Arc<dyn TimeProvider>,
}

impl Tickets {
    pub(crate) fn new(secret: &TicketSecret, demands: &Demands, clock: Arc<dyn TimeProvider>) -> Tickets {
        Tickets { root: hkdf::Salt::new(hkdf::HKDF_SHA256, &demands.0).extract(&secret.0), clock }
    }

    fn seconds(&self) -> Option<u64> {
        self.clock.current_time().map(|now| now.as_secs())
    }

    /// Derived anew each time: a microsecond, and nothing to lock or to forget.
    fn key(&self, epoch: [u8; EPOCH_LEN]) -> Option<LessSafeKey> {
        let info = [b"perron ticket".as_slice(), &epoch];
        let key = self.root.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let into = self.seconds().map_or(EPOCH_SECONDS, |now| now % EPOCH_SECONDS);
        u32::try_from(2 * EPOCH_SECONDS - into).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let epoch = u32::try_from(self.seconds()? / EPOCH_SECONDS).ok()?.to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        // By chance: a key sees far fewer than the 2^32 tickets that NIST SP 800-38D §8.3 allows it.
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let tag =
            self.key(epoch)?.seal_in_place_separate_tag(Nonce::from(&nonce), Aad::from(epoch), &mut sealed).ok()?;
        Some([epoch.as_slice(), &nonce, &sealed, tag.as_ref()].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET {
            return None;
        }
        let (epoch, rest) = ticket.split_first_chunk::<EPOCH_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let made = u64::from(u32::from_be_bytes(*epoch));
        // The one before, and the coming one: directors' clocks differ.
        if made.abs_diff(self.seconds()? / EPOCH_SECONDS) > 1 {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let plain = self.key(*epoch)?.open_in_place(Nonce::from(nonce), Aad::from(*epoch), &mut sealed).ok()?;
        let len = plain.len();
        sealed.truncate(len);
        Some(sealed)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tickets")
    }
}

/// What is asked of clients' certificates, as a digest: authorities, lists of revoked ones and all.
pub(crate) struct Demands([u8; 32]);

impl Demands {
    pub(crate) fn new(client: Option<&ClientAuth>, material: &Material) -> Demands {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut add = |part: &[u8]| {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        };
        if let Some(ClientAuth { required, ca, crl, depth, minimum_serial, user, export: _ }) = client {
            add(&[u8::from(*required), *depth, user.map_or(0, |user| user as u8 + 1)]);
            add(material.text(ca).unwrap_or_default().as_bytes());
            add(crl.as_ref().and_then(|crl| material.text(crl)).unwrap_or_default().as_bytes());
            add(minimum_serial.as_deref().unwrap_or_default());
        }
        let mut demands = [0; 32];
        demands.copy_from_slice(context.finish().as_ref());
        Demands(demands)
    }
}

#[cfg(test)]
mod tests;
