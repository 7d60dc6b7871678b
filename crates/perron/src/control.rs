//! The control socket's language: one line of JSON asks, one line answers, and the connection ends.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use anyhow::{Context, bail};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

/// A longer request is answered with an error.
pub(crate) const REQUEST_MAX: usize = 64 * 1024;

/// A client waits no longer for an answer: a reload checks and starts a whole service first.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Request {
    /// An `admin::model::Status`.
    Status,
    /// Read the configuration anew.
    Reload,
    /// Have another program take this one's place.
    Upgrade {
        /// Its absolute path; `None`: the one that the service was started from.
        binary: Option<PathBuf>,
    },
    /// Finish what is under way, and end.
    Stop,
    /// What happened after the event of this sequence, the newest of more than `limit`. The answer is
    /// `{"events": […], "last": N}`: the oldest first, and the sequence of the newest that there is.
    Events {
        /// 0: from the beginning.
        since: u64,
        /// At most so many.
        limit: usize,
    },
    /// Change a server.
    Server(admin::Command),
    /// A `failover::Report`.
    Vips,
    /// A `forward::Report`.
    Forwarding,
    /// Say something of a vip. The answer is null: what comes of it is in the next report.
    Vip {
        /// Its name; `null`: all.
        name: Option<String>,
        /// What.
        order: failover::Order,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It is done; this is what was asked for.
    Done(serde_json::Value),
    /// It could not be done.
    Failed(String),
    /// What was asked, or the configuration, is wrong.
    Wrong(String),
}

/// Asks the service at `path`.
pub(crate) fn ask(path: &Path, request: &Request) -> anyhow::Result<Answer> {
    let mut stream = UnixStream::connect(path).map_err(|error| {
        let said = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "no service runs there; start one with `perron run`, or say where its socket is with --control"
            }
            io::ErrorKind::PermissionDenied => {
                "this user may not; ask as root, as the service's user, or as a member of the socket's group"
            }
            _ => "it does not answer",
        };
        anyhow::Error::new(error).context(format!("{}: {said}", path.display()))
    })?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let sent = stream.write_all(&line);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the service gave no answer")?;
    if answer.is_empty() {
        sent?;
        bail!("the service ended the connection without an answer");
    }
    serde_json::from_str(&answer).context("the service's answer makes no sense")
}

/// Where the control socket is unless someone says otherwise.
pub(crate) fn default_path() -> PathBuf {
    let folder = if geteuid().is_root() {
        PathBuf::from("/run/perron")
    } else {
        match env::var_os("XDG_RUNTIME_DIR") {
            Some(runtime) if !runtime.is_empty() => Path::new(&runtime).join("perron"),
            _ => PathBuf::from(format!("/tmp/perron-{}", geteuid().as_raw())),
        }
    };
    folder.join("control.sock")
}

/// Makes the folder of the default path, and sees that nobody else could put a socket there.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        bail!("{} is not ours alone; remove it, or name another place with --control", folder.display());
    }
    Ok(())
}

/// The process that listens at `path`, if one does.
pub(crate) fn listening_pid(path: &Path) -> Option<u32> {
    let stream = UnixStream::connect(path).ok()?;
    Some(linux::peer_credentials(stream.as_fd()).ok()?.pid)
}

/// Reads a request's line.
pub(crate) fn parse(line: &[u8]) -> Result<Request, Answer> {
    serde_json::from_slice(line)
        .map_err(|error| Answer::Wrong(format!("not a request: {error}; one is {{\"request\":\"status\"}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_documented() {
        assert_eq!(parse(br#"{"request":"reload"}"#), Ok(Request::Reload));
        assert_eq!(parse(br#"{"request":"events","since":7,"limit":2}"#), Ok(Request::Events { since: 7, limit: 2 }));
        let text = br#"{"request":"server","command":"set_weight","backend":"web","server":"a","weight":3}"#;
        let command = admin::Command::SetWeight { backend: "web".into(), server: "a".into(), weight: 3 };
        assert_eq!(parse(text), Ok(Request::Server(command)));
        for bad in [&b"{}"[..], b"", b"\xff", br#"{"request":"shutdown"}"#] {
            assert!(matches!(parse(bad), Err(Answer::Wrong(_))));
        }
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("a/b");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_folder(&folder).is_err());
    }

    #[test]
    fn a_service_that_is_not_there_is_said_so() {
        let temp = tempfile::tempdir().unwrap();
        let error = ask(&temp.path().join("none.sock"), &Request::Status).unwrap_err();
        assert!(error.to_string().contains("no service runs there"), "{error}");
    }
}
