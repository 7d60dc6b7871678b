//! The process that carries the traffic: workers on threads of their own; checks, numbers and orders on this one.

mod assembly;
mod authority;
mod carry;
mod complaints;
mod control;
mod extras;
mod forwarding;
mod handlers;
mod level;
mod links;
mod looks;
mod names;
mod place;
mod sandbox;
mod secure;
mod sharing;
mod sizes;
mod status;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use peers::Peers;
use proxy::{Pulse, WorkerHandle};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::certificates;
use crate::log;
use tls::Challenges;

use crate::messages::{
    BEAT_INTERVAL, FromAuthority, FromServe, LinkReceiver, LinkSender, Question, Secrets, Start, ToServe, link,
};
use assembly::Assembly;
use control::Control;
use status::StatusSource;

/// How often the supervisor is told what the next serving process should know.
const STATE_INTERVAL: Duration = Duration::from_secs(5);

/// How soon it is told when a server has changed: what changes together is told at once, and a process that is started
/// after a sudden death of this one knows of it.
const STATE_SOON: Duration = Duration::from_millis(20);

/// While draining, how often the workers are asked whether they have ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Descriptors that there is room for from the beginning: those of thirty thousand proxied connections, in half a MiB of the kernel.
const DESCRIPTORS: u64 = 65_536;

/// Does what the supervisor at the other end of `channel` says, until it says to end.
pub(crate) fn run(channel: linux::Channel) -> anyhow::Result<()> {
    make_room_for_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let (mut sender, mut receiver) = link(channel, Vec::new())?;
        match begin(&mut receiver).await {
            Ok(serving) => serving.go_on(sender, receiver).await,
            Err(error) => {
                let why = format!("{error:#}");
                sender.send(&FromServe::Failed { why }, Vec::new()).await?;
                Err(error)
            }
        }
    })
}

/// The kernel doubles a process's table of descriptors whenever it is full, and where there are threads, the one that
/// opens the next one waits until all processors have seen that: milliseconds, in which its worker serves nobody. Now
/// there is one thread.
fn make_room_for_descriptors() {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = i32::try_from(allowed.min(DESCRIPTORS)).unwrap_or(i32::MAX) - 1;
    // Where that cannot be, they are made room for one by one.
    let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), last);
}

/// A worker that makes no turn for so long is hung.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

/// What a worker was last seen doing.
struct Seen {
    turns: u32,
    at: Instant,
}

/// A process that serves.
struct Serving {
    control: Arc<Mutex<Control>>,
    source: Arc<StatusSource>,
    workers: Vec<WorkerHandle>,
    /// In step with `workers`.
    seen: Vec<Seen>,
    events: mpsc::UnboundedReceiver<check::Event>,
    /// What checks want to know of the supervisor.
    looks: looks::Looks,
    looks_asked: mpsc::UnboundedReceiver<check::Question>,
    /// The other directors, until this process drains.
    peers: Option<Arc<Peers>>,
    peer_events: mpsc::Receiver<peers::Event>,
    /// As the supervisor was told last.
    facts: Option<failover::Facts>,
    /// As the supervisor was told last.
    forwarding: Option<forward::Table>,
    /// The name service, where there is one.
    names: Option<names::Names>,
    name_events: mpsc::Receiver<dns::Event>,
    /// What authorities are shown by a handshake.
    challenges: Option<Challenges>,
    /// Who asks an authority for certificates, until this process drains.
    authority: Option<authority::Authority>,
    /// What that authority gives.
    given: mpsc::UnboundedReceiver<FromAuthority>,
    assembly: Assembly,
}

/// Waits for the first message, gives up privileges, and starts to serve.
async fn begin(receiver: &mut LinkReceiver) -> anyhow::Result<Serving> {
    let Some((ToServe::Start(start), fds)) = receiver.receive().await? else {
        bail!("the supervisor did not say what to serve");
    };
    become_user(&start)?;
    let mut assembly = Assembly::new(*start, fds)?;
    let (events, received) = mpsc::unbounded_channel();
    let (asker, looks_asked) = mpsc::unbounded_channel();
    let [v4, v6] = std::mem::take(&mut assembly.pings);
    let pinger = check::Pinger::new(v4, v6).context("cannot send echo requests")?;
    let means = check::Means { pinger: Some(pinger), asker: Some(asker) };
    let control = Arc::new(Mutex::new(Control::new(&assembly, &means, events)));
    let secrets = std::mem::take(&mut assembly.secrets);
    let challenges = authority::challenges(&assembly.config);
    secure::secure(&assembly.config, &assembly.shared, &lock(&control), &secrets, challenges.as_ref())
        .context("cannot speak TLS")?;
    if let Some(questions) = assembly.questions.take() {
        questions.ask(&assembly.shared, &assembly.config.proxy.backends);
    }
    let source = Arc::new(StatusSource::new(&assembly, Arc::clone(&control)));
    source.set_certificates(certificates::shown(&assembly.config, &secrets.material()));
    if let Some(listener) = assembly.admin.take() {
        let source: Arc<StatusSource> = Arc::clone(&source);
        tokio::task::spawn_local(async move {
            if let Err(error) = admin::serve(listener, source).await {
                log::error("the dashboard has ended", &[("error", &error)]);
            }
        });
    }
    let (peers, peer_events) = match assembly.sharing.take() {
        Some(sharing) => {
            let (peers, events) = sharing.begin().await.context("cannot share tables with other directors")?;
            source.set_peers(&peers);
            (Some(peers), events)
        }
        None => (None, mpsc::channel(1).1),
    };
    let (names, name_events) =
        names::begin(&assembly.config, std::mem::take(&mut assembly.names)).context("cannot answer for the name")?;
    if let Some(names) = &names {
        source.set_names(&names.server);
    }
    let workers = start_workers(&mut assembly)?;
    let (authority, given) = authority::begin(&assembly.config, &assembly.shared, challenges.clone(), &secrets)?;
    let seen = workers.iter().map(|worker| Seen { turns: worker.turns(), at: Instant::now() }).collect();
    Ok(Serving {
        control,
        source,
        workers,
        seen,
        events: received,
        looks: looks::Looks::default(),
        looks_asked,
        peers,
        peer_events,
        names,
        name_events,
        challenges,
        authority,
        given,
        facts: None,
        forwarding: None,
        assembly,
    })
}

/// The threads that carry the traffic.
fn start_workers(assembly: &mut Assembly) -> anyhow::Result<Vec<WorkerHandle>> {
    let listeners = std::mem::take(&mut assembly.listeners);
    let pulse = assembly.beats.as_ref().map(|(beats, interval)| {
        let beats = beats.begin(listeners.len(), linux::boot_clock());
        let sign: Arc<dyn Fn(usize) + Send + Sync> = Arc::new(move |worker| beats.beat(worker, linux::boot_clock()));
        Pulse { interval: *interval, sign }
    });
    let mut workers = Vec::new();
    for (index, listeners) in listeners.into_iter().enumerate() {
        let worker = proxy::Worker::start(index, Arc::clone(&assembly.shared), listeners, pulse.clone());
        workers.push(worker.context("cannot start a worker's thread")?);
    }
    Ok(workers)
}

fn become_user(start: &Start) -> anyhow::Result<()> {
    let user = match &start.user {
        Some(name) => {
            let user = linux::User::named(name)?;
            Some(user.with_context(|| format!("there is no user called {name}"))?)
        }
        None => None,
    };
    linux::drop_privileges(user.as_ref())?;
    linux::end_with_parent()?;
    Ok(())
}

impl Serving {
    async fn go_on(mut self, mut sender: LinkSender, mut receiver: LinkReceiver) -> anyhow::Result<()> {
        sender.send(&FromServe::Ready, Vec::new()).await?;
        let mut beat = tokio::time::interval(BEAT_INTERVAL);
        let mut state = tokio::time::interval(STATE_INTERVAL);
        let mut hastened = false;
        let mut tick = tokio::time::interval(links::TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drain: Option<Drain> = None;
        let mut stepped = true;
        loop {
            let deadline = self.lock().deadline();
            let happened = self.lock().take_events();
            if (std::mem::take(&mut stepped) || !happened.is_empty()) && drain.is_none() {
                self.send_facts(&mut sender).await?;
                self.send_forwarding(&mut sender).await?;
            }
            if !happened.is_empty() && !hastened {
                hastened = true;
                state.reset_after(STATE_SOON);
            }
            for event in happened {
                sender.send(&FromServe::Event(event), Vec::new()).await?;
            }
            tokio::select! {
                message = receiver.receive() => {
                    let Some((message, fds)) = message? else { return Ok(()) };
                    match message {
                        ToServe::Stop => return Ok(()),
                        ToServe::Drain { timeout_ms, kept_connections } => {
                            drain = Some(self.begin_drain(Duration::from_millis(timeout_ms), kept_connections));
                        }
                        message => self.obey(message, fds, &mut sender).await?,
                    }
                }
                Some(event) = self.events.recv() => self.lock().handle_check(event),
                Some(question) = self.looks_asked.recv() => {
                    let place = self.lock().place_of(question.check);
                    if let Some(look) = self.looks.ask(question, place) {
                        sender.send(&look, Vec::new()).await?;
                    }
                }
                Some(event) = self.peer_events.recv() => {
                    let event = sharing::event(&event, self.assembly.generation);
                    sender.send(&FromServe::Event(event), Vec::new()).await?;
                }
                Some(event) = self.name_events.recv() => {
                    let Some(names) = &self.names else { continue };
                    let event = names::event(event, &names.server, self.assembly.generation);
                    sender.send(&FromServe::Event(event), Vec::new()).await?;
                }
                Some(given) = self.given.recv() => sender.send(&FromServe::Authority(given), Vec::new()).await?,
                () = until(deadline) => stepped = self.lock().handle_deadline(),
                _ = tick.tick() => self.lock().handle_tick(),
                _ = beat.tick() => {
                    if drain.is_none() {
                        self.look_after_workers()?;
                    }
                    self.send_beat(&mut sender).await?;
                }
                _ = state.tick() => {
                    hastened = false;
                    self.send_state(&mut sender).await?;
                }
                () = drained(&self.workers, self.names.as_ref().map(|names| &*names.server), drain.as_ref()) => {
                    sender.send(&FromServe::Drained, Vec::new()).await?;
                    return Ok(());
                }
            }
        }
    }

    async fn send_beat(&self, sender: &mut LinkSender) -> anyhow::Result<()> {
        self.source.sample();
        if self.assembly.vips && self.source.take_looked() {
            sender.send(&FromServe::Looked, Vec::new()).await?;
        }
        sender.send(&FromServe::Beat, Vec::new()).await?;
        Ok(())
    }

    /// A process with a worker that has ended, or that hangs, does not serve those whose connections that worker has:
    /// it is better replaced.
    fn look_after_workers(&mut self) -> anyhow::Result<()> {
        if self.names.as_ref().is_some_and(|names| names.server.is_finished()) {
            bail!("the name service has ended");
        }
        for (index, (worker, seen)) in self.workers.iter().zip(&mut self.seen).enumerate() {
            if worker.is_finished() {
                bail!("worker {index} has ended");
            }
            let turns = worker.turns();
            if turns != seen.turns {
                *seen = Seen { turns, at: Instant::now() };
            } else if seen.at.elapsed() > WORKER_PATIENCE {
                bail!("worker {index} hangs");
            }
        }
        Ok(())
    }

    async fn obey(
        &mut self,
        message: ToServe,
        fds: Vec<std::os::fd::OwnedFd>,
        sender: &mut LinkSender,
    ) -> anyhow::Result<()> {
        match message {
            ToServe::Snapshot => self.send_state(sender).await?,
            ToServe::Question { id, question } => {
                let answer = self.answer(question);
                sender.send(&FromServe::Reply { id, answer }, Vec::new()).await?;
            }
            ToServe::Reopen => {
                if let Some(file) = fds.into_iter().next() {
                    self.assembly.log.reopen(file.into());
                }
            }
            ToServe::Vips(report) => {
                if let Some(names) = &self.names {
                    names.tell(&report);
                }
                self.source.set_vips(*report);
            }
            ToServe::Secrets(secrets) => self.secure(&secrets),
            ToServe::Looked { id, report } => self.looks.answer(id, report),
            ToServe::LooksLost => self.looks.give_up(),
            ToServe::Applications(applications) => self.source.set_applications(applications),
            ToServe::Start(_) | ToServe::Stop | ToServe::Drain { .. } => {}
        }
        Ok(())
    }

    /// Files have changed. The supervisor has seen that they go together, so that a failure is one of the system.
    fn secure(&self, secrets: &Secrets) {
        let Assembly { config, shared, .. } = &self.assembly;
        match secure::secure(config, shared, &self.lock(), secrets, self.challenges.as_ref()) {
            Ok(()) => self.source.set_certificates(certificates::shown(config, &secrets.material())),
            Err(error) => log::error("TLS goes on as before", &[("why", &error)]),
        }
    }

    fn answer(&self, question: Question) -> Result<serde_json::Value, String> {
        use admin::Source as _;
        match question {
            Question::Status => serde_json::to_value(self.source.status()).map_err(|error| error.to_string()),
            Question::Server(command) => {
                self.source.command(command).map(|()| serde_json::Value::Null).map_err(|error| error.to_string())
            }
        }
    }

    /// What serves here, if that has changed and somebody depends on it.
    async fn send_facts(&mut self, sender: &mut LinkSender) -> anyhow::Result<()> {
        let facts = self.lock().facts(&self.assembly.config);
        if self.assembly.told && self.facts.as_ref() != Some(&facts) {
            sender.send(&FromServe::Facts(facts.clone()), Vec::new()).await?;
            self.facts = Some(facts);
        }
        Ok(())
    }

    /// What the kernel is to forward, if that has changed.
    async fn send_forwarding(&mut self, sender: &mut LinkSender) -> anyhow::Result<()> {
        if !self.assembly.forwards {
            return Ok(());
        }
        let table = self.lock().forwarding(&self.assembly.config);
        if self.forwarding.as_ref() != Some(&table) {
            sender.send(&FromServe::Forward(table.clone()), Vec::new()).await?;
            self.forwarding = Some(table);
        }
        Ok(())
    }

    async fn send_state(&self, sender: &mut LinkSender) -> anyhow::Result<()> {
        let state = serde_json::to_value(self.lock().carried())?;
        sender.send(&FromServe::State { state }, Vec::new()).await?;
        Ok(())
    }

    fn begin_drain(&mut self, timeout: Duration, kept_connections: bool) -> Drain {
        // Whoever takes over speaks with them now.
        self.peers = None;
        self.authority = None;
        if let Some(names) = &self.names {
            names.server.finish();
        }
        self.assembly.shared.begin_draining();
        for worker in &self.workers {
            if kept_connections {
                worker.drain();
            } else {
                worker.finish();
            }
        }
        Drain { until: Instant::now() + timeout }
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        lock(&self.control)
    }
}

fn lock(control: &Mutex<Control>) -> MutexGuard<'_, Control> {
    control.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of this process, under way.
struct Drain {
    until: Instant,
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Resolves when nothing is under way any more, or the time for it is over; never unless a drain has begun.
async fn drained(workers: &[WorkerHandle], names: Option<&dns::Server>, drain: Option<&Drain>) {
    let Some(drain) = drain else { return std::future::pending().await };
    let is_finished = || workers.iter().all(WorkerHandle::is_finished) && names.is_none_or(dns::Server::is_finished);
    while !is_finished() && Instant::now() < drain.until {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}
