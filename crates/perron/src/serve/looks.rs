//! What checks want to know that only the supervisor can find out.

use std::collections::BTreeMap;

use check::{Looked, Question};
use tokio::sync::oneshot;

use crate::messages::{CheckPlace, FromServe, LookReport};

/// Questions on their way.
#[derive(Debug, Default)]
pub(super) struct Looks {
    next: u64,
    asked: BTreeMap<u64, oneshot::Sender<Looked>>,
}

impl Looks {
    /// The message that asks what a check wants to know. `None`: nobody knows the check, and it hears so.
    pub(super) fn ask(&mut self, question: Question, place: Option<CheckPlace>) -> Option<FromServe> {
        let place = place?;
        // Checks of servers that are in maintenance by now do not wait any more.
        self.asked.retain(|_, reply| !reply.is_closed());
        self.next += 1;
        self.asked.insert(self.next, question.reply);
        Some(FromServe::Look { id: self.next, place })
    }

    /// Somebody has found it out.
    pub(super) fn answer(&mut self, id: u64, report: LookReport) {
        if let Some(reply) = self.asked.remove(&id) {
            // Who asked may not wait any more.
            let _ = reply.send(looked(report));
        }
    }

    /// Nobody will answer: who asked hears so.
    pub(super) fn give_up(&mut self) {
        self.asked.clear();
    }
}

fn looked(report: LookReport) -> Looked {
    match report {
        LookReport::Ended(status) => Looked::Ended(status),
        LookReport::Killed => Looked::Killed,
        LookReport::TimedOut => Looked::TimedOut,
        LookReport::NotRun => Looked::NotRun,
        LookReport::Missing => Looked::Missing,
        LookReport::Holds(number) => Looked::Holds(number),
        LookReport::Unclear => Looked::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use check::CheckIndex;

    use super::*;

    const PLACE: CheckPlace = CheckPlace { backend: 1, server: 2, check: 3 };

    #[test]
    fn answers_come_to_who_asked_and_those_that_nobody_gives_are_given_up() {
        let mut looks = Looks::default();
        let mut ask = |place| {
            let (reply, answer) = oneshot::channel();
            (looks.ask(Question { check: CheckIndex(0), reply }, place), answer)
        };
        let (first, mut of_first) = ask(Some(PLACE));
        let (second, mut of_second) = ask(Some(PLACE));
        let (none, mut of_none) = ask(None);
        assert_eq!(first, Some(FromServe::Look { id: 1, place: PLACE }));
        assert_eq!(second, Some(FromServe::Look { id: 2, place: PLACE }));
        assert_eq!(none, None);
        assert_eq!(of_none.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        looks.answer(2, LookReport::Ended(4));
        looks.answer(2, LookReport::Killed);
        looks.answer(9, LookReport::Killed);
        assert_eq!(of_second.try_recv(), Ok(Looked::Ended(4)));
        assert_eq!(of_first.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        looks.give_up();
        assert_eq!(of_first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
