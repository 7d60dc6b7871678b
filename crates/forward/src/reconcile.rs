//! Makes what is in the kernel what is wanted there, and says what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use forward_plan::{
    Chosen, Destination, Endpoint, Engine as Kind, Key, Operation, Service, Wanted, choose, plan, split,
};

use crate::{Asked, Count, DestinationReport, Engine, Event, Report, ServiceReport, Table};

/// Opens engines: [`crate::engines::open`], but in tests.
pub(crate) type Open = fn(Kind) -> Result<Box<dyn Engine>, String>;

/// New connections so far.
type Totals = BTreeMap<(Key, Endpoint), u64>;

/// What is wanted, and who does it.
pub(crate) struct Reconciler {
    open: Open,
    engines: BTreeMap<Kind, Box<dyn Engine>>,
    table: Table,
    /// Who forwards each service, in step with `table`.
    decided: Vec<Result<Chosen, String>>,
    ours: BTreeMap<Kind, BTreeSet<Key>>,
    /// Whether what was wanted last has been there since: what differs then is somebody else's doing.
    settled: bool,
    troubles: BTreeSet<String>,
    counted: Option<(Instant, Totals)>,
}

impl Reconciler {
    /// Nothing is wanted; `ours` are services that a process before this one has made.
    pub(crate) fn new(open: Open, ours: Vec<Key>) -> Reconciler {
        let ours: BTreeSet<Key> = ours.into_iter().collect();
        Reconciler {
            open,
            engines: BTreeMap::new(),
            table: Table::default(),
            decided: Vec::new(),
            ours: [Kind::Ipvs, Kind::Nftables].into_iter().map(|kind| (kind, ours.clone())).collect(),
            settled: false,
            troubles: BTreeSet::new(),
            counted: None,
        }
    }

    /// From now on this is wanted.
    pub(crate) fn want(&mut self, table: Table, events: &mut Vec<Event>) {
        if table == self.table && self.settled {
            return;
        }
        let before = self.told();
        self.table = table;
        self.settled = false;
        self.decide();
        for (name, text) in self.told() {
            if before.get(&name) != Some(&text) {
                let trouble = self.is_troubled(&name);
                let frontend = name.1.clone();
                events.push(Event { frontend: Some(frontend), trouble, text });
            }
        }
        self.reconcile(events);
    }

    /// Looks at what is there, and changes it where it is not what is wanted.
    pub(crate) fn reconcile(&mut self, events: &mut Vec<Event>) {
        if self.decided.iter().any(Result::is_err) {
            self.decide();
        }
        let (mut troubles, mut all_well) = (BTreeSet::new(), true);
        let kinds: Vec<Kind> = self.engines.keys().copied().collect();
        for kind in kinds {
            match self.reconcile_with(kind) {
                Ok(0) => {}
                Ok(changes) if self.settled => {
                    let text = format!(
                        "what another program changed in {} is put back: {changes} {}",
                        kind.as_str(),
                        if changes == 1 { "change" } else { "changes" }
                    );
                    events.push(Event { frontend: None, trouble: true, text });
                }
                Ok(_) => {}
                Err(error) => {
                    all_well = false;
                    troubles.insert(format!("{}: {error}", kind.as_str()));
                }
            }
            if let Some(engine) = self.engines.get_mut(&kind) {
                troubles.extend(engine.troubles());
            }
        }
        self.settled = all_well;
        let trouble = |text: &String| Event { frontend: None, trouble: true, text: text.clone() };
        events.extend(troubles.difference(&self.troubles).map(trouble));
        let over = |text: &String| Event { frontend: None, trouble: false, text: format!("over: {text}") };
        events.extend(self.troubles.difference(&troubles).map(over));
        self.troubles = troubles;
    }

    /// Changes made in an engine.
    fn reconcile_with(&mut self, kind: Kind) -> Result<usize, netlink::Error> {
        let wanted = self.wanted(kind);
        let Some(engine) = self.engines.get_mut(&kind) else { return Ok(0) };
        let observed = engine.observe()?;
        let ours = self.ours.entry(kind).or_default();
        if engine.is_all_ours() {
            ours.extend(observed.iter().map(|service| service.key));
        }
        let operations = plan(&wanted, &observed, ours);
        // Before they are made: who dies in between leaves nothing that the next one does not know.
        ours.extend(wanted.iter().map(|wanted| wanted.service.key));
        if operations.is_empty() && !engine.is_stale() {
            return Ok(0);
        }
        engine.apply(&operations)?;
        let removed = |operation: &Operation| match operation {
            Operation::RemoveService { key } => Some(*key),
            _ => None,
        };
        for key in operations.iter().filter_map(removed) {
            ours.remove(&key);
        }
        self.end_connections(kind, &operations)?;
        Ok(operations.len().max(1))
    }

    fn end_connections(&mut self, kind: Kind, operations: &[Operation]) -> Result<(), netlink::Error> {
        let ending: Vec<Key> = self
            .table
            .services
            .iter()
            .filter(|asked| asked.end_connections)
            .flat_map(|asked| split_for(kind, &asked.wanted))
            .map(|wanted| wanted.service.key)
            .collect();
        let gone: Vec<(Key, Endpoint)> = operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::RemoveDestination { key, endpoint } if ending.contains(key) => Some((*key, *endpoint)),
                _ => None,
            })
            .collect();
        match self.engines.get_mut(&kind) {
            Some(engine) if !gone.is_empty() => engine.end_connections(&gone).map(drop),
            _ => Ok(()),
        }
    }

    /// Decides who forwards each service.
    fn decide(&mut self) {
        let needs_ipvs = self.table.services.iter().any(|asked| asked.choice != only(Kind::Nftables));
        let ipvs = if needs_ipvs { self.opened(Kind::Ipvs) } else { Err("it is not asked for".to_owned()) };
        let services: Vec<Asked> = self.table.services.clone();
        self.decided = services
            .iter()
            .map(|asked| {
                let ipvs = ipvs.as_ref().copied().map_err(String::as_str);
                let chosen = choose(asked.choice, ipvs, &asked.wanted.service)
                    .map_err(|refusal| format!("{refusal}: {}", refusal.instead()))?;
                self.opened(chosen.engine)?;
                Ok(chosen)
            })
            .collect();
    }

    fn opened(&mut self, kind: Kind) -> Result<(), String> {
        if !self.engines.contains_key(&kind) {
            self.engines.insert(kind, (self.open)(kind)?);
        }
        Ok(())
    }

    /// What an engine is to have.
    fn wanted(&self, kind: Kind) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (asked, decided) in self.table.services.iter().zip(&self.decided) {
            let Ok(chosen) = decided else { continue };
            if chosen.engine == kind {
                wanted.extend(split_for(kind, &as_chosen(asked, chosen)));
            }
        }
        wanted
    }

    /// What is told of each service, by key and frontend.
    fn told(&self) -> BTreeMap<(Key, String), String> {
        let services = self.table.services.iter().zip(&self.decided);
        services
            .map(|(asked, decided)| {
                let key = asked.wanted.service.key;
                let text = match decided {
                    Ok(Chosen { engine, why, stands_in: None }) => {
                        format!("{key} is forwarded by {}: {why}", engine.as_str())
                    }
                    Ok(Chosen { engine, why, stands_in: Some(instead) }) => format!(
                        "{key} is forwarded by {}: {why}; it cannot balance by {}, and {} stands in",
                        engine.as_str(),
                        asked.wanted.service.settings.scheduler.as_str(),
                        instead.as_str()
                    ),
                    Err(why) => format!("{key} is not forwarded: {why}"),
                };
                ((key, asked.frontend.clone()), text)
            })
            .collect()
    }

    fn is_troubled(&self, (key, _): &(Key, String)) -> bool {
        let mut services = self.table.services.iter().zip(&self.decided);
        services.any(|(asked, decided)| {
            let troubled = decided.as_ref().is_ok_and(|chosen| chosen.stands_in.is_some()) || decided.is_err();
            asked.wanted.service.key == *key && troubled
        })
    }

    /// How everything is.
    pub(crate) fn report(&mut self) -> Report {
        let mut counts: BTreeMap<(Key, Endpoint), Count> = BTreeMap::new();
        let mut there: BTreeMap<Key, Service> = BTreeMap::new();
        let mut troubles = self.troubles.clone();
        for (kind, engine) in &mut self.engines {
            match engine.observe().and_then(|services| Ok((services, engine.counts()?))) {
                Ok((services, counted)) => {
                    there.extend(services.into_iter().map(|service| (service.key, service)));
                    counts.extend(counted.into_iter().map(|count| ((count.key, count.endpoint), count)));
                }
                Err(error) => {
                    troubles.insert(format!("{}: {error}", kind.as_str()));
                }
            }
        }
        let rates = self.rates(&counts);
        let mut services = Vec::new();
        for (asked, decided) in self.table.services.iter().zip(&self.decided) {
            let chosen = decided.as_ref().ok();
            let engine = chosen.map(|chosen| chosen.engine);
            let wanted = chosen.map_or_else(|| asked.wanted.clone(), |chosen| as_chosen(asked, chosen));
            for wanted in engine.map_or_else(|| vec![wanted.clone()], |kind| split_for(kind, &wanted)) {
                let service = wanted.service;
                let destinations = there.get(&service.key).map_or(&[][..], |there| &there.destinations);
                let shown = |destination| report_of(service.key, destination, &counts, &rates);
                services.push(ServiceReport {
                    frontend: asked.frontend.clone(),
                    key: service.key,
                    address: service.key.to_string(),
                    settings: service.settings,
                    scheduler: service.settings.scheduler.as_str().to_owned(),
                    engine: engine.map(|engine| engine.as_str().to_owned()),
                    why: decided.as_ref().map_or_else(Clone::clone, |chosen| chosen.why.clone()),
                    destinations: destinations.iter().map(shown).collect(),
                });
            }
        }
        let ours: BTreeSet<Key> = self.ours.values().flatten().copied().collect();
        Report { services, troubles: troubles.into_iter().collect(), ours: ours.into_iter().collect() }
    }

    /// New connections a second, since they were counted last.
    fn rates(&mut self, counts: &BTreeMap<(Key, Endpoint), Count>) -> BTreeMap<(Key, Endpoint), f64> {
        let now = Instant::now();
        let connections: Totals = counts.iter().filter_map(|(at, count)| Some((*at, count.connections?))).collect();
        let rates = self.counted.as_ref().map(|(since, before)| {
            let seconds = now.duration_since(*since).as_secs_f64().max(0.001);
            let rate =
                |(at, now): (&(Key, Endpoint), &u64)| Some((*at, now.checked_sub(*before.get(at)?)? as f64 / seconds));
            connections.iter().filter_map(rate).collect()
        });
        self.counted = Some((now, connections));
        rates.unwrap_or_default()
    }

    /// Leaves nothing behind.
    pub(crate) fn stop(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        for (kind, engine) in &mut self.engines {
            let ours: Vec<Key> = self.ours.get(kind).into_iter().flatten().copied().collect();
            if let Err(error) = engine.remove(&ours) {
                failures.push(format!("{}: {error}", kind.as_str()));
            }
        }
        failures
    }
}

fn only(kind: Kind) -> forward_plan::Choice {
    forward_plan::Choice::Only(kind)
}

fn split_for(kind: Kind, wanted: &Wanted) -> Vec<Wanted> {
    if kind == Kind::Ipvs { split(wanted) } else { vec![wanted.clone()] }
}

/// The service as its engine can carry it out.
fn as_chosen(asked: &Asked, chosen: &Chosen) -> Wanted {
    let mut wanted = asked.wanted.clone();
    if let Some(scheduler) = chosen.stands_in {
        wanted.service.settings.scheduler = scheduler;
    }
    wanted
}

fn report_of(
    key: Key,
    destination: &Destination,
    counts: &BTreeMap<(Key, Endpoint), Count>,
    rates: &BTreeMap<(Key, Endpoint), f64>,
) -> DestinationReport {
    let at = (key, destination.endpoint);
    let count = counts.get(&at);
    DestinationReport {
        address: destination.endpoint.to_string(),
        method: destination.method,
        weight: destination.weight,
        active: count.map_or(0, |count| count.active),
        inactive: count.map_or(0, |count| count.inactive),
        connections: count.and_then(|count| count.connections),
        connections_per_second: rates.get(&at).copied(),
        packets_in: count.and_then(|count| count.packets_in),
        packets_out: count.and_then(|count| count.packets_out),
        bytes_in: count.and_then(|count| count.bytes_in),
        bytes_out: count.and_then(|count| count.bytes_out),
    }
}

#[cfg(test)]
mod tests;
