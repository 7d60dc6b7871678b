//! One certificate, from the order to its text.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, OrderStatus, RetryPolicy,
};

use crate::{Challenge, Wanted};

/// How long an authority may take to look at an answer, or to sign.
const PATIENCE: Duration = Duration::from_secs(120);

/// What proves that a name is ours, for as long as the authority may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The body of `GET /.well-known/acme-challenge/TOKEN` on port 80.
    Http {
        /// The last part of the path.
        token: String,
        /// The body.
        content: String,
    },
    /// The digest in the certificate shown to who asks for `name` by the protocol `acme-tls/1` on port 443.
    TlsAlpn {
        /// The name.
        name: String,
        /// SHA-256 of the key authorization (RFC 8737 §3).
        digest: [u8; 32],
    },
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The authority, or the way to it.
    #[error("{0}")]
    Authority(String),
    /// It does not take the proof that is configured.
    #[error("the authority does not offer {offered} for {name}")]
    NotOffered {
        /// The proof.
        offered: &'static str,
        /// The name.
        name: String,
    },
    /// It looked and was not satisfied.
    #[error("{name} is not proved to be ours: {why}")]
    Refused {
        /// The name, or all of them.
        name: String,
        /// In the authority's words.
        why: String,
    },
}

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> OrderError {
        OrderError::Authority(error.to_string())
    }
}

/// Asks for a certificate of these names, proves that they are ours, and returns the chain and its key, one PEM.
///
/// `present` is called with every answer before the authority is asked to look.
///
/// # Errors
/// Why there is none.
pub(crate) async fn obtain(
    account: &Account,
    wanted: &Wanted,
    challenge: Challenge,
    present: &Arc<dyn Fn(Answer) + Send + Sync>,
) -> Result<String, OrderError> {
    let names: Vec<Identifier> = wanted.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending {
            prove(authorization, challenge, present).await?;
        }
    }
    let retries = RetryPolicy::new().initial_delay(Duration::from_millis(250)).timeout(PATIENCE);
    if order.poll_ready(&retries).await? != OrderStatus::Ready {
        return Err(why_not(&mut order, wanted).await);
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&retries).await?;
    Ok(format!("{}\n{}", chain.trim_end(), key))
}

async fn prove(
    mut authorization: AuthorizationHandle<'_>,
    challenge: Challenge,
    present: &Arc<dyn Fn(Answer) + Send + Sync>,
) -> Result<(), OrderError> {
    let (kind, offered) = match challenge {
        Challenge::Http01 => (ChallengeType::Http01, "http-01"),
        Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let name = authorization.identifier().to_string();
    let Some(mut asked) = authorization.challenge(kind) else {
        return Err(OrderError::NotOffered { offered, name });
    };
    let key_authorization = asked.key_authorization();
    present(match challenge {
        Challenge::Http01 => {
            Answer::Http { token: asked.token.clone(), content: key_authorization.as_str().to_owned() }
        }
        Challenge::TlsAlpn01 => {
            let mut digest = [0; 32];
            digest.copy_from_slice(key_authorization.digest().as_ref());
            Answer::TlsAlpn { name, digest }
        }
    });
    Ok(asked.set_ready().await?)
}

/// What the authority says of the names that it is not satisfied with.
async fn why_not(order: &mut instant_acme::Order, wanted: &Wanted) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            return OrderError::Refused { name, why: problem.to_string() };
        }
    }
    OrderError::Refused { name: wanted.names.join(", "), why: "it does not say why".to_owned() }
}
