//! What of TLS nobody else is to see.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tls::{Material, TicketSecret};

/// The texts of the files that the configuration's TLS names, keys among them, and what tickets are made of.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secrets {
    files: BTreeMap<PathBuf, String>,
    /// Empty where nothing needs it.
    tickets: Vec<u8>,
    /// The account with an authority that gives certificates.
    #[serde(default)]
    account: Option<String>,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// What a serving process has heard from an authority that gives certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromAuthority {
    /// There is an account, to be handed to the next process.
    Account(Secret),
    /// There is a certificate.
    Issued {
        /// What it is called.
        label: String,
        /// With its chain and its key.
        pem: Secret,
    },
    /// There is none.
    Failed {
        /// What it is called.
        label: String,
        /// A sentence.
        why: String,
        /// Seconds to the next try.
        again_secs: u64,
    },
}

impl Secrets {
    pub(crate) fn new(material: &Material, tickets: &TicketSecret) -> Secrets {
        let own = |(path, text): (&Path, &str)| (path.to_owned(), text.to_owned());
        Secrets { files: material.iter().map(own).collect(), tickets: tickets.as_bytes().to_vec(), account: None }
    }

    /// The same, with an account.
    pub(crate) fn with_account(self, account: Option<String>) -> Secrets {
        Secrets { account, ..self }
    }

    /// The account with an authority that gives certificates.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The files.
    pub(crate) fn material(&self) -> Material {
        self.files.iter().map(|(path, text)| (path.clone(), text.clone())).collect()
    }

    /// What tickets are made of.
    pub(crate) fn tickets(&self) -> Option<TicketSecret> {
        TicketSecret::new(&self.tickets).ok()
    }
}

/// Shows names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.files.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_pass_whole_and_are_not_shown() {
        let material: Material = [("/k.pem".into(), "its key".to_owned())].into_iter().collect();
        let secret = TicketSecret::new(&[7; 32]).unwrap();
        let secrets = Secrets::new(&material, &secret);
        let passed: Secrets = serde_json::from_slice(&serde_json::to_vec(&secrets).unwrap()).unwrap();
        assert_eq!((passed.material(), passed.tickets()), (material, Some(secret)));
        assert_eq!(format!("{secrets:?}"), "{\"/k.pem\"}");
        assert_eq!(Secrets::default().tickets(), None);
    }
}
