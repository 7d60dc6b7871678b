//! How everything is, for people.

use vrrp_proto::{AdvertError, Priority, Protocol, Refusal, State};

use super::Drive;
use crate::diagnosis::{Signs, diagnosis};
use crate::router::Running;
use crate::tracking::{Known, health};
use crate::{Health, Report, Subject, TrackReport, Vip, VipReport, clock};

/// Adverts that came before this are no news.
const RECENT: std::time::Duration = std::time::Duration::from_secs(10);

/// A machine that has an address of ours says so when it is asked, which is seldom.
const CLAIM_NEWS: std::time::Duration = std::time::Duration::from_secs(60);

impl Drive {
    pub(super) fn report(&self) -> Report {
        let mut refused = std::collections::BTreeMap::new();
        count(&mut refused, &self.counts.refused, &self.counts.malformed);
        let lost = self.ports.values().filter_map(|port| port.sockets.ours.lost().ok());
        let lost: u64 = lost.map(u64::from).sum();
        if lost > 0 {
            refused.insert("no_room".to_owned(), lost);
        }
        Report {
            taken_unix_ms: clock::unix_ms(),
            vips: self.plan.vips.iter().zip(&self.vips).map(|(vip, running)| self.vip_report(vip, running)).collect(),
            refused,
            lateness: self.counts.lateness.counts(),
            lateness_sum_us: self.counts.lateness.sum_us(),
            events_lost: self.counts.events_lost,
            realtime: self.realtime,
            memory_locked: self.memory_locked,
        }
    }

    fn vip_report(&self, vip: &Vip, running: &Running) -> VipReport {
        let squad = &self.squads[running.squad];
        let router = &squad.group.members()[running.member];
        let state = router.state();
        let now = clock::now();
        let heard_lately = running.last_heard.is_some_and(|last| now.since(last) <= router.timing().down);
        let active = match state {
            State::Active => running.ground.source.map(|source| (source, router.priority().get())),
            _ => running.active.filter(|_| heard_lately),
        };
        let mut refused = std::collections::BTreeMap::new();
        count(&mut refused, &running.counts.refused, &running.counts.malformed);
        VipReport {
            name: vip.name.clone(),
            group: squad.name.clone(),
            interface: vip.interface.clone(),
            vrid: vip.vrid.get(),
            version: match vip.protocol {
                Protocol::V2 { .. } => 2,
                Protocol::V3 { .. } => 3,
            },
            state: state.word().to_owned(),
            since_unix_ms: running.since_unix_ms,
            why: running.why.clone(),
            up: state == State::Active || active.is_some(),
            active,
            priority: router.priority().get(),
            base_priority: vip.priority.get(),
            advert_interval_ms: vip.protocol.interval().as_millis() as u64,
            addresses: vip.all_addresses().map(|address| format!("{}/{}", address.ip, address.prefix)).collect(),
            hold: running.hold,
            track: self.track_reports(vip, running),
            adverts_sent: running.counts.sent,
            adverts_received: running.counts.received,
            refused,
            became_active: running.counts.became_active,
            announced: running.counts.announced,
            repaired: running.counts.repaired,
            conflicts: running.counts.conflicts,
            diagnosis: diagnosis(&self.signs(vip, running, state)),
        }
    }

    fn track_reports(&self, vip: &Vip, running: &Running) -> Vec<TrackReport> {
        let known = Known { facts: &self.facts, interfaces: &self.interfaces };
        let each = vip.track.iter().map(|track| TrackReport {
            subject: subject(&track.subject),
            state: match health(&track.subject, &known, running.serving) {
                Health::Unknown => "unknown".to_owned(),
                Health::Well => "well".to_owned(),
                Health::Unwell => "unwell".to_owned(),
                Health::Number(number) => number.to_string(),
            },
            weight: track.weight,
        });
        each.collect()
    }

    fn signs<'a>(&'a self, vip: &'a Vip, running: &'a Running, state: State) -> Signs<'a> {
        let now = clock::now();
        let router = &self.squads[running.squad].group.members()[running.member];
        let known = Known { facts: &self.facts, interfaces: &self.interfaces };
        let port = running.ground.scope.and_then(|scope| self.ports.get(&scope));
        let strangers = port.iter().flat_map(|port| &port.strangers);
        let lacking = vip.track.iter().filter(|track| {
            let health = health(&track.subject, &known, running.serving);
            track.weight.is_none() && (health == Health::Well || health == Health::Number(0)) == track.reverse
        });
        Signs {
            vip,
            state,
            interface: running.ground.interface.is_some(),
            running: running.ground.running,
            source: running.ground.source,
            hold: running.hold,
            is_last_resort: router.priority() == Priority::LAST_RESORT,
            lacking: lacking.map(|track| subject(&track.subject)).collect(),
            rival: running.rival.filter(|rival| {
                now.since(rival.last) <= RECENT && rival.last.since(rival.first) >= router.timing().down * 2
            }),
            claimed: running
                .claimed
                .filter(|(.., last)| running.has && now.since(*last) <= CLAIM_NEWS)
                .map(|(ip, by, _)| (ip, by)),
            refused: running.refused_last.filter(|refused| now.since(refused.last) <= RECENT),
            strangers: strangers
                .filter(|(_, last)| now.since(last.last) <= RECENT)
                .map(|(&vrid, last)| (vrid, last.from))
                .collect(),
            troubles: self
                .troubles
                .iter()
                .filter(|trouble| vip.all_addresses().any(|address| Some(address.ip) == trouble.ip))
                .map(|trouble| trouble.text.as_str())
                .chain(running.lacking.as_deref())
                .collect(),
            notes: &running.notes,
            not_sent: running.counts.not_sent,
        }
    }
}

/// As in [`crate::Facts::known`], and `interface/NAME`.
fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Interface(name) => format!("interface/{name}"),
        Subject::Fact(key) | Subject::Served(key) => key.clone(),
    }
}

fn count(
    into: &mut std::collections::BTreeMap<String, u64>,
    refused: &[u64; Refusal::ALL.len()],
    malformed: &[u64; AdvertError::ALL.len()],
) {
    let refused = Refusal::ALL.iter().map(|refusal| (refusal.reason(), refused[*refusal as usize]));
    let malformed = AdvertError::ALL.iter().map(|error| (error.reason(), malformed[*error as usize]));
    let counted = refused.chain(malformed).filter(|(_, count)| *count > 0);
    into.extend(counted.map(|(reason, count)| (reason.to_owned(), count)));
}
