//! The end of the service: addresses first, then requests.

use super::machine::Input;
use super::{MANAGER_GRACE, Supervisor, network, tell_manager};
use crate::event::Kind;
use crate::log::Level;

impl Supervisor {
    /// Addresses go first, while there is still somebody to serve those who come by them.
    pub(super) fn terminate(&mut self) {
        self.ends += 1;
        if self.ends > 1 {
            // The addresses have their time, which is short.
            if self.network.is_idle() {
                self.give(Input::Terminate);
            }
            self.apps.kill();
            return;
        }
        let longest = units::write_duration(self.current.config.process.drain_timeout);
        let text = format!("the service ends; requests under way have {longest} to finish");
        self.tell(Level::Info, Kind::Stop, &text);
        let patience = self.current.config.process.drain_timeout + self.apps.stop_timeout() + MANAGER_GRACE;
        tell_manager(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", patience.as_micros()));
        self.give_network(network::Input::Terminate);
    }

    /// No address is here any more.
    pub(super) fn network_ended(&mut self) {
        self.end_programs();
        for _ in 0..self.ends {
            self.give(Input::Terminate);
        }
        // A client that nobody will serve is refused at once rather than kept waiting.
        self.current.close();
        self.origin.close();
    }
}
