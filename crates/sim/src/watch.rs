//! What must hold, whatever happens.
//!
//! All times are reckoned from what passes on the links and from the standards' formulas, by the world's clock; what
//! begins is remembered, and has a moment at which it is too late. Nothing changes between two things that happen, so a
//! moment that is passed by then is a failure.

use std::time::Duration;

use units::Instant;
use vrrp_proto::{Action, Preempt, State, Why};

use crate::setup::{HOSTS, LINKS};
use crate::world::{World, pairs};

/// What a backup has heard since it is one, by its own clock.
#[derive(Clone, Copy)]
struct Seen {
    /// When it became a backup, or last heard an advert that it had to believe.
    since: Instant,
    /// Its own interval then: one whose time is up is ready for its group whatever is configured since.
    own: Duration,
    /// What that advert said.
    interval: Option<Duration>,
    /// When it first heard a leave, and when it last did by the world's clock.
    left: Option<(Instant, Instant)>,
    /// When it first heard a lower priority after one that is not lower.
    lower_since: Option<Instant>,
    /// Whether it heard a last resort.
    resort: bool,
}

/// A host that should take the addresses.
#[derive(Clone, Copy)]
struct Above {
    since: Instant,
    /// How long it leaves them to those that it hears.
    delay: Duration,
    /// On which links it hears them: the delay begins on each by itself.
    links: [bool; LINKS],
}

/// An advert that a router took.
pub(crate) struct Heard {
    pub(crate) from: usize,
    pub(crate) link: usize,
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    /// The state of the one that heard it.
    pub(crate) was: Option<State>,
}

/// The first moment that must not come before something has happened.
#[derive(Clone, Copy)]
struct Limit {
    at: Instant,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    TwoActive(usize, usize),
    NoneActive(usize),
    NotPreempted(usize),
    NotStarted(usize),
}

pub(crate) struct Watch {
    /// Something has changed that limits depend on.
    pub(crate) is_stale: bool,
    /// A host's time went otherwise than the world's, or it has another interval.
    disturbed_at: [Instant; HOSTS],
    backup_at: [Instant; HOSTS],
    /// When an active router could last be heard by a host; `None`: now.
    reached_at: [Option<Instant>; HOSTS],
    /// Since when a host should take the addresses from those that have them.
    above: [Option<Above>; HOSTS],
    /// Since when the first should make the second leave.
    clash_since: [[[Option<Instant>; HOSTS]; HOSTS]; LINKS],
    lossless_at: [Instant; LINKS],
    seen: [[Option<Seen>; LINKS]; HOSTS],
    why: [Option<Why>; HOSTS],
    limit: Option<Limit>,
}

impl Watch {
    pub(crate) fn new(now: Instant) -> Watch {
        Watch {
            is_stale: true,
            disturbed_at: [now; HOSTS],
            backup_at: [now; HOSTS],
            reached_at: [Some(now); HOSTS],
            above: [None; HOSTS],
            clash_since: [[[None; HOSTS]; HOSTS]; LINKS],
            lossless_at: [now; LINKS],
            seen: [[None; LINKS]; HOSTS],
            why: [None; HOSTS],
            limit: None,
        }
    }

    pub(crate) fn disturb(&mut self, host: usize, now: Instant) {
        self.disturbed_at[host] = now;
        self.is_stale = true;
    }

    /// Something goes to a host, perhaps of one that is active no more when it is looked at.
    pub(crate) fn sent(&mut self, to: usize, now: Instant) {
        if let Some(at) = self.reached_at[to].as_mut().filter(|at| **at < now) {
            *at = now;
            self.is_stale = true;
        }
    }

    pub(crate) fn lossy(&mut self, link: usize, now: Instant) {
        self.lossless_at[link] = now;
    }

    fn limit(&mut self, at: Instant, what: What) {
        if self.limit.is_none_or(|limit| at < limit.at) {
            self.limit = Some(Limit { at, what });
        }
    }
}

/// The skew of RFC 3768 §6.1 and RFC 9568 §6.1.
fn skew(is_v2: bool, interval: Duration, priority: u8) -> Duration {
    let unit = if is_v2 { Duration::from_secs(1) } else { interval };
    unit * (256 - u32::from(priority)) / 256
}

impl World {
    /// Time goes by, and nothing happens.
    pub(crate) fn pass_to(&mut self, next: Instant) {
        if let Some(Limit { at, what }) = self.watch.limit
            && next > at
        {
            self.now = at;
            self.fail(|| match what {
                What::TwoActive(one, other) => format!("{one} and {other} are active, and {other} has heard {one}"),
                What::NoneActive(host) => format!("{host} hears nobody active, and does not take over"),
                What::NotPreempted(host) => format!("{host} is above all that are active, and does not take over"),
                What::NotStarted(host) => format!("{host} does not begin to listen"),
            });
            return;
        }
        self.now = next;
    }

    /// A router has another state; `before` is what it did for that.
    pub(crate) fn became(&mut self, host: usize, link: usize, to: State, why: Why, before: &[(usize, Action)]) {
        self.watch.is_stale = true;
        self.watch.why[host] = Some(why);
        let local = self.hosts[host].clock(self.now);
        match to {
            State::Backup => {
                self.watch.backup_at[host] = self.now;
                self.watch.seen[host][link] = Some(Seen {
                    since: local,
                    own: self.hosts[host].interval(),
                    interval: None,
                    left: None,
                    lower_since: None,
                    resort: false,
                });
            }
            State::Active => {
                match why {
                    Why::Adopted => self.figures.adoptions += 1,
                    _ => self.figures.takeovers += 1,
                }
                let place =
                    |is: fn(&Action) -> bool| before.iter().rposition(|(member, action)| *member == link && is(action));
                let advert = place(|action| matches!(action, Action::SendAdvert { .. }));
                let added = place(|action| matches!(action, Action::AddAddresses));
                let announced = place(|action| matches!(action, Action::Announce { .. })).is_some();
                if advert.is_none() || advert > added || announced == (why == Why::Adopted) {
                    self.fail(|| format!("{host} does not say first that it is active, or does not announce it"));
                }
                if matches!(why, Why::Silence | Why::Left | Why::Preempted) && !self.hosts[host].is_owner() {
                    self.check_patience(host, link, why);
                }
            }
            State::Initialize | State::Fault => self.watch.seen[host][link] = None,
        }
    }

    /// It must not take over before the standard says, and not take back before it is configured to.
    fn check_patience(&mut self, host: usize, link: usize, why: Why) {
        let Some(seen) = self.watch.seen[host][link] else {
            return self.fail(|| format!("{host} becomes active, and was no backup"));
        };
        let local = self.hosts[host].clock(self.now);
        let heard = if self.setup.is_v2 { None } else { seen.interval };
        let interval = heard.unwrap_or(self.hosts[host].interval().min(seen.own));
        let skew = self.skew(host, interval, self.hosts[host].priority());
        let silent_until = seen.since + interval * u32::from(self.setup.down_adverts) + skew;
        let earliest = seen.left.map_or(silent_until, |(left, _)| silent_until.min(left + skew));
        if local < earliest {
            self.fail(|| format!("{host} takes over {:?} too early on link {link}", earliest.since(local)));
        }
        if let (Why::Preempted, Preempt::After(delay), false) = (why, self.setup.preempt, seen.resort)
            && seen.lower_since.is_none_or(|since| local.since(since) < delay)
        {
            self.fail(|| format!("{host} preempts before its delay is over"));
        }
        if why == Why::Preempted && self.setup.preempt == Preempt::No && !seen.resort {
            self.fail(|| format!("{host} preempts, and is configured not to"));
        }
    }

    fn skew(&self, host: usize, interval: Duration, priority: u8) -> Duration {
        let host = &self.hosts[host];
        let own = if host.told.unable { skew(self.setup.is_v2, interval, host.told.priority) } else { Duration::ZERO };
        skew(self.setup.is_v2, interval, priority) + own
    }

    /// A router took an advert: was it impressed, and rightly?
    pub(crate) fn heard(&mut self, host: usize, heard: &Heard) {
        let &Heard { from, link, priority, interval, was } = heard;
        let receiver = &self.hosts[host];
        let (ours, is_owner, local) = (receiver.priority(), receiver.is_owner(), receiver.clock(self.now));
        let own = receiver.interval();
        let is = receiver.process.as_ref().map(|group| group.members()[link].state());
        let is_above = is_above(priority, from, ours, host);
        if was == Some(State::Active) && priority != 255 {
            if is == Some(State::Active) && is_above {
                self.fail(|| format!("{host} stays active against {priority} of {from}"));
            }
            let gave_way = matches!(self.watch.why[host], Some(Why::Higher(..) | Why::GreaterAddress(_)));
            if is == Some(State::Backup) && gave_way && !is_above {
                self.fail(|| format!("{host} gives way to {priority} of {from}"));
            }
        }
        let Some(seen) = self.watch.seen[host][link].as_mut().filter(|_| is == Some(State::Backup)) else {
            return;
        };
        if priority == 0 {
            seen.left = Some((seen.left.map_or(local, |(first, _)| first), self.now));
            self.watch.is_stale = true;
        } else if priority == 1 && ours > 1 {
            seen.resort = true;
        } else {
            if priority >= ours {
                (seen.lower_since, seen.resort) = (None, false);
            }
            let since = *seen.lower_since.get_or_insert(local);
            let keeps = match self.setup.preempt {
                _ if priority >= ours => true,
                _ if is_owner => false,
                Preempt::No => true,
                Preempt::After(delay) => local.since(since) < delay,
            };
            if priority >= ours {
                seen.lower_since = None;
            }
            if keeps {
                self.watch.is_stale |= seen.left.is_some();
                (seen.since, seen.own, seen.interval, seen.left) = (local, own, Some(interval), None);
            }
        }
    }

    /// Looks at what has changed.
    pub(crate) fn look(&mut self) {
        if !std::mem::take(&mut self.watch.is_stale) {
            return;
        }
        for host in 0..self.hosts.len() {
            self.look_at(host);
        }
        self.watch.limit = None;
        let active: [bool; HOSTS] =
            std::array::from_fn(|host| self.hosts.get(host).is_some_and(|host| host.runs() && host.is_active()));
        for (one, other) in pairs(self.hosts.len()) {
            self.limit_clash(one, other, active[one] && active[other]);
        }
        for host in 0..self.hosts.len() {
            self.limit_waiting(host, &active);
        }
    }

    /// What holds at each moment.
    fn look_at(&mut self, host: usize) {
        let it = &self.hosts[host];
        let Some(group) = &it.process else {
            return;
        };
        let states: Vec<State> = group.members().iter().map(|member| member.state()).collect();
        let is_active = states.contains(&State::Active);
        if is_active && states.iter().any(|&state| state != State::Active) {
            return self.fail(|| format!("{host} is active on one link: {states:?}"));
        }
        if it.holds[..states.len()].iter().any(|&holds| holds != is_active) {
            return self.fail(|| format!("{host} is {states:?}, and its addresses say otherwise"));
        }
        let lacks = it.unplugged[..states.len()].contains(&true) || (it.told.unable && it.is_owner());
        let is_faulty = states.contains(&State::Fault);
        let takes_part = is_active || states.contains(&State::Backup);
        if it.runs() && if lacks { takes_part } else { is_faulty } {
            self.fail(|| format!("{host} is {states:?}, and lacks something: {lacks}"));
        }
    }

    /// One hears what the other says, and would take it.
    fn hears(&self, from: usize, to: usize, link: usize) -> bool {
        let is_same = !self.setup.is_v2 || self.hosts[from].told.interval == self.hosts[to].told.interval;
        is_same && self.is_open(from, to, link)
    }

    /// Two that are active end with the next advert of the one above.
    fn limit_clash(&mut self, one: usize, other: usize, are_active: bool) {
        let (above, below) = (&self.hosts[one], &self.hosts[other]);
        let both_own = above.is_owner() && below.is_owner();
        // Of two owners the greater address leaves, after three adverts.
        let (first, second) = if both_own { (other, one) } else { (one, other) };
        let is_above = is_above(above.priority(), first, below.priority(), second);
        let patience = above.interval() * if both_own { 3 } else { 1 } + self.setup.delay_max;
        let undisturbed = self.watch.disturbed_at[one].max(self.watch.disturbed_at[other]);
        for link in 0..self.setup.links {
            let holds = are_active && is_above && self.hears(one, other, link) && self.links[link].loss_percent == 0;
            let since = since(&mut self.watch.clash_since[link][one][other], holds, self.now);
            if let Some(since) = since {
                let from = since.max(undisturbed).max(self.watch.lossless_at[link]);
                self.watch.limit(from + patience, What::TwoActive(one, other));
            }
        }
    }

    /// One that hears nobody active takes over, and so does one that is above all that are.
    fn limit_waiting(&mut self, host: usize, active: &[bool; HOSTS]) {
        let heard: Vec<usize> = (0..self.hosts.len())
            .filter(|&other| active[other] && other != host)
            .filter(|&other| (0..self.setup.links).any(|link| self.hears(other, host, link)))
            .collect();
        let reached_at = &mut self.watch.reached_at[host];
        match (heard.is_empty(), *reached_at) {
            (true, None) => *reached_at = Some(self.now),
            (false, _) => *reached_at = None,
            _ => {}
        }
        let reached_at = *reached_at;
        let it = &self.hosts[host];
        let is_backup = it.runs() && it.is_backup();
        let delay = self.waits_for(host, &heard);
        let links = std::array::from_fn(|link| heard.iter().any(|&other| self.hears(other, host, link)));
        let above = delay.filter(|_| is_backup).map(|delay| match self.watch.above[host] {
            Some(above) if above.delay == delay && above.links == links => above,
            _ => Above { since: self.now, delay, links },
        });
        self.watch.above[host] = above;
        let it = &self.hosts[host];
        let disturbed_at = self.watch.disturbed_at[host];
        let is_waiting = it.process.as_ref().is_some_and(|group| group.members()[0].state() == State::Initialize);
        if it.runs() && is_waiting {
            self.watch.limit(disturbed_at + self.setup.startup_delay, What::NotStarted(host));
        }
        if !is_backup {
            return;
        }
        let since = self.watch.backup_at[host].max(disturbed_at);
        let down = self.down(host);
        if let Some(reached_at) = reached_at {
            let from = since.max(reached_at + self.setup.delay_max);
            self.watch.limit(from + down, What::NoneActive(host));
            // All have said that they leave.
            let left = |seen: &Option<Seen>| seen.and_then(|seen| seen.left).map(|(_, left)| left);
            let all_left = self.watch.seen[host][..self.setup.links].iter().map(left).collect::<Option<Vec<Instant>>>();
            let undisturbed = all_left.filter(|all| all.iter().all(|&left| disturbed_at < left));
            if let Some(last) = undisturbed.and_then(|all| all.into_iter().max()) {
                let skew = down - self.waited(host) * u32::from(self.setup.down_adverts);
                self.watch.limit(since.max(reached_at).max(last) + skew, What::NoneActive(host));
            }
        } else if let Some(Above { since: above, delay, .. }) = above {
            let from = since.max(above) + self.setup.delay_max;
            self.watch.limit(from + delay + down, What::NotPreempted(host));
        }
    }

    /// How long a host leaves the addresses to those that it hears, if it is to take them.
    fn waits_for(&self, host: usize, heard: &[usize]) -> Option<Duration> {
        let it = &self.hosts[host];
        if heard.is_empty() || heard.iter().any(|&other| self.hosts[other].priority() >= it.priority()) {
            return None;
        }
        if it.is_owner() || heard.iter().all(|&other| self.hosts[other].priority() == 1) {
            return Some(Duration::ZERO);
        }
        match self.setup.preempt {
            Preempt::No => None,
            Preempt::After(Duration::ZERO) => Some(Duration::ZERO),
            // The delay begins with an advert, which must not be lost.
            Preempt::After(delay) => {
                let is_lossless = self.links[..self.setup.links].iter().all(|link| link.loss_percent == 0);
                let interval = heard.iter().map(|&other| self.hosts[other].interval()).max()?;
                is_lossless.then_some(delay + interval + self.setup.delay_max * 2)
            }
        }
    }

    /// The longest that a host may wait, with what it has learnt or may learn yet from what is under way.
    fn down(&self, host: usize) -> Duration {
        let interval = self.waited(host);
        // An owner that lets another owner be active waits as 254.
        let priority = self.hosts[host].priority().min(254);
        interval * u32::from(self.setup.down_adverts) + self.skew(host, interval, priority)
    }

    fn waited(&self, host: usize) -> Duration {
        let it = &self.hosts[host];
        let learnt = it.process.iter().flat_map(|group| group.members()).map(|member| member.timing().interval);
        match self.setup.is_v2 {
            true => it.interval(),
            false => self.hosts.iter().map(|host| host.interval()).chain(learnt).max().unwrap_or_default(),
        }
    }
}

fn is_above(priority: u8, from: usize, ours: u8, host: usize) -> bool {
    priority > ours || priority == ours && priority != 0 && from > host
}

fn since(since: &mut Option<Instant>, holds: bool, now: Instant) -> Option<Instant> {
    *since = holds.then(|| since.unwrap_or(now));
    *since
}
