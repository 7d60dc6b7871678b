//! A host: programs, threads and connections in one network namespace, and faults of its link.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::network::{ip, make_readable, tool};
use crate::process::{Output, Process};
use crate::{SOON, Wire};

/// Variables that would send a client around the lab.
const PROXY_VARIABLES: [&str; 8] =
    ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// A host of a [`Lab`](crate::Lab). Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: String,
    file: File,
    folder: PathBuf,
    address: IpAddr,
    count: AtomicUsize,
    counters: OnceLock<File>,
}

/// What went over a host's link since it was made, frame headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

impl Host {
    pub(crate) fn new(name: &str, namespace: &str, file: File, folder: PathBuf, address: IpAddr) -> Host {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        let (count, counters) = (AtomicUsize::new(0), OnceLock::new());
        Host { inner: Arc::new(Inner { name, namespace, file, folder, address, count, counters }) }
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.inner.address
    }

    /// Its first address with a port, as URLs write it.
    pub fn at(&self, port: u16) -> String {
        SocketAddr::new(self.inner.address, port).to_string()
    }

    /// Gives `eth0` a further address with its prefix length.
    #[track_caller]
    pub fn add_address(&self, address: &str) {
        let mut arguments = vec!["-n", &self.inner.namespace, "address", "add", address, "dev", "eth0"];
        if address.contains(':') {
            arguments.push("nodad");
        }
        ip(&arguments);
    }

    /// Takes an address of `eth0` away.
    #[track_caller]
    pub fn remove_address(&self, address: &str) {
        ip(&["-n", &self.inner.namespace, "address", "del", address, "dev", "eth0"]);
    }

    /// Whether one of its interfaces has an address with this prefix length.
    #[track_caller]
    pub fn has_address(&self, address: &str) -> bool {
        let listed = self.run(&["ip", "-o", "address", "show"]).text();
        listed.split_whitespace().any(|word| word == address)
    }

    /// Its MAC address.
    ///
    /// # Panics
    /// If it has no `eth0`.
    #[track_caller]
    pub fn mac(&self) -> String {
        let listed = self.run(&["ip", "-o", "link", "show", "dev", "eth0"]).text();
        let mac = listed.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
        mac.expect("a host's eth0 is Ethernet").to_owned()
    }

    /// Runs a program to its end, a minute at most.
    ///
    /// # Panics
    /// If it does not start or does not end. Its exit code is the caller's to judge.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Output {
        self.spawn(command).output()
    }

    /// Runs curl, which keeps quiet but for errors and gives up after half a minute.
    #[track_caller]
    pub fn curl(&self, arguments: &[&str]) -> Output {
        self.run(&[&["curl", "-sS", "--max-time", "30"], arguments].concat())
    }

    /// Starts a program; it dies with its children when the value is dropped.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn spawn(&self, command: &[&str]) -> Process {
        self.spawn_with(command, |_| ())
    }

    /// Like [`Host::spawn`], with a change to the command: its environment, folder or input.
    #[track_caller]
    pub fn spawn_with(&self, command: &[&str], change: impl FnOnce(&mut Command)) -> Process {
        let (program, arguments) = command.split_first().expect("a command has a program");
        let mut prepared = Command::new(program);
        prepared.args(arguments).current_dir(&self.inner.folder).stdin(Stdio::null());
        for variable in PROXY_VARIABLES {
            prepared.env_remove(variable);
        }
        change(&mut prepared);
        let label = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = self.inner.folder.join(format!("{}-{label}", self.inner.count.fetch_add(1, Ordering::Relaxed)));
        let started = self.in_namespace(|| Process::start(prepared, label, log));
        started.unwrap_or_else(|error| panic!("{program} does not start on {}: {error}", self.inner.name))
    }

    /// Runs the closure on a thread in the host's namespace: sockets made there are the host's wherever they go.
    pub fn in_namespace<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = std::thread::scope(|scope| {
            let enter_and_work = || {
                self.enter();
                work()
            };
            scope.spawn(enter_and_work).join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a thread of the host's.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let host = self.clone();
        std::thread::spawn(move || {
            host.enter();
            work()
        })
    }

    /// Connects to an address and port.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn connect(&self, to: &str) -> Wire {
        self.try_connect(to).unwrap_or_else(|error| panic!("{} cannot connect to {to}: {error}", self.inner.name))
    }

    /// Connects to an address and port.
    ///
    /// # Errors
    /// As connect(2), or if it takes ten seconds.
    pub fn try_connect(&self, to: &str) -> io::Result<Wire> {
        let to: SocketAddr = to.parse().map_err(io::Error::other)?;
        let stream = self.in_namespace(|| TcpStream::connect_timeout(&to, SOON))?;
        stream.set_nodelay(true)?;
        Ok(Wire::new(stream))
    }

    /// Listens on a port of all the host's addresses, of both families.
    ///
    /// # Panics
    /// If the port is taken.
    #[track_caller]
    pub fn listen(&self, port: u16) -> TcpListener {
        let listener = self.in_namespace(|| TcpListener::bind(("::", port)));
        listener.unwrap_or_else(|error| panic!("{} cannot listen on {port}: {error}", self.inner.name))
    }

    /// A new folder of the host's, readable by everybody.
    pub fn new_folder(&self, label: &str) -> PathBuf {
        let folder = self.inner.folder.join(format!("{label}-{}", self.inner.count.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder).expect("the number makes the folder new");
        make_readable(&folder);
        folder
    }

    /// Limits what the host sends to a rate as tc(8) writes it: `"100mbit"`.
    #[track_caller]
    pub fn limit_sending(&self, rate: &str) {
        tool(
            "tc",
            &[
                "-n",
                &self.inner.namespace,
                "qdisc",
                "replace",
                "dev",
                "eth0",
                "root",
                "tbf",
                "rate",
                rate,
                "burst",
                "64kb",
                "latency",
                "20ms",
            ],
        );
    }

    /// What its link has carried so far.
    pub fn traffic(&self) -> Traffic {
        // An open file of /proc/net goes on showing the namespace that it was opened in.
        let open = || self.in_namespace(|| File::open("/proc/thread-self/net/dev")).expect("the kernel counts frames");
        let mut text = [0; 4096];
        let read = self.inner.counters.get_or_init(open).read_at(&mut text, 0).expect("the kernel counts frames");
        traffic(&String::from_utf8_lossy(&text[..read])).expect("a host has an eth0")
    }

    /// Sets a variable of the kernel's network, such as `net.ipv4.tcp_congestion_control`, for the host alone.
    ///
    /// # Errors
    /// If the kernel has no such variable or refuses the value.
    pub fn set(&self, variable: &str, value: &str) -> io::Result<()> {
        let path = Path::new("/proc/sys").join(variable.replace('.', "/"));
        self.in_namespace(|| fs::write(path, value))
    }

    /// Pulls the cable.
    #[track_caller]
    pub fn link_down(&self) {
        ip(&["-n", &self.inner.namespace, "link", "set", "eth0", "down"]);
    }

    /// Puts the cable back; IPv6 addresses have to be added anew.
    #[track_caller]
    pub fn link_up(&self) {
        ip(&["-n", &self.inner.namespace, "link", "set", "eth0", "up"]);
    }

    /// Drops arriving packets that match an nftables expression, such as `tcp dport 80` or `numgen random mod 100 < 5`.
    #[track_caller]
    pub fn drop_incoming(&self, matching: &str) {
        let rules = "add table inet lab; add chain inet lab input { type filter hook input priority 0; }";
        self.run(&["nft", &format!("{rules}; add rule inet lab input {matching} drop")]).success();
    }

    /// Ends all dropping.
    #[track_caller]
    pub fn drop_nothing(&self) {
        self.run(&["nft", "delete table inet lab"]).success();
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    fn enter(&self) {
        move_into_link_name_space(self.inner.file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a namespace that it made");
    }
}

/// The first and ninth number of eth0's line: bytes received, and bytes sent.
fn traffic(dev: &str) -> Option<Traffic> {
    let numbers = dev.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"))?;
    let mut numbers = numbers.split_whitespace().map_while(|word| word.parse().ok());
    Some(Traffic { received: numbers.next()?, sent: numbers.nth(7)? })
}
