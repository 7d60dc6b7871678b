use netlink::Error;

use crate::{Event, SyncDaemon, SyncPlan};

/// What tells and hears of connections: [`SyncDaemon`], but in tests.
pub(crate) trait Daemons {
    /// See [`SyncDaemon::follow`].
    fn follow(&mut self, plan: Option<&SyncPlan>, active: bool) -> Result<bool, Error>;
}

impl Daemons for SyncDaemon {
    fn follow(&mut self, plan: Option<&SyncPlan>, active: bool) -> Result<bool, Error> {
        SyncDaemon::follow(self, plan, active)
    }
}

/// How this director shares connections, and whether it is active.
pub(crate) type Part = (SyncPlan, bool);

/// Keeps the kernel's daemons as this director's part is. Whoever never had one leaves them alone.
pub(crate) struct Syncing<D> {
    open: fn() -> Result<D, Error>,
    daemons: Option<D>,
    wanted: Option<Part>,
    /// Whether what is wanted has been there since: what differs then is somebody else's doing.
    settled: bool,
    trouble: Option<String>,
}

impl<D: Daemons> Syncing<D> {
    pub(crate) fn new(open: fn() -> Result<D, Error>) -> Syncing<D> {
        Syncing { open, daemons: None, wanted: None, settled: true, trouble: None }
    }

    /// From now on this is its part.
    pub(crate) fn want(&mut self, wanted: Option<Part>, events: &mut Vec<Event>) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        self.settled = false;
        self.reconcile(events);
    }

    /// Looks whether the daemons are as they are wanted, and makes them so.
    pub(crate) fn reconcile(&mut self, events: &mut Vec<Event>) {
        if self.wanted.is_none() && self.settled {
            return;
        }
        match self.follow() {
            Ok(changed) => {
                if let Some(trouble) = self.trouble.take() {
                    events.push(Event { frontend: None, trouble: false, text: format!("over: {trouble}") });
                }
                let was_settled = std::mem::replace(&mut self.settled, true);
                match &self.wanted {
                    Some((plan, active)) if changed => events.push(told(plan, *active, was_settled)),
                    _ => {}
                }
            }
            Err(error) => {
                self.settled = false;
                let text = format!("other directors know nothing of connections that are forwarded: {error}");
                if self.trouble.as_ref() != Some(&text) {
                    events.push(Event { frontend: None, trouble: true, text: text.clone() });
                    self.trouble = Some(text);
                }
            }
        }
    }

    /// Leaves no daemon behind.
    pub(crate) fn stop(&mut self) {
        if self.wanted.take().is_some() {
            // Without it nothing is told any more than that nothing is forwarded.
            let _ = self.follow();
        }
    }

    fn follow(&mut self) -> Result<bool, Error> {
        let daemons = match &mut self.daemons {
            Some(daemons) => daemons,
            none => none.insert((self.open)()?),
        };
        match &self.wanted {
            Some((plan, active)) => daemons.follow(Some(plan), *active),
            None => daemons.follow(None, false),
        }
    }
}

fn told(plan: &SyncPlan, active: bool, again: bool) -> Event {
    let what = if active { "are told to" } else { "are heard of from" };
    let why = if again { ", again: another program had ended that" } else { "" };
    let text = format!("connections that are forwarded {what} other directors on {}{why}", plan.interface);
    Event { frontend: None, trouble: again, text }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// What a kernel has: nothing to ask, or who tells where.
        static KERNEL: RefCell<Option<Option<(String, bool)>>> = const { RefCell::new(Some(None)) };
    }

    struct Fake;

    impl Daemons for Fake {
        fn follow(&mut self, plan: Option<&SyncPlan>, active: bool) -> Result<bool, Error> {
            let wanted = plan.map(|plan| (plan.interface.clone(), active));
            KERNEL.with_borrow_mut(|kernel| {
                let has = kernel.as_mut().expect("it was opened");
                Ok(std::mem::replace(has, wanted.clone()) != wanted)
            })
        }
    }

    fn open() -> Result<Fake, Error> {
        let absent = || Error::Absent { tried: "asking".to_owned(), what: "no IPVS".to_owned() };
        KERNEL.with_borrow(|kernel| kernel.is_some().then_some(Fake).ok_or_else(absent))
    }

    fn part(active: bool) -> Option<Part> {
        Some((SyncPlan::new("eth1", 51), active))
    }

    fn texts(events: &mut Vec<Event>) -> Vec<String> {
        events.drain(..).map(|event| event.text).collect()
    }

    #[test]
    fn daemons_follow_the_part_and_are_put_back() {
        let (mut syncing, mut events) = (Syncing::new(open), Vec::new());
        // Somebody else's.
        KERNEL.set(Some(Some(("eth9".to_owned(), true))));
        syncing.reconcile(&mut events);
        syncing.want(None, &mut events);
        assert_eq!(KERNEL.take(), Some(Some(("eth9".to_owned(), true))));

        KERNEL.set(Some(None));
        syncing.want(part(false), &mut events);
        assert_eq!(texts(&mut events), ["connections that are forwarded are heard of from other directors on eth1"]);
        syncing.reconcile(&mut events);
        assert_eq!(texts(&mut events), [""; 0]);
        syncing.want(part(true), &mut events);
        assert_eq!(texts(&mut events), ["connections that are forwarded are told to other directors on eth1"]);
        assert_eq!(KERNEL.with_borrow(Clone::clone), Some(Some(("eth1".to_owned(), true))));
        KERNEL.set(Some(None));
        syncing.reconcile(&mut events);
        let again =
            "connections that are forwarded are told to other directors on eth1, again: another program had ended that";
        assert_eq!(texts(&mut events), [again]);
        syncing.stop();
        assert_eq!(KERNEL.take(), Some(None));
    }

    #[test]
    fn a_kernel_without_ipvs_is_told_of_once() {
        let (mut syncing, mut events) = (Syncing::new(open), Vec::new());
        KERNEL.set(None);
        syncing.want(part(true), &mut events);
        syncing.reconcile(&mut events);
        let said = texts(&mut events);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("other directors know nothing of connections that are forwarded: ")
                && said[0].contains("no IPVS"),
            "{said:?}"
        );
        KERNEL.set(Some(None));
        syncing.reconcile(&mut events);
        assert_eq!(texts(&mut events).len(), 2, "it is over, and they are told");
    }
}
