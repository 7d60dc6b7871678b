//! Two directors of one program, and a client.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use lab::{Adverts, Cable, Echo, Host, Lab, Probe, eventually, kill_family, signal_all};
use rustix::process::Signal;

use super::director::{Director, Kind, router, terminate};
use super::fault::Fault;
use crate::machine;

const ADDRESS: &str = "10.0.0.100/32";
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 7;

/// The active director's priority, and its backup's.
const PRIORITIES: [u8; 2] = [250, 240];

/// For programs to start, on a busy machine, beside what the interval asks for.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Intervals within which an address has long moved.
const INTERVALS: u32 = 8;

/// How often what serves is killed again: before it can serve.
const KILL_EVERY: Duration = Duration::from_millis(1);

/// Adverts that are waited for before a fault: whatever follows a takeover is over.
const STEADY: usize = 10;

/// Two directors and a client on a network of their own.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    interval: Duration,
    perron: PathBuf,
    // Before the lab, so that they end first.
    active: Option<Director>,
    _backup: Director,
    probe: Probe,
    adverts: Adverts,
    echo: Echo,
    _other_echo: Echo,
    cable: Cable,
    one: Host,
    other: Host,
    _lab: Lab,
}

impl Site {
    pub(crate) fn new(kind: Kind, interval: Duration, perron: &Path) -> anyhow::Result<Site> {
        let lab = Lab::new(kind.title()).map_err(|skip| anyhow::anyhow!("{skip}"))?;
        let hosts = [("one", "10.0.0.1/24"), ("other", "10.0.0.2/24"), ("client", "10.0.0.9/24")];
        let [one, other, client] = hosts.map(|(name, address)| lab.host(name, address));
        let backup = Director::start(kind, &other, &[router(PRIORITIES[1], interval)], perron)?;
        let (echo, other_echo) = (Echo::start(&one, PORT), Echo::start(&other, PORT));
        let (probe, adverts) = (Probe::start(&client, IpAddr::V4(VIP), PORT), Adverts::on(&client));
        let (active, perron, cable) = (None, perron.to_owned(), Cable::of(&one));
        Ok(Site {
            kind,
            interval,
            perron,
            active,
            _backup: backup,
            probe,
            adverts,
            echo,
            _other_echo: other_echo,
            cable,
            one,
            other,
            _lab: lab,
        })
    }

    /// The longest time without an answer that a fault makes, so long after an advert.
    pub(crate) fn try_out(&mut self, fault: Fault, phase: Duration) -> anyhow::Result<Option<Duration>> {
        self.begin_anew()?;
        let Some(active) = &self.active else { bail!("it was just started") };
        let (pids, mover, servers) = (active.pids(), active.mover(), active.servers());
        if mover.is_none() {
            bail!("{} has no process that sends adverts", self.kind.title());
        }
        self.adverts.forget();
        let Some(advert) = self.adverts.next_of(ONE, self.limit()) else { bail!("no advert is heard") };
        thread::sleep((advert.at + phase).saturating_duration_since(Instant::now()));
        self.probe.begin();
        if fault.ends_the_service() {
            self.echo.fall_silent();
        }
        let again = self.strike(fault, &pids, &servers);
        let has_moved = || self.probe.answered_by().as_deref() == Some("other");
        let moved = eventually(self.limit(), has_moved);
        machine::pause(self.interval * 2)?;
        let silence = self.probe.answers().longest_silence.map(|(silence, _)| silence);
        again.store(true, Ordering::Relaxed);
        Ok(silence.filter(|_| moved))
    }

    /// A repeated fault goes on until the value that is returned is set.
    fn strike(&mut self, fault: Fault, pids: &[u32], servers: &[u32]) -> Arc<AtomicBool> {
        let stop = Arc::new(AtomicBool::new(false));
        match fault {
            Fault::Dead => {
                kill_family(pids);
                self.cable.pull();
            }
            Fault::Killed => kill_family(pids),
            Fault::Stopped => terminate(pids),
            Fault::Cut => self.cable.pull(),
            Fault::Frozen => signal_all(pids, Signal::STOP),
            Fault::ServeFrozen => signal_all(servers, Signal::STOP),
            Fault::ServeDead => {
                signal_all(servers, Signal::KILL);
                let (stop, supervisor) = (stop.clone(), pids.last().copied());
                let mut newest = pids.iter().copied().max().unwrap_or(0);
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for pid in processes_after(newest).filter(|&pid| parent(pid) == supervisor) {
                            signal_all(&[pid], Signal::KILL);
                            newest = newest.max(pid);
                        }
                        thread::sleep(KILL_EVERY);
                    }
                });
            }
        }
        stop
    }

    /// A fresh director where the fault was, which takes the address back.
    fn begin_anew(&mut self) -> anyhow::Result<()> {
        if let Some(mut active) = self.active.take() {
            active.end();
        }
        self.cable.plug();
        if self.one.has_address(ADDRESS) {
            self.one.remove_address(ADDRESS);
        }
        self.echo.speak();
        self.active =
            Some(Director::start(self.kind, &self.one, &[router(PRIORITIES[0], self.interval)], &self.perron)?);
        let is_steady = || self.probe.answered_by().as_deref() == Some("one") && !self.other.has_address(ADDRESS);
        if !eventually(self.limit(), is_steady) {
            bail!("{} does not become active within {:?}", self.kind.title(), self.limit());
        }
        self.adverts.forget();
        for _ in 0..STEADY.min(usize::try_from(self.limit().as_millis() / 10).unwrap_or(STEADY)) {
            if self.adverts.next_of(ONE, self.limit()).is_none() {
                bail!("{} sends no adverts", self.kind.title());
            }
            if self.interval >= Duration::from_secs(1) {
                break;
            }
        }
        machine::pause(Duration::ZERO)
    }

    fn limit(&self) -> Duration {
        START_LIMIT + self.interval * INTERVALS
    }
}

/// Younger processes than one, as long as their numbers have not begun anew.
fn processes_after(pid: u32) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |&other| other > pid)
}

/// The fourth word of /proc/PID/stat, of programs whose name has no blanks.
fn parent(pid: u32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.split(' ').nth(3)?.parse().ok()
}
