//! The program under test on a host, driven by its own command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::children_of;
use crate::vrrp::{kill_family, signal_all};
use crate::{Host, Output, Process, SOON, wait_for};

/// How long an orderly stop may take: longer than the program's own limit for requests in flight.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// `perron run` on a host. Dropping it kills it.
#[derive(Debug)]
pub struct Perron {
    host: Host,
    binary: PathBuf,
    config: PathBuf,
    control: PathBuf,
    process: Process,
}

/// The environment variable that names another build of the program to try.
const BINARY_VARIABLE: &str = "PERRON_BINARY";

/// The program: the one that `PERRON_BINARY` names, or the one beside the running test.
///
/// # Panics
/// If it is not there.
#[track_caller]
pub fn perron_binary() -> PathBuf {
    if let Some(named) = std::env::var_os(BINARY_VARIABLE) {
        return named.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let binary = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps").join("perron");
    assert!(binary.is_file(), "{} is not there: build it with `cargo build --package perron`", binary.display());
    binary
}

/// The folder of example configurations.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

impl Perron {
    /// Starts it with this configuration, and waits until it can be asked for its status.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start(host: &Host, config: &str) -> Perron {
        Perron::start_with(host, config, &[])
    }

    /// Starts it with further arguments to `run`.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start_with(host: &Host, config: &str, arguments: &[&str]) -> Perron {
        Perron::start_from(host, &perron_binary(), config, arguments)
    }

    /// Starts this build of it.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn start_program(host: &Host, binary: &Path, config: &str) -> Perron {
        Perron::start_from(host, binary, config, &[])
    }

    #[track_caller]
    fn start_from(host: &Host, binary: &Path, config: &str, arguments: &[&str]) -> Perron {
        let folder = host.new_folder("perron");
        let (path, control) = (folder.join("perron.toml"), folder.join("control.sock"));
        fs::write(&path, config).expect("the folder is ours");
        let run = [&[text(binary), "run", "-c", text(&path), "--control", text(&control)], arguments].concat();
        let (process, host, binary) = (host.spawn(&run), host.clone(), binary.to_owned());
        let mut perron = Perron { host, binary, config: path, control, process };
        wait_for(SOON, "perron answers on its control socket", || {
            assert!(
                perron.process.is_running(),
                "perron ended:\n{}{}",
                perron.process.stdout(),
                perron.process.stderr()
            );
            perron.ask(&["status", "--json"]).code == Some(0)
        });
        perron
    }

    /// Starts it and waits until every server of every backend has had its first check and is up.
    ///
    /// # Panics
    /// If that does not happen.
    #[track_caller]
    pub fn start_ready(host: &Host, config: &str) -> Perron {
        let perron = Perron::start(host, config);
        perron.wait_until_up();
        perron
    }

    /// Waits until every server of every backend is up.
    ///
    /// # Panics
    /// If that does not happen.
    #[track_caller]
    pub fn wait_until_up(&self) {
        wait_for(SOON, "all servers are up", || {
            let status = self.status();
            // One at least: a status without servers shows nothing.
            servers(&status).count() > 0 && servers(&status).all(|(_, server)| server["status"] == "up")
        });
    }

    /// Runs one of its commands against the running program.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> Output {
        self.host.run(&[&[text(&self.binary)], command, &["--control", text(&self.control)]].concat())
    }

    /// What `perron status --json` says.
    ///
    /// # Panics
    /// If it says none.
    #[track_caller]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"]).text()).expect("the status is JSON")
    }

    /// What the status says of `BACKEND/SERVER`.
    ///
    /// # Panics
    /// If there is none of that name.
    #[track_caller]
    pub fn server(&self, name: &str) -> Value {
        let status = self.status();
        let found = servers(&status).find(|(its, _)| its == name).map(|(_, server)| server.clone());
        found.unwrap_or_else(|| panic!("{name} is not in {status}"))
    }

    /// What `perron vip list --json` says of a vip.
    ///
    /// # Panics
    /// If there is none of that name.
    #[track_caller]
    pub fn vip(&self, name: &str) -> Value {
        self.find_vip(name).unwrap_or_else(|| panic!("{name} is not in `perron vip list`"))
    }

    /// Waits until a vip is in this state.
    ///
    /// # Panics
    /// If it is not in time.
    #[track_caller]
    pub fn wait_for_vip(&self, name: &str, state: &str) {
        let is_so = || self.find_vip(name).is_some_and(|vip| vip["state"] == state);
        wait_for(SOON, &format!("{name} is {state} on {}", self.host.name()), is_so);
    }

    /// Nothing as long as the process that moves addresses has not said anything.
    #[track_caller]
    fn find_vip(&self, name: &str) -> Option<Value> {
        let list: Value = serde_json::from_slice(&self.ask(&["vip", "list", "--json"]).stdout).ok()?;
        list["vips"].as_array()?.iter().find(|vip| vip["name"] == name).cloned()
    }

    /// Waits until `BACKEND/SERVER` has this status.
    ///
    /// # Panics
    /// If it has not in time.
    #[track_caller]
    pub fn wait_for_status(&self, name: &str, wanted: &str, limit: Duration) {
        wait_for(limit, &format!("{name} is {wanted}"), || self.server(name)["status"] == wanted);
    }

    /// Replaces the configuration's text and has it loaded.
    ///
    /// # Errors
    /// What the program says of a configuration that it refuses.
    pub fn reload(&self, config: &str) -> Result<(), String> {
        self.rewrite(config);
        let output = self.ask(&["reload"]);
        if output.code == Some(0) { Ok(()) } else { Err(output.stderr) }
    }

    /// Replaces the configuration's text, and says nothing of it to the program.
    pub fn rewrite(&self, config: &str) {
        fs::write(&self.config, config).expect("the folder is ours");
    }

    /// Has it finish its requests and end.
    ///
    /// # Panics
    /// If it does not end well.
    #[track_caller]
    pub fn stop(&mut self) {
        self.ask(&["stop"]).success();
        let status = self.process.wait(STOP_LIMIT);
        assert!(status.success(), "perron ended with {status}");
    }

    /// The path of its control socket.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// The supervisor.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process ids of the running `serve` children: one, or more while an old one finishes.
    pub fn serve_pids(&self) -> Vec<u32> {
        self.children("serve")
    }

    /// The process id of the `network` child; while a new program's takes the place of the old one's, there are two.
    pub fn network_pids(&self) -> Vec<u32> {
        self.children("network")
    }

    /// All its processes, the supervisor last.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = children_of(self.process.id());
        pids.push(self.process.id());
        pids
    }

    /// Ends all of it at once: nothing is said to other directors, and its addresses stay on the host.
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

    /// Children that were started with this command.
    fn children(&self, command: &str) -> Vec<u32> {
        let its_command = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|&byte| byte == 0).nth(1) == Some(command.as_bytes())
        };
        children_of(self.process.id()).into_iter().filter(its_command).collect()
    }

    /// Sends each `serve` child a signal.
    pub fn signal_serve(&self, signal: Signal) {
        self.signal(&self.serve_pids(), signal);
    }

    /// Sends a signal to some of its processes.
    pub fn signal(&self, pids: &[u32], signal: Signal) {
        for pid in pids {
            let pid = Pid::from_raw(pid.cast_signed()).expect("a process id is positive");
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Its log and access log so far.
    pub fn written(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }
}

fn servers(status: &Value) -> impl Iterator<Item = (String, &Value)> {
    status["backends"].as_array().into_iter().flatten().flat_map(|backend| {
        let servers = backend["servers"].as_array().into_iter().flatten();
        servers.map(|server| {
            let names = [&backend["name"], &server["name"]].map(|name| name.as_str().unwrap_or_default());
            (names.join("/"), server)
        })
    })
}

#[track_caller]
fn text(path: &Path) -> &str {
    path.to_str().expect("paths in the lab are plain")
}
