//! From what serves, whole, to what has come and gone: of quorums and of servers, for those who are told.

use std::collections::BTreeMap;

use config::Config;
use failover::{Facts, Health};
use scripts::{Change, Notify, State, Subject};

/// What was told last, by a fact's key: whether it was there. What is not known any more is as it was.
pub(super) type Told = BTreeMap<String, bool>;

/// Whether anybody is told of a backend or a server.
pub(in crate::supervisor) fn are_told(config: &Config) -> bool {
    config.backend_notify.iter().any(config::BackendNotify::tells)
}

/// What has come or gone since `told`, which is from now on as `facts` are. What the configuration does not tell of is
/// forgotten, so that it is told anew once it does.
pub(super) fn changes(config: &Config, facts: &Facts, told: &mut Told) -> Vec<Change> {
    let mut changes = Vec::new();
    let before = std::mem::take(told);
    for subject in subjects(config) {
        let was = before.get(&subject.key).copied();
        let is = match facts.known.get(&subject.key) {
            Some(Health::Well) => Some(true),
            Some(Health::Unwell) => Some(false),
            Some(Health::Unknown | Health::Number(_)) | None => was,
        };
        let Some(is) = is else { continue };
        if was != Some(is) {
            changes.push(subject.change(is));
        }
        told.insert(subject.key, is);
    }
    changes
}

/// The end of the service, as those are told who want to be: what is there goes.
pub(super) fn last_changes(config: &Config, told: &Told) -> Vec<Change> {
    let there = subjects(config).into_iter().filter(|subject| subject.omega && told.get(&subject.key) == Some(&true));
    there.map(|subject| subject.change(false)).collect()
}

/// What somebody is told of.
struct Listened {
    key: String,
    subject: Subject,
    name: String,
    notify: Notify,
    omega: bool,
}

impl Listened {
    fn change(&self, is_there: bool) -> Change {
        let state = if is_there { State::Up } else { State::Down };
        Change { subject: self.subject, name: self.name.clone(), state, priority: None, notify: self.notify.clone() }
    }
}

fn subjects(config: &Config) -> Vec<Listened> {
    let mut subjects = Vec::new();
    for (backend, of) in config.proxy.backends.iter().zip(&config.backend_notify) {
        if of.counts {
            subjects.push(Listened {
                key: format!("backend/{}", backend.name),
                subject: Subject::Backend,
                name: backend.name.clone(),
                notify: of.quorum.clone(),
                omega: of.omega,
            });
        }
        for (server, notify) in backend.pool.servers.iter().zip(&of.servers) {
            if *notify != Notify::default() {
                let name = format!("{}/{}", backend.name, server.name);
                let (key, notify) = (format!("server/{name}"), notify.clone());
                subjects.push(Listened { key, subject: Subject::Server, name, notify, omega: of.omega });
            }
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [frontend.f]
        bind = "127.0.0.1:1"
        backend = "web"
        [backend.web]
        quorum = 2
        omega = true
        on-quorum-down = ["/bin/down"]
        server = [
            { name = "a", address = "10.0.0.1:80", on-up = ["/bin/up", "a"] },
            { name = "b", address = "10.0.0.2:80" },
        ]
        [backend.plain]
        server = [{ address = "10.0.0.1:80" }]
    "#;

    fn loaded(text: &str) -> Config {
        let sources =
            config::Sources::from_texts(vec![("site.toml".to_owned(), text.to_owned())], "/etc/perron".into());
        config::load(&sources).unwrap().config
    }

    fn facts(known: &[(&str, Health)]) -> Facts {
        Facts { known: known.iter().map(|(key, health)| ((*key).to_owned(), *health)).collect() }
    }

    fn words(changes: &[Change]) -> Vec<(Subject, &str, State)> {
        changes.iter().map(|change| (change.subject, change.name.as_str(), change.state)).collect()
    }

    #[test]
    fn what_comes_and_goes_is_told_once() {
        use Health::{Unknown, Unwell, Well};
        let config = loaded(TEXT);
        assert!(are_told(&config));
        let mut told = Told::new();
        let all = |web, a| facts(&[("backend/web", web), ("server/web/a", a), ("backend/plain", Unwell)]);
        assert_eq!(words(&changes(&config, &all(Unknown, Unknown), &mut told)), []);
        let both = [(Subject::Backend, "web", State::Up), (Subject::Server, "web/a", State::Up)];
        assert_eq!(words(&changes(&config, &all(Well, Well), &mut told)), both);
        // A process that serves anew does not know at first.
        assert_eq!(words(&changes(&config, &all(Unknown, Unknown), &mut told)), []);
        assert_eq!(words(&changes(&config, &all(Well, Well), &mut told)), []);
        let gone = changes(&config, &all(Unwell, Well), &mut told);
        assert_eq!(words(&gone), [(Subject::Backend, "web", State::Down)]);
        assert_eq!(gone[0].notify.down.as_ref().unwrap().words, ["/bin/down"]);
        // At the end only what is there goes.
        assert_eq!(words(&last_changes(&config, &told)), [(Subject::Server, "web/a", State::Down)]);
    }

    #[test]
    fn without_omega_the_end_is_not_told_and_what_is_not_told_of_is_forgotten() {
        let quiet = loaded(&TEXT.replace("omega = true", ""));
        let mut told = Told::new();
        let known = facts(&[("backend/web", Health::Well)]);
        assert_eq!(changes(&quiet, &known, &mut told).len(), 1);
        assert_eq!(last_changes(&quiet, &told), []);
        let none = loaded(
            "[frontend.f]\nbind = \"127.0.0.1:1\"\nbackend = \"web\"\n[backend.web]\nserver = [{ address = \"10.0.0.1:80\" }]\n",
        );
        assert!(!are_told(&none));
        assert_eq!(changes(&none, &known, &mut told), []);
        assert_eq!(changes(&quiet, &known, &mut told).len(), 1);
    }
}
