//! What servers are seen to send, and what their accounts are settled with.
//!
//! An account by itself is arithmetic: promises, paid off at the rate configured. An origin's reports say what is true:
//! between two of them `sent` grew by so much, which is the rate seen, and `left` is what others promised too. What is
//! made of them:
//!
//! - **The link is the limit** if it sends 4/5 of its capacity and has work for a moment yet: then all that is left
//!   waits, and is sent at its capacity. Otherwise **the clients are**: nothing waits, however much is left, and one
//!   more client may expect what of the capacity is not used, or at least its part among the requests there.
//! - **The capacity is believed**, not known: other traffic may take half a link, and a link be slower than its text.
//!   Slow clients look the same from its rate alone, but not from the rate of each: where four or more requests get
//!   less than 7/10 of what a request got anywhere in the pool lately, the link is too small for them, unless more
//!   requests brought more bytes just now. The belief then moves to the rate seen, half the way with each report.
//!   A server's own past counts among the pool, so one alone is judged by the time when it had less to do. When
//!   nothing says so any longer the belief grows by a tenth each second, up to what is configured and not beyond,
//!   so that a wrong one heals.
//! - A request that was redirected a moment ago is not at the origin yet: what was promised since the last tick is added
//!   to what is left.
//! - Between two reports others promise too, and being of one mind they promise the same servers. So a promise here counts
//!   for theirs as well: the rate of an account is that part of the server's which was promised here of all that reached
//!   the pool's servers lately. Without that two directors send a slow link twice what it should get.
//! - A counter that went back is that of an origin that began anew, and two reports far apart say nothing of now:
//!   no rate is made of them. Servers that never report are left to arithmetic.

use std::time::Duration;

use units::Instant;
use wire::load_report::LoadReport;

use crate::{Account, PoolConfig, ServerConfig, ServerIndex};

/// Reports nearer to each other make no rate: at a quarter of a second a send buffer is a visible part of it.
const INTERVAL_MIN: Duration = Duration::from_millis(500);
/// Reports farther from each other make no rate, and an older one says nothing of the requests under way.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// How long a redirected client takes at most until its request is at the origin: some round trips and a handshake.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
/// A mark of promises that is older tells nothing of what is on its way: nobody ticks.
const MARK_MAX: Duration = Duration::from_secs(1);
/// With less work than for this long a link is not waited for.
const MOMENT: Duration = Duration::from_millis(100);
/// Requests from which a server's rate for each is judged: of fewer, one slow client would decide.
const FLOWS_MIN: u32 = 4;
/// The best rate of a request is remembered for one to two of these: longer than most storms, in which every link
/// is full, and not for ever, for those who got it may have gone.
const BEST_KEPT: Duration = Duration::from_secs(150);
/// A belief never falls below this part of what is configured, so that it heals in three quarters of a minute.
const BELIEF_LEAST: u64 = 64;

/// What reached the servers counts half after so long.
const PART_KEPT: Duration = Duration::from_secs(10);
/// No less than this part of a rate is counted with: a director that did little lately may be all that is left.
const PART_LEAST: u64 = 8;

/// What the servers of a pool are seen to send. One thread owns it; the accounts are everyone's.
#[derive(Clone, Debug)]
pub struct Gauges {
    servers: Vec<Gauge>,
    best: Best,
    part: Part,
}

/// Which part of what reaches the pool's servers was promised here.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    since: Instant,
    reached: u64,
    own: u64,
}

/// The best rate that a request was seen to get, in this period and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Best {
    since: Instant,
    now: u64,
    before: u64,
}

#[derive(Clone, Debug)]
struct Gauge {
    configured: u64,
    believed: u64,
    /// The report that the next rate is measured from, and what had been promised of what it tells.
    base: Option<(Instant, LoadReport, Mark)>,
    last: Option<Heard>,
    seen: Option<Seen>,
    /// What was promised at the last two ticks, the later one first.
    marks: [Mark; 2],
    /// Bytes of a promise, on average.
    size: u64,
}

/// The last report, and what had been promised of what it tells.
#[derive(Clone, Copy, Debug)]
struct Heard {
    requests: u32,
    mark: Mark,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: Instant,
    kept: u64,
    promises: u64,
}

/// What was between two reports.
#[derive(Clone, Copy, Debug)]
struct Seen {
    over: Duration,
    rate: u64,
    /// Requests at its beginning and its end, the fewer and the more.
    least: u32,
    most: u32,
    /// Whether there was something to send at both ends.
    busy: bool,
    /// Bytes of requests that reached the origin, and those of them that were promised here.
    reached: u64,
    own: u64,
}

impl Gauges {
    /// Nothing was seen yet.
    pub fn new(config: &PoolConfig) -> Gauges {
        let servers = config.servers.iter().map(ServerConfig::rate).map(Gauge::new);
        Gauges { servers: servers.collect(), best: Best::default(), part: Part::default() }
    }

    /// A server's check brought a report: settles its account.
    pub fn handle_report(&mut self, server: ServerIndex, report: LoadReport, account: &Account, now: Instant) {
        let Some(gauge) = self.servers.get_mut(usize::from(server.0)) else {
            return;
        };
        let mark = gauge.reached_by(account, now);
        let mut is_limited = false;
        if let Some(seen) = gauge.measure(report, mark, now) {
            self.part.learn(&seen, now);
            self.best.learn(&seen, now);
            is_limited = gauge.is_limited(&seen, self.best.get());
            gauge.believe(&seen, is_limited);
            gauge.seen = Some(seen);
        }
        gauge.settle(report, mark, is_limited, self.part, account, now);
    }

    /// About four times a second for each server. Returns how many clients are assumed to have requests under way at it:
    /// those of its last report, of whomever, and those promised since; without reports, what an account holds.
    pub fn handle_tick(&mut self, server: ServerIndex, account: &Account, now: Instant) -> u32 {
        let best = self.best.get();
        let Some(gauge) = self.servers.get_mut(usize::from(server.0)) else {
            return 0;
        };
        gauge.mark(account, now);
        let under_way = match gauge.last.filter(|last| now.since(last.mark.at) <= INTERVAL_MAX) {
            Some(last) => u64::from(last.requests) + gauge.promised_since(&last, account, best, now),
            None => {
                let backlog = bytes_in(account.rate(), account.free_at().since(now));
                backlog.div_ceil(gauge.size.max(1))
            }
        };
        u32::try_from(under_way).unwrap_or(u32::MAX)
    }

    /// A server went down: what it promised it will not send.
    pub fn handle_down(&mut self, server: ServerIndex, account: &Account, now: Instant) {
        if let Some(gauge) = self.servers.get_mut(usize::from(server.0)) {
            (gauge.base, gauge.last, gauge.seen) = (None, None, None);
            account.settle(now, gauge.believed);
        }
    }

    /// Bytes a second that a server was last seen to send.
    pub fn rate_seen(&self, server: ServerIndex) -> Option<u64> {
        self.servers.get(usize::from(server.0))?.seen.map(|seen| seen.rate)
    }

    /// Bytes a second that a server's link is believed to take; 0 if there is no such server.
    pub fn capacity(&self, server: ServerIndex) -> u64 {
        self.servers.get(usize::from(server.0)).map_or(0, |gauge| gauge.believed)
    }
}

impl Gauge {
    fn new(configured: u64) -> Gauge {
        let marks = [Mark::default(); 2];
        Gauge { configured, believed: configured, base: None, last: None, seen: None, marks, size: 0 }
    }

    /// What had been promised of the requests that are at the origin by now.
    fn reached_by(&self, account: &Account, now: Instant) -> Mark {
        let mark = self.marks.into_iter().find(|mark| now.since(mark.at) >= ON_ITS_WAY);
        mark.filter(|mark| now.since(mark.at) <= MARK_MAX).unwrap_or(Mark::of(account, now))
    }

    /// What was since the report before, if it makes a rate.
    fn measure(&mut self, report: LoadReport, mark: Mark, now: Instant) -> Option<Seen> {
        let Some((at, base, base_mark)) = self.base.filter(|(_, base, _)| report.sent >= base.sent) else {
            (self.base, self.seen) = (Some((now, report, mark)), None);
            return None;
        };
        let over = now.since(at);
        if over < INTERVAL_MIN {
            return None;
        }
        self.base = Some((now, report, mark));
        if over > INTERVAL_MAX {
            self.seen = None;
            return None;
        }
        let sent = report.sent - base.sent;
        Some(Seen {
            over,
            rate: u64::try_from(u128::from(sent) * 1_000_000_000 / over.as_nanos()).unwrap_or(u64::MAX),
            least: base.requests.min(report.requests),
            most: base.requests.max(report.requests),
            busy: base.left > 0 && report.left > 0,
            reached: sent.saturating_add(report.left).saturating_sub(base.left),
            own: mark.kept_since(&base_mark),
        })
    }

    /// Whether the link is too small for its requests, whatever is configured.
    fn is_limited(&self, seen: &Seen, best: u64) -> bool {
        let is_slow = u128::from(seen.rate) * 10 < u128::from(best) * 7 * u128::from(seen.least);
        seen.busy
            && seen.least >= FLOWS_MIN
            && is_slow
            && !self.seen.is_some_and(|before| seen.gives_more_than(&before))
    }

    fn believe(&mut self, seen: &Seen, is_limited: bool) {
        let believed = if is_limited {
            self.believed - self.believed.saturating_sub(seen.rate) / 2
        } else {
            self.believed.saturating_add(bytes_in(self.believed / 10, seen.over))
        };
        let least = (self.configured / BELIEF_LEAST).max(1);
        self.believed = believed.max(seen.rate).clamp(least, self.configured);
    }

    fn settle(
        &mut self,
        report: LoadReport,
        mark: Mark,
        is_limited: bool,
        part: Part,
        account: &Account,
        now: Instant,
    ) {
        let on_its_way = Mark::of(account, now).kept_since(&mark);
        self.last = Some(Heard { requests: report.requests, mark });
        let capacity = self.believed;
        let rate = self.seen.map(|seen| seen.rate);
        let is_full = is_limited || rate.is_none_or(|rate| rate >= capacity / 5 * 4);
        let (waits, rate) = if is_full && report.left > bytes_in(capacity, MOMENT) {
            (time_for(report.left, capacity), capacity)
        } else {
            let least = capacity / (u64::from(report.requests) + 1);
            (Duration::ZERO, capacity.saturating_sub(rate.unwrap_or(0)).max(least))
        };
        let rate = part.of(rate);
        account.settle(now + waits + time_for(on_its_way, rate), rate);
    }

    fn mark(&mut self, account: &Account, now: Instant) {
        let [last, _] = self.marks;
        let mark = Mark::of(account, now);
        if let Some(size) = mark.kept_since(&last).checked_div(mark.promises.wrapping_sub(last.promises)) {
            self.size = if self.size == 0 { size } else { self.size - self.size / 4 + size / 4 };
        }
        self.marks = [mark, last];
    }

    /// Of the clients promised to the server since its report, those that are still there: each stays as long as
    /// its bytes take at the rate that a request was seen to get.
    fn promised_since(&self, last: &Heard, account: &Account, best: u64, now: Instant) -> u64 {
        let promises = account.promises().wrapping_sub(last.mark.promises);
        let seen = self.seen.map(|seen| seen.rate / u64::from(seen.most.max(1)));
        let rate = seen.filter(|rate| *rate > 0).unwrap_or(if best == 0 { self.believed } else { best });
        let stays = (time_for(self.size, rate.min(self.believed)) + ON_ITS_WAY).as_nanos();
        let elapsed = now.since(last.mark.at).as_nanos().max(1);
        u64::try_from((u128::from(promises) * stays.min(elapsed)).div_ceil(elapsed)).unwrap_or(u64::MAX)
    }
}

impl Seen {
    /// Whether a quarter more requests brought at least half as many more bytes.
    fn gives_more_than(&self, before: &Seen) -> bool {
        let requests = |seen: &Seen| u128::from(seen.least) + u128::from(seen.most);
        let (now, then) = (requests(self), requests(before));
        let rate_now = u128::from(self.rate);
        now * 4 >= then * 5 && rate_now * 2 * then >= u128::from(before.rate) * (now + then)
    }
}

impl Best {
    /// Takes a rate of each request that is certainly not too great.
    fn learn(&mut self, seen: &Seen, now: Instant) {
        if now.since(self.since) > BEST_KEPT {
            let before = if now.since(self.since) > BEST_KEPT * 2 { 0 } else { self.now };
            *self = Best { since: now, now: 0, before };
        }
        if seen.busy && seen.least > 0 {
            self.now = self.now.max(seen.rate / u64::from(seen.most));
        }
    }

    fn get(&self) -> u64 {
        self.now.max(self.before)
    }
}

impl Part {
    fn learn(&mut self, seen: &Seen, now: Instant) {
        if now.since(self.since) > PART_KEPT {
            *self = Part { since: now, reached: self.reached / 2, own: self.own / 2 };
        }
        self.reached = self.reached.saturating_add(seen.reached);
        self.own = self.own.saturating_add(seen.own);
    }

    /// That part of a rate.
    fn of(&self, rate: u64) -> u64 {
        let part = (u128::from(rate) * u128::from(self.own)).checked_div(u128::from(self.reached));
        let part = part.map_or(rate, |part| u64::try_from(part).unwrap_or(u64::MAX));
        part.clamp((rate / PART_LEAST).max(1), rate.max(1))
    }
}

impl Mark {
    fn of(account: &Account, now: Instant) -> Mark {
        Mark { at: now, kept: account.kept(), promises: account.promises() }
    }

    /// Bytes promised since `earlier`, less what was taken back since; not less than 0.
    fn kept_since(&self, earlier: &Mark) -> u64 {
        self.kept.wrapping_sub(earlier.kept).cast_signed().max(0).cast_unsigned()
    }
}

/// How long a link of this rate takes for so many bytes.
fn time_for(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How many bytes a link of this rate takes in so long.
fn bytes_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
