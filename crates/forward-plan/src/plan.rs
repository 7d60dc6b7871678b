use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Destination, Endpoint, Key, Service, Settings};

/// A service that is to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// As it is to be.
    pub service: Service,
    /// Servers of which nothing is known yet: where they are there they stay as they are, and nowhere are they added. So
    /// whoever starts anew breaks nothing that goes on.
    pub undecided: Vec<Endpoint>,
}

/// A change of an engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A service, without destinations.
    AddService {
        /// The new one's.
        key: Key,
        /// Its own.
        settings: Settings,
    },
    /// A service is to do something else.
    EditService {
        /// Which.
        key: Key,
        /// All of them.
        settings: Settings,
    },
    /// A destination of a service that is there.
    AddDestination {
        /// The service.
        key: Key,
        /// The new one.
        destination: Destination,
    },
    /// A destination is to have another weight, method or limit.
    EditDestination {
        /// The service.
        key: Key,
        /// All of it.
        destination: Destination,
    },
    /// A destination goes.
    RemoveDestination {
        /// The service.
        key: Key,
        /// Which.
        endpoint: Endpoint,
    },
    /// A service goes, with its destinations.
    RemoveService {
        /// Which.
        key: Key,
    },
}

/// What makes what is wanted of what was observed, in order: all that is added or changed before anything is removed.
///
/// A service is ours if it is wanted, or if `ours` has its key: whoever makes one notes it there. All others stay as they
/// are. A service of ours is ours whole: a destination that somebody else has added to it goes.
pub fn plan(wanted: &[Wanted], observed: &[Service], ours: &BTreeSet<Key>) -> Vec<Operation> {
    let there: BTreeMap<Key, &Service> = observed.iter().map(|service| (service.key, service)).collect();
    let (mut operations, mut removals) = (Vec::new(), Vec::new());
    for Wanted { service, undecided } in wanted {
        let (key, settings) = (service.key, service.settings);
        let known: &[Destination] = match there.get(&key) {
            Some(known) => {
                if known.settings != settings {
                    operations.push(Operation::EditService { key, settings });
                }
                &known.destinations
            }
            None => {
                operations.push(Operation::AddService { key, settings });
                &[]
            }
        };
        let mut known: BTreeMap<Endpoint, &Destination> = known.iter().map(|one| (one.endpoint, one)).collect();
        for endpoint in undecided {
            known.remove(endpoint);
        }
        for destination in &service.destinations {
            match known.remove(&destination.endpoint) {
                None => operations.push(Operation::AddDestination { key, destination: *destination }),
                Some(known) if known == destination => {}
                Some(_) => operations.push(Operation::EditDestination { key, destination: *destination }),
            }
        }
        removals.extend(known.into_keys().map(|endpoint| Operation::RemoveDestination { key, endpoint }));
    }
    let wanted: BTreeSet<Key> = wanted.iter().map(|wanted| wanted.service.key).collect();
    let unwanted = there.into_keys().filter(|key| ours.contains(key) && !wanted.contains(key));
    removals.extend(unwanted.map(|key| Operation::RemoveService { key }));
    operations.extend(removals);
    operations
}

/// Makes the change in `table`. What is not there is not changed, and what is there is not added twice.
pub fn apply(table: &mut Vec<Service>, operation: &Operation) {
    let place = |table: &Vec<Service>, key: &Key| table.iter().position(|service| service.key == *key);
    match operation {
        Operation::AddService { key, settings } => {
            if place(table, key).is_none() {
                table.push(Service { key: *key, settings: *settings, destinations: Vec::new() });
            }
        }
        Operation::EditService { key, settings } => {
            if let Some(place) = place(table, key) {
                table[place].settings = *settings;
            }
        }
        Operation::AddDestination { key, destination } => {
            if let Some(place) = place(table, key)
                && table[place].destination(destination.endpoint).is_none()
            {
                table[place].destinations.push(*destination);
            }
        }
        Operation::EditDestination { key, destination } => {
            let known = place(table, key).and_then(|place| {
                table[place].destinations.iter_mut().find(|known| known.endpoint == destination.endpoint)
            });
            if let Some(known) = known {
                *known = *destination;
            }
        }
        Operation::RemoveDestination { key, endpoint } => {
            if let Some(place) = place(table, key) {
                table[place].destinations.retain(|known| known.endpoint != *endpoint);
            }
        }
        Operation::RemoveService { key } => table.retain(|service| service.key != *key),
    }
}

#[cfg(test)]
mod tests;
