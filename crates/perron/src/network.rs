//! The process that moves addresses and keeps what the kernel forwards: it keeps two capabilities and gives up the rest, and
//! has the engine of `failover` and the forwarder of `forward` on threads of their own. This one only passes on what the
//! supervisor and they say to each other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use failover::{Beats, Engine, Event, Plan, Setup};
use forward::Forwarder;
use linux::CapabilitySet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::beats;
use crate::log;
use crate::messages::{BEAT_INTERVAL, FromNetwork, LinkReceiver, LinkSender, Prepare, Texts, ToNetwork, link};

/// Events that wait for the supervisor. It takes them at once unless it hangs, and then the newest are lost: all vips
/// of a director may move a few times before that.
const EVENTS_MAX: usize = 4096;

/// A thread of this process may have this real-time priority at most (of 1 to 99): the kernel's own threads come first.
const REALTIME_PRIORITY_MAX: u64 = 50;

/// Needed to move addresses, and nothing else of what root may do.
const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);

/// Kept as well, as far as they are held, where limits are not lifted and cannot be: they stand above these limits.
const KEPT_UNDER_LIMITS: [CapabilitySet; 2] = [CapabilitySet::SYS_NICE, CapabilitySet::IPC_LOCK];

/// Does what the supervisor at the other end of `channel` says, until it says to end or is gone.
pub(crate) fn run(channel: linux::Channel) -> anyhow::Result<()> {
    end_with_a_thread();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let (mut sender, mut receiver) = link(channel, Vec::new())?;
        let begun = match begin(&mut receiver).await {
            Ok(moving) => moving.go_on(&mut sender, &mut receiver).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &begun {
            let why = format!("{error:#}");
            // A supervisor that is gone has no use for it.
            let _ = sender.send(&FromNetwork::Failed { why }, Vec::new()).await;
        }
        begun
    })
}

/// A thread that is gone would leave addresses that nobody speaks for. Without the whole process the supervisor starts
/// another at once, which goes on before others notice.
fn end_with_a_thread() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// What is moved, and by whom.
struct Moving {
    plan: Plan,
    /// How other directors know of connections that are forwarded.
    sync: Option<forward::Sync>,
    beats: Beats,
    engine: Option<Engine>,
    events: mpsc::Receiver<Event>,
    teller: mpsc::Sender<Event>,
    /// What the kernel forwards, once somebody has said what that is.
    forwarder: Option<Forwarder>,
    forwarded: mpsc::UnboundedReceiver<forward::Event>,
    forward_teller: mpsc::UnboundedSender<forward::Event>,
    /// Events that nobody took.
    lost: Arc<AtomicU64>,
    /// The supervisor has died, or somebody else wants this process to end.
    terminate: Signal,
}

/// Waits for the first message and gives up privileges; nothing moves yet.
async fn begin(receiver: &mut LinkReceiver) -> anyhow::Result<Moving> {
    let Some((ToNetwork::Start(prepare), fds)) = receiver.receive().await? else {
        bail!("the supervisor did not say what to move");
    };
    let terminate = signal(SignalKind::terminate())?;
    let Prepare { texts, user } = *prepare;
    let (plan, sync) = read(texts)?;
    let memory = fds.into_iter().next().context("the memory of workers' beats did not come")?;
    let beats = beats::of(&memory)?;
    become_user(user.as_deref())?;
    let (teller, events) = mpsc::channel(EVENTS_MAX);
    // Few come, and only when something changes.
    let (forward_teller, forwarded) = mpsc::unbounded_channel();
    Ok(Moving {
        plan,
        sync,
        beats,
        engine: None,
        events,
        teller,
        forwarder: None,
        forwarded,
        forward_teller,
        lost: Arc::default(),
        terminate,
    })
}

fn read(texts: Texts) -> anyhow::Result<(Plan, Option<forward::Sync>)> {
    let Texts { texts, base } = texts;
    match config::load(&config::Sources::from_texts(texts, base)) {
        Ok(loaded) => Ok((loaded.config.failover, loaded.config.forward.sync)),
        Err(diagnostics) => bail!("the configuration has changed since it was checked:\n{diagnostics}"),
    }
}

/// What needs more than two capabilities comes first: memory that is never swapped out, and the right to run before
/// others, which the engine's thread makes use of. Without them adverts may be late, and the report says so.
fn be_punctual() {
    let punctual = Rlimit { current: Some(REALTIME_PRIORITY_MAX), maximum: Some(REALTIME_PRIORITY_MAX) };
    let allowed = match setrlimit(Resource::Rtprio, punctual) {
        Err(_) if linux::is_capable(CapabilitySet::SYS_NICE) => Ok(()),
        lifted => lifted.map_err(io::Error::from),
    };
    let locked = linux::lock_memory();
    for (what, done) in [("real-time priority", allowed), ("locked memory", locked)] {
        if let Err(error) = done {
            log::warn("adverts may be late on a busy machine", &[("lacking", &what), ("why", &error)]);
        }
    }
}

/// Whether what [`be_punctual`] began goes on without capabilities, as under systemd with this package's unit.
fn limits_are_lifted() -> bool {
    getrlimit(Resource::Memlock).current.is_none()
        && getrlimit(Resource::Rtprio).current.is_none_or(|most| most >= REALTIME_PRIORITY_MAX)
}

/// What needs more than two capabilities comes first.
fn become_user(name: Option<&str>) -> anyhow::Result<()> {
    let user = match name {
        Some(name) => Some(linux::User::named(name)?.with_context(|| format!("there is no user called {name}"))?),
        None => None,
    };
    be_punctual();
    let above_limits = KEPT_UNDER_LIMITS.into_iter().filter(|one| !limits_are_lifted() && linux::is_capable(*one));
    linux::drop_privileges_except(user.as_ref(), above_limits.fold(KEPT, CapabilitySet::union))?;
    linux::end_with_parent()?;
    Ok(())
}

impl Moving {
    /// Whatever makes an end of it, the addresses do not stay here without anybody who speaks for them.
    async fn go_on(mut self, sender: &mut LinkSender, receiver: &mut LinkReceiver) -> anyhow::Result<()> {
        let ended = self.listen(sender, receiver).await;
        if let Some(engine) = self.engine.take() {
            engine.stop();
        }
        ended
    }

    async fn listen(&mut self, sender: &mut LinkSender, receiver: &mut LinkReceiver) -> anyhow::Result<()> {
        sender.send(&FromNetwork::Ready, Vec::new()).await?;
        let mut beat = tokio::time::interval(BEAT_INTERVAL);
        loop {
            tokio::select! {
                message = receiver.receive() => {
                    let Some((message, _)) = message? else { return self.stop(sender).await };
                    match message {
                        ToNetwork::Stop => {
                            self.stop_forwarding(sender).await;
                            return self.stop(sender).await;
                        }
                        ToNetwork::Leave => return self.leave(sender).await,
                        message => self.obey(message, sender).await?,
                    }
                }
                Some(event) = self.events.recv() => self.tell(event, sender).await?,
                Some(event) = self.forwarded.recv() => {
                    sender.send(&FromNetwork::Forwarded(event), Vec::new()).await?;
                    self.send_forwarding(sender).await?;
                }
                _ = beat.tick() => {
                    // Of one whose thread of adverts hangs nobody hears any more.
                    if self.engine.as_ref().is_none_or(Engine::is_alive) {
                        sender.send(&FromNetwork::Beat, Vec::new()).await?;
                    }
                }
                _ = self.terminate.recv() => return self.stop(sender).await,
            }
        }
    }

    async fn obey(&mut self, message: ToNetwork, sender: &mut LinkSender) -> anyhow::Result<()> {
        match message {
            ToNetwork::Go { roles, facts, forwarding, forwarded } => {
                let (teller, lost) = (self.teller.clone(), Arc::clone(&self.lost));
                let setup = Setup { roles, beats: Some(self.beats) };
                let engine = Engine::start(setup, move |event| {
                    if teller.try_send(event).is_err() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let engine = engine.context("cannot move addresses")?;
                engine.facts(facts);
                engine.plan(std::mem::take(&mut self.plan));
                self.engine = Some(engine);
                if let Some(table) = forwarding {
                    self.forward(table, forwarded)?;
                }
                sender.send(&FromNetwork::Began, Vec::new()).await?;
                self.send_report(sender).await?;
            }
            ToNetwork::Plan(texts) => {
                match (read(texts), &self.engine) {
                    (Ok((plan, sync)), Some(engine)) => {
                        engine.plan(plan);
                        self.sync = sync;
                        self.follow_role();
                    }
                    (Ok((plan, sync)), None) => (self.plan, self.sync) = (plan, sync),
                    (Err(error), Some(_)) => {
                        let text = format!("addresses move as before: {error:#}");
                        let event = Event::Noted { vip: None, trouble: true, text };
                        sender.send(&FromNetwork::Event(event), Vec::new()).await?;
                    }
                    (Err(error), None) => return Err(error),
                }
                self.send_report(sender).await?;
            }
            ToNetwork::Forward(table) => {
                self.forward(table, Vec::new())?;
                self.send_forwarding(sender).await?;
            }
            ToNetwork::Facts(facts) => {
                if let Some(engine) = &self.engine {
                    engine.facts(facts);
                }
            }
            ToNetwork::Order { id, vip, order } => {
                let answer = match &self.engine {
                    Some(engine) => engine.order(vip.as_deref(), order),
                    None => Err("nothing moves yet".to_owned()),
                };
                sender.send(&FromNetwork::Reply { id, answer }, Vec::new()).await?;
                // A hold outlives this process: the supervisor has to know of it.
                self.send_report(sender).await?;
            }
            ToNetwork::Report => {
                self.send_report(sender).await?;
                self.send_forwarding(sender).await?;
            }
            ToNetwork::Start(_) | ToNetwork::Leave | ToNetwork::Stop => {}
        }
        Ok(())
    }

    /// Passes on what has happened, all that there is, and how everything is now.
    async fn tell(&mut self, event: Event, sender: &mut LinkSender) -> anyhow::Result<()> {
        sender.send(&FromNetwork::Event(event), Vec::new()).await?;
        while let Ok(event) = self.events.try_recv() {
            sender.send(&FromNetwork::Event(event), Vec::new()).await?;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            log::warn("events of moving addresses are lost: nobody took them in time", &[("lost", &lost)]);
        }
        self.follow_role();
        self.send_report(sender).await
    }

    async fn send_report(&self, sender: &mut LinkSender) -> anyhow::Result<()> {
        if let Some(engine) = &self.engine {
            sender.send(&FromNetwork::Report(engine.report()), Vec::new()).await?;
        }
        Ok(())
    }

    /// From now on the kernel forwards this; `ours` are services that a process before this one has made.
    fn forward(&mut self, table: forward::Table, ours: Vec<forward_plan::Key>) -> anyhow::Result<()> {
        if self.forwarder.is_none() {
            let teller = self.forward_teller.clone();
            let started = Forwarder::start(ours, move |event| {
                // Who does not hear it has ended.
                let _ = teller.send(event);
            });
            self.forwarder = Some(started.context("cannot keep what the kernel forwards")?);
        }
        if let Some(forwarder) = &self.forwarder {
            forwarder.want(table);
        }
        self.follow_role();
        Ok(())
    }

    /// Other directors are told of connections by who is active.
    fn follow_role(&self) {
        let (Some(forwarder), Some(engine)) = (&self.forwarder, &self.engine) else { return };
        let part = self.sync.as_ref().map(|sync| {
            let active = engine.report().vips.iter().any(|vip| vip.name == sync.vip && vip.state == "active");
            (sync.plan.clone(), active)
        });
        forwarder.sync(part);
    }

    async fn send_forwarding(&self, sender: &mut LinkSender) -> anyhow::Result<()> {
        let report = self.forwarder.as_ref().map(Forwarder::report).unwrap_or_default();
        sender.send(&FromNetwork::Forwarding(report), Vec::new()).await?;
        Ok(())
    }

    /// Nothing is forwarded any more. Where this process ends in any other way, the kernel goes on.
    async fn stop_forwarding(&mut self, sender: &mut LinkSender) {
        if let Some(forwarder) = self.forwarder.take() {
            forwarder.stop();
        }
        while let Ok(event) = self.forwarded.try_recv() {
            // The supervisor may be gone.
            let _ = sender.send(&FromNetwork::Forwarded(event), Vec::new()).await;
        }
    }

    /// Leaves the addresses to the next process.
    async fn leave(&mut self, sender: &mut LinkSender) -> anyhow::Result<()> {
        let roles = self.engine.take().map(Engine::leave).unwrap_or_default();
        sender.send(&FromNetwork::Left(roles), Vec::new()).await?;
        Ok(())
    }

    /// Gives the addresses away.
    async fn stop(&mut self, sender: &mut LinkSender) -> anyhow::Result<()> {
        if let Some(engine) = self.engine.take() {
            engine.stop();
        }
        while let Ok(event) = self.events.try_recv() {
            // The supervisor may be gone.
            let _ = sender.send(&FromNetwork::Event(event), Vec::new()).await;
        }
        Ok(())
    }
}
