//! Tasks that serve requests of HTTP/2, one after the other: making a task costs as much as serving most requests.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::link::Request;
use crate::timer::Timer;

/// Tasks of a worker that wait for a request; others end. As many as two connections have requests at once.
const IDLE_MAX: usize = 256;

/// A timer that is of no use yet expires once, and is set anew by the first request.
const UNUSED: Duration = Duration::from_secs(60);

/// A worker's.
#[derive(Default)]
pub(crate) struct Runners {
    idle: RefCell<Vec<Rc<Seat>>>,
}

/// Where a task waits for its next request.
#[derive(Default)]
struct Seat {
    request: RefCell<Option<Request>>,
    waker: RefCell<Option<Waker>>,
}

impl Runners {
    /// Has a request served by a task that waits, or by a new one.
    pub(crate) fn run(self: &Rc<Runners>, request: Request) {
        let seat = self.idle.borrow_mut().pop();
        match seat {
            Some(seat) => {
                *seat.request.borrow_mut() = Some(request);
                if let Some(waker) = &*seat.waker.borrow() {
                    waker.wake_by_ref();
                }
            }
            None => drop(tokio::task::spawn_local(serve_all(Rc::clone(self), request))),
        }
    }

    /// Takes a task back; `false`: enough are waiting.
    fn sit_down(&self, seat: &Rc<Seat>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let has_room = idle.len() < IDLE_MAX;
        if has_room {
            idle.push(Rc::clone(seat));
        }
        has_room
    }
}

async fn serve_all(runners: Rc<Runners>, first: Request) {
    let seat = Rc::new(Seat::default());
    let mut timer = Timer::new(UNUSED);
    let mut request = first;
    loop {
        timer = request.serve(timer).await;
        drop(request);
        if !runners.sit_down(&seat) {
            return;
        }
        request = poll_fn(|cx| {
            if let Some(request) = seat.request.borrow_mut().take() {
                return Poll::Ready(request);
            }
            let mut waker = seat.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
