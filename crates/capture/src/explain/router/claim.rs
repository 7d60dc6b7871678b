//! What an advert means that says: I am active.

use super::*;

/// An advert that comes after less of its interval than this many twentieths is early; after more, late.
const EARLY: u32 = 18;
const LATE: u32 = 30;

/// Of a backup of which nothing is known: the lowest that is no last resort.
const LONGEST: Priority = Priority::from_wire(2);

/// What a router that is newly active had to wait for.
struct Waited {
    /// `None`: its timer is not up, by so much.
    due: Option<Due>,
    early: Duration,
    /// It does not take the adverts of the one that was active.
    deaf: Option<Refusal>,
}

/// A packet's meaning while it is put together.
struct Meaning {
    kind: Option<Kind>,
    is_routine: bool,
    texts: Vec<String>,
}

impl Meaning {
    /// The first thing that is said says what kind it is.
    fn say(&mut self, kind: Kind, is_routine: bool, text: String) {
        if self.kind.is_none() {
            self.kind = Some(kind);
            self.is_routine = is_routine;
        }
        self.texts.push(text);
    }
}

impl Followed {
    /// A router says that it is active.
    pub(super) fn claim(&mut self, now: Instant, index: usize, said: Said, out: &mut Vec<Finding>) {
        let mut meaning = Meaning { kind: None, is_routine: false, texts: Vec::new() };
        match self.members[index].role {
            Role::Active { .. } => self.goes_on(now, index, &said, &mut meaning),
            _ => self.takes_over(now, index, &said, &mut meaning),
        }
        let member = &mut self.members[index];
        let unknown = Said { priority: LONGEST, ..said.clone() };
        let mut longest = Shadow::listening(&unknown, nobody(member.source), now);
        if let Some(longest) = &mut longest {
            longest.hear(now, &said, member.source);
        }
        let since = member.since().unwrap_or(now);
        member.role = Role::Active { since, missed: 0, longest: longest.map(Box::new) };
        member.heard = now;
        member.said = said;
        self.last = Some(Last { source: member.source, said: member.said.clone(), heard: now, left: None });
        self.tell(now, index, &mut meaning);
        if let Some(kind) = meaning.kind {
            let text = meaning.texts.join("; ");
            out.push(Finding { time: now, kind, text, is_routine: meaning.is_routine });
        }
        self.end_two(now, out);
    }

    /// Another that is active, the one that was heard last.
    fn rival(&self, index: usize) -> Option<usize> {
        let others = self.members.iter().enumerate().filter(|&(other, _)| other != index);
        let active = others.filter(|(_, member)| matches!(member.role, Role::Active { .. }));
        active.max_by_key(|(_, member)| member.heard).map(|(other, _)| other)
    }

    /// One that was active still is.
    fn goes_on(&self, now: Instant, index: usize, said: &Said, meaning: &mut Meaning) {
        let member = &self.members[index];
        let (source, interval, silence) = (member.source, member.said.interval(), now.since(member.heard));
        let Role::Active { missed, .. } = member.role else { return };
        if missed > 0 {
            let text = format!("{source} is heard again, {} after its last advert", Span(silence));
            meaning.say(Kind::Back, false, text);
        } else if silence > interval * LATE / 20 {
            let (late, interval) = (Span(silence.saturating_sub(interval)), Span(interval));
            let text = format!("an advert of {source} is {late} late, at an interval of {interval}");
            meaning.say(Kind::Late, false, text);
        } else if silence < interval * EARLY / 20 && self.two.is_some() {
            meaning.say(Kind::GivesWay, false, format!("{source} has heard another and answers at once"));
        }
        if member.said.priority != said.priority {
            let text = format!("{source} has priority {} now, and had {}", said.priority, member.said.priority);
            meaning.say(Kind::Changed, false, text);
        }
        if interval != said.interval() {
            let (new, old) = (Span(said.interval()), Span(interval));
            meaning.say(Kind::Changed, false, format!("{source} sends an advert each {new} now, and did each {old}"));
        }
        if member.said.addresses != said.addresses {
            let text = format!("{source} has {} now", list(said.addresses.as_addresses().iter()));
            meaning.say(Kind::Changed, false, text);
        }
    }

    /// One that was not active is.
    fn takes_over(&mut self, now: Instant, index: usize, said: &Said, meaning: &mut Meaning) {
        let source = self.members[index].source;
        let who = format!("{source} (priority {})", said.priority);
        let Some(last) = self.last.clone().filter(|last| last.source != source) else {
            let again = if self.last.is_some() { " again" } else { "" };
            let (each, addresses) = (Span(said.interval()), list(said.addresses.as_addresses().iter()));
            let text = format!("{who} is active{again} for {addresses}, an advert each {each}");
            return meaning.say(Kind::Active, false, text);
        };
        if said.priority == Priority::OWNER {
            return meaning.say(Kind::TakesOver, false, format!("{who} owns the addresses and takes over at once"));
        }
        let waited = self.waited(now, index, said, &last);
        let rival = self.rival(index);
        if let (Some(refusal), Some(_)) = (waited.deaf, rival) {
            self.two.get_or_insert(Two { since: now, is_deafness_said: true, is_order_said: false });
            let from = last.source;
            let text = format!("two active routers: {who} does not take the adverts of {from}: {refusal}");
            return meaning.say(Kind::TwoActive, false, text);
        }
        let Some(due) = waited.due else {
            return self.claims_too_early(now, index, &who, waited.early, meaning);
        };
        meaning.say(Kind::TakesOver, false, why_it_takes_over(now, &who, due, &last));
        if matches!(due.why, Why::Silence | Why::Left)
            && let Some(rival) = rival
        {
            self.members[rival].role = Role::Gone;
        }
    }

    /// Its timer cannot be up, as far as is seen: it does not see what is seen here.
    fn claims_too_early(&mut self, now: Instant, index: usize, who: &str, early: Duration, meaning: &mut Meaning) {
        let Some(rival) = self.rival(index) else {
            let text = format!("{who} takes over, {} before its timer would be up", Span(early));
            return meaning.say(Kind::TakesOver, false, text);
        };
        let (other, heard) = (titled(&self.members[rival]), self.members[rival].source);
        if let Some(two) = &mut self.two {
            let since = Span(now.since(two.since));
            let source = self.members[index].source;
            let text = format!("two active routers for {since}: {source} goes on and does not hear {heard}");
            meaning.say(Kind::TwoActive, two.is_deafness_said, text);
            two.is_deafness_said = true;
            return;
        }
        let since = match &self.members[index].role {
            // It was active when the other one became so, and was to give way.
            Role::Backup(backup) if backup.quiet_at.is_some() => self.members[rival].since().unwrap_or(now),
            _ => now,
        };
        self.two = Some(Two { since, is_deafness_said: false, is_order_said: false });
        let text = format!("two active routers: {who} sends adverts, though those of {other} are not missed");
        meaning.say(Kind::TwoActive, false, text);
    }

    /// What a router waited for that is newly active, by its shadow; by one that is made now if it was not known.
    fn waited(&self, now: Instant, index: usize, said: &Said, last: &Last) -> Waited {
        let member = &self.members[index];
        if let Role::Backup(backup) = &member.role {
            let early = backup.shadow.deadline().unwrap_or(now).since(now);
            return Waited { due: backup.due, early, deaf: backup.deaf };
        }
        let nothing = Waited { due: None, early: Duration::ZERO, deaf: None };
        let Some(fresh) = Shadow::listening(said, member.source, now) else { return nothing };
        let start = (now - fresh.timing().down).min(last.heard);
        let Some(mut shadow) = Shadow::listening(said, member.source, start) else { return nothing };
        let heard = shadow.hear(last.heard, &last.said, last.source);
        if let Some(left) = last.left {
            shadow.hear(left, &Said { priority: Priority::LEAVING, ..last.said.clone() }, last.source);
        }
        let (at, timing) = (shadow.deadline().unwrap_or(now), shadow.timing());
        let why = if at <= now { shadow.expire(at) } else { None };
        Waited { due: why.map(|why| Due { at, why, timing }), early: at.since(now), deaf: heard.refusal }
    }

    /// The others hear it, and what they make of it.
    fn tell(&mut self, now: Instant, index: usize, meaning: &mut Meaning) {
        let (source, said) = (self.members[index].source, self.members[index].said.clone());
        let is_known = self.two.is_some_and(|two| two.is_order_said);
        for other in (0..self.members.len()).filter(|&other| other != index) {
            let who = self.members[other].source;
            let heard = match self.members[other].role {
                Role::Active { .. } => self.contradict(now, other, source, &said, meaning),
                _ => self.members[other].listen(now, source, &said),
            };
            let Some(heard) = heard.filter(|_| !is_known) else { continue };
            if let Some(refusal) = heard.refusal.filter(|_| heard.is_news) {
                meaning.say(Kind::Refused, false, format!("{who} does not take it: {refusal}"));
            }
            for note in &heard.notes {
                meaning.say(Kind::Changed, false, format!("for {who}: {note}"));
            }
        }
    }

    /// One that is active hears of another.
    fn contradict(
        &mut self,
        now: Instant,
        other: usize,
        source: IpAddr,
        said: &Said,
        meaning: &mut Meaning,
    ) -> Option<Heard> {
        let member = &mut self.members[other];
        let who = member.source;
        let mut shadow = Shadow::active(&member.said, who, member.heard)?;
        let heard = shadow.hear(now, said, source);
        let is_known = self.two.is_some_and(|two| two.is_order_said);
        let Some(why) = heard.gave_way else {
            let two = self.two.get_or_insert(Two { since: now, is_deafness_said: false, is_order_said: false });
            // Nothing that either of them says will change it.
            two.is_order_said |= heard.refusal.is_some();
            if !is_known {
                let how = if heard.answers { " and answers at once" } else { "" };
                meaning.say(Kind::TwoActive, false, format!("{who} stays active{how} when it hears this"));
            }
            return Some(heard);
        };
        let quiet_at = Some(now + member.said.interval() * LATE / 20);
        member.role = Role::Backup(Box::new(Backup { shadow, due: None, quiet_at, deaf: None }));
        meaning.say(Kind::GivesWay, is_known, format!("{who} gives way when it hears this: {why}"));
        if let Some(two) = &mut self.two {
            two.is_order_said = true;
        }
        Some(heard)
    }
}

impl Member {
    /// Since when it is active.
    pub(crate) fn since(&self) -> Option<Instant> {
        match self.role {
            Role::Active { since, .. } => Some(since),
            _ => None,
        }
    }

    /// A backup hears it.
    fn listen(&mut self, now: Instant, source: IpAddr, said: &Said) -> Option<Heard> {
        let Role::Backup(backup) = &mut self.role else { return None };
        if backup.due.take().is_some() || backup.shadow.is_active() {
            // It was to take over and another one did, or goes on: it listens as before.
            backup.shadow = Shadow::listening(&self.said, self.source, now)?;
        }
        let heard = backup.shadow.hear(now, said, source);
        backup.deaf = heard.refusal;
        Some(heard)
    }
}

fn why_it_takes_over(now: Instant, who: &str, due: Due, last: &Last) -> String {
    let from = last.source;
    match due.why {
        Why::Silence => {
            let (waits, silence) = (waits(due.timing), Span(now.since(last.heard)));
            format!("third advert of {from} missed: {waits} is up; {who} takes over, {silence} after that one's last")
        }
        Why::Left => {
            let (after, skew) = (Span(now.since(last.left.unwrap_or(last.heard))), Span(due.timing.skew));
            format!("{from} has left and skew {skew} is up: {who} takes over, {after} after it left")
        }
        Why::Preempted => format!("{who} takes over from {from} (priority {}), which is lower", last.said.priority),
        why => format!("{who} takes over: {why}"),
    }
}

/// An address that none of the routers has, of the same family.
fn nobody(other: IpAddr) -> IpAddr {
    match other {
        IpAddr::V4(_) => IpAddr::from([0, 0, 0, 0]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    }
}
