//! Sockets of applications: theirs to accept on, and the serving process's alone to connect to.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use config::Config;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::Refusal;

/// So much of an application's name is in its socket's: a path has 107 bytes.
const NAME_MAX: usize = 32;

/// A socket of an application. It is there, and its path, while a configuration or a process has it.
#[derive(Debug)]
pub(in crate::supervisor) struct AppSocket {
    /// The application's name.
    pub(in crate::supervisor) name: String,
    pub(in crate::supervisor) path: PathBuf,
    fd: OwnedFd,
}

/// A socket and the number of its descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::supervisor) struct HeldApp {
    name: String,
    path: PathBuf,
    fd: RawFd,
}

/// Where these sockets are, and which there are.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Sockets {
    folder: PathBuf,
    known: Vec<Weak<AppSocket>>,
}

impl Sockets {
    /// In a folder beside the control socket.
    pub(in crate::supervisor) fn beside(control: &Path) -> Sockets {
        Sockets { folder: control.with_extension("apps"), known: Vec::new() }
    }

    /// Those that nobody listens on any more, of a service that has died, are removed.
    pub(in crate::supervisor) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "sock") {
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Goes on with one that another supervisor opened.
    pub(in crate::supervisor) fn know(&mut self, socket: &Arc<AppSocket>) {
        self.known.push(Arc::downgrade(socket));
    }

    /// A socket for each application, in step with the configuration's: one that is there, or a new one. `user`, whom
    /// the serving process becomes, may connect, and nobody else.
    pub(in crate::supervisor) fn open(
        &mut self,
        config: &Config,
        user: Option<&str>,
    ) -> Result<Vec<Arc<AppSocket>>, Refusal> {
        if config.applications.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |what: &Path, error: io::Error| {
            Refusal::Failed(format!("cannot listen for applications at {}: {error}", what.display()))
        };
        let user = user.map(linux::User::named).transpose().map_err(|error| failed(&self.folder, error))?.flatten();
        make_folder(&self.folder).map_err(|error| failed(&self.folder, error))?;
        self.known.retain(|socket| socket.strong_count() > 0);
        let mut sockets = Vec::new();
        for application in &config.applications {
            let name = &application.app.name;
            if let Some(socket) = self.known.iter().filter_map(Weak::upgrade).find(|socket| socket.name == *name) {
                if let Some(user) = &user {
                    std::os::unix::fs::chown(&socket.path, Some(user.uid), Some(user.gid))
                        .map_err(|error| failed(&socket.path, error))?;
                }
                sockets.push(socket);
                continue;
            }
            let path = self.free_path(name);
            let fd = linux::listen_for(&path, user.as_ref()).map_err(|error| failed(&path, error))?;
            let socket = Arc::new(AppSocket { name: name.clone(), path, fd });
            self.know(&socket);
            sockets.push(socket);
        }
        Ok(sockets)
    }

    fn free_path(&self, name: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let word: String = name.chars().take(NAME_MAX).map(plain).collect();
        let word = word.trim_start_matches('.');
        let paths = (0u32..).map(|number| self.folder.join(format!("{word}-{number}.sock")));
        let free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
        paths.into_iter().find(free).expect("there are fewer sockets than numbers")
    }
}

impl AsFd for AppSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for AppSocket {
    fn drop(&mut self) {
        // A path that is gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

impl HeldApp {
    pub(in crate::supervisor) fn new(socket: &AppSocket) -> HeldApp {
        HeldApp { name: socket.name.clone(), path: socket.path.clone(), fd: socket.fd.as_raw_fd() }
    }

    pub(in crate::supervisor) fn take_over(self) -> io::Result<Arc<AppSocket>> {
        let fd = linux::inherited_descriptor(self.fd)?;
        Ok(Arc::new(AppSocket { name: self.name, path: self.path, fd }))
    }
}

/// Others may go through, and see nothing.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder is not ours alone"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn config(names: &[&str]) -> Config {
        let text = "[frontend.f]\nbind = \"127.0.0.1:1\"\nrespond = {}\n";
        let sources = config::Sources::from_texts(vec![("perron.toml".into(), text.into())], "/".into());
        let mut config = config::load(&sources).unwrap().config;
        let app = |name: &&str| config::Application {
            app: scripts::App {
                name: (*name).to_owned(),
                program: scripts::Program::Command(vec!["/bin/true".to_owned()]),
                user: None,
                processes: 1,
                environment: Vec::new(),
                directory: "/".into(),
                limits: scripts::AppLimits { memory: None, files: 64, cpu_time: None },
                stop_timeout: Duration::from_secs(1),
            },
            backends: Vec::new(),
        };
        config.applications = names.iter().map(app).collect();
        config
    }

    #[test]
    fn sockets_stay_while_their_application_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = Sockets::beside(&folder.path().join("control.sock"));
        let first = sockets.open(&config(&["web/app.py", "web/../x"]), None).unwrap();
        let names = |list: &[Arc<AppSocket>]| -> Vec<String> {
            list.iter().map(|one| one.path.strip_prefix(folder.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(names(&first), ["control.apps/web-app.py-0.sock", "control.apps/web-..-x-0.sock"]);
        assert_eq!(fs::metadata(&first[0].path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = sockets.open(&config(&["web/app.py", "new"]), None).unwrap();
        assert!(Arc::ptr_eq(&first[0], &second[0]));
        let gone = first[1].path.clone();
        drop(first);
        assert!(!gone.exists() && second[0].path.exists());
        std::mem::forget(second);
        assert_eq!(fs::read_dir(folder.path().join("control.apps")).unwrap().count(), 2);
        Sockets::beside(&folder.path().join("control.sock")).sweep();
        assert_eq!(fs::read_dir(folder.path().join("control.apps")).unwrap().count(), 0, "of one that died");
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = Sockets::beside(&folder.path().join("control.sock"));
        fs::create_dir(folder.path().join("control.apps")).unwrap();
        fs::set_permissions(folder.path().join("control.apps"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(sockets.open(&config(&["a"]), None).is_err());
    }
}
