//! A `perron run` in a folder of its own, and a client.

#![allow(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program under test.
const PERRON: &str = env!("CARGO_BIN_EXE_perron");

/// Conditions that take longer than this never come about.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running service; it is ended by force with the test.
pub(crate) struct Service {
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Service {
    /// Starts one whose configuration is `text`, `ADDRESS` standing for a free address.
    pub(crate) fn start(text: &str, more: &[&str]) -> Service {
        Service::start_with(text, more, &[])
    }

    /// The same, with environment variables.
    pub(crate) fn start_with(text: &str, more: &[&str], variables: &[(&str, &str)]) -> Service {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        fs::write(folder.path().join("perron.toml"), complete(text, address)).unwrap();
        let child = Command::new(PERRON)
            .arg("run")
            .arg("--end-with-parent")
            .arg("-c")
            .arg(folder.path().join("perron.toml"))
            .arg("--control")
            .arg(folder.path().join("control.sock"))
            .args(more)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let service = Service { folder, address, child };
        wait_for(&format!("an answer; the log says:\n{}", service.log()), || {
            TcpStream::connect(address).is_ok().then_some(()).filter(|()| service.log().contains(" serves generation "))
        });
        service
    }

    /// Writes another configuration; it is not read yet.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.folder.path().join("perron.toml"), complete(text, self.address)).unwrap();
    }

    /// Runs `perron WORDS` against this service.
    pub(crate) fn perron(&self, words: &[&str]) -> Output {
        Command::new(PERRON).args(words).arg("--control").arg(self.socket()).output().unwrap()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes that carry its traffic, the oldest first.
    pub(crate) fn serving(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|child| child.parse().unwrap()).collect()
    }

    /// The parts of the status that JSON pointers name.
    pub(crate) fn status(&self, pointer: &str) -> serde_json::Value {
        let output = self.perron(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status.pointer(pointer).cloned().unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        wait_for("the end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            signal(self.pid(), "TERM");
            let deadline = Instant::now() + Duration::from_secs(3);
            while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `perron WORDS`.
pub(crate) fn perron(words: &[&str]) -> Output {
    Command::new(PERRON).args(words).output().unwrap()
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// The body of an answer with status 200.
pub(crate) fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(answer)),
    }
}

/// Waits until `found` finds something.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn complete(text: &str, address: SocketAddr) -> String {
    format!("{}\n[admin]\nbind = \"off\"\n", text.replace("ADDRESS", &address.to_string()))
}
