//! The addresses that move between directors.

use failover::{LATENESS_BOUNDS_US, Report, VipReport};

use super::text::Kind::{Counter, Gauge};
use super::text::Number::Count;
use super::text::{Family, Number, Text};
use super::{Labelled, reasons};

/// The words of a vip's state.
const STATES: [&str; 4] = ["initialize", "backup", "active", "fault"];

const VIP: &[Family<VipReport>] = &[
    ("up", Gauge, "1 while its addresses are up somewhere, as far as this director knows.", |v| Some(v.up.into())),
    ("since_seconds", Gauge, "When it came to its state, in seconds since 1970.", |v| {
        Some(Count(v.since_unix_ms / 1000))
    }),
    ("priority", Gauge, "Its priority in effect.", |v| Some(Count(v.priority.into()))),
    ("base_priority", Gauge, "Its priority as it is written down.", |v| Some(Count(v.base_priority.into()))),
    ("held", Gauge, "1 while an operator has it given up or held.", |v| Some(v.hold.is_some().into())),
    ("troubles", Gauge, "Sentences that `perron vip list` has about what is wrong with it.", |v| {
        Some(Count(v.diagnosis.len() as u64))
    }),
    ("adverts_sent_total", Counter, "Adverts sent.", |v| Some(Count(v.adverts_sent))),
    ("adverts_received_total", Counter, "Adverts taken.", |v| Some(Count(v.adverts_received))),
    ("became_active_total", Counter, "How often it became active here.", |v| Some(Count(v.became_active))),
    ("announced_total", Counter, "Gratuitous ARP and unsolicited neighbour advertisements sent.", |v| {
        Some(Count(v.announced))
    }),
    (
        "repaired_total",
        Counter,
        "Addresses, routes and rules that another program had removed and that were put back.",
        |v| Some(Count(v.repaired)),
    ),
];

/// The families of vips; samples only where there are any.
pub(super) fn render(text: &mut Text, report: Option<&Report>) {
    let vips = report.map_or(&[][..], |report| &report.vips);
    let vips: Labelled<'_, VipReport> = vips.iter().map(|vip| (vec![("vip", vip.name.as_str())], vip)).collect();
    text.families("perron_vip_", VIP, &vips);
    let state = ("perron_vip_state", Gauge, "1 for the state that it is in.");
    text.family_by(state, &vips, "state", |v| {
        STATES.iter().map(|&state| (state, Number::from(v.state == state))).collect()
    });
    let refused = ("perron_vip_refused_total", Counter, "Adverts for it that were not believed, by reason.");
    text.family_by(refused, &vips, "reason", |v| reasons(&v.refused));
    let tracked = ("perron_vip_track_well", Gauge, "1 while what it depends on is well.");
    text.family_by(tracked, &vips, "subject", |v| {
        v.track.iter().map(|track| (track.subject.as_str(), Number::from(track.state == "well"))).collect()
    });
    let reports: Labelled<'_, Report> =
        report.filter(|report| !report.vips.is_empty()).iter().map(|&report| (Vec::new(), report)).collect();
    let strange = ("perron_failover_refused_total", Counter, "Adverts that belong to no vip or are none, by reason.");
    text.family_by(strange, &reports, "reason", |r| reasons(&r.refused));
    let realtime = "1 while the thread of adverts runs before others (SCHED_RR).";
    text.families("perron_failover_", &[("realtime", Gauge, realtime, |r: &Report| Some(r.realtime.into()))], &reports);
    let lateness = "How late the timers of adverts were.";
    text.histogram_by("perron_failover_lateness_seconds", lateness, &LATENESS_BOUNDS_US, &reports, |r| {
        (&r.lateness, r.lateness_sum_us)
    });
}
