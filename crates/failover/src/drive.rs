//! The thread that sends and hears adverts. It waits for nothing but packets, its timer and what it is told: not for the
//! kernel's tables, a log, a lock or whoever reads events. What may wait, [`crate::tables`] does.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use linux::PacketSocket;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use units::Instant;
use vrrp_proto::{Action, AdvertError, Group, Refusal};

use crate::allowance::Allowance;
use crate::announce::Announcements;
use crate::clock;
use crate::ground::Scope;
use crate::lateness::Lateness;
use crate::message::{Ear, Input, Mouth, Request, Sockets, Trouble};
use crate::router::Running;
use crate::{Beats, Event, Facts, Plan, Role};

mod act;
mod hear;
mod obey;
mod settle;
mod tell;

/// The longest sleep: so often the thread says that it is alive.
const NAP: Duration = Duration::from_millis(250);

/// Among real-time threads (SCHED_RR), 1 to 99: before what most programs have, and behind the kernel's own at 50.
pub(crate) const PRIORITY: u8 = 40;

/// Between bursts of announcements, while more wait.
const PACE: Duration = Duration::from_millis(1);

/// Descriptors that are told of at once. Of more the rest is told of the next time.
const READY_MAX: usize = 64;

/// Marks of descriptors that are no socket's of adverts.
const TIMER: u64 = u64::MAX;
const EAR: u64 = u64::MAX - 1;

/// The longest advert: 255 addresses of IPv6 and a header.
const PACKET_MAX: usize = 4096;

/// See the module.
pub(crate) struct Drive {
    ear: Ear<Input>,
    tables: Mouth<Request>,
    events: SyncSender<Event>,
    alive: Arc<AtomicU64>,
    beats: Option<Beats>,
    epoll: OwnedFd,
    timer: OwnedFd,
    frames: PacketSocket,
    realtime: bool,
    memory_locked: bool,

    plan: Arc<Plan>,
    number: u64,
    /// The last one that is prepared for.
    asked: u64,
    /// To be adopted with the first plan.
    roles: Vec<Role>,
    facts: Facts,
    interfaces: Vec<(String, bool)>,
    squads: Vec<Squad>,
    vips: Vec<Running>,
    ports: BTreeMap<Scope, Port>,
    /// Whose adverts were read last.
    heard: Option<Scope>,

    /// The kernel is to be told what is wanted.
    wants: bool,
    turn: u64,
    done: u64,
    announcements: Announcements,
    pace_at: Instant,
    beats_at: Option<Instant>,
    strangers_at: Instant,

    actions: Vec<(usize, Action)>,
    /// Room for a packet.
    packet: Vec<u8>,
    counts: Counts,
    notes: Allowance,
    /// What the kernel has refused of what is wanted.
    troubles: Vec<Trouble>,
    /// Until then vips whose addresses are all refused are in fault.
    lacking_until: Option<Instant>,
}

/// Virtual routers that move together, or one.
pub(crate) struct Squad {
    /// The name, if it is of the plan.
    pub(crate) name: Option<String>,
    pub(crate) group: Group,
    /// Places in the plan, in the order of the group's members.
    pub(crate) vips: Vec<usize>,
    pub(crate) deadline: Option<Instant>,
}

/// The sockets of a scope.
struct Port {
    sockets: Sockets,
    /// The vip of each number.
    vips: Box<[Option<u16>; 256]>,
    /// Of others than ours, by number: who was heard last.
    strangers: BTreeMap<u8, hear::Stranger>,
    token: u64,
    ready: bool,
}

/// What is counted of all vips, and of none.
#[derive(Default)]
struct Counts {
    lateness: Lateness,
    refused: [u64; Refusal::ALL.len()],
    malformed: [u64; AdvertError::ALL.len()],
    events_lost: u64,
}

/// What the thread is started with.
pub(crate) struct Start {
    pub(crate) ear: Ear<Input>,
    pub(crate) tables: Mouth<Request>,
    pub(crate) events: SyncSender<Event>,
    pub(crate) alive: Arc<AtomicU64>,
    pub(crate) beats: Option<Beats>,
    pub(crate) roles: Vec<Role>,
}

/// How it ended.
pub(crate) enum End {
    /// Addresses are to be removed: nobody is active any more.
    Stopped,
    /// They stay.
    Left,
}

impl Drive {
    pub(crate) fn open(start: Start) -> io::Result<Drive> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        // By edges: the timer is set anew and never read.
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), edges)?;
        epoll::add(&epoll, &start.ear, epoll::EventData::new_u64(EAR), epoll::EventFlags::IN)?;
        let now = clock::now();
        Ok(Drive {
            ear: start.ear,
            tables: start.tables,
            events: start.events,
            alive: start.alive,
            beats: start.beats,
            epoll,
            timer,
            frames: PacketSocket::sender()?,
            realtime: false,
            memory_locked: false,
            plan: Arc::default(),
            number: 0,
            asked: 0,
            roles: start.roles,
            facts: Facts::default(),
            interfaces: Vec::new(),
            squads: Vec::new(),
            vips: Vec::new(),
            ports: BTreeMap::new(),
            heard: None,
            wants: false,
            turn: 0,
            done: 0,
            announcements: Announcements::default(),
            pace_at: now,
            beats_at: None,
            strangers_at: now,
            actions: Vec::with_capacity(64),
            packet: vec![0; PACKET_MAX],
            counts: Counts::default(),
            notes: Allowance::new(now),
            troubles: Vec::new(),
            lacking_until: None,
        })
    }

    /// Until it is told to end.
    pub(crate) fn run(mut self) -> io::Result<End> {
        self.realtime = linux::run_first(PRIORITY).is_ok();
        self.memory_locked = linux::lock_memory().is_ok();
        loop {
            let now = clock::now();
            self.alive.store(now.as_nanos(), Relaxed);
            if let Some(ear_rings) = self.sleep(now)? {
                // Adverts first: a timer that has run out may have been answered long ago.
                self.hear();
                self.hear_strangers(now);
                self.fire();
                self.check_beats();
                self.retry_refused();
                if ear_rings && let Some(end) = self.obey() {
                    return Ok(end);
                }
                self.announce();
                self.say_wants();
            }
        }
    }

    /// Sleeps until something is to be done; whether something was said. `None`: a signal came in between.
    fn sleep(&mut self, now: Instant) -> io::Result<Option<bool>> {
        self.set_timer(now)?;
        let mut ready = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; READY_MAX];
        let (ready, _) = match epoll::wait(&self.epoll, &mut ready, None) {
            Err(rustix::io::Errno::INTR) => return Ok(None),
            result => result?,
        };
        let mut ear_rings = false;
        for event in ready.iter() {
            match event.data.u64() {
                TIMER => {}
                EAR => ear_rings = true,
                token => {
                    for port in self.ports.values_mut().filter(|port| port.token == token) {
                        port.ready = true;
                    }
                }
            }
        }
        Ok(Some(ear_rings))
    }

    fn set_timer(&self, now: Instant) -> io::Result<()> {
        let deadlines = self.squads.iter().filter_map(|squad| squad.deadline).chain(self.beats_at);
        let mut at = deadlines.min().unwrap_or(now + NAP).min(now + NAP);
        if !self.announcements.is_empty() {
            at = at.min(self.pace_at);
        }
        // Zero would stop the timer.
        let nanos = at.as_nanos().max(1);
        let time = Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as _ };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: time };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// What is due of all squads.
    fn fire(&mut self) {
        let now = clock::now();
        for squad in 0..self.squads.len() {
            if let Some(at) = self.squads[squad].deadline.filter(|at| *at <= now) {
                self.counts.lateness.add(now.since(at));
                self.with_group(squad, now, |group, actions| group.handle_deadline(now, actions));
            }
        }
    }

    /// What is due of those that are active: their adverts wait for nobody's.
    fn fire_adverts(&mut self, now: Instant) {
        for squad in 0..self.squads.len() {
            let due = self.squads[squad].deadline.is_some_and(|at| at <= now);
            if due && self.squads[squad].vips.iter().any(|&vip| self.vips[vip].has) {
                let late = self.squads[squad].deadline.map_or(Duration::ZERO, |at| now.since(at));
                self.counts.lateness.add(late);
                self.with_group(squad, now, |group, actions| group.handle_deadline(now, actions));
            }
        }
    }

    /// Has a group do something, carries out what comes of it, and looks at its deadline again.
    fn with_group<T>(
        &mut self,
        squad: usize,
        now: Instant,
        change: impl FnOnce(&mut Group, &mut Vec<(usize, Action)>) -> T,
    ) -> T {
        let mut actions = std::mem::take(&mut self.actions);
        let result = change(&mut self.squads[squad].group, &mut actions);
        for (member, action) in actions.drain(..) {
            let vip = self.squads[squad].vips[member];
            self.act(squad, member, vip, action, now);
        }
        self.actions = actions;
        let squad = &mut self.squads[squad];
        squad.deadline = squad.group.deadline().map(|(at, _)| at);
        result
    }

    /// An event, told as far as there is room. Whoever reads them is not waited for.
    fn tell(&mut self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.counts.events_lost += 1;
        }
    }

    fn note(&mut self, vip: Option<usize>, trouble: bool, text: impl FnOnce() -> String) {
        let (may, suppressed) = self.notes.take(clock::now());
        if suppressed > 0 {
            let text = format!("{suppressed} further notes were not told: there were too many at once");
            self.tell(Event::Noted { vip: None, trouble: false, text });
        }
        if !may {
            return;
        }
        let vip = vip.map(|vip| self.plan.vips[vip].name.clone());
        self.tell(Event::Noted { vip, trouble, text: text() });
    }
}
