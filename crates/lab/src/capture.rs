//! What goes over a host's link, as Wireshark's programs understand it.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::{Host, Process, SOON, Skip, program, wait_for};

/// A running capture of a host's `eth0`.
#[derive(Debug)]
pub struct Capture {
    host: Host,
    file: PathBuf,
    process: Process,
}

impl Capture {
    /// Captures from now on what matches a filter, in libpcap's words.
    ///
    /// # Errors
    /// If tshark and dumpcap are not installed.
    ///
    /// # Panics
    /// If the capture does not begin.
    #[track_caller]
    pub fn start(host: &Host, filter: &str) -> Result<Capture, Skip> {
        let dumpcap = program("dumpcap")?;
        program("tshark")?;
        let file = host.new_folder("capture").join("capture.pcapng");
        let [dumpcap, path] = [&dumpcap, &file].map(|path| path.to_string_lossy());
        let mut process = host.spawn(&[&dumpcap, "-q", "-i", "eth0", "-f", filter, "-w", &path]);
        wait_for(SOON, "the capture begins", || {
            assert!(process.is_running(), "dumpcap ended: {}", process.stderr());
            // The file's head is written when the interface is open.
            process.stderr().contains("Capturing on") && fs::metadata(&file).is_ok_and(|file| file.len() > 0)
        });
        Ok(Capture { host: host.clone(), file, process })
    }

    /// Ends the capture, and hands it on to be read.
    ///
    /// # Panics
    /// If it does not end well.
    #[track_caller]
    pub fn finish(mut self) -> Frames {
        self.process.signal(Signal::INT);
        let status = self.process.wait(SOON);
        assert!(status.success(), "dumpcap ended with {status}: {}", self.process.stderr());
        Frames { host: self.host.clone(), file: self.file.clone() }
    }
}

/// A capture that is over.
#[derive(Debug)]
pub struct Frames {
    host: Host,
    file: PathBuf,
}

impl Frames {
    /// Of the frames that match a display filter, the values of these fields in order; a field of several values is
    /// separated by commas.
    ///
    /// # Panics
    /// If tshark does not know the words.
    #[track_caller]
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let file = self.file.to_string_lossy();
        let mut command = vec!["tshark", "-r", &*file, "-Y", filter, "-T", "fields"];
        command.extend(fields.iter().flat_map(|&field| ["-e", field]));
        let text = self.host.run(&command).text();
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// How many frames match a display filter.
    #[track_caller]
    pub fn count(&self, filter: &str) -> usize {
        self.fields(filter, &["frame.number"]).len()
    }

    /// Those frames with all their fields, for a failure to show.
    #[track_caller]
    pub fn explain(&self, filter: &str) -> String {
        self.host.run(&["tshark", "-r", &*self.file.to_string_lossy(), "-Y", filter, "-V"]).text()
    }
}
