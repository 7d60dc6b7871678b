//! One connection of a client's, as its streams and what drives it share it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context as TaskContext, Waker};

use http_proto::HeadError;
use http_proto::http2::{Event, Key, Server};
use tokio::time::Instant;

use super::inbound::Inbound;
use crate::http::Visitor;
use crate::log::Record;
use crate::reason::Reason;
use crate::stream::Stream;
use crate::timer::Timer;
use crate::worker::ConnectionGuard;

/// What the streams of a connection share.
pub(super) struct Link {
    pub(super) core: RefCell<Server>,
    /// Who waits for something of a stream, by the stream's place.
    wakers: RefCell<Vec<Option<Waker>>>,
    /// Who sends what there is to send, and whether it has been told that there is something.
    driver: RefCell<Option<Waker>>,
    is_told: Cell<bool>,
    pub(super) guard: ConnectionGuard,
    pub(super) peer: Option<SocketAddr>,
    pub(super) destination: Option<SocketAddr>,
    pub(super) secure: Option<Rc<tls::Peer>>,
    pub(super) exported: Option<Vec<u8>>,
    pub(super) reached: Option<SocketAddr>,
    /// Requests that somebody serves.
    pub(super) under_way: Cell<u32>,
    /// When the last of them ended.
    pub(super) quiet_since: Cell<Instant>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Who a client is.
pub(super) struct Who {
    pub(super) peer: Option<SocketAddr>,
    pub(super) destination: Option<SocketAddr>,
    pub(super) secure: Option<Rc<tls::Peer>>,
    pub(super) exported: Option<Vec<u8>>,
    pub(super) reached: Option<SocketAddr>,
}

impl Link {
    pub(super) fn new(core: Server, guard: ConnectionGuard, who: Who) -> Rc<Link> {
        let Who { peer, destination, secure, exported, reached } = who;
        Rc::new(Link {
            core: RefCell::new(core),
            wakers: RefCell::default(),
            driver: RefCell::default(),
            is_told: Cell::new(false),
            guard,
            peer,
            destination,
            secure,
            exported,
            reached,
            under_way: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
        })
    }

    /// Who is to be told of bytes that are to leave.
    pub(super) fn drive_by(&self, cx: &TaskContext<'_>) {
        self.is_told.set(false);
        set(&mut self.driver.borrow_mut(), cx);
    }

    /// Sees to it that what there is to send is sent, once all that can go together are done.
    pub(super) fn nudge(&self) {
        if self.core.borrow().has_outgoing()
            && !self.is_told.replace(true)
            && let Some(waker) = &*self.driver.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Has the task woken when something is different with a stream.
    pub(super) fn wait(&self, key: Key, cx: &TaskContext<'_>) {
        let mut wakers = self.wakers.borrow_mut();
        if wakers.len() <= key.place() {
            wakers.resize(key.place() + 1, None);
        }
        set(&mut wakers[key.place()], cx);
    }

    fn wake(&self, key: Key) {
        if let Some(Some(waker)) = self.wakers.borrow().get(key.place()) {
            waker.wake_by_ref();
        }
    }

    /// Nobody serves this stream any more.
    pub(super) fn release(&self, key: Key) {
        if let Some(waker) = self.wakers.borrow_mut().get_mut(key.place()) {
            *waker = None;
        }
        self.core.borrow_mut().release(key);
        self.nudge();
    }

    /// Has what came done: requests begun, those who wait woken.
    pub(super) fn deliver(self: &Rc<Link>, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            match event {
                Event::Changed(key) => self.wake(key),
                Event::Request(key) => {
                    let begun = self.core.borrow_mut().begin(key);
                    if let Some(begun) = begun {
                        let request = Request::new(Rc::clone(self), key, begun.refused);
                        self.guard.context.runners.run(request);
                    }
                }
            }
        }
    }

    /// Counts and logs the end of the connection.
    pub(super) fn fail(&self, reason: Reason) {
        let ConnectionGuard { context, frontend } = &self.guard;
        let mut record = Record::new(Instant::now(), context.is_logged(*frontend));
        record.fail(reason);
        context.finish(&record, *frontend, self.peer);
    }
}

fn set(place: &mut Option<Waker>, cx: &TaskContext<'_>) {
    match place {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *place = Some(cx.waker().clone()),
    }
}

/// A request that is to be served.
pub(crate) struct Request {
    link: Rc<Link>,
    key: Key,
    refused: Option<HeadError>,
}

impl Request {
    fn new(link: Rc<Link>, key: Key, refused: Option<HeadError>) -> Request {
        link.under_way.set(link.under_way.get() + 1);
        Request { link, key, refused }
    }

    /// Serves it, with a timer that is given back.
    pub(crate) async fn serve(&self, timer: Timer) -> Timer {
        let Link { guard, peer, destination, secure, exported, .. } = &*self.link;
        let stream = Stream::Layer(Box::new(Inbound::new(Rc::clone(&self.link), self.key)));
        let (secure, exported) = (secure.as_deref(), exported.as_deref());
        let visitor = Visitor { guard, peer: *peer, destination: *destination, secure, exported };
        crate::http::serve_one(stream, visitor, self.refused, timer).await
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let under_way = &self.link.under_way;
        under_way.set(under_way.get() - 1);
        if under_way.get() == 0 {
            self.link.quiet_since.set(Instant::now());
        }
    }
}
