//! The name service of the cluster's one name: which addresses are up, in turns.

mod plan;

pub use plan::{Answers, Plan};
