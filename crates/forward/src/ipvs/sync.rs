use std::net::IpAddr;

use netlink::Error;
use netlink::ipvs::{Daemon, Ipvs, Role};

/// Connections of IPVS that the other directors know as well, so that they go on when another one takes the addresses. The
/// kernel does it: the director that is active tells, the others hear. It believes everybody who can send there, so that
/// the network has to be the directors' alone. Who is told nothing of a connection for a while forgets it.
#[derive(Debug)]
pub struct SyncDaemon {
    kernel: Ipvs,
}

/// How directors tell each other: the same at all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncPlan {
    /// The interface; at most 15 bytes.
    pub interface: String,
    /// Which group of directors, of those that share a network; one that has 0 hears all groups.
    pub id: u8,
    /// The longest message in bytes; `None`, here and below: the kernel's own, of the interface.
    pub length: Option<u16>,
    /// To whom; 224.0.0.81.
    pub group: Option<IpAddr>,
    /// To which port; 8848.
    pub port: Option<u16>,
    /// How many networks it goes over; 1.
    pub ttl: Option<u8>,
}

impl SyncPlan {
    /// On this interface, with the kernel's own numbers.
    pub fn new(interface: &str, id: u8) -> SyncPlan {
        SyncPlan { interface: interface.to_owned(), id, length: None, group: None, port: None, ttl: None }
    }

    fn daemon(&self, role: Role) -> Daemon {
        let SyncPlan { length, group, port, ttl, .. } = *self;
        Daemon { role, interface: self.interface.clone(), id: self.id, length, group, port, ttl }
    }

    /// Whether a daemon that runs does what this says; what is not said may be anything.
    fn is_met_by(&self, daemon: &Daemon) -> bool {
        fn met<T: PartialEq>(said: Option<T>, has: Option<T>) -> bool {
            said.is_none() || said == has
        }
        self.interface == daemon.interface
            && self.id == daemon.id
            && met(self.length, daemon.length)
            && met(self.group, daemon.group)
            && met(self.port, daemon.port)
            && met(self.ttl, daemon.ttl)
    }
}

impl SyncDaemon {
    /// In the network namespace of the calling thread.
    ///
    /// # Errors
    /// If the kernel has no IPVS.
    pub fn open() -> Result<SyncDaemon, Error> {
        Ok(SyncDaemon { kernel: Ipvs::open()? })
    }

    /// From now on this director tells, if it is active, or hears; `None`: neither. Never both: what it hears it would tell
    /// again. Says whether anything had to change, so that it can be asked for again and again.
    ///
    /// # Errors
    /// If the kernel refuses; what runs then is not known.
    pub fn follow(&mut self, plan: Option<&SyncPlan>, active: bool) -> Result<bool, Error> {
        let role = if active { Role::Master } else { Role::Backup };
        let running = self.kernel.daemons()?;
        let (mut is_met, mut changed) = (false, false);
        for daemon in running {
            if daemon.role == role && plan.is_some_and(|plan| plan.is_met_by(&daemon)) {
                is_met = true;
            } else {
                self.kernel.stop_daemon(daemon.role)?;
                changed = true;
            }
        }
        if let Some(plan) = plan.filter(|_| !is_met) {
            self.kernel.start_daemon(&plan.daemon(role))?;
            changed = true;
        }
        Ok(changed)
    }
}
