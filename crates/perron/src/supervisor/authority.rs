//! What an authority gave, kept for root alone: an account and certificates with their keys.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use config::Acme;

use super::Supervisor;
use crate::event::{Event, Kind};
use crate::log::Level;
use crate::messages::{FromAuthority, Secret};
use crate::whole::{self, Readable};

/// A text from a process without privileges that is longer than this is nothing that an authority gives.
const TEXT_MAX: usize = 1 << 20;

impl Supervisor {
    /// A serving process has heard from the authority. A certificate that is kept is taken over like any other file that
    /// changes.
    pub(super) fn hear_authority(&mut self, said: FromAuthority) {
        let Some(acme) = self.current.config.acme.clone() else { return };
        match said {
            FromAuthority::Account(text) => {
                if let Err(error) = keep(&acme, &acme.account(), &text) {
                    self.tell_authority(Level::Error, "acme", &format!("the account cannot be kept: {error}"));
                }
            }
            FromAuthority::Issued { label, pem } => self.keep_certificate(&acme, &label, &pem),
            FromAuthority::Failed { label, why, again_secs } => {
                let again = Duration::from_secs(again_secs.max(1));
                let text = format!("no certificate for {label}: {why}; asked again in {again:?}");
                self.tell_authority(Level::Error, &label, &text);
            }
        }
    }

    fn keep_certificate(&mut self, acme: &Acme, label: &str, pem: &Secret) {
        let is_wanted = acme.config.certificates.iter().any(|wanted| wanted.label == label);
        if !is_wanted || tls::issued(&pem.0).is_none() {
            return;
        }
        let kept = keep(acme, &acme.file(label), pem);
        let (level, text) = match kept {
            Ok(()) => (Level::Info, format!("the authority has given a certificate for {label}")),
            Err(error) => (Level::Error, format!("the certificate for {label} cannot be kept: {error}")),
        };
        self.tell_authority(level, label, &text);
    }

    fn tell_authority(&mut self, level: Level, subject: &str, text: &str) {
        self.record.add(Event::new(level, Kind::CertificateGiven, subject, self.generation, text));
    }
}

/// Puts a text into the place of what was there, whole or not at all.
fn keep(acme: &Acme, path: &Path, Secret(text): &Secret) -> io::Result<()> {
    if text.len() > TEXT_MAX {
        return Err(io::Error::other("it is too long"));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&acme.folder)?;
    fs::set_permissions(&acme.folder, Permissions::from_mode(0o700))?;
    whole::write(path, text, Readable::ByOwner, true)
}

/// The account as it was kept; `None`: there is none.
pub(super) fn account(acme: &Acme) -> Option<String> {
    fs::read_to_string(acme.account()).ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use acme::{AcmeConfig, Challenge};
    use tls::config::ClientTls;

    use super::*;

    fn acme(folder: PathBuf) -> Acme {
        let (directory, contact, certificates) = ("https://ca.example/".to_owned(), Vec::new(), Vec::new());
        let config = AcmeConfig { directory, contact, challenge: Challenge::Http01, certificates };
        Acme { config, tls: ClientTls::default(), folder }
    }

    #[test]
    fn what_is_kept_is_its_owners_alone_and_no_longer_than_a_mebibyte() {
        let folder = tempfile::tempdir().unwrap();
        let acme = acme(folder.path().join("held"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (account, text) = (acme.account(), "x".repeat(TEXT_MAX));
        keep(&acme, &account, &Secret(text.clone())).unwrap();
        assert_eq!((mode(&acme.folder), mode(&account)), (0o700, 0o600));
        let error = keep(&acme, &account, &Secret(text.clone() + "y")).unwrap_err();
        assert_eq!(error.to_string(), "it is too long");
        assert_eq!(self::account(&acme), Some(text), "what was there stays");
    }
}
