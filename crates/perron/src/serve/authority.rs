//! Certificates from an authority: asked for here, where no privilege is; kept by the supervisor, for root alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use acme::{Agent, Answer, Challenge, Held, Told, Validity};
use anyhow::Context;
use config::{Acme, Config};
use proxy::Shared;
use tls::{Challenges, Connector};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::messages::{FromAuthority, Secret, Secrets};

/// Who asks, until this process drains.
pub(super) struct Authority(JoinHandle<()>);

impl Drop for Authority {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What connections show to authorities, where names are proved that way.
pub(super) fn challenges(config: &Config) -> Option<Challenges> {
    let acme = config.acme.as_ref()?;
    (acme.config.challenge == Challenge::TlsAlpn01).then(Challenges::default)
}

/// Begins to ask, where the configuration says so; what is to be kept comes out of the channel.
///
/// # Errors
/// If the authority's own certificate cannot be checked.
pub(super) fn begin(
    config: &Config,
    shared: &Arc<Shared>,
    challenges: Option<Challenges>,
    secrets: &Secrets,
) -> anyhow::Result<(Option<Authority>, mpsc::UnboundedReceiver<FromAuthority>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let Some(acme) = config.acme.as_ref().filter(|acme| !acme.config.certificates.is_empty()) else {
        return Ok((None, receiver));
    };
    let connector = Connector::new(&acme.tls, &secrets.material()).context("cannot speak with the authority")?;
    let proofs = Proofs { shared: Arc::clone(shared), challenges, shown: Mutex::default(), sender };
    let tell = Arc::new(move |told| proofs.hear(told));
    let account = secrets.account().map(str::to_owned);
    let agent = Agent::new(acme.config.clone(), connector, account, &held(acme, secrets), tell);
    Ok((Some(Authority(tokio::task::spawn_local(agent.run()))), receiver))
}

/// What is there already and still right.
fn held(acme: &Acme, secrets: &Secrets) -> Vec<Held> {
    let material = secrets.material();
    let now = SystemTime::now();
    let one = |wanted: &acme::Wanted| {
        let text = material.text(&acme.file(&wanted.label))?;
        let issued = tls::issued(text).filter(|issued| issued.until > now)?;
        let names: BTreeSet<&String> = wanted.names.iter().collect();
        let covers = issued.names.iter().collect::<BTreeSet<_>>() == names;
        let validity = Validity { from: issued.from, until: issued.until };
        covers.then(|| Held { label: wanted.label.clone(), validity })
    };
    acme.config.certificates.iter().filter_map(one).collect()
}

/// What authorities are shown, and who keeps what they give.
struct Proofs {
    shared: Arc<Shared>,
    challenges: Option<Challenges>,
    shown: Mutex<Vec<(String, String)>>,
    sender: mpsc::UnboundedSender<FromAuthority>,
}

impl Proofs {
    fn hear(&self, told: Told) {
        let said = match told {
            Told::Present(answer) => return self.show(answer),
            Told::Withdraw => return self.withdraw(),
            Told::Account(text) => FromAuthority::Account(Secret(text)),
            Told::Issued { label, pem } => FromAuthority::Issued { label, pem: Secret(pem) },
            Told::Failed { label, why, again_in } => {
                FromAuthority::Failed { label, why, again_secs: again_in.as_secs() }
            }
        };
        // Whoever would keep it is gone: this process ends.
        let _ = self.sender.send(said);
    }

    fn show(&self, answer: Answer) {
        match answer {
            Answer::Http { token, content } => {
                let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.push((token, content));
                self.shared.show_proofs(shown.clone());
            }
            Answer::TlsAlpn { name, digest } => {
                // A name that stands in no certificate is refused by the authority, in words.
                let _ = self.challenges.as_ref().map(|challenges| challenges.show(&name, &digest));
            }
        }
    }

    fn withdraw(&self) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.show_proofs(Vec::new());
        if let Some(challenges) = &self.challenges {
            challenges.withdraw();
        }
    }
}
