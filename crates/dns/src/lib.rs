//! The name service of the cluster's one name: which addresses are up, in turns.
//!
//! It is authoritative for that name alone, and refuses all else. Messages are hickory's; which of them is answered and
//! how is [`Zone`]'s, which has no socket; the loop is [`Server`]'s, on a thread of its own, so that whoever floods it
//! with questions delays neither a request nor a check.
//!
//! While no address is known to be up, all are answered: what is known may be a moment old or wrong, a client tries
//! the next address by itself, and an error or an empty answer would be remembered by resolvers for longer than most
//! failovers take (RFC 9520 section 3.2, RFC 2308 section 5).

mod counters;
mod limit;
mod plan;
mod question;
mod server;
mod zone;

pub use counters::{Answer, Dropped};
pub use plan::{Answers, Plan};
pub use server::{Event, Server, Sockets, Status};
pub use zone::{Live, Transport, Turns, Verdict, Zone};
