//! TLS on a probe's connection.

use health::Finding;
use tls::{ConnectError, Connector, SessionError};

use crate::config::Target;
use crate::probe::Stream;

/// Shakes hands with the target, which must be the one that its certificate names. Without a connector nobody is asked.
///
/// # Errors
/// What was found instead.
pub(crate) async fn secure(
    below: Box<dyn Stream>,
    connector: Option<&Connector>,
    target: &Target,
) -> Result<Box<dyn Stream>, Finding> {
    let connector = connector.ok_or(Finding::LocalFault)?;
    let (stream, _) = tls::connect(connector, &name_of(target), below).await.map_err(|error| finding_of(&error))?;
    Ok(Box::new(stream))
}

/// Who is at the target, if the configuration does not say it.
fn name_of(target: &Target) -> String {
    match target {
        Target::Ip(address) => address.ip().to_string(),
        Target::Unix(_) => "localhost".to_owned(),
        Target::Name { host, .. } => host.clone(),
    }
}

fn finding_of(error: &ConnectError) -> Finding {
    let why = match error {
        ConnectError::Setup(_) => return Finding::LocalFault,
        ConnectError::Io(_) => return Finding::TlsFailed,
        ConnectError::Refused { why, .. } => *why,
    };
    match why {
        SessionError::CertificateExpired => Finding::CertificateExpired,
        SessionError::CertificateNotYetValid => Finding::CertificateNotYetValid,
        SessionError::CertificateAuthority => Finding::CertificateAuthority,
        SessionError::CertificateName => Finding::CertificateName,
        SessionError::CertificateRevoked | SessionError::Certificate => Finding::CertificateRefused,
        _ => Finding::TlsFailed,
    }
}

#[cfg(test)]
mod tests;
