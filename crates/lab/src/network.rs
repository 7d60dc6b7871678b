//! The lab itself: a bridge, a namespace for each host, a folder; made, torn down, and swept after killed tests.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use rustix::process::{Pid, Signal};

use crate::{Host, SOON, Skip, eventually, program};

/// Where ip(8) keeps its namespaces.
const NAMESPACES: &str = "/run/netns";

/// What the name of everything begins with; the process id follows, then the lab's number in that process.
const PREFIX: &str = "perron-lab-";

/// A network of hosts on this machine; dropping it kills what runs in it and removes it.
#[derive(Debug)]
pub struct Lab {
    name: String,
    tag: String,
    folder: PathBuf,
    namespaces: Mutex<Vec<String>>,
}

impl Lab {
    /// An empty network. The name says in the failures which lab it was.
    ///
    /// # Errors
    /// Without root, or without ip(8).
    pub fn new(name: &str) -> Result<Lab, Skip> {
        static SWEEP: Once = Once::new();
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !rustix::process::geteuid().is_root() {
            return Err(Skip::new("hosts in network namespaces need root"));
        }
        program("ip")?;
        SWEEP.call_once(sweep);
        let tag = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&tag);
        fs::create_dir(&folder).expect("the lab's folder is its own");
        make_readable(&folder);
        let lab = Lab { name: name.to_owned(), tag, folder, namespaces: Mutex::default() };
        let bridge = lab.add_namespace("bridge");
        ip(&["-n", &bridge, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"]);
        ip(&["-n", &bridge, "link", "set", "br0", "up"]);
        Ok(lab)
    }

    /// A new host on the network: `eth0` with this address (`"10.0.0.1/24"`, `"fd00::1/64"`), loopback up, nothing else.
    ///
    /// # Panics
    /// If the name is longer than 15 characters or taken, or the address is none.
    #[track_caller]
    pub fn host(&self, name: &str, address: &str) -> Host {
        let namespace = self.add_namespace(name);
        let bridge = format!("{}-bridge", self.tag);
        ip(&["-n", &bridge, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        ip(&["-n", &bridge, "link", "set", name, "master", "br0", "up"]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        ip(&["-n", &namespace, "link", "set", "eth0", "up"]);
        let folder = self.folder.join(name);
        fs::create_dir(&folder).expect("the host's folder is its own");
        make_readable(&folder);
        let file = File::open(Path::new(NAMESPACES).join(&namespace)).expect("the namespace was just made");
        let plain = address.split('/').next().unwrap_or_default();
        let plain = plain.parse().unwrap_or_else(|_| panic!("{address} is no address with its prefix length"));
        let host = Host::new(name, &namespace, file, folder, plain);
        host.add_address(address);
        host
    }

    /// The place of the bridge, for what is to be attached to it: programs of it belong to something of this name.
    pub(crate) fn at_bridge(&self, name: &str) -> Host {
        let namespace = format!("{}-bridge", self.tag);
        let file = File::open(Path::new(NAMESPACES).join(&namespace)).expect("the lab has it from its beginning on");
        let folder = self.folder.join(name);
        fs::create_dir(&folder).expect("the guest's folder is its own");
        Host::new(name, &namespace, file, folder, std::net::Ipv4Addr::UNSPECIFIED.into())
    }

    /// The lab's folder, readable by everybody; gone with the lab, kept under `perron-lab-failed-NAME` after a failure.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn add_namespace(&self, host: &str) -> String {
        let namespace = format!("{}-{host}", self.tag);
        // ip(8) prepares its folder at the first namespace, and two that do so at once trip over each other.
        let lock =
            File::create(std::env::temp_dir().join("perron-lab.lock")).expect("the temporary folder is writable");
        lock.lock().expect("nobody holds the lock for long");
        ip(&["netns", "add", &namespace]);
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).push(namespace.clone());
        namespace
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.namespaces.get_mut().unwrap_or_else(PoisonError::into_inner) {
            remove_namespace(namespace);
        }
        unmount_below(&self.folder);
        if std::thread::panicking() {
            let kept = std::env::temp_dir().join(format!("perron-lab-failed-{}", self.name));
            let _ = fs::remove_dir_all(&kept);
            if fs::rename(&self.folder, &kept).is_ok() {
                eprintln!("lab {}: what its programs wrote is in {}", self.name, kept.display());
            }
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Lets every user in: servers in the lab give up root before they read.
pub(crate) fn make_readable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
}

/// Runs ip(8).
#[track_caller]
pub(crate) fn ip(arguments: &[&str]) {
    tool("ip", arguments);
}

/// Runs a tool that must succeed and is soon done.
#[track_caller]
pub(crate) fn tool(name: &str, arguments: &[&str]) {
    let output =
        Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {}: {}", arguments.join(" "), complaint.trim());
}

fn remove_namespace(namespace: &str) {
    let path = Path::new(NAMESPACES).join(namespace);
    eventually(SOON, || {
        let inside = processes_in(&path);
        for &pid in &inside {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        inside.is_empty()
    });
    let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
}

/// The processes of a namespace, but for this one, whose threads enter and leave.
fn processes_in(namespace: &Path) -> Vec<Pid> {
    let Ok(wanted) = fs::metadata(namespace) else {
        return Vec::new();
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid.unsigned_abs() != std::process::id())
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|its| its.ino() == wanted.ino() && its.dev() == wanted.dev())
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// Removes what tests that were killed could not.
fn sweep() {
    for namespace in dead_labs(Path::new(NAMESPACES)) {
        remove_namespace(&namespace);
    }
    for folder in dead_labs(&std::env::temp_dir()) {
        let folder = std::env::temp_dir().join(folder);
        unmount_below(&folder);
        let _ = fs::remove_dir_all(folder);
    }
}

fn dead_labs(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
            owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        })
        .collect()
}

fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(target).starts_with(folder) {
            let _ = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
        }
    }
}
