use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use failover::{Hold, Order, Report, VipReport};

use super::ask::ask;
use super::print;
use super::status::{Table, uptime};
use crate::cli::{Client, Vip, VipName};
use crate::control::Request;

/// How long another director may take to have what is given away, beyond the time that its adverts' interval asks for.
const TAKEN_PATIENCE: Duration = Duration::from_secs(3);

/// A director takes over after three intervals and less than one more of skew (RFC 9568 §6.1); as many again are for
/// one that is not configured alike.
const TAKEN_INTERVALS: u32 = 8;

/// Between two looks at who has it.
const LOOK: Duration = Duration::from_millis(50);

/// `perron vip …`.
pub(crate) fn vip(what: Vip) -> anyhow::Result<ExitCode> {
    match what {
        Vip::List { client, json } => list(&client, json),
        Vip::GiveUp(name) => away(&name, Order::GiveUp),
        Vip::Hold(name) => away(&name, Order::Hold),
        Vip::Resume(VipName { name, client }) => {
            let request = Request::Vip { name: name.clone(), order: Order::Resume };
            ask(&client, &request, |_| println!("{} as configured", moves(name.as_deref())))
        }
    }
}

fn moves(name: Option<&str>) -> String {
    name.map_or_else(|| "all vips move".to_owned(), |name| format!("{name} moves"))
}

fn list(client: &Client, json: bool) -> anyhow::Result<ExitCode> {
    let mut shown = Ok(());
    let code = ask(client, &Request::Vips, |answer| {
        shown = if json {
            print(&format!("{answer:#}\n"))
        } else {
            read(answer).and_then(|report| print(&table(&report, unix_ms())))
        };
    })?;
    shown.map(|()| code)
}

fn read(answer: &serde_json::Value) -> anyhow::Result<Report> {
    serde_json::from_value(answer.clone()).context("the service is of another version")
}

/// Has vips given away, and tells where they have gone.
fn away(VipName { name, client }: &VipName, order: Order) -> anyhow::Result<ExitCode> {
    let code = ask(client, &Request::Vip { name: name.clone(), order }, |_| {})?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let begun = Instant::now();
    loop {
        let mut found = None;
        let code = ask(client, &Request::Vips, |answer| found = Some(read(answer)))?;
        let Some(report) = found.transpose()? else { return Ok(code) };
        let ours: Vec<&VipReport> =
            report.vips.iter().filter(|vip| name.as_ref().is_none_or(|name| *name == vip.name)).collect();
        let longest = ours.iter().map(|vip| vip.advert_interval_ms).max().unwrap_or(0);
        let patience = TAKEN_PATIENCE + Duration::from_millis(longest) * TAKEN_INTERVALS;
        // One that is held hears no adverts, and cannot know who has it.
        let settled = ours.iter().all(|vip| vip.state != "active" && (order == Order::Hold || vip.active.is_some()));
        if settled || begun.elapsed() >= patience {
            for vip in &ours {
                println!("{}", gone(vip, patience));
            }
            return Ok(if settled { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        std::thread::sleep(LOOK);
    }
}

/// Where a vip has gone that was given away.
fn gone(vip: &VipReport, patience: Duration) -> String {
    let patience = units::write_duration(patience);
    match vip.active {
        _ if vip.state == "active" => {
            format!("{} stays here: no other director took it within {patience}", vip.name)
        }
        _ if vip.hold == Some(Hold::Held) => format!("{} is held: it is not here until it is resumed", vip.name),
        Some((router, priority)) => format!("{} is given away: {router} has it, with priority {priority}", vip.name),
        None => format!("{} is not here, and no other director is known to have it after {patience}", vip.name),
    }
}

/// The vips, a line each, and below them what is wrong.
pub(super) fn table(report: &Report, now_ms: u64) -> String {
    if report.vips.is_empty() {
        return "no addresses move here: the configuration has no [vip.NAME]\n".to_owned();
    }
    let mut rows =
        Table::new(&["vip", "addresses", "on", "state", "for", "priority", "active", "received", "refused", "why"]);
    for vip in &report.vips {
        rows.push(row(vip, now_ms));
    }
    let mut text = rows.text();
    for vip in &report.vips {
        for tracked in vip.track.iter().filter(|tracked| tracked.state != "well") {
            writeln!(text, "{}: {} is {}", vip.name, tracked.subject, tracked.state)
                .expect("a string takes everything");
        }
        for (reason, count) in &vip.refused {
            writeln!(text, "{}: {count} adverts refused: {reason}", vip.name).expect("a string takes everything");
        }
        for sentence in &vip.diagnosis {
            writeln!(text, "{}: {sentence}", vip.name).expect("a string takes everything");
        }
    }
    for (reason, count) in &report.refused {
        writeln!(text, "{count} adverts of no vip refused: {reason}").expect("a string takes everything");
    }
    text
}

fn row(vip: &VipReport, now_ms: u64) -> Vec<String> {
    let state = match vip.hold {
        Some(Hold::GivenUp) => format!("{}, given up", vip.state),
        Some(Hold::Held) => format!("{}, held", vip.state),
        None => vip.state.clone(),
    };
    let priority = match vip.priority == vip.base_priority {
        true => vip.priority.to_string(),
        false => format!("{} of {}", vip.priority, vip.base_priority),
    };
    let active = match vip.active {
        _ if vip.state == "active" => "here".to_owned(),
        Some((router, priority)) => format!("{router} ({priority})"),
        None => "nobody known".to_owned(),
    };
    vec![
        vip.name.clone(),
        vip.addresses.join(" "),
        format!("{} vrid {}", vip.interface, vip.vrid),
        state,
        uptime(now_ms.saturating_sub(vip.since_unix_ms) / 1000),
        priority,
        active,
        vip.adverts_received.to_string(),
        vip.refused.values().sum::<u64>().to_string(),
        vip.why.clone(),
    ]
}

pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use failover::TrackReport;

    use super::*;

    fn api() -> VipReport {
        VipReport {
            name: "api".to_owned(),
            interface: "eth0".to_owned(),
            vrid: 51,
            state: "backup".to_owned(),
            since_unix_ms: 1_000_000,
            why: "an advert of a higher priority".to_owned(),
            active: Some(([10, 0, 0, 2].into(), 200)),
            priority: 50,
            base_priority: 100,
            addresses: vec!["10.0.0.9/24".to_owned()],
            adverts_received: 12,
            refused: BTreeMap::from([("interval".to_owned(), 3)]),
            track: vec![TrackReport {
                subject: "backend/web".to_owned(),
                state: "unwell".to_owned(),
                weight: Some(-50),
            }],
            diagnosis: vec!["two active since 10:00".to_owned()],
            ..VipReport::default()
        }
    }

    #[test]
    fn a_vip_is_a_line_and_what_is_wrong_with_it_stands_below() {
        let report = Report { vips: vec![api()], ..Report::default() };
        let expected = "\
vip  addresses    on            state   for    priority   active          received  refused  why
api  10.0.0.9/24  eth0 vrid 51  backup  1m01s  50 of 100  10.0.0.2 (200)  12        3        an advert of a higher priority
api: backend/web is unwell
api: 3 adverts refused: interval
api: two active since 10:00
";
        assert_eq!(table(&report, 1_061_000), expected);
        assert!(table(&Report::default(), 0).starts_with("no addresses move here"));
    }

    #[test]
    fn who_has_what_was_given_away_is_told() {
        let told = |vip: VipReport| gone(&vip, Duration::from_secs(4));
        assert_eq!(told(api()), "api is given away: 10.0.0.2 has it, with priority 200");
        let stays = VipReport { state: "active".to_owned(), ..api() };
        assert_eq!(told(stays), "api stays here: no other director took it within 4s");
        let held = VipReport { hold: Some(Hold::Held), active: None, ..api() };
        assert_eq!(told(held), "api is held: it is not here until it is resumed");
        let nowhere = VipReport { active: None, ..api() };
        assert_eq!(told(nowhere), "api is not here, and no other director is known to have it after 4s");
    }
}
