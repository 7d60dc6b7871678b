//! A host's cable, held by somebody who can pull it at once.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Host;

/// `ip -batch` on a host, waiting for a word: to start a program takes longer than some failovers do.
#[derive(Debug)]
pub struct Cable {
    process: Child,
    input: ChildStdin,
}

impl Cable {
    /// Takes hold of a host's cable.
    ///
    /// # Panics
    /// If ip(8) does not start.
    #[track_caller]
    pub fn of(host: &Host) -> Cable {
        let mut command = Command::new("ip");
        command.args(["-n", host.namespace(), "-force", "-batch", "-"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ip(8) is there");
        let input = process.stdin.take().expect("it is piped");
        Cable { process, input }
    }

    /// Pulls it.
    ///
    /// # Panics
    /// If ip(8) is gone.
    #[track_caller]
    pub fn pull(&mut self) {
        self.say("down");
    }

    /// Puts it back; IPv6 addresses have to be added anew.
    ///
    /// # Panics
    /// If ip(8) is gone.
    #[track_caller]
    pub fn plug(&mut self) {
        self.say("up");
    }

    #[track_caller]
    fn say(&mut self, state: &str) {
        writeln!(self.input, "link set dev eth0 {state}").expect("ip(8) hears");
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
