use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use units::Instant;

use crate::ServerIndex;

/// Requests that wait for a server with room, the longest waiting first. The caller wakes them; this only keeps their order.
///
/// A request that waits for one server is passed over for others and stands in line with the rest for its own,
/// so nobody is overtaken by who came later and could go where he can.
#[derive(Debug)]
pub struct Queue {
    max: usize,
    next: u64,
    waiting: BTreeMap<Ticket, Waiting>,
    for_any: BTreeSet<Ticket>,
    for_one: BTreeMap<ServerIndex, BTreeSet<Ticket>>,
}

/// A place in a queue; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// As many wait as may: the request is answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

#[derive(Debug)]
struct Waiting {
    since: Instant,
    deadline: Instant,
    wants: Option<ServerIndex>,
}

impl Queue {
    /// An empty queue in which at most `max` requests wait.
    pub fn new(max: usize) -> Queue {
        Queue { max, next: 0, waiting: BTreeMap::new(), for_any: BTreeSet::new(), for_one: BTreeMap::new() }
    }

    /// Puts a request at the end; from `deadline` on it is given no server. `wants`: the only server that it waits for.
    ///
    /// # Errors
    /// If as many wait as may.
    pub fn push(&mut self, now: Instant, deadline: Instant, wants: Option<ServerIndex>) -> Result<Ticket, QueueFull> {
        if self.waiting.len() >= self.max {
            return Err(QueueFull);
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert(ticket, Waiting { since: now, deadline, wants });
        match wants {
            Some(server) => self.for_one.entry(server).or_default().insert(ticket),
            None => self.for_any.insert(ticket),
        };
        Ok(ticket)
    }

    /// Takes out the longest waiting request that may go to `server`, which has room. Those whose deadline has come
    /// are dropped on the way; their owners know it by their own timers.
    pub fn next_for(&mut self, server: ServerIndex, now: Instant) -> Option<Ticket> {
        loop {
            let for_one = self.for_one.get(&server).and_then(BTreeSet::first);
            let ticket = *for_one.into_iter().chain(self.for_any.first()).min()?;
            let waiting = self.remove(ticket)?;
            if now < waiting.deadline {
                return Some(ticket);
            }
        }
    }

    /// Takes out a request that no longer waits. False: it was given a server already (which the caller must hand
    /// on to [`Queue::next_for`]), or dropped.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.remove(ticket).is_some()
    }

    /// Lets those who wait for `server` alone go anywhere, in their old places: it is no longer usable.
    pub fn release(&mut self, server: ServerIndex) {
        for ticket in self.for_one.remove(&server).unwrap_or_default() {
            if let Some(waiting) = self.waiting.get_mut(&ticket) {
                waiting.wants = None;
            }
            self.for_any.insert(ticket);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait for `server` alone.
    pub fn len_for(&self, server: ServerIndex) -> usize {
        self.for_one.get(&server).map_or(0, BTreeSet::len)
    }

    /// How long the first in line has waited.
    pub fn longest_wait(&self, now: Instant) -> Option<Duration> {
        self.waiting.first_key_value().map(|(_, waiting)| now.since(waiting.since))
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        match waiting.wants {
            None => {
                self.for_any.remove(&ticket);
            }
            Some(server) => {
                if let Some(tickets) = self.for_one.get_mut(&server) {
                    tickets.remove(&ticket);
                }
                if self.len_for(server) == 0 {
                    self.for_one.remove(&server);
                }
            }
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServerIndex = ServerIndex(0);
    const B: ServerIndex = ServerIndex(1);
    const NOW: Instant = Instant::from_millis(1_000);
    const LATER: Instant = Instant::from_millis(31_000);

    #[test]
    fn whoever_came_first_goes_first() {
        let mut queue = Queue::new(10);
        let wants = [None, Some(A), None, Some(B), Some(A)];
        let tickets = wants.map(|wants| queue.push(NOW, LATER, wants).expect("room"));
        assert_eq!(queue.len(), 5);
        assert_eq!(queue.len_for(A), 2);
        assert_eq!(queue.next_for(A, NOW), Some(tickets[0]));
        assert_eq!(queue.next_for(B, NOW), Some(tickets[2]));
        assert_eq!(queue.next_for(B, NOW), Some(tickets[3]));
        assert_eq!(queue.next_for(B, NOW), None);
        assert_eq!(queue.next_for(A, NOW), Some(tickets[1]));
        assert_eq!(queue.next_for(A, NOW), Some(tickets[4]));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_waited_too_long_gets_nothing() {
        let mut queue = Queue::new(10);
        let late = queue.push(NOW, NOW + Duration::from_millis(5), None).expect("room");
        let fresh = queue.push(NOW, LATER, Some(A)).expect("room");
        let now = NOW + Duration::from_millis(5);
        assert_eq!(queue.longest_wait(now), Some(Duration::from_millis(5)));
        assert_eq!(queue.next_for(A, now), Some(fresh));
        assert!(!queue.cancel(late), "dropped on the way");
        assert!(queue.is_empty());
        assert_eq!(queue.longest_wait(now), None);
    }

    #[test]
    fn a_full_queue_takes_nobody_until_one_goes() {
        let mut queue = Queue::new(1);
        let first = queue.push(NOW, LATER, Some(B)).expect("room");
        assert_eq!(queue.push(NOW, LATER, None), Err(QueueFull));
        assert!(queue.cancel(first));
        assert!(!queue.cancel(first));
        assert_eq!(queue.next_for(B, NOW), None);
        assert!(queue.push(NOW, LATER, None).is_ok());
        assert_eq!(Queue::new(0).push(NOW, LATER, None), Err(QueueFull));
    }

    #[test]
    fn a_server_that_goes_leaves_its_waiters_their_places() {
        let mut queue = Queue::new(10);
        let first = queue.push(NOW, LATER, Some(A)).expect("room");
        let second = queue.push(NOW, LATER, None).expect("room");
        queue.release(A);
        assert_eq!(queue.len_for(A), 0);
        assert_eq!(queue.next_for(B, NOW), Some(first));
        assert_eq!(queue.next_for(B, NOW), Some(second));
    }
}
