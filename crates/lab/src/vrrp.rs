//! Virtual routers as two directors have them, in the words of Perron and of keepalived; and keepalived itself.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::children_of;
use crate::{Host, Process, SOON, Skip, program, wait_for};

/// How long keepalived may take to give its roles up and end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A virtual router on `eth0`, as one director is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualRouter {
    /// The same name in both programs.
    pub name: String,
    /// Its number.
    pub vrid: u8,
    /// This director's.
    pub priority: u8,
    /// Of VRRP.
    pub version: u8,
    /// Between adverts.
    pub interval: Duration,
    /// With their prefixes.
    pub addresses: Vec<String>,
    /// Whether addresses are taken back.
    pub preempt: bool,
    /// Version 2's, in clear text.
    pub password: Option<String>,
    /// This director's address and the others', where adverts go to each of them rather than to all.
    pub unicast: Option<(String, Vec<String>)>,
    /// Further lines of Perron's table of it.
    pub perron: String,
    /// Further lines of keepalived's block of it.
    pub keepalived: String,
}

impl VirtualRouter {
    /// One of version 3 with an advert each tenth of a second.
    pub fn new(name: &str, vrid: u8, priority: u8, addresses: &[&str]) -> VirtualRouter {
        VirtualRouter {
            name: name.to_owned(),
            vrid,
            priority,
            version: 3,
            interval: Duration::from_millis(100),
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            preempt: true,
            password: None,
            unicast: None,
            perron: String::new(),
            keepalived: String::new(),
        }
    }

    /// A `[vip.NAME]` table and those that belong to it.
    pub fn for_perron(&self) -> String {
        let VirtualRouter { name, vrid, priority, version, addresses, preempt, .. } = self;
        let mut text = format!(
            "[vip.{name}]\ninterface = \"eth0\"\nrouter-id = {vrid}\npriority = {priority}\nversion = {version}\n\
             advert-interval = \"{}ms\"\naddresses = {addresses:?}\npreempt = {preempt}\n{}",
            self.interval.as_millis(),
            self.perron
        );
        if let Some(password) = &self.password {
            let _ = writeln!(text, "authentication = {{ type = \"pass\", password = {password:?} }}");
        }
        if let Some((source, peers)) = &self.unicast {
            let _ = writeln!(text, "unicast = {{ source = {source:?}, peers = {peers:?} }}");
        }
        text + "\n"
    }

    /// A `vrrp_instance` block.
    pub fn for_keepalived(&self) -> String {
        let VirtualRouter { name, vrid, priority, version, addresses, .. } = self;
        let mut text = format!(
            "vrrp_instance {name} {{\nstate BACKUP\ninterface eth0\nvirtual_router_id {vrid}\npriority {priority}\nversion {version}\n\
             advert_int {}\n{}",
            self.interval.as_secs_f64(),
            self.keepalived
        );
        if !self.preempt {
            text += "nopreempt\n";
        }
        if let Some(password) = &self.password {
            let _ = writeln!(text, "authentication {{\nauth_type PASS\nauth_pass {password}\n}}");
        }
        if let Some((source, peers)) = &self.unicast {
            let _ = writeln!(text, "unicast_src_ip {source}\nunicast_peer {{\n{}\n}}", peers.join("\n"));
        }
        let _ = writeln!(text, "virtual_ipaddress {{\n{}\n}}\n}}", addresses.join("\n"));
        text
    }
}

/// keepalived on a host, with its VRRP alone. Dropping it kills it, and leaves its addresses where they are.
#[derive(Debug)]
pub struct Keepalived {
    host: Host,
    config: PathBuf,
    process: Process,
}

impl Keepalived {
    /// Starts it with these virtual routers.
    ///
    /// # Errors
    /// If it is not installed.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start(host: &Host, routers: &[VirtualRouter]) -> Result<Keepalived, Skip> {
        Keepalived::start_with(host, &routers.iter().map(VirtualRouter::for_keepalived).collect::<String>())
    }

    /// Starts it with a configuration in its own words.
    ///
    /// # Errors
    /// If it is not installed.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start_with(host: &Host, text: &str) -> Result<Keepalived, Skip> {
        let keepalived = program("keepalived")?;
        let folder = host.new_folder("keepalived");
        let [config, pid, child_pid] = ["keepalived.conf", "pid", "vrrp.pid"].map(|name| folder.join(name));
        fs::write(&config, text).expect("the folder is ours");
        let [keepalived, file, pid, child] =
            [&keepalived, &config, &pid, &child_pid].map(|path| path.to_string_lossy());
        let mut process = host.spawn(&[&keepalived, "-n", "-l", "-P", "-f", &file, "-p", &pid, "-r", &child]);
        wait_for(SOON, "keepalived's virtual routers are at work", || {
            assert!(process.is_running(), "keepalived ended:\n{}{}", process.stdout(), process.stderr());
            // Written when the configuration has been read and the sockets are open.
            child_pid.exists()
        });
        Ok(Keepalived { host: host.clone(), config, process })
    }

    /// Replaces the configuration and has it read.
    pub fn reload(&self, text: &str) {
        fs::write(&self.config, text).expect("the folder is ours");
        self.process.signal(Signal::HUP);
    }

    /// Has it say that it goes, take its addresses away, and end.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn stop(&mut self) {
        self.terminate();
        self.process.wait(STOP_LIMIT);
    }

    /// Asks it to stop, and does not wait for that.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Its processes: the one that sends adverts first, the one that would start it again last.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = children_of(self.process.id());
        pids.push(self.process.id());
        pids
    }

    /// Ends all of it at once: nothing is said to the other directors, and its addresses stay on the host.
    pub fn kill(&mut self) {
        kill_family(&self.pids());
        self.process.kill();
    }

    /// Stops the world for it.
    pub fn freeze(&self) {
        signal_all(&self.pids(), Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal_all(&self.pids(), Signal::CONT);
    }

    /// The host that it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its log so far.
    pub fn written(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where FRR's daemons stand.
const FRR_FOLDER: &str = "/usr/lib/frr";

/// FRR's zebra and vrrpd on a host. Dropping it kills both.
#[derive(Debug)]
pub struct Frr {
    daemons: Vec<Process>,
}

impl Frr {
    /// Starts it with one virtual router over IPv4 of version 3, on a macvlan of its own that has the addresses.
    ///
    /// # Errors
    /// If it is not installed.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start(host: &Host, router: &VirtualRouter) -> Result<Frr, Skip> {
        let daemons = ["zebra", "vrrpd"].map(|name| PathBuf::from(FRR_FOLDER).join(name));
        if daemons.iter().any(|daemon| !daemon.is_file()) {
            return Err(Skip::new("FRR is not installed (Debian: frr)"));
        }
        let VirtualRouter { vrid, priority, addresses, .. } = router;
        let link = format!("vrrp4-{vrid}");
        let mac = format!("00:00:5e:00:01:{vrid:02x}");
        let ip = |arguments: &[&str]| host.run(&[&["ip"], arguments].concat()).success();
        ip(&["link", "add", &link, "link", "eth0", "address", &mac, "type", "macvlan", "mode", "bridge"]);
        addresses.iter().for_each(|address| drop(ip(&["address", "add", address, "dev", &link])));
        ip(&["link", "set", "dev", &link, "up"]);
        // They give up root before they write there.
        let folder = host.new_folder("frr");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
        let mut text = format!(
            "interface eth0\n vrrp {vrid} version 3\n vrrp {vrid} priority {priority}\n vrrp {vrid} advertisement-interval {}\n",
            router.interval.as_millis()
        );
        for address in addresses {
            let plain = address.split('/').next().unwrap_or_default();
            let _ = writeln!(text, " vrrp {vrid} ip {plain}");
        }
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let (socket, sockets) = (path("zserv.api"), folder.to_string_lossy().into_owned());
        let start = |daemon: &PathBuf, text: &str| {
            let name = daemon.file_name().expect("it was given one").to_string_lossy();
            let (config, pid) = (path(&format!("{name}.conf")), path(&format!("{name}.pid")));
            fs::write(&config, text).expect("the folder is ours");
            let files = ["-z", &socket, "-i", &pid, "--vty_socket", &sockets, "-f", &config];
            let silent = ["-A", "127.0.0.1", "-P", "0", "--log", "stdout"];
            host.spawn(&[&[&*daemon.to_string_lossy()], &files[..], &silent[..]].concat())
        };
        let mut started = vec![start(&daemons[0], "")];
        wait_for(SOON, "zebra listens", || {
            assert!(started[0].is_running(), "zebra ended:\n{}{}", started[0].stdout(), started[0].stderr());
            folder.join("zserv.api").exists()
        });
        started.push(start(&daemons[1], &text));
        Ok(Frr { daemons: started })
    }

    /// Ends it, vrrpd first, without a word to other directors.
    pub fn kill(&mut self) {
        self.daemons.iter_mut().rev().for_each(Process::kill);
    }
}

/// Kills processes, of which the last is the others' parent. It is held first: a parent that sees a child's end starts
/// another one, and a child of keepalived that sees its parent's end says goodbye as in an orderly stop.
pub fn kill_family(pids: &[u32]) {
    signal_all(pids.last().map_or(&[], std::slice::from_ref), Signal::STOP);
    signal_all(pids, Signal::KILL);
}

/// Sends processes a signal, in this order; one that has ended needs none.
pub fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}
