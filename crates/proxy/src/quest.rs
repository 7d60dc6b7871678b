//! From a backend to a connection: a server with room, waiting for one if need be, and another one when it cannot be reached.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use balance::ServerIndex;
use tokio::time::Instant;

use crate::backend::{NoServer, Turn, Waiting, Wish};
use crate::claim::{Claim, Size};
use crate::config::{Backend, BackendIndex, Protocol, Server};
use crate::log::{Phase, Record};
use crate::proxied::{Told, preface_of_tls};
use crate::reason::Reason;
use crate::stream::Stream;
use crate::transfer::Watch;
use crate::upstream::{Unreached, connect};
use crate::worker::{Context, is_exhaustion};

/// Servers that one request may have tried, at the most: the retries of a configuration are fewer.
const TRIED_MAX: usize = 16;

/// A retry of the very server that just refused waits this long, or its connect time-out if that is shorter.
const SAME_SERVER_PAUSE: Duration = Duration::from_secs(1);

/// The search of one request for a server that takes it.
pub(crate) struct Quest<'a> {
    context: &'a Context,
    index: BackendIndex,
    claim: Claim,
    tried: [ServerIndex; TRIED_MAX],
    tries: usize,
    retries_left: u8,
}

/// A server's connection, with the slot that it takes.
pub(crate) struct Reached<'a> {
    pub(crate) stream: Stream,
    pub(crate) slot: Slot<'a>,
    /// Whether it had served another request before.
    pub(crate) reused: bool,
}

/// One request's share of a server's limit; given back when dropped.
pub(crate) struct Slot<'a> {
    context: &'a Context,
    pub(crate) backend: BackendIndex,
    pub(crate) server: ServerIndex,
    /// What was expected of the answer's length, until it is known.
    size: Cell<Option<Size>>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let shared = &self.context.shared;
        self.settle(0);
        shared.backend(self.backend).release(self.server, shared.clock.now());
    }
}

impl Slot<'_> {
    /// Tells whoever watches this backend's traffic how the server did.
    pub(crate) fn observe(&self, well: bool) {
        let shared = &self.context.shared;
        if shared.config.backends[usize::from(self.backend.0)].observe_failures.is_some()
            && let Some(observer) = &shared.observer
        {
            observer(self.backend, self.server, well);
        }
    }

    /// The answer has so many bytes; `is_whole`: they are all that there is under its URL.
    pub(crate) fn answered(&self, bytes: u64, is_whole: bool) {
        if let Some(size) = self.size.get().filter(|size| is_whole && size.is_whole) {
            self.context.shared.backend(self.backend).learn(size.key, bytes);
        }
        self.settle(bytes);
    }

    /// Puts what is known in the place of what was expected.
    fn settle(&self, bytes: u64) {
        let Some(size) = self.size.take() else { return };
        let shared = &self.context.shared;
        let account = shared.backend(self.backend).account(self.server);
        match bytes.checked_sub(size.expected) {
            Some(more) => account.promise_more(shared.clock.now(), more),
            None => account.take_back(size.expected - bytes),
        }
    }

    /// The client has been sent to the server itself, where it counts on.
    pub(crate) fn send_abroad(self) {
        self.context.shared.backend(self.backend).send_abroad(self.server);
        std::mem::forget(self);
    }

    /// How its server is reached.
    pub(crate) fn configured(&self) -> &Server {
        &self.context.shared.config.backends[usize::from(self.backend.0)].servers[usize::from(self.server.0)]
    }

    /// Keeps the connection for the next request, unless it speaks for this client alone or is one stream of many, and
    /// gives the slot back.
    ///
    /// Both wait until the server has nothing more to do with the last request.
    pub(crate) fn keep(self, stream: Stream, now: Instant) {
        if self.configured().send_proxy.is_some() || self.configured().protocol == Protocol::Http2 {
            return;
        }
        match stream.poll_settled(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(true) => self.context.idle.put(self.backend, self.server, stream, now),
            Poll::Ready(false) => {}
            Poll::Pending => self.settle_later(stream),
        }
    }

    fn settle_later(self, stream: Stream) {
        let Some(context) = self.context.own() else { return };
        let (backend, server) = (self.backend, self.server);
        self.settle(0);
        std::mem::forget(self);
        tokio::task::spawn_local(async move {
            let slot = Slot { context: &context, backend, server, size: Cell::new(None) };
            let patience = context.shared.config.backends[usize::from(backend.0)].timeouts.server;
            let settled = tokio::time::timeout(patience, poll_fn(|cx| stream.poll_settled(cx)));
            if settled.await == Ok(true) {
                context.idle.put(backend, server, stream, Instant::now());
            }
            drop(slot);
        });
    }
}

impl<'a> Quest<'a> {
    pub(crate) fn new(context: &'a Context, backend: BackendIndex, claim: Claim) -> Quest<'a> {
        let retries_left = context.shared.config.backends[usize::from(backend.0)].retries;
        let tried = [ServerIndex(0); TRIED_MAX];
        Quest { context, index: backend, claim, tried, tries: 0, retries_left }
    }

    /// Whether one of the retries is left.
    pub(crate) fn may_retry(&self) -> bool {
        self.retries_left > 0
    }

    /// Takes one of the retries, if one is left. The next server is another one if the backend allows that.
    pub(crate) fn retry(&mut self, server: ServerIndex, record: &mut Record) -> bool {
        if !self.may_retry() {
            return false;
        }
        self.retries_left -= 1;
        record.retries += 1;
        let stats = &self.context.stats;
        let (backend, place) = (usize::from(self.index.0), usize::from(server.0));
        stats.backends[backend].retries.add(1);
        stats.servers[backend][place].retries.add(1);
        if self.configured().redispatch && self.tries < TRIED_MAX {
            self.tried[self.tries] = server;
            self.tries += 1;
        }
        true
    }

    /// A connection to a server, kept or new.
    ///
    /// # Errors
    /// Why there is none; nothing of the request has been sent then.
    pub(crate) async fn reach(&mut self, client: Told<'_>, record: &mut Record) -> Result<Reached<'a>, Reason> {
        let slot = self.take_slot(client.stream, record).await?;
        self.reach_from(slot, client, record).await
    }

    /// The same, begun with the server of `slot`.
    pub(crate) async fn reach_from(
        &mut self,
        mut slot: Slot<'a>,
        client: Told<'_>,
        record: &mut Record,
    ) -> Result<Reached<'a>, Reason> {
        loop {
            let kept = self.context.idle.take(slot.backend, slot.server);
            if let Some(stream) = kept.or_else(|| self.context.lines.take(slot.backend, slot.server)) {
                record.connected = Some(Duration::ZERO);
                record.reused = true;
                return Ok(Reached { stream, slot, reused: true });
            }
            match self.connect(slot, client, record).await? {
                Some(reached) => return Ok(reached),
                None => slot = self.take_slot(client.stream, record).await?,
            }
        }
    }

    /// A new connection to the very server of `slot`.
    pub(crate) async fn connect(
        &mut self,
        slot: Slot<'a>,
        client: Told<'_>,
        record: &mut Record,
    ) -> Result<Option<Reached<'a>>, Reason> {
        record.phase = Phase::Connect;
        let began = Instant::now();
        let first = preface_of_tls(&slot, client);
        let client = client.stream;
        // Boxed: a request on a kept connection does not carry the room for this.
        let connecting = Box::pin(connect(self.context, slot.backend, slot.server, first));
        let Some(connected) = unless_gone(client, connecting).await else {
            return Err(Reason::ClientGone);
        };
        let stats = &self.context.stats;
        let (backend, server) = (usize::from(slot.backend.0), usize::from(slot.server.0));
        match connected {
            Ok(stream) => {
                record.connected = Some(began.elapsed());
                record.reused = false;
                stats.backends[backend].opened.add(1);
                stats.servers[backend][server].opened.add(1);
                Ok(Some(Reached { stream, slot, reused: false }))
            }
            Err(error) => {
                stats.backends[backend].connect_errors.add(1);
                stats.servers[backend][server].connect_errors.add(1);
                let reason = match &error {
                    Unreached::Refused(error) => Reason::ServerTls(*error),
                    Unreached::Failed(_) => Reason::Connect,
                };
                if !matches!(&error, Unreached::Failed(error) if is_exhaustion(error)) {
                    slot.observe(false);
                }
                if !self.retry(slot.server, record) {
                    return Err(reason);
                }
                drop(slot);
                self.pause_before_same_server(client).await?;
                Ok(None)
            }
        }
    }

    /// Without redispatch the same server is asked again: not at once.
    async fn pause_before_same_server(&self, client: &Stream) -> Result<(), Reason> {
        if self.configured().redispatch {
            return Ok(());
        }
        let pause = SAME_SERVER_PAUSE.min(self.configured().timeouts.connect);
        match unless_gone(client, tokio::time::sleep(pause)).await {
            Some(()) => Ok(()),
            None => Err(Reason::ClientGone),
        }
    }

    /// A server with room, waited for if need be.
    pub(crate) async fn take_slot(&mut self, client: &Stream, record: &mut Record) -> Result<Slot<'a>, Reason> {
        let shared = &self.context.shared;
        let turn = loop {
            let wish = Wish {
                claim: self.claim,
                chance: self.context.chance(),
                tried: &self.tried[..self.tries],
                patience: self.configured().timeouts.queue,
            };
            match shared.backend(self.index).ask(wish, shared.clock.now()) {
                // Every server has been tried: begin again with the first choice rather than give up.
                Err(NoServer::NoneUp) if self.tries > 0 => self.tries = 0,
                turn => break turn,
            }
        };
        // A turn that was taken before counts for the first choice alone.
        self.claim.turn = None;
        let server = match turn {
            Ok(Turn::Now(server)) => {
                record.queued.get_or_insert(Duration::ZERO);
                server
            }
            Ok(Turn::Wait(waiting)) => {
                let server = Box::pin(self.wait_in_line(waiting, client, record)).await?;
                shared.backend(self.index).promise(server, self.claim.size, shared.clock.now());
                server
            }
            Err(NoServer::NoneUp) => return Err(Reason::NoServer),
            Err(NoServer::QueueFull) => return Err(Reason::QueueFull),
        };
        if let Some(known) = &mut self.claim.known {
            shared.backend(self.index).remember(known, server);
        }
        if record.server.is_some_and(|before| before != server) {
            self.count_redispatch(server, record);
        }
        record.server = Some(server);
        Ok(Slot { context: self.context, backend: self.index, server, size: Cell::new(self.claim.size) })
    }

    fn count_redispatch(&self, server: ServerIndex, record: &mut Record) {
        record.redispatched = true;
        let (backend, server) = (usize::from(self.index.0), usize::from(server.0));
        self.context.stats.backends[backend].redispatches.add(1);
        self.context.stats.servers[backend][server].redispatches.add(1);
    }

    async fn wait_in_line(
        &self,
        mut waiting: Waiting,
        client: &Stream,
        record: &mut Record,
    ) -> Result<ServerIndex, Reason> {
        record.phase = Phase::Queue;
        let shared = &self.context.shared;
        let began = Instant::now();
        record.queue_place = shared.backend(self.index).waiting().saturating_sub(1);
        let granted = tokio::time::timeout(self.configured().timeouts.queue, unless_gone(client, waiting.granted()));
        let granted = granted.await;
        record.queued = Some(began.elapsed());
        match granted {
            Ok(Some(Some(server))) => return Ok(server),
            Ok(Some(None)) => return Err(Reason::NoServer),
            Ok(None) | Err(_) => {}
        }
        shared.backend(self.index).leave_line(waiting, shared.clock.now());
        Err(if granted.is_err() { Reason::QueueTimeout } else { Reason::ClientGone })
    }

    fn configured(&self) -> &'a Backend {
        &self.context.shared.config.backends[usize::from(self.index.0)]
    }
}

/// Waits for `other` while `client` stays; `None` if it went away first.
async fn unless_gone<T>(client: &Stream, other: impl Future<Output = T>) -> Option<T> {
    let mut watch = Watch::new(client);
    let mut other = std::pin::pin!(other);
    poll_fn(|cx| {
        if let Poll::Ready(done) = other.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        watch.poll_gone(cx).map(|()| None)
    })
    .await
}
