//! What is wrong with a vip, in sentences. Pure.

use std::net::IpAddr;

use units::Utc;
use vrrp_proto::{Note, Refusal, State};
use wire::link::LinkAddress;

use crate::router::{Heard, Refused};
use crate::{Hold, Vip};

/// What there is to judge by.
pub(crate) struct Signs<'a> {
    pub(crate) vip: &'a Vip,
    pub(crate) state: State,
    /// The interface is there.
    pub(crate) interface: bool,
    /// It can carry traffic.
    pub(crate) running: bool,
    pub(crate) source: Option<IpAddr>,
    pub(crate) hold: Option<Hold>,
    /// It cannot serve, or was told to give the addresses up.
    pub(crate) is_last_resort: bool,
    /// What it depends on in any case and is not well.
    pub(crate) lacking: Vec<String>,
    /// Another that has been active beside us for longer than it takes to hear each other.
    pub(crate) rival: Option<Heard>,
    /// An address of ours that another machine has.
    pub(crate) claimed: Option<(IpAddr, LinkAddress)>,
    /// An advert that was refused lately.
    pub(crate) refused: Option<Refused>,
    /// Virtual routers that are none of ours, on the same network.
    pub(crate) strangers: Vec<(u8, IpAddr)>,
    /// What the kernel has refused of its addresses.
    pub(crate) troubles: Vec<&'a str>,
    /// What was noted since the last change of state.
    pub(crate) notes: &'a [Note],
    /// Adverts that could not be sent.
    pub(crate) not_sent: u64,
}

/// Sentences, the gravest first; none if all is well.
pub(crate) fn diagnosis(signs: &Signs<'_>) -> Vec<String> {
    let mut said = Vec::new();
    ground(signs, &mut said);
    said.extend(signs.troubles.iter().map(|&trouble| trouble.to_owned()));
    ability(signs, &mut said);
    two_active(signs, &mut said);
    if let Some((ip, by)) = signs.claimed {
        said.push(format!("{by} says that {ip} is its own: another machine has the address"));
    }
    refusals(signs, &mut said);
    for note in signs.notes {
        if let Note::OtherAddresses(_) | Note::OtherInterval(..) | Note::EqualPriority(_) | Note::TwoOwners(_) = note {
            said.push(note.to_string());
        }
    }
    if signs.not_sent > 0 {
        said.push(format!("{} adverts could not be sent", signs.not_sent));
    }
    said
}

fn ground(signs: &Signs<'_>, said: &mut Vec<String>) {
    let interface = &signs.vip.interface;
    if !signs.interface {
        said.push(format!("there is no interface {interface}"));
    } else if !signs.running {
        said.push(format!("{interface} is down or has no carrier"));
    } else if signs.source.is_none() {
        said.push(match signs.vip.source {
            Some(source) => format!("this machine does not have the address {source}, which adverts are to come from"),
            None => format!("{interface} has no address of its own for adverts to come from"),
        });
    }
}

fn ability(signs: &Signs<'_>, said: &mut Vec<String>) {
    match signs.hold {
        Some(Hold::Held) => said.push("it is held: an operator keeps it out until `perron vip resume`".to_owned()),
        Some(Hold::GivenUp) => {
            said.push("an operator has given it up: it stands behind all others until `perron vip resume`".to_owned());
        }
        None => {}
    }
    if signs.lacking.is_empty() {
        return;
    }
    let lacking = signs.lacking.join(", ");
    match signs.state {
        State::Active => said.push(format!("no router is able: it stays active although {lacking} is not well")),
        State::Fault => said.push(format!("it takes no part, because {lacking} is not well")),
        _ if signs.is_last_resort => said.push(format!("it stands behind all others, because {lacking} is not well")),
        _ => {}
    }
}

fn two_active(signs: &Signs<'_>, said: &mut Vec<String>) {
    if let (State::Active, Some(rival)) = (signs.state, signs.rival) {
        let Heard { from, priority, first_unix_ms, .. } = rival;
        let since = Utc::at(std::time::Duration::from_millis(first_unix_ms));
        said.push(format!(
            "two active since {since}: peer {from}, priority {priority}; its adverts reach us, ours do not reach it"
        ));
    }
}

fn refusals(signs: &Signs<'_>, said: &mut Vec<String>) {
    if let Some(Refused { refusal, from, .. }) = signs.refused {
        let hint = match refusal {
            Refusal::Version => "; one of the two has to change",
            Refusal::Interval => "; in version 2 all routers need the same",
            Refusal::Authentication => "; all routers need the same password",
            Refusal::Multicast => "; all routers need peers, or none",
            Refusal::Unicast => "; all routers need peers, or none",
            Refusal::Peer => "; name it among the peers, or find out who it is",
            _ => "",
        };
        said.push(format!("an advert of {from} is not taken: {refusal}{hint}"));
    }
    for (vrid, from) in &signs.strangers {
        said.push(format!("{from} sends adverts of virtual router {vrid} here, which no vip of ours is"));
    }
}

#[cfg(test)]
mod tests;
