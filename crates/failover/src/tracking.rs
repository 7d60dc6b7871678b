//! What trackers make of a vip. Pure.

use vrrp_proto::{Effect, Need, Tracked, Tracker, Weight, effective_priority};

use crate::{Facts, Health, Hold, Subject, Track, Vip};

/// What is known, of all that vips may depend on.
pub(crate) struct Known<'a> {
    pub(crate) facts: &'a Facts,
    /// Interfaces, and whether they can carry traffic.
    pub(crate) interfaces: &'a [(String, bool)],
}

/// What is known of a subject. `serving`: the workers of a serving process give signs of life.
pub(crate) fn health(subject: &Subject, known: &Known<'_>, serving: bool) -> Health {
    let of = |key: &String| known.facts.known.get(key).copied().unwrap_or(Health::Unknown);
    match subject {
        Subject::Interface(name) => match known.interfaces.iter().find(|(known, _)| known == name) {
            Some((_, true)) => Health::Well,
            _ => Health::Unwell,
        },
        Subject::Fact(key) => of(key),
        Subject::Served(key) => match of(key) {
            Health::Unknown => Health::Unknown,
            _ if !serving => Health::Unwell,
            health => health,
        },
    }
}

/// How a vip runs, with what it depends on and what an operator has said.
pub(crate) fn effect(vip: &Vip, known: &Known<'_>, serving: bool, hold: Option<Hold>) -> Effect {
    let trackers = vip.track.iter().map(|track| tracker(track, health(&track.subject, known, serving)));
    match (effective_priority(vip.priority, trackers), hold) {
        (Effect::Priority(_), Some(Hold::GivenUp)) => Effect::LastResort,
        (effect, _) => effect,
    }
}

fn tracker(track: &Track, health: Health) -> (Tracker, Tracked) {
    let need = match track.subject {
        Subject::Interface(_) => Need::Network,
        Subject::Fact(_) | Subject::Served(_) => Need::Service,
    };
    let of = |weight: i16| Weight::new(weight.clamp(-254, 254)).unwrap_or(Weight::NONE);
    let weight = of(track.weight.unwrap_or(0));
    let (weight, tracked) = match health {
        Health::Unknown => (weight, Tracked::Unknown),
        Health::Well => (weight, Tracked::Well),
        Health::Unwell => (weight, Tracked::Unwell),
        // Without a weight it is the exit code of a program: 0 is well.
        Health::Number(number) if weight == Weight::NONE => {
            (weight, if number == 0 { Tracked::Well } else { Tracked::Unwell })
        }
        Health::Number(number) => {
            let product = i64::from(number) * i64::from(weight.get());
            let product = product.clamp(-254, 254) as i16;
            // So that it is added whatever its sign; 0 adds nothing.
            let tracked = match product {
                1.. => Tracked::Well,
                0 => Tracked::Unknown,
                _ => Tracked::Unwell,
            };
            (of(if product == 0 { 1 } else { product }), tracked)
        }
    };
    (Tracker { weight, reverse: track.reverse, need }, tracked)
}

#[cfg(test)]
mod tests;
