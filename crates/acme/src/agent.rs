//! What asks for certificates for as long as the service runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{Account, AccountCredentials, NewAccount};
use tls::Connector;

use crate::client::Client;
use crate::order::{Answer, OrderError, obtain};
use crate::schedule::{Validity, next_try};
use crate::{AcmeConfig, Wanted};

/// The longest sleep: a clock that is set meanwhile is noticed within it.
const LOOK: Duration = Duration::from_secs(3600);

/// A certificate that is here already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// See [`Wanted::label`].
    pub label: String,
    /// When it is right.
    pub validity: Validity,
}

/// What an agent tells whoever started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is an account with the authority: its key and its URL, as text to be kept secret and handed over again.
    Account(String),
    /// This has to be answered from now on.
    Present(Answer),
    /// Nothing has to be answered any more.
    Withdraw,
    /// A certificate has come: its chain and its key, one PEM.
    Issued {
        /// See [`Wanted::label`].
        label: String,
        /// The text.
        pem: String,
    },
    /// There is none, and when it is tried again.
    Failed {
        /// See [`Wanted::label`].
        label: String,
        /// A sentence.
        why: String,
        /// How long until the next try.
        again_in: Duration,
    },
}

/// Asks an authority for certificates, and again before they run out.
pub struct Agent {
    config: AcmeConfig,
    connector: Connector,
    account: Option<String>,
    wishes: Vec<Wish>,
    tell: Arc<dyn Fn(Told) + Send + Sync>,
}

/// A certificate, and how it went.
struct Wish {
    wanted: Wanted,
    held: Option<Validity>,
    failures: u32,
    failed: Option<SystemTime>,
}

impl Wish {
    fn due(&self) -> SystemTime {
        next_try(self.held, self.failures, self.failed)
    }
}

impl Agent {
    /// An agent that has an account already, or none, and some certificates. `connector` trusts the authority.
    pub fn new(
        config: AcmeConfig,
        connector: Connector,
        account: Option<String>,
        held: &[Held],
        tell: Arc<dyn Fn(Told) + Send + Sync>,
    ) -> Agent {
        let wish = |wanted: &Wanted| Wish {
            wanted: wanted.clone(),
            held: held.iter().find(|held| held.label == wanted.label).map(|held| held.validity),
            failures: 0,
            failed: None,
        };
        let wishes = config.certificates.iter().map(wish).collect();
        Agent { config, connector, account, wishes, tell }
    }

    /// Asks, waits, and asks again; it never ends by itself. Dropped, it asks nothing more.
    pub async fn run(mut self) {
        loop {
            let now = SystemTime::now();
            for index in 0..self.wishes.len() {
                if self.wishes[index].due() <= now {
                    self.ask_for(index).await;
                }
            }
            let next = self.wishes.iter().map(Wish::due).min();
            let wait = next.map_or(LOOK, |next| next.duration_since(SystemTime::now()).unwrap_or_default());
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }

    async fn ask_for(&mut self, index: usize) {
        let outcome = self.obtain(index).await;
        (self.tell)(Told::Withdraw);
        let now = SystemTime::now();
        let wish = &mut self.wishes[index];
        let outcome = outcome.and_then(|pem| match tls::issued(&pem) {
            Some(issued) => Ok((pem, Validity { from: issued.from, until: issued.until })),
            None => Err(OrderError::Authority("what came is no certificate".to_owned())),
        });
        match outcome {
            Ok((pem, validity)) => {
                (wish.held, wish.failures, wish.failed) = (Some(validity), 0, None);
                (self.tell)(Told::Issued { label: wish.wanted.label.clone(), pem });
            }
            Err(error) => {
                wish.failures = wish.failures.saturating_add(1);
                wish.failed = Some(now);
                let again_in = wish.due().duration_since(now).unwrap_or_default();
                let (label, why) = (wish.wanted.label.clone(), error.to_string());
                (self.tell)(Told::Failed { label, why, again_in });
            }
        }
    }

    async fn obtain(&mut self, index: usize) -> Result<String, OrderError> {
        let account = self.open_account().await?;
        let tell = Arc::clone(&self.tell);
        let present: Arc<dyn Fn(Answer) + Send + Sync> = Arc::new(move |answer| tell(Told::Present(answer)));
        obtain(&account, &self.wishes[index].wanted, self.config.challenge, &present).await
    }

    /// The account that there is, or a new one.
    async fn open_account(&mut self) -> Result<Account, OrderError> {
        let builder = Account::builder_with_http(Box::new(Client(self.connector.clone())));
        let known = self.account.as_deref().and_then(|text| serde_json::from_str::<Kept>(text).ok());
        // An account belongs to the authority that it was opened with.
        if let Some(Kept { directory, credentials }) = known
            && directory == self.config.directory
        {
            return Ok(builder.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.config.contact.iter().map(String::as_str).collect();
        let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&wanted, self.config.directory.clone(), None).await?;
        let kept = Kept { directory: self.config.directory.clone(), credentials };
        let text = serde_json::to_string(&kept).map_err(|error| OrderError::Authority(error.to_string()))?;
        self.account = Some(text.clone());
        (self.tell)(Told::Account(text));
        Ok(account)
    }
}

/// An account as it is kept.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    directory: String,
    credentials: AccountCredentials,
}
