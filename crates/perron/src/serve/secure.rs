//! What connections begin with: made of what the supervisor has read, and made anew when that changes.

use balance::ServerIndex;
use check::CheckConfig;
use config::Config;
use proxy::Shared;
use proxy::config::{BackendIndex, FrontendIndex};
use tls::config::ClientTls;
use tls::{Acceptor, Challenges, Connector, Material, SetupError, TicketSecret};

use super::control::Control;
use crate::messages::Secrets;

/// What is wanted of a server, and what connections to it begin with; one for all that differ by their names alone.
type Known = Vec<(ClientTls, Connector)>;

/// Has the next connections begin as these secrets say; those that are there stay as they are.
///
/// # Errors
/// If they cannot be used together; then nothing has changed.
pub(super) fn secure(
    config: &Config,
    shared: &Shared,
    control: &Control,
    secrets: &Secrets,
    challenges: Option<&Challenges>,
) -> Result<(), SetupError> {
    let material = secrets.material();
    let tickets = secrets.tickets().map_or_else(TicketSecret::random, Ok)?;
    let mut acceptors = Vec::new();
    for (index, frontend) in (0..).map(FrontendIndex).zip(&config.proxy.frontends) {
        if let Some(tls) = &frontend.tls {
            let acceptor = Acceptor::new(tls, &material, &tickets)?;
            let acceptor = match challenges {
                Some(challenges) => acceptor.proving(challenges.clone()),
                None => acceptor,
            };
            acceptors.push((index, acceptor));
        }
    }
    let (mut known, mut connectors, mut checks) = (Known::new(), Vec::new(), Vec::new());
    for (index, backend) in (0..).map(BackendIndex).zip(&config.proxy.backends) {
        for (place, server) in (0..).map(ServerIndex).zip(&backend.servers) {
            if let Some(tls) = &server.tls {
                connectors.push((index, place, connector(tls, &material, &mut known)?));
            }
        }
    }
    let of_check = |config: &CheckConfig| {
        let tls = config.tls.as_ref()?;
        // A session that is resumed says nothing of the certificate that new clients are shown.
        Some(connector(tls, &material, &mut known).map(|connector| connector.without_memory()))
    };
    for (check, made) in control.map_checks(config, of_check) {
        checks.push((check, made?));
    }
    for (index, acceptor) in acceptors {
        shared.secure_by(index, acceptor);
    }
    for (backend, server, connector) in connectors {
        shared.connect_by(backend, server, connector);
    }
    for (check, connector) in checks {
        control.connect_by(check, connector);
    }
    Ok(())
}

fn connector(tls: &ClientTls, material: &Material, known: &mut Known) -> Result<Connector, SetupError> {
    let nameless = ClientTls { name: None, ..tls.clone() };
    let made = match known.iter().find(|(wanted, _)| *wanted == nameless) {
        Some((_, made)) => made.clone(),
        None => {
            let made = Connector::new(&nameless, material)?;
            known.push((nameless, made.clone()));
            made
        }
    };
    made.named(tls.name.as_deref())
}
