use std::fmt::Write as _;

use ::forward::{Report, ServiceReport};

use super::status::Table;

/// What the kernel forwards: for each service a line, and one for each of its servers; below them what is wrong.
pub(super) fn text(report: &Report) -> String {
    if report.services.is_empty() && report.troubles.is_empty() {
        return "the kernel forwards nothing here: no frontend has mode = \"forward\"\n".to_owned();
    }
    let mut rows = Table::new(&[
        "service",
        "server",
        "method",
        "weight",
        "active",
        "inactive",
        "connections",
        "/s",
        "balance",
        "engine",
    ]);
    for service in &report.services {
        push(&mut rows, service);
    }
    let mut text = rows.text();
    for service in report.services.iter().filter(|service| service.engine.is_none()) {
        writeln!(text, "{} is not forwarded: {}", service.address, service.why).expect("a string takes everything");
    }
    for trouble in &report.troubles {
        writeln!(text, "{trouble}").expect("a string takes everything");
    }
    text
}

fn push(rows: &mut Table, service: &ServiceReport) {
    let dash = || "-".to_owned();
    let persistence = service.settings.persistence;
    let persistence = persistence.map_or_else(String::new, |known| format!(" for {}s/{}", known.seconds, known.prefix));
    let sum = |of: fn(&::forward::DestinationReport) -> u64| service.destinations.iter().map(of).sum::<u64>();
    rows.push(vec![
        service.address.clone(),
        dash(),
        dash(),
        sum(|server| server.weight.into()).to_string(),
        sum(|server| server.active).to_string(),
        sum(|server| server.inactive).to_string(),
        dash(),
        dash(),
        format!("{}{persistence}", service.scheduler),
        service.engine.clone().unwrap_or_else(dash),
    ]);
    for server in &service.destinations {
        rows.push(vec![
            String::new(),
            server.address.clone(),
            server.method.as_str().to_owned(),
            server.weight.to_string(),
            server.active.to_string(),
            server.inactive.to_string(),
            server.connections.map_or_else(dash, |count| count.to_string()),
            server.connections_per_second.map_or_else(dash, |rate| format!("{rate:.1}")),
            String::new(),
            String::new(),
        ]);
    }
}
