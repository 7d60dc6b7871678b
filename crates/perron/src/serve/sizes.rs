//! Learns the lengths of what clients are only ever redirected to: asks the servers themselves, beside the traffic.
//!
//! It is a help, so it is given up easily: what cannot be asked now is asked at some later redirect, and until then the
//! mean of the others stands in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balance::{Algorithm, ServerIndex};
use check::Target;
use proxy::config::{Backend, BackendIndex, DeliverMode, Server, ServerAddress};
use proxy::{Shared, SizeAsker};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Questions that wait, for each backend; further ones are dropped.
const WAITING_MAX: usize = 256;

/// Questions under way at once, for each backend: nobody waits for the answer.
const ASKING_MAX: usize = 4;

/// Within this the same is not asked again, whatever came of it.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// Different questions in that time, for each backend; further ones are dropped.
const ASKED_MAX: usize = 4096;

/// Questions of which the workers themselves know that they were put lately, for each backend: to put one wakes another
/// thread, which costs more than the redirect. A power of two.
const PUT_MAX: usize = 1024;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long is this?
struct Question {
    server: ServerIndex,
    key: u64,
    path: String,
    host: String,
}

/// The questions of all backends, to be asked once [`Questions::ask`] is called.
pub(super) struct Questions(Vec<(BackendIndex, mpsc::Receiver<Question>, Put)>);

/// What was put lately, as far as that is remembered: one key a place, the last that fell there.
#[derive(Clone)]
struct Put(Arc<[AtomicU64]>);

impl Put {
    fn new() -> Put {
        Put((0..PUT_MAX).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(&self, key: u64) -> &AtomicU64 {
        &self.0[key as usize % PUT_MAX]
    }

    /// Whether this is not known to have been put; it counts as put then.
    fn note(&self, key: u64) -> bool {
        // 0 is no key; two that differ in their last bit alone count as one.
        let (place, key) = (self.place(key), key | 1);
        let is_new = place.load(Ordering::Relaxed) != key;
        if is_new {
            place.store(key, Ordering::Relaxed);
        }
        is_new
    }

    fn forget(&self, key: u64) {
        self.place(key).store(0, Ordering::Relaxed);
    }

    fn forget_all(&self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }
}

/// What workers put their questions to, and where they arrive; nothing if no backend has any.
pub(super) fn questions(backends: &[Backend]) -> (Option<SizeAsker>, Questions) {
    let mut lines = Vec::new();
    let mut received = Vec::new();
    for (index, backend) in (0..).map(BackendIndex).zip(backends) {
        let learns = backend.deliver.mode != DeliverMode::Proxy && backend.pool.algorithm == Algorithm::Bandwidth;
        let (line, questions) = mpsc::channel(WAITING_MAX);
        let put = Put::new();
        if learns {
            received.push((index, questions, put.clone()));
        }
        lines.push(learns.then_some((line, put)));
    }
    if received.is_empty() {
        return (None, Questions(received));
    }
    let asker = move |backend: BackendIndex, server: ServerIndex, key: u64, path: &str, host: &str| {
        let Some(Some((line, put))) = lines.get(usize::from(backend.0)) else { return };
        if !put.note(key) {
            return;
        }
        // Looked at first: a line that is full costs no copy.
        match line.try_reserve() {
            Ok(place) => place.send(Question { server, key, path: path.to_owned(), host: host.to_owned() }),
            Err(_) => put.forget(key),
        }
    };
    (Some(Box::new(asker)), Questions(received))
}

impl Questions {
    /// Asks what comes, for as long as the runtime lasts. `backends` are those that the questions are about.
    pub(super) fn ask(self, shared: &Arc<Shared>, backends: &[Backend]) {
        for (backend, questions, put) in self.0 {
            let servers = backends[usize::from(backend.0)].servers.clone();
            tokio::task::spawn_local(ask_all(Arc::clone(shared), backend, servers, questions, put));
        }
    }
}

async fn ask_all(
    shared: Arc<Shared>,
    backend: BackendIndex,
    servers: Vec<Server>,
    mut questions: mpsc::Receiver<Question>,
    put: Put,
) {
    let mut asked = Asked::default();
    let mut asking = JoinSet::new();
    let mut turn = interval_at(Instant::now() + ASKED_AGAIN, ASKED_AGAIN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            question = questions.recv(), if asking.len() < ASKING_MAX => {
                let Some(question) = question else { return };
                let Some(server) = servers.get(usize::from(question.server.0)) else { continue };
                if asked.note(question.key) {
                    let (target, send_proxy) = (target_of(server), server.send_proxy);
                    let connector = shared.connector(backend, question.server);
                    if server.tls.is_some() && connector.is_none() {
                        continue;
                    }
                    asking.spawn_local(async move {
                        let (connector, Question { key, path, host, .. }) = (connector.as_deref(), question);
                        let length =
                            check::content_length(&target, send_proxy, connector, &path, &host, PATIENCE).await;
                        length.map(|length| (key, length))
                    });
                }
            }
            Some(answered) = asking.join_next() => {
                if let Ok(Some((key, length))) = answered {
                    shared.backend(backend).learn(key, length);
                }
            }
            _ = turn.tick() => {
                asked.turn();
                put.forget_all();
            }
        }
    }
}

fn target_of(server: &Server) -> Target {
    match &server.address {
        ServerAddress::Ip(address) => Target::Ip(*address),
        ServerAddress::Unix(path) => Target::Unix(path.clone()),
    }
}

/// What was asked lately: in this [`ASKED_AGAIN`] and in the one before.
#[derive(Default)]
struct Asked {
    now: BTreeSet<u64>,
    before: BTreeSet<u64>,
}

impl Asked {
    /// Whether this may be asked; it counts as asked then.
    fn note(&mut self, key: u64) -> bool {
        !self.before.contains(&key) && self.now.len() < ASKED_MAX && self.now.insert(key)
    }

    /// To be called every [`ASKED_AGAIN`].
    fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_not_put_again_until_it_is_forgotten() {
        let put = Put::new();
        assert!(put.note(0) && !put.note(0));
        assert!(put.note(7 << 20));
        assert!(put.note(0), "another has taken its place");
        put.forget(0);
        assert!(put.note(0));
        put.forget_all();
        assert!(put.note(0));
    }

    #[test]
    fn the_same_is_not_asked_again_soon() {
        let mut asked = Asked::default();
        assert!(asked.note(7));
        assert!(!asked.note(7));
        asked.turn();
        assert!(!asked.note(7), "it may have been a moment ago");
        asked.turn();
        assert!(asked.note(7));
    }

    #[test]
    fn only_so_much_is_asked() {
        let mut asked = Asked::default();
        assert_eq!((0..5000).filter(|key| asked.note(*key)).count(), 4096);
        asked.turn();
        assert!(asked.note(5000));
    }
}
