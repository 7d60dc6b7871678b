//! What one serving process tells the next: servers' health and what an administrator changed.

use std::collections::BTreeMap;

use balance::{Advised, ServerState};
use serde::{Deserialize, Serialize};
use units::{AdminState, Share, Status, Weight};

/// Everything that is carried, by backend and server name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Carried {
    backends: BTreeMap<String, BTreeMap<String, CarriedServer>>,
    /// By backend: whether its quorum was there.
    #[serde(default)]
    quorums: BTreeMap<String, bool>,
}

/// What is known of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CarriedServer {
    status: String,
    admin: String,
    weight: u16,
    throttle: Option<u8>,
    configured_weight: u16,
    configured_admin: String,
    /// When its status or administrative state last changed, in seconds since 1970.
    pub(super) changed_unix: u64,
    pub(super) checks: Vec<CarriedCheck>,
    /// What the check of its place for clients knows.
    #[serde(default)]
    pub(super) place: Option<CarriedCheck>,
    /// What its link has to carry.
    #[serde(default)]
    pub(super) link: Option<CarriedLink>,
    /// What its checks say of its weight.
    #[serde(default)]
    advised_weight: Option<u16>,
    /// What they say is to be done with it.
    #[serde(default)]
    advised_admin: Option<String>,
}

/// What is known of a server's link.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct CarriedLink {
    /// For how long it has still to send, in microseconds from the moment that this is told.
    pub(super) busy_us: u64,
    /// Bytes a second that one more client may expect.
    pub(super) rate: u64,
    /// The same as configured: what was learnt of another link is worth nothing.
    pub(super) configured_rate: u64,
}

/// What one of its checks knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CarriedCheck {
    /// What is asked, and whom: another question does not inherit the answer.
    key: String,
    status: String,
    streak: u32,
    probes: u64,
    failures: u64,
    downs: u64,
    /// What it says of the weight: a number,
    #[serde(default)]
    weight: Option<u16>,
    /// or a per cent of the configured one.
    #[serde(default)]
    percent: Option<u16>,
    /// What it says is to be done with the server.
    #[serde(default)]
    admin: Option<String>,
}

impl Carried {
    /// What the predecessor said; nothing, if it said nothing or nothing that is understood.
    pub(super) fn read(state: Option<serde_json::Value>) -> Carried {
        state.and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default()
    }

    /// The servers of a backend as their new pool takes them over.
    pub(super) fn servers_of(&self, backend: &str) -> Vec<(String, ServerState)> {
        let servers = self.backends.get(backend).into_iter().flatten();
        servers.filter_map(|(name, server)| Some((name.clone(), server.state()?))).collect()
    }

    /// What was known of one server.
    pub(super) fn server(&self, backend: &str, server: &str) -> Option<&CarriedServer> {
        self.backends.get(backend)?.get(server)
    }

    /// Whether a backend's quorum was there, as far as that was known.
    pub(super) fn quorum_of(&self, backend: &str) -> Option<bool> {
        self.quorums.get(backend).copied()
    }

    pub(super) fn insert_quorum(&mut self, backend: &str, quorum: Option<bool>) {
        self.quorums.extend(quorum.map(|quorum| (backend.to_owned(), quorum)));
    }

    pub(super) fn insert(&mut self, backend: &str, server: &str, carried: CarriedServer) {
        self.backends.entry(backend.to_owned()).or_default().insert(server.to_owned(), carried);
    }
}

impl CarriedServer {
    pub(super) fn new(state: &ServerState, changed_unix: u64, checks: Vec<CarriedCheck>) -> CarriedServer {
        CarriedServer {
            status: state.status.as_str().to_owned(),
            admin: state.own_admin.as_str().to_owned(),
            weight: state.own_weight.get(),
            throttle: state.throttle,
            configured_weight: state.configured_weight.get(),
            configured_admin: state.configured_admin.as_str().to_owned(),
            changed_unix,
            checks,
            place: None,
            link: None,
            advised_weight: state.advised.weight.map(Weight::get),
            advised_admin: Some(state.advised.admin.as_str().to_owned()),
        }
    }

    fn state(&self) -> Option<ServerState> {
        let admin = AdminState::from_word(&self.admin)?;
        let advised = Advised {
            weight: self.advised_weight.map(Weight::new),
            admin: self.advised_admin.as_deref().and_then(AdminState::from_word).unwrap_or_default(),
        };
        Some(ServerState {
            status: status_from_word(&self.status)?,
            admin: admin.stricter(advised.admin),
            weight: Weight::new(self.weight),
            own_admin: admin,
            own_weight: Weight::new(self.weight),
            advised,
            effective: Weight::new(self.weight),
            throttle: self.throttle,
            usable: false,
            configured_weight: Weight::new(self.configured_weight),
            configured_admin: AdminState::from_word(&self.configured_admin)?,
        })
    }
}

impl CarriedCheck {
    pub(super) fn new(config: &check::CheckConfig, known: &health::Carried) -> CarriedCheck {
        CarriedCheck {
            key: key(config),
            status: known.status.as_str().to_owned(),
            streak: known.streak,
            probes: known.probes,
            failures: known.failures,
            downs: known.downs,
            weight: if let Some(Share::Number(weight)) = known.advice.share { Some(weight) } else { None },
            percent: if let Some(Share::Percent(percent)) = known.advice.share { Some(percent) } else { None },
            admin: known.advice.admin.map(|admin| admin.as_str().to_owned()),
        }
    }

    /// What it knows, for a check that asks the same.
    pub(super) fn known(&self, config: &check::CheckConfig) -> Option<health::Carried> {
        (self.key == key(config)).then_some(())?;
        let share = self.weight.map(Share::Number).or(self.percent.map(Share::Percent));
        let advice = health::Advice { share, admin: self.admin.as_deref().and_then(AdminState::from_word) };
        Some(health::Carried {
            advice,
            status: status_from_word(&self.status)?,
            streak: self.streak,
            probes: self.probes,
            failures: self.failures,
            downs: self.downs,
            ..health::Carried::default()
        })
    }
}

fn key(config: &check::CheckConfig) -> String {
    let key = format!("{:?} {:?}", config.kind, config.target);
    match &config.tls {
        Some(tls) => format!("{key} {tls:?}"),
        None => key,
    }
}

fn status_from_word(word: &str) -> Option<Status> {
    [Status::Unknown, Status::Up, Status::Down].into_iter().find(|status| status.as_str() == word)
}
