//! An upgrade: another program in the same process, on the same sockets, and nothing lost.
//!
//! 1. The program is opened once and asked, as processes of its own, whether it accepts the configuration and understands
//!    what it would be handed ([`rehearse`]). Until here nothing has changed.
//! 2. It starts the next `serve`, as at a reload. One that does not begin is the end of the upgrade: still nothing has
//!    changed.
//! 3. The supervisor listens to nobody any more, writes down what it knows ([`State`]) and becomes the program, with the
//!    same process id; serving processes are children of the process and notice nothing. Should that fail, the `serve` of
//!    step 2 finishes what it has, and everything goes on as before.
//! 4. The program takes everything over, lets the new `serve` serve and the old one finish.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{geteuid, getpid, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::child::{Handle, Kind as ChildKind, PRIVATE_VARIABLES, Paused};
use super::handover::{CarriedChild, Rehearsed, State, arguments};
use super::machine::Input;
use super::prepare::{Prepared, Refusal};
use super::{Candidate, Incoming, Signals, Supervisor, tell_manager};
use crate::control::{Answer, Request};
use crate::event::Kind;
use crate::log::{self, Level};
use crate::messages::FORMAT;

/// Each of the two questions to a new program is answered within this time.
const REHEARSAL_PATIENCE: Duration = Duration::from_secs(10);

/// What it may write to each of its outputs meanwhile; the rest is not read.
const REHEARSAL_OUTPUT_MAX: u64 = 64 * 1024;

/// Clients of the control socket have this long to get their answers before the program is replaced.
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);

/// Serving processes have this long to take what was sent to them before the program is replaced.
const CHILD_PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at whether they have.
const LOOK: Duration = Duration::from_millis(1);

/// What the kernel adds to the path of a program whose file is gone or has been replaced.
const DELETED: &str = " (deleted)";

/// An upgrade that is under way.
pub(super) struct Upgrade {
    program: Arc<OwnedFd>,
    path: PathBuf,
    /// Until the program has been rehearsed; then it is the candidate's.
    prepared: Option<Prepared>,
    asker: Option<UnixStream>,
}

/// Processes to which nobody listens.
#[derive(Default)]
struct Silenced {
    serving: Vec<Paused>,
    network: Vec<Paused>,
}

impl Upgrade {
    /// The program, as a path to start it by.
    pub(super) fn program(&self) -> PathBuf {
        by_descriptor(&self.program)
    }

    /// Who waits for the outcome.
    pub(super) fn into_asker(self) -> Option<UnixStream> {
        self.asker
    }
}

impl Supervisor {
    /// Somebody wants another program; nobody waits for an answer after a signal.
    pub(super) fn upgrade(&mut self, binary: Option<PathBuf>, uid: u32, asker: Option<UnixStream>) {
        self.tell_command(&Request::Upgrade { binary: binary.clone() }, uid);
        let may = match self.may_reload() {
            Ok(()) if binary.is_some() && uid != 0 && uid != geteuid().as_raw() => {
                Err("only root and the service's own user may name a program".to_owned())
            }
            Ok(()) => Ok(()),
            Err(why) => Err(why.to_owned()),
        };
        tell_manager(&format!("RELOADING=1\nMONOTONIC_USEC={}", linux::monotonic_usec()));
        let begun = may.map_err(Refusal::Failed).and_then(|()| self.begin_upgrade(binary));
        match begun {
            Ok(upgrade) => self.upgrade = Some(Upgrade { asker, ..upgrade }),
            Err(refusal) => self.refuse_upgrade(asker, refusal),
        }
    }

    fn begin_upgrade(&mut self, binary: Option<PathBuf>) -> Result<Upgrade, Refusal> {
        let failed = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
            Refusal::Failed(format!("{what} {}: {error}", path.display()))
        };
        let path = match binary {
            Some(path) => path,
            None => own_path().map_err(|error| failed("cannot tell the path of", Path::new("this program"), &error))?,
        };
        let opened = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let program = Arc::new(opened.map_err(|error| failed("cannot open", &path, &error))?);
        let checked = self.origin.check()?;
        let prepared = self.origin.open(checked, Some(&self.current))?;
        let (state, _) = self.state(&prepared, &[], None);
        let state = state.write().map_err(|error| failed("cannot write down what is handed to", &path, &error))?;
        let (rehearsed, config, incoming) = (Arc::clone(&program), self.origin.path.clone(), self.incoming.clone());
        let named = path.clone();
        tokio::spawn(async move {
            let outcome = rehearse(&rehearsed, &named, config.as_deref(), state.into()).await;
            let _ = incoming.send(Incoming::Rehearsed(outcome));
        });
        Ok(Upgrade { program, path, prepared: Some(prepared), asker: None })
    }

    /// The new program has said what it would do.
    pub(super) fn rehearsed(&mut self, outcome: Result<(), Refusal>) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let (prepared, may) = (upgrade.prepared.take(), self.machine.may_reload());
        let outcome = outcome.and_then(|()| may.map_err(|why| Refusal::Failed(why.to_owned())));
        match (outcome, prepared) {
            (Ok(()), Some(prepared)) => {
                self.candidate = Some(Candidate { prepared, reply: None });
                self.give(Input::Upgrade);
            }
            (Err(refusal), _) => {
                let asker = self.upgrade.take().and_then(|upgrade| upgrade.asker);
                self.refuse_upgrade(asker, refusal);
            }
            (Ok(()), None) => {}
        }
    }

    /// The program that runs stays.
    pub(super) fn refuse_upgrade(&mut self, asker: Option<UnixStream>, refusal: Refusal) {
        tell_manager("READY=1");
        let (text, answer) = match refusal {
            Refusal::Wrong(text) => (text.clone(), Answer::Wrong(text)),
            Refusal::Failed(why) => (why.clone(), Answer::Failed(why)),
        };
        let text = format!("upgrade refused, the service goes on as before: {text}");
        self.tell(Level::Error, Kind::UpgradeRefused, &text);
        reply(asker, &answer);
    }

    /// Step 3; returns only if the program is not replaced.
    pub(super) async fn hand_over(&mut self, arriving: &mut mpsc::UnboundedReceiver<Incoming>, signals: &mut Signals) {
        self.accepting.pause();
        let answered = async {
            while !self.accepting.is_idle() {
                tokio::select! {
                    Some(word) = arriving.recv() => self.take(word),
                    () = sleep(LOOK) => {}
                }
            }
        };
        // Whoever is late is cut off; the next supervisor could not answer what it was not asked.
        let _ = timeout(CLIENT_PATIENCE, answered).await;
        let mut paused = Silenced::default();
        let quiet = timeout(CHILD_PATIENCE, self.silence(arriving, &mut paused)).await;
        // Nobody would end what they have started, once their supervisor is another program.
        self.looks.end();
        let why = match quiet {
            Ok(()) => self.become_next(&paused, signals).await,
            Err(_) => "a serving process does not take its messages".to_owned(),
        };
        for child in paused.network {
            self.network_resume(child);
        }
        self.tell_facts();
        for child in paused.serving {
            let id = child.id;
            match child.resume(self.incoming.clone()) {
                Ok(handle) => self.children.push(handle),
                Err(error) => self.exited(id, &error),
            }
        }
        self.children.sort_by_key(|child| child.id);
        self.end_looks();
        match self.socket.serve(self.incoming.clone()) {
            Ok(accepting) => self.accepting = accepting,
            Err(error) => log::error("the control socket is served no more", &[("why", &error)]),
        }
        self.give(Input::NotReplaced(why));
    }

    /// Listens to no process any more, once everything that was said is heard.
    async fn silence(&mut self, arriving: &mut mpsc::UnboundedReceiver<Incoming>, paused: &mut Silenced) {
        loop {
            while let Ok(word) = arriving.try_recv() {
                self.take(word);
            }
            silence(&mut self.children, &mut paused.serving).await;
            silence(self.network.children(), &mut paused.network).await;
            if self.children.is_empty() && self.network.children().is_empty() && arriving.is_empty() {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Becomes the new program, or says why not.
    async fn become_next(&mut self, paused: &Silenced, signals: &mut Signals) -> String {
        let (Some(upgrade), Some(candidate), Some(machine)) =
            (&self.upgrade, &self.candidate, self.machine.carried(self.clock.now()))
        else {
            return "the new serving process has ended".to_owned();
        };
        if let Err(error) = linux::hold_signals() {
            return format!("signals cannot be held: {error}");
        }
        // What came before they were held waits like what comes now.
        while let Ok(signal) = timeout(LOOK, signals.next()).await {
            let _ = kill_process(getpid(), signal.signal());
        }
        let (mut state, mut keep) = self.state(&candidate.prepared, &paused.serving, upgrade.asker.as_ref());
        let (network, kept) = self.network.carried(&paused.network);
        state.network = Some(network);
        keep.extend(kept);
        let (apps, kept) = self.apps.carried(&candidate.prepared);
        state.apps = Some(apps);
        keep.extend(kept);
        state.machine = Some(machine);
        state.left_behind = self.current.left_behind(&candidate.prepared);
        keep.extend(paused.serving.iter().chain(&paused.network).map(|child| child.socket.as_fd()));
        let handed = state.hand_over(upgrade.program.as_fd(), &keep);
        if let Err(error) = linux::release_signals() {
            log::error("signals are held still", &[("why", &error)]);
        }
        let why = handed.err().map_or_else(String::new, |error| error.to_string());
        format!("{} cannot take over: {why}", upgrade.path.display())
    }

    /// What the next supervisor is handed, and the descriptors that it tells the numbers of but for the children's.
    fn state<'a>(
        &'a self,
        prepared: &'a Prepared,
        children: &[Paused],
        asker: Option<&'a UnixStream>,
    ) -> (State, Vec<BorrowedFd<'a>>) {
        let (held, mut keep) = prepared.held(&self.origin);
        keep.push(self.socket.as_fd());
        keep.extend(asker.map(AsFd::as_fd));
        let state = State {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: self.generation,
            held,
            left_behind: Vec::new(),
            control_path: self.socket.path().to_owned(),
            control: self.socket.as_fd().as_raw_fd(),
            machine: None,
            children: children.iter().map(CarriedChild::new).collect(),
            network: None,
            apps: None,
            serve_state: self.state.clone(),
            record: self.record.clone(),
            asker: asker.map(AsRawFd::as_raw_fd),
        };
        (state, keep)
    }
}

/// Stops listening to those that have taken all that was sent to them.
async fn silence<K: ChildKind>(children: &mut Vec<Handle<K>>, paused: &mut Vec<Paused>) {
    let mut at = 0;
    while at < children.len() {
        if !children[at].has_taken_all() {
            at += 1;
            continue;
        }
        let mut child = children.remove(at);
        match child.pause().await {
            Some(child) => paused.push(child),
            // Its end has arrived.
            None => {
                children.insert(at, child);
                at += 1;
            }
        }
    }
}

/// Answers whoever asked for an upgrade. The answer fits what a socket takes at once.
pub(super) fn reply(asker: Option<UnixStream>, answer: &Answer) {
    if let (Some(mut asker), Ok(mut line)) = (asker, serde_json::to_vec(answer)) {
        line.push(b'\n');
        // One who has gone away has no use for it.
        let _ = asker.write_all(&line);
    }
}

/// Where this program was started from; another one may be there by now.
fn own_path() -> std::io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?;
    Ok(match path.to_str().and_then(|text| text.strip_suffix(DELETED)) {
        Some(text) => PathBuf::from(text),
        None => path,
    })
}

fn by_descriptor(program: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd()))
}

/// Asks a program whether it accepts the configuration and could take this one's place.
async fn rehearse(program: &OwnedFd, path: &Path, config: Option<&Path>, state: OwnedFd) -> Result<(), Refusal> {
    let mut check = vec!["check".into()];
    if let Some(config) = config {
        check.extend(["-c".into(), config.as_os_str().to_owned()]);
    }
    ask(program, path, check, Stdio::null(), REHEARSAL_PATIENCE).await?;
    let mut take_over: Vec<_> = arguments().into_iter().skip(1).collect();
    take_over.push("--rehearse".into());
    let answer = ask(program, path, take_over, state.into(), REHEARSAL_PATIENCE).await?;
    match serde_json::from_slice::<Rehearsed>(&answer) {
        Ok(rehearsed) if rehearsed.format == FORMAT => Ok(()),
        _ => Err(Refusal::Failed(format!("{} is not perron", path.display()))),
    }
}

/// Runs a program to its good end: what it wrote.
async fn ask(
    program: &OwnedFd,
    path: &Path,
    arguments: Vec<OsString>,
    stdin: Stdio,
    patience: Duration,
) -> Result<Vec<u8>, Refusal> {
    let word = arguments.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let failed = |why: &dyn std::fmt::Display| Refusal::Failed(format!("{} {word}: {why}", path.display()));
    let mut command = Command::new(by_descriptor(program));
    command.arg0(path).args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for variable in PRIVATE_VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(&"it has no output"));
    };
    let ended = timeout(patience, async {
        let (said, complained) = tokio::join!(beginning(stdout), beginning(stderr));
        Ok::<_, std::io::Error>((child.wait().await?, said, complained))
    });
    let (status, said, complained) = match ended.await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(failed(&"it does not end")),
    };
    let complained = String::from_utf8_lossy(&complained);
    match status.code() {
        Some(0) => Ok(said),
        Some(2) if !complained.is_empty() => Err(Refusal::Wrong(complained.into_owned())),
        _ => Err(failed(&format!("{status}; {complained}").trim_end_matches(['\n', ' ', ';']))),
    }
}

/// What a program writes, up to a limit; one that writes more is told so by a broken pipe.
async fn beginning(output: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut text = Vec::new();
    // What cannot be read further is judged as it is.
    let _ = output.take(REHEARSAL_OUTPUT_MAX).read_to_end(&mut text).await;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(program: &str, argument: &str, patience: Duration) -> Result<Vec<u8>, Refusal> {
        let opened = rustix::fs::open(program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        ask(&opened, Path::new(program), vec![argument.into()], Stdio::null(), patience).await
    }

    #[tokio::test]
    async fn a_program_is_asked_for_a_limited_time_and_heard_to_a_limited_length() {
        let said = asked("/bin/echo", "check", REHEARSAL_PATIENCE).await;
        assert_eq!(said.unwrap(), b"check\n");
        let Err(Refusal::Failed(why)) = asked("/bin/sleep", "60", Duration::from_millis(10)).await else {
            panic!("it ended");
        };
        assert_eq!(why, "/bin/sleep 60: it does not end");
        let Err(Refusal::Failed(why)) = asked("/usr/bin/yes", "check", REHEARSAL_PATIENCE).await else {
            panic!("all of it was read");
        };
        assert_eq!(why, "/usr/bin/yes check: signal: 13 (SIGPIPE)");
    }
}
