//! Names to addresses, by threads that may hang.
//!
//! The system's look-up cannot be given up: it returns when its own time-outs are over, after half a minute perhaps.
//! So each check has one under way at most, and the next probe waits for its end; all checks together have
//! [`LOOKUPS_MAX`]. The threads are nobody's: a process that ends does not wait for them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use health::Finding;
use tokio::sync::{Semaphore, oneshot};

/// Look-ups under way at once, over all checks: some hundred names a second where one takes tens of milliseconds.
pub(crate) const LOOKUPS_MAX: usize = 32;

type System = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Looks names up for one check.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// Room for one.
    own: Arc<Semaphore>,
    /// Room for [`LOOKUPS_MAX`].
    all: Arc<Semaphore>,
    system: System,
}

impl Lookup {
    /// For a check that shares nothing yet; [`Lookup::sibling`] makes those of the others.
    pub(crate) fn new() -> Lookup {
        Lookup::by(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }

    /// With another system's look-up.
    pub(crate) fn by(system: System) -> Lookup {
        Lookup { own: Arc::new(Semaphore::new(1)), all: Arc::new(Semaphore::new(LOOKUPS_MAX)), system }
    }

    /// For another check.
    pub(crate) fn sibling(&self) -> Lookup {
        Lookup { own: Arc::new(Semaphore::new(1)), ..self.clone() }
    }

    /// The addresses of a name; never none. Resolves when it may and the system has answered; who gives up waiting
    /// leaves a thread behind, for which the next call waits.
    ///
    /// # Errors
    /// [`Finding::LookupFailed`], or [`Finding::LocalFault`] without a thread for it.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Finding> {
        let room = |of: &Arc<Semaphore>| Arc::clone(of).acquire_owned();
        let (Ok(own), Ok(all)) = (room(&self.own).await, room(&self.all).await) else {
            return Err(Finding::LookupFailed);
        };
        let (sender, found) = oneshot::channel();
        let (system, host) = (self.system, host.to_owned());
        let look_up = move || {
            let addresses = system(&host, port);
            drop((own, all));
            // Nobody may be waiting any more.
            let _ = sender.send(addresses);
        };
        thread::Builder::new().name("look-up".to_owned()).spawn(look_up).map_err(|_| Finding::LocalFault)?;
        match found.await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(Finding::LookupFailed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const PATIENT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_systems_names_are_found() {
        let found = Lookup::new().addresses("localhost", 80).await.expect("every machine knows itself");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80), "{found:?}");
        // RFC 6761 §6.4: no resolver finds names below it.
        assert_eq!(Lookup::new().addresses("no.invalid", 80).await, Err(Finding::LookupFailed));
        let none = Lookup::by(|_, _| Ok(Vec::new()));
        assert_eq!(none.addresses("x", 80).await, Err(Finding::LookupFailed));
    }

    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static HELD: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);

    /// Returns when the sender of [`HELD`]'s is gone.
    fn hanging(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        if let Some(held) = HELD.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = held.recv();
        }
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
    }

    #[tokio::test]
    async fn what_hangs_does_not_pile_up() {
        let (release, held) = mpsc::channel::<()>();
        *HELD.lock().unwrap() = Some(held);
        let first = Lookup::by(hanging);
        for _ in 0..3 {
            assert!(tokio::time::timeout(SOON, first.addresses("x", 1)).await.is_err());
        }
        assert_eq!(first.all.available_permits(), LOOKUPS_MAX - 1, "a check has one under way");
        let siblings: Vec<_> = (0..LOOKUPS_MAX + 8).map(|_| first.sibling()).collect();
        let asked: Vec<_> = siblings
            .iter()
            .cloned()
            .map(|sibling| tokio::spawn(async move { sibling.addresses("y", 2).await }))
            .collect();
        let begun = async {
            while BEGUN.load(Ordering::SeqCst) < LOOKUPS_MAX {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENT, begun).await.expect("as many as may begin");
        assert_eq!(first.all.available_permits(), 0);
        assert_eq!(BEGUN.load(Ordering::SeqCst), LOOKUPS_MAX);
        drop(release);
        for found in asked {
            let found = tokio::time::timeout(PATIENT, found).await.expect("in time").expect("no panic");
            assert_eq!(found, Ok(vec![SocketAddr::from(([127, 0, 0, 1], 2))]));
        }
        assert!(first.addresses("x", 1).await.is_ok(), "its own has ended too");
    }
}
