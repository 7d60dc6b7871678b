//! Directors on a simulated network: the real `vrrp-proto`, and everything that can happen to it. Time and chance are the
//! simulation's: a seed is a run, and a failure names it.
//!
//! After everything that happens it is looked at what must hold (`watch`), against the times of the standards and not
//! against what the routers think.

mod chance;
mod host;
mod queue;
mod setup;
#[cfg(test)]
mod stories;
mod trace;
mod trouble;
mod watch;
mod world;

pub use world::{Broken, Figures};

/// Runs a seed for so long.
///
/// # Errors
/// If something does not hold that must.
pub fn run(seed: u64, span: std::time::Duration) -> Result<Figures, Broken> {
    let mut world = world::World::of_seed(seed);
    world.go_on(span)?;
    Ok(world.figures())
}
