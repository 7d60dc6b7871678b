//! What becomes of a virtual router while nothing is heard.

use super::*;

impl Followed {
    /// When [`Followed::settle`] has something to say at the earliest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let is_awaited = self.is_backup_awaited();
        self.members.iter().filter_map(|member| next(member, is_awaited)).min()
    }

    /// What has happened until then by not happening.
    pub(crate) fn settle(&mut self, now: Instant, out: &mut Vec<Finding>) {
        while let Some(at) = self.deadline()
            && at <= now
        {
            let is_awaited = self.is_backup_awaited();
            let due = self.members.iter().position(|member| next(member, is_awaited) == Some(at));
            // It is somebody's.
            let Some(index) = due else { return };
            match &self.members[index].role {
                Role::Active { .. } => self.miss(at, index, out),
                Role::Backup(backup) if backup.quiet_at == Some(at) => self.quieten(at, index, out),
                Role::Backup(backup) if backup.due.is_some() => self.absent(at, index, out),
                Role::Backup(_) => self.fall_due(at, index, out),
                Role::Gone => return,
            }
        }
    }

    /// Whether a backup that is known is to take over, and will say so of its own.
    fn is_backup_awaited(&self) -> bool {
        self.members.iter().any(|member| matches!(&member.role, Role::Backup(_)))
    }

    /// An advert was due, and the next one as well.
    fn miss(&mut self, at: Instant, index: usize, out: &mut Vec<Finding>) {
        let member = &mut self.members[index];
        let Role::Active { missed, longest, .. } = &mut member.role else { return };
        *missed += 1;
        let which = ordinal(*missed);
        let source = member.source;
        let text = match (*missed, longest) {
            (3, Some(longest)) => {
                let silence = Span(at.since(member.heard));
                let waits = waits(longest.timing());
                format!("{which} advert of {source} missed, {silence} after its last: no backup waits longer ({waits})")
            }
            _ => format!("{which} advert of {source} missed"),
        };
        out.push(Finding { time: at, kind: Kind::Missed, text, is_routine: false });
    }

    /// The one that was told to give way has not been heard since.
    fn quieten(&mut self, at: Instant, index: usize, out: &mut Vec<Finding>) {
        if let Role::Backup(backup) = &mut self.members[index].role {
            backup.quiet_at = None;
        }
        self.end_two(at, out);
    }

    /// A backup's timer is up.
    fn fall_due(&mut self, at: Instant, index: usize, out: &mut Vec<Finding>) {
        let who = titled(&self.members[index]);
        let silent = self.silent(index);
        let Role::Backup(backup) = &mut self.members[index].role else { return };
        let (timing, is_deaf) = (backup.shadow.timing(), backup.deaf.is_some());
        let Some(why) = backup.shadow.expire(at) else {
            self.members[index].role = Role::Gone;
            return;
        };
        backup.due = Some(Due { at, why, timing });
        if why != Why::Silence || is_deaf {
            return;
        }
        if let Some(source) = silent {
            let text = format!("third advert of {source} missed: {} is up, {who} is to take over", waits(timing));
            out.push(Finding { time: at, kind: Kind::Missed, text, is_routine: false });
        }
        for member in &mut self.members {
            if let Role::Active { missed, .. } = &mut member.role {
                *missed = 3;
            }
        }
    }

    /// It was to take over and was not heard for another interval.
    fn absent(&mut self, at: Instant, index: usize, out: &mut Vec<Finding>) {
        let who = titled(&self.members[index]);
        self.members[index].role = Role::Gone;
        let text = format!("{who} has not taken over: it is gone, or is told to wait");
        out.push(Finding { time: at, kind: Kind::Absent, text, is_routine: false });
    }

    /// Whose adverts a backup misses.
    fn silent(&self, backup: usize) -> Option<IpAddr> {
        let is_active = |member: &&Member| matches!(member.role, Role::Active { .. });
        let source = self.members[backup].source;
        let active = self.members.iter().filter(|member| member.source != source).find(is_active);
        active.map(|member| member.source).or(self.last.as_ref().map(|last| last.source))
    }
}

/// When there is something to say of one router.
fn next(member: &Member, is_backup_awaited: bool) -> Option<Instant> {
    match &member.role {
        // One that is late by less than an interval is late, and not missed.
        Role::Active { missed: missed @ 0..2, .. } => Some(member.heard + member.said.interval() * (missed + 2)),
        Role::Active { missed: 2, longest: Some(longest), .. } if !is_backup_awaited => longest.deadline(),
        Role::Active { .. } | Role::Gone => None,
        Role::Backup(backup) => {
            let own = match backup.due {
                Some(due) => Some(due.at + due.timing.interval),
                None => backup.shadow.deadline(),
            };
            own.into_iter().chain(backup.quiet_at).min()
        }
    }
}
