//! A machine of its own on a lab's network: Debian's kernel in qemu, for what the kernel here may not have.
//!
//! It boots from what the test puts into its memory (`image.rs`), on the bridge as hosts are, and does what it is told over a
//! serial line (`agent.rs`). It is emulated, so some ten times slower than a host. No more than two run at once on this machine,
//! whoever starts them.

mod agent;
mod image;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::network::{Lab, ip};
use crate::process::Process;
use crate::{Host, Skip, program, wait_for};
use agent::Agent;

pub use agent::Said;

/// From the start of the machine to its first answer: some ten seconds, and many more on a machine with other work.
const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// How long a command in it may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);

/// How long others' guests are waited for.
const TURN_LIMIT: Duration = Duration::from_secs(600);

/// Guests at once: they take a processor each.
const AT_ONCE: usize = 2;

/// In the environment of what runs in a guest.
const INSIDE: &str = "PERRON_GUEST";

/// Where a test's own program stands in a guest.
const TEST_PROGRAM: &str = "/test/program";

/// Bytes of a file that one command takes with it: beyond 64 KiB the kernel drops what nobody has read yet.
const PIECE: usize = 8 * 1024;

/// What a guest has.
#[derive(Clone, Debug, Default)]
pub struct GuestPlan {
    modules: Vec<String>,
    programs: Vec<String>,
    files: Vec<(PathBuf, String)>,
}

/// A machine; dropping it switches it off.
#[derive(Debug)]
pub struct Guest {
    name: String,
    agent: Mutex<Agent>,
    _turn: File,
}

impl GuestPlan {
    /// Busybox, the kernel and its network.
    pub fn new() -> GuestPlan {
        GuestPlan::default()
    }

    /// Modules of the kernel and those that they need: there to be loaded, not loaded.
    #[must_use]
    pub fn modules(mut self, names: &[&str]) -> GuestPlan {
        self.modules.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// A program of this machine, with its libraries.
    #[must_use]
    pub fn program(mut self, name: &str) -> GuestPlan {
        self.programs.push(name.to_owned());
        self
    }

    /// A file of this machine at a path there; a program's libraries come with it.
    #[must_use]
    pub fn file(mut self, from: &Path, to: &str) -> GuestPlan {
        self.files.push((from.to_owned(), to.to_owned()));
        self
    }

    /// The program that this test is part of, for [`Guest::run_test`].
    #[must_use]
    pub fn with_this_test(self) -> GuestPlan {
        let this = std::env::current_exe().expect("a running test has a path");
        self.file(&this, TEST_PROGRAM)
    }
}

impl Guest {
    /// Boots one with `eth0` on the lab's bridge, up and without an address, and waits until it answers.
    ///
    /// # Errors
    /// Without qemu, the kernel, or what makes its memory's content.
    ///
    /// # Panics
    /// If it does not come up, with what its kernel said.
    #[track_caller]
    pub fn boot(lab: &Lab, name: &str, plan: &GuestPlan) -> Result<Guest, Skip> {
        let qemu = program("qemu-system-x86_64")?;
        let kernel = image::Kernel::find()?;
        let tools = image::Tools::find()?;
        let turn = turn();
        let host = lab.at_bridge(name);
        let folder = host.new_folder("guest");
        let (initrd, socket) = (folder.join("initrd"), folder.join("agent"));
        image::build(&kernel, &tools, plan, &folder.join("root"), &initrd)?;
        ip(&["-n", host.namespace(), "tuntap", "add", "dev", name, "mode", "tap"]);
        ip(&["-n", host.namespace(), "link", "set", name, "master", "br0", "up"]);
        let process = start(&host, &qemu, &kernel.image, &initrd, &socket, name);
        let agent = Agent::connect(name, process, &socket, BOOT_LIMIT);
        // Gigabytes in all, if each waited for the lab's end.
        let _ = fs::remove_file(&initrd);
        Ok(Guest { name: name.to_owned(), agent: Mutex::new(agent), _turn: turn })
    }

    /// Runs a program to its end, five minutes at most. Its exit code is the caller's to judge.
    ///
    /// # Panics
    /// If the machine has stopped, or the time is over.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Said {
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        self.shell(&words.join(" "))
    }

    /// Runs a script of sh's.
    ///
    /// # Panics
    /// As [`Guest::run`].
    #[track_caller]
    pub fn shell(&self, script: &str) -> Said {
        let mut agent = self.agent.lock().expect("a command that fails ends its test");
        agent.run(script, COMMAND_LIMIT)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, path: &str, content: &str) {
        self.shell(&format!(": >{}", quoted(path))).success();
        let mut rest = content;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE));
            self.shell(&format!("printf %s {} >>{}", quoted(piece), quoted(path))).success();
            rest = more;
        }
    }

    /// Gives `eth0` an address with its prefix length.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn add_address(&self, address: &str) {
        self.run(&["ip", "address", "add", address, "dev", "eth0"]).success();
    }

    /// Sets a variable of the kernel's, such as `net.ipv4.ip_forward`.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn set(&self, variable: &str, value: &str) {
        self.shell(&format!("echo {} >/proc/sys/{}", quoted(value), variable.replace('.', "/"))).success();
    }

    /// Runs a test of this program, by its whole name, in the guest: there [`in_guest`] holds. `with_this_test` has brought it.
    ///
    /// # Panics
    /// If it fails there, with what it wrote.
    #[track_caller]
    pub fn run_test(&self, test: &str) {
        let command =
            format!("{INSIDE}=1 PERRON_LAB=required {TEST_PROGRAM} --exact {} --nocapture 2>&1", quoted(test));
        let said = self.shell(&command);
        assert!(said.code == 0 && said.text.contains("1 passed"), "{test} in {}:\n{}", self.name, said.text);
    }

    /// Starts a test as [`Guest::run_test`] does, and does not wait for its end. What it writes goes to the console.
    ///
    /// # Panics
    /// As [`Guest::run`].
    #[track_caller]
    pub fn start_test(&self, test: &str) {
        let words = format!("{INSIDE}=1 PERRON_LAB=required {TEST_PROGRAM} --exact {} --nocapture", quoted(test));
        self.shell(&format!("{words} >/dev/console 2>&1 &")).success();
    }
}

/// Whether this is a guest.
pub fn in_guest() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn start(host: &Host, qemu: &Path, kernel: &Path, initrd: &Path, socket: &Path, name: &str) -> Process {
    let text = |path: &Path| path.to_str().expect("our paths are text").to_owned();
    // Without a ROM: nothing boots from the network. An end by a panic or power-off is the process's end.
    let network = format!("virtio-net-pci,netdev=n0,romfile=,mac={}", hardware_address(name));
    let words = [
        text(qemu),
        "-accel".into(),
        "tcg,thread=multi".into(),
        "-cpu".into(),
        "max".into(),
        "-m".into(),
        "768".into(),
        "-nodefaults".into(),
        "-display".into(),
        "none".into(),
        "-no-reboot".into(),
        "-serial".into(),
        "stdio".into(),
        "-chardev".into(),
        format!("socket,id=agent,path={},server=on,wait=off", text(socket)),
        "-serial".into(),
        "chardev:agent".into(),
        "-netdev".into(),
        format!("tap,id=n0,ifname={name},script=no,downscript=no"),
        "-device".into(),
        network,
        "-kernel".into(),
        text(kernel),
        "-initrd".into(),
        text(initrd),
        "-append".into(),
        "console=ttyS0 quiet panic=-1 net.ifnames=0".into(),
    ];
    host.spawn(&words.each_ref().map(String::as_str))
}

/// Of a locally administered address, by the name: names differ in a lab.
fn hardware_address(name: &str) -> String {
    let sum = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let [a, b, c, d] = sum.to_be_bytes();
    format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// One of the places for guests on this machine, held as long as the file is open.
#[track_caller]
fn turn() -> File {
    let mut held = None;
    let started = Instant::now();
    wait_for(TURN_LIMIT, "one of other tests' guests has ended", || {
        held = (0..AT_ONCE).find_map(|place| {
            let path = std::env::temp_dir().join(format!("perron-lab-guest-{place}.lock"));
            let file = File::create(path).ok()?;
            file.try_lock().is_ok().then_some(file)
        });
        held.is_some()
    });
    let waited = started.elapsed();
    if waited > Duration::from_secs(1) {
        eprintln!("waited {waited:?} for other tests' guests");
    }
    held.expect("it was just taken")
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
