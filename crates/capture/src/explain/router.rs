//! A virtual router of a network, as its routers' adverts show it.
//!
//! Each router that is not active has a [`Shadow`], which hears what is captured. One that is active is asked through a
//! shadow when another one speaks. What a shadow decides and what is seen then are two things: the text says both.

use std::net::IpAddr;
use std::time::Duration;

use units::Instant;
use vrrp_proto::{Priority, Refusal, Timing, Why};

use super::shadow::{Heard, Said, Shadow};
use super::words::{Span, list, ordinal};
use crate::Kind;
use crate::frame::Hardware;

mod claim;
mod silence;

/// Routers of one virtual router. Of more, who has been silent longest is forgotten.
pub(crate) const MEMBERS_MAX: usize = 16;

/// What was found out, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) time: Instant,
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) is_routine: bool,
}

/// One virtual router.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed {
    members: Vec<Member>,
    /// Who was active last, and what became of it.
    last: Option<Last>,
    /// Since when more than one are, and whether that one does not hear the other was said.
    two: Option<Two>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) source: IpAddr,
    /// Where its adverts come from.
    pub(crate) hardware: Option<Hardware>,
    pub(crate) said: Said,
    /// When it was heard last.
    pub(crate) heard: Instant,
    pub(crate) role: Role,
}

#[derive(Clone, Debug)]
pub(crate) enum Role {
    Active {
        since: Instant,
        /// Adverts that were said to be missed since it was heard.
        missed: u32,
        /// The longest that any backup would wait.
        longest: Option<Box<Shadow>>,
    },
    Backup(Box<Backup>),
    /// It left, or fell silent: nobody knows whether it listens.
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) struct Backup {
    shadow: Shadow,
    /// Its timer was up.
    due: Option<Due>,
    /// If it is not heard until then it has given way.
    quiet_at: Option<Instant>,
    /// Why it does not take what it hears.
    deaf: Option<Refusal>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    why: Why,
    timing: Timing,
}

#[derive(Clone, Debug)]
struct Last {
    source: IpAddr,
    said: Said,
    heard: Instant,
    left: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Two {
    since: Instant,
    is_deafness_said: bool,
    is_order_said: bool,
}

impl Followed {
    /// An advert of this virtual router.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        source: IpAddr,
        hardware: Option<Hardware>,
        said: Said,
        out: &mut Vec<Finding>,
    ) {
        let index = self.index(now, source, &said);
        self.members[index].hardware = hardware.or(self.members[index].hardware);
        if said.priority == Priority::LEAVING {
            self.leave(now, index, &said, out);
        } else {
            self.claim(now, index, said, out);
        }
    }

    /// Its routers.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// When one was heard last.
    pub(crate) fn heard(&self) -> Instant {
        self.members.iter().map(|member| member.heard).max().unwrap_or(Instant::ZERO)
    }

    fn index(&mut self, now: Instant, source: IpAddr, said: &Said) -> usize {
        if let Some(index) = self.members.iter().position(|member| member.source == source) {
            return index;
        }
        if self.members.len() >= MEMBERS_MAX
            && let Some((oldest, _)) = self.members.iter().enumerate().min_by_key(|(_, member)| member.heard)
        {
            self.members.swap_remove(oldest);
        }
        let said = said.clone();
        self.members.push(Member { source, hardware: None, said, heard: now, role: Role::Gone });
        self.members.len() - 1
    }

    /// RFC 9568 §6.4.3: the addresses are given up, and who listens waits no longer than it must.
    fn leave(&mut self, now: Instant, index: usize, said: &Said, out: &mut Vec<Finding>) {
        let source = self.members[index].source;
        let is_first = !matches!(&self.last, Some(last) if last.source == source && last.left.is_some());
        let was_active = matches!(self.members[index].role, Role::Active { .. });
        self.members[index].role = Role::Gone;
        self.members[index].heard = now;
        let mut first: Option<(Instant, String)> = None;
        let mut active = None;
        for other in self.members.iter_mut().filter(|member| member.source != source) {
            match &mut other.role {
                Role::Backup(backup) => {
                    backup.shadow.hear(now, said, source);
                    if let Some(at) = backup.shadow.deadline()
                        && backup.due.is_none()
                        && first.as_ref().is_none_or(|(before, _)| at < *before)
                    {
                        first = Some((at, titled(other)));
                    }
                }
                Role::Active { .. } => active = Some(other.source),
                Role::Gone => {}
            }
        }
        let text = match (active, first, is_first) {
            (Some(active), ..) => format!("priority 0: {source} leaves; {active} is active"),
            (None, Some((at, who)), _) => {
                let wait = Span(at.since(now));
                format!("priority 0: {source} leaves; the others wait only their skew: {who} takes over in {wait}")
            }
            (None, None, true) => format!("priority 0: {source} leaves; the others wait only their skew"),
            (None, None, false) => format!("priority 0 again: {source} leaves"),
        };
        out.push(Finding { time: now, kind: Kind::Leaves, text, is_routine: !is_first && !was_active });
        if was_active || self.last.as_ref().is_some_and(|last| last.source == source) {
            let said = Said { priority: self.members[index].said.priority, ..said.clone() };
            self.last = Some(Last { source, said, heard: now, left: Some(now) });
        }
        self.end_two(now, out);
    }

    /// Only one is active any more, if that is so.
    fn end_two(&mut self, now: Instant, out: &mut Vec<Finding>) {
        let Some(two) = self.two else { return };
        let is_open = |member: &&Member| match &member.role {
            Role::Active { .. } => true,
            Role::Backup(backup) => backup.quiet_at.is_some(),
            Role::Gone => false,
        };
        if self.members.iter().filter(is_open).count() > 1 {
            return;
        }
        self.two = None;
        let Some(active) = self.members.iter().find(|member| matches!(member.role, Role::Active { .. })) else {
            return;
        };
        let others = self.members.iter().filter(|member| member.source != active.source);
        let until = others.map(|member| member.heard).max().unwrap_or(now);
        let text = format!(
            "one active router again: {}; two were active for {}",
            titled(active),
            Span(until.since(two.since))
        );
        out.push(Finding { time: now, kind: Kind::OneActive, text, is_routine: false });
    }
}

/// Address and priority.
fn titled(member: &Member) -> String {
    format!("{} (priority {})", member.source, member.said.priority)
}

/// `3 × 100 ms + skew 60.938 ms`.
fn waits(timing: Timing) -> String {
    let adverts = (timing.down - timing.skew).div_duration_f64(timing.interval);
    format!("{adverts:.0} × {} + skew {}", Span(timing.interval), Span(timing.skew))
}
