//! Where a server's clients are redirected, and whether anybody is sent there now.

use balance::ServerState;
use check::{CheckConfig, CheckIndex};
use proxy::config::{Backend, DeliverMode, Server};
use units::{AdminState, Status};

use super::carry::CarriedCheck;
use crate::event::Kind;
use crate::log::Level;

/// A server's place for clients.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The URL before which requests' paths go.
    pub(super) base: String,
    host: String,
    /// `None`: nothing checks it, so it is taken to be well whenever the server is.
    pub(super) check: Option<PlaceCheck>,
}

/// What the check of a place knows.
#[derive(Clone, Debug)]
pub(super) struct PlaceCheck {
    pub(super) index: CheckIndex,
    pub(super) known: health::Carried,
    /// What the last outcome said.
    pub(super) last: Option<health::Outcome>,
    config: CheckConfig,
}

impl Place {
    /// The place of a server, if its backend ever redirects and it has one. `check` is the next check's place, and
    /// `known` what its like knew before a reload.
    pub(super) fn of(
        backend: &Backend,
        server: &Server,
        check: Option<(CheckIndex, &CheckConfig)>,
        known: Option<health::Carried>,
    ) -> Option<Place> {
        let to = server.redirect_to.as_ref().filter(|_| backend.deliver.mode != DeliverMode::Proxy)?;
        let known = known.unwrap_or_default();
        let check = check.map(|(index, config)| PlaceCheck { index, known, last: None, config: config.clone() });
        Some(Place { base: to.base.clone(), host: to.host.clone(), check })
    }

    /// Why nobody is sent there while its server is in this state; `None`: clients are. Unknown is not up.
    pub(super) fn why_not(&self, server: &ServerState) -> Option<String> {
        match server.admin {
            AdminState::Maintenance => return Some("the server is in maintenance".to_owned()),
            AdminState::Drain => return Some("the server drains".to_owned()),
            AdminState::Ready => {}
        }
        match server.status {
            Status::Down => return Some("the server is down".to_owned()),
            Status::Unknown => return Some("no check of the server has been answered yet".to_owned()),
            Status::Up => {}
        }
        let check = self.check.as_ref()?;
        match (check.known.status, check.last) {
            (Status::Up, _) => None,
            (Status::Unknown, _) => Some(format!("no check of {} has been answered yet", self.host)),
            (Status::Down, Some(last)) => Some(format!("{} is down: {last}", self.host)),
            (Status::Down, None) => Some(format!("{} is down", self.host)),
        }
    }

    /// What is told when its check has changed its mind; nothing when it only does not know any more, for then an
    /// administrator did that.
    pub(super) fn describe(&self, subject: &str, became: Status) -> Option<(Level, Kind, String)> {
        let host = &self.host;
        match became {
            Status::Up => Some((Level::Info, Kind::RedirectsOn, format!("{subject}: redirects to {host} begin"))),
            Status::Down => Some((Level::Warn, Kind::RedirectsOff, format!("{subject}: redirects to {host} stop"))),
            Status::Unknown => None,
        }
    }

    /// What the next serving process should know.
    pub(super) fn carried(&self) -> Option<CarriedCheck> {
        self.check.as_ref().map(|check| CarriedCheck::new(&check.config, &check.known))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use health::{Finding, Outcome, Policy};
    use units::Weight;

    use super::*;

    fn server(status: Status, admin: AdminState) -> ServerState {
        let weight = Weight::new(1);
        ServerState {
            status,
            admin,
            weight,
            own_admin: admin,
            own_weight: weight,
            advised: balance::Advised::default(),
            effective: weight,
            throttle: None,
            usable: true,
            configured_weight: weight,
            configured_admin: AdminState::Ready,
        }
    }

    fn place(check: Option<Status>) -> Place {
        let policy = Policy {
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_secs(2),
            down_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            retries: 0,
            retry_delay: Duration::from_secs(1),
            warmup: None,
            rise: 2,
            fall: 3,
            observe_failures: None,
        };
        let target = check::Target::Name { host: "a.cluster.example".to_owned(), port: 80 };
        let config = CheckConfig { kind: check::Kind::Tcp, target, send_proxy: None, tls: None, policy };
        let outcome = Outcome::new(Finding::ConnectFailed, Duration::from_millis(1));
        let check = check.map(|status| PlaceCheck {
            index: CheckIndex(0),
            known: health::Carried { status, ..health::Carried::default() },
            last: (status == Status::Down).then_some(outcome),
            config,
        });
        Place { base: "http://a.cluster.example".to_owned(), host: "a.cluster.example".to_owned(), check }
    }

    #[test]
    fn clients_are_sent_where_server_and_place_are_well() {
        let up = server(Status::Up, AdminState::Ready);
        assert_eq!(place(Some(Status::Up)).why_not(&up), None);
        assert_eq!(place(None).why_not(&up), None);
        let why_not =
            |check, status, admin| place(check).why_not(&server(status, admin)).expect("nobody is sent there");
        for check in [None, Some(Status::Up)] {
            assert_eq!(why_not(check, Status::Down, AdminState::Ready), "the server is down");
            assert!(why_not(check, Status::Unknown, AdminState::Ready).starts_with("no check of the server"));
            assert_eq!(why_not(check, Status::Up, AdminState::Drain), "the server drains");
            assert_eq!(why_not(check, Status::Up, AdminState::Maintenance), "the server is in maintenance");
        }
        let down = "a.cluster.example is down: the connection failed after 1ms";
        assert_eq!(why_not(Some(Status::Down), Status::Up, AdminState::Ready), down);
        let unknown = "no check of a.cluster.example has been answered yet";
        assert_eq!(why_not(Some(Status::Unknown), Status::Up, AdminState::Ready), unknown);
    }
}
