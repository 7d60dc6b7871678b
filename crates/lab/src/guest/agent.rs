//! What is said over a guest's second serial line: a script, as one line; its exit code and the lengths of what it wrote, as
//! another; and what it wrote.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::wait_for;

/// The guest's side, in busybox's sh: it is the machine's first process.
pub(super) const INIT: &str = r#"#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
modprobe virtio_pci
modprobe virtio_net
ip link set lo up
ip link set eth0 up
cd /root
exec 3<>/dev/ttyS1
stty raw -echo <&3
echo ready >&3
while IFS= read -r line <&3; do
    printf '%b' "$line" >/run/command
    sh /run/command >/run/out 2>/run/err </dev/null
    code=$?
    echo "$code $(wc -c </run/out) $(wc -c </run/err)" >&3
    cat /run/out /run/err >&3
done
poweroff -f
"#;

/// What the kernel says when nothing more is to be expected of it.
const DEAD: [&str; 2] = ["Kernel panic", "No bootable device"];

/// Between two looks at whether the machine is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Agent {
    name: String,
    machine: Process,
    stream: UnixStream,
}

/// What came of a command in a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    command: String,
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub text: String,
    /// Its standard error.
    pub stderr: String,
}

impl Said {
    /// Its standard output, if it ended well.
    ///
    /// # Panics
    /// If it did not, with what it wrote.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{}\nended badly: {}{}", self.command, self.text, self.stderr);
        self.text
    }
}

impl Agent {
    /// Waits until the machine is up.
    #[track_caller]
    pub(super) fn connect(name: &str, mut machine: Process, socket: &Path, limit: Duration) -> Agent {
        let mut stream = None;
        wait_for(limit, &format!("qemu of {name} opens its socket"), || {
            assert!(machine.is_running(), "qemu of {name} ended: {}", machine.stderr());
            stream = UnixStream::connect(socket).ok();
            stream.is_some()
        });
        let stream = stream.expect("it was just seen");
        stream.set_read_timeout(Some(LOOK_EVERY)).expect("the time is not zero");
        let mut agent = Agent { name: name.to_owned(), machine, stream };
        let deadline = Instant::now() + limit;
        while agent.line(deadline, "coming up") != "ready" {}
        agent
    }

    #[track_caller]
    pub(super) fn run(&mut self, script: &str, limit: Duration) -> Said {
        let deadline = Instant::now() + limit;
        let said = self.stream.write_all(one_line(script).as_bytes());
        said.unwrap_or_else(|error| self.fail(&format!("does not hear: {error}"), script));
        let head = self.line(deadline, script);
        let numbers: Vec<usize> = head.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [code, written, complained] = numbers[..] else {
            self.fail(&format!("answers {head:?}"), script);
        };
        let mut take = |length: usize| {
            let mut bytes = vec![0; length];
            self.fill(&mut bytes, deadline, script);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (text, stderr) = (take(written), take(complained));
        Said { command: script.to_owned(), code: i32::try_from(code).unwrap_or(-1), text, stderr }
    }

    #[track_caller]
    fn line(&mut self, deadline: Instant, doing: &str) -> String {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            self.fill(&mut byte, deadline, doing);
            match byte[0] {
                b'\n' => return String::from_utf8_lossy(&line).trim().to_owned(),
                byte => line.push(byte),
            }
        }
    }

    #[track_caller]
    fn fill(&mut self, bytes: &mut [u8], deadline: Instant, doing: &str) {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => self.fail("has ended", doing),
                Ok(length) => filled += length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let console = self.machine.stdout();
                    if DEAD.iter().any(|word| console.contains(word)) {
                        self.fail("has died", doing);
                    }
                    if Instant::now() > deadline {
                        self.fail("has not answered in time", doing);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.fail(&format!("cannot be read: {error}"), doing),
            }
        }
    }

    /// The console comes with the process's end: the test is over.
    #[track_caller]
    fn fail(&self, what: &str, doing: &str) -> ! {
        panic!("the guest {} {what}, while: {doing}", self.name);
    }
}

/// As `printf %b` reads it.
fn one_line(script: &str) -> String {
    let mut line = String::with_capacity(script.len() + 1);
    for byte in script.bytes() {
        match byte {
            b'\\' => line.push_str("\\\\"),
            b' '..=b'~' => line.push(char::from(byte)),
            byte => line.push_str(&format!("\\0{byte:03o}")),
        }
    }
    line.push('\n');
    line
}
