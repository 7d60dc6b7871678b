//! Hosts in network namespaces on one machine, with the field's real servers and clients on them, for tests.
//! What runs in it is the real program over the kernel's real network; time and faults that are simulated belong to `sim`.
//!
//! A lab is a bridge with one veth for each host. Everything in it is gone when the [`Lab`] is dropped, after a panic too;
//! what a killed test left behind goes when the next lab starts. It needs root: a test says `let lab = lab::require!(Lab::new("name"));`
//! and is skipped loudly without. With `PERRON_LAB=required` in the environment a skip is a failure.
//!
//! Whatever cannot do its work here panics at the caller's line, with what the programs involved had written: it is a test that stands there.
//!
//! ```no_run
//! fn one_server_answers() {
//!     let lab = lab::require!(lab::Lab::new("one-server"));
//!     let client = lab.host("client", "10.0.0.1/24");
//!     let server = lab.host("server", "10.0.0.2/24");
//!     let _nginx = lab::require!(lab::Nginx::start(&server, "server"));
//!     assert_eq!(client.curl(&["http://10.0.0.2/"]).text(), "server\n");
//! }
//! ```

mod adverts;
mod authority;
mod cable;
mod capture;
mod guest;
mod host;
mod hung;
mod load;
mod network;
mod perron;
mod php;
mod probe;
mod process;
mod scripted;
mod server;
mod skip;
mod vrrp;
mod wait;
mod wire;

pub use adverts::{Advert, Adverts, advert_v3};
pub use authority::Authority;
pub use cable::Cable;
pub use capture::{Capture, Frames};
pub use guest::{Guest, GuestPlan, Said, in_guest};
pub use host::{Host, Traffic};
pub use hung::HungMount;
pub use load::{Load, LoadShape, Tally};
pub use network::Lab;
pub use perron::{Perron, examples, perron_binary};
pub use php::php_fpm;
pub use probe::{Answers, Echo, Probe};
pub use process::{Output, Process, children_of};
pub use scripted::BadServer;
pub use server::{ApacheHttpd, Nginx, PythonHttp, python};
pub use skip::{Skip, program, python_module};
pub use vrrp::{Frr, Keepalived, VirtualRouter, kill_family, signal_all};
pub use wait::{SOON, eventually, wait_for};
pub use wire::{End, Message, Wire};

/// The value of a `Result<_, Skip>`, or the end of the test with a loud word about what it lacks.
#[macro_export]
macro_rules! require {
    ($needed:expr) => {
        match $needed {
            Ok(value) => value,
            Err(skip) => {
                $crate::Skip::announce(&skip);
                return;
            }
        }
    };
}
