//! What one supervisor hands to the next, which is another program in the same process: written, rehearsed, taken over.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::apps::{CarriedApps, TakenApps};
use super::child::{PRIVATE_VARIABLES, Paused};
use super::control::Socket;
use super::machine::{self, ChildId};
use super::network::{CarriedNetwork, TakenNetwork};
use super::prepare::{Held, Origin, Prepared, Refusal};
use super::record::Record;
use crate::cli::Run;
use crate::messages::FORMAT;

/// The option that names the descriptor of the [`State`].
const TAKE_OVER: &str = "--take-over";

/// Everything that is handed over. Descriptors are told by their numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) format: u32,
    /// Of the program that wrote this.
    pub(super) version: String,
    pub(super) generation: u64,
    pub(super) held: Held,
    /// Sockets' paths that nothing listens on any more.
    pub(super) left_behind: Vec<PathBuf>,
    pub(super) control_path: PathBuf,
    pub(super) control: RawFd,
    /// `None` in a rehearsal.
    pub(super) machine: Option<machine::Carried>,
    pub(super) children: Vec<CarriedChild>,
    /// Programs before this one had none.
    #[serde(default)]
    pub(super) network: Option<CarriedNetwork>,
    /// Likewise.
    #[serde(default)]
    pub(super) apps: Option<CarriedApps>,
    /// What the serving process said last.
    pub(super) serve_state: Option<serde_json::Value>,
    pub(super) record: Record,
    /// Who waits for the outcome.
    pub(super) asker: Option<RawFd>,
}

/// A process, as a [`Paused`] one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CarriedChild {
    id: ChildId,
    pid: u32,
    socket: RawFd,
    received: Vec<u8>,
}

/// A service as another program left it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) version: String,
    pub(super) generation: u64,
    pub(super) machine: machine::Carried,
    pub(super) children: Vec<Paused>,
    pub(super) network: Option<TakenNetwork>,
    pub(super) apps: Option<TakenApps>,
    pub(super) serve_state: Option<serde_json::Value>,
    pub(super) record: Record,
    pub(super) asker: Option<UnixStream>,
}

/// What a rehearsal answers on its standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rehearsed {
    pub(super) version: String,
    pub(super) format: u32,
}

impl State {
    /// As a file in memory, at its beginning.
    pub(super) fn write(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create("perron-upgrade", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }

    /// Becomes `program`, which takes everything over; `keep` are the descriptors whose numbers this holds.
    ///
    /// Returns only if that failed; then nothing has changed.
    pub(super) fn hand_over(&self, program: BorrowedFd<'_>, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
        let file = self.write()?;
        let mut arguments = arguments();
        arguments.push(format!("{TAKE_OVER}={}", file.as_raw_fd()).into());
        let arguments = arguments.into_iter().map(|argument| CString::new(argument.into_vec()));
        let arguments = arguments.collect::<Result<Vec<CString>, _>>()?;
        let keep: Vec<BorrowedFd<'_>> = keep.iter().copied().chain([file.as_fd()]).collect();
        // What systemd says of its sockets is true of the first program only: they are among those handed over.
        let without = &PRIVATE_VARIABLES[1..4];
        linux::replace_program(program, &arguments, without, &keep).map(|never| match never {})
    }

    fn read(mut file: impl Read) -> anyhow::Result<State> {
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let value: serde_json::Value = serde_json::from_slice(&text).context("what was handed over makes no sense")?;
        if value["format"] != FORMAT {
            bail!("this version takes over format {FORMAT}, not {}; start the service anew", value["format"]);
        }
        serde_json::from_value(value).context("what was handed over makes no sense")
    }
}

impl CarriedChild {
    pub(super) fn new(paused: &Paused) -> CarriedChild {
        let Paused { id, pid, socket, received } = paused;
        CarriedChild { id: *id, pid: *pid, socket: socket.as_raw_fd(), received: received.clone() }
    }

    pub(super) fn take_over(self) -> io::Result<Paused> {
        let CarriedChild { id, pid, socket, received } = self;
        Ok(Paused { id, pid, socket: linux::inherited_descriptor(socket)?, received })
    }
}

/// The arguments of this process, without what an earlier upgrade added.
pub(super) fn arguments() -> Vec<OsString> {
    let added = |argument: &OsString| argument.as_encoded_bytes().starts_with(TAKE_OVER.as_bytes());
    std::env::args_os().filter(|argument| !added(argument)).collect()
}

/// `perron run --rehearse`: says whether this program could take over what comes on standard input.
pub(super) fn rehearse(options: Run) -> anyhow::Result<ExitCode> {
    let state = State::read(io::stdin())?;
    let origin = Origin::of_successor(options.config.config, options.without)?;
    if let Err(Refusal::Wrong(why) | Refusal::Failed(why)) = state.held.check(&origin) {
        eprint!("{why}");
        return Ok(ExitCode::from(2));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    println!("{}", serde_json::to_string(&Rehearsed { version, format: FORMAT })?);
    Ok(ExitCode::SUCCESS)
}

/// Takes over what the program before left open at this descriptor.
pub(super) fn take_over(number: RawFd, origin: &mut Origin) -> anyhow::Result<(Socket, Prepared, Taken)> {
    let taking = || "cannot take over";
    let fd = |number: RawFd| -> io::Result<OwnedFd> { linux::inherited_descriptor(number) };
    let state = State::read(File::from(fd(number).with_context(taking)?)).with_context(taking)?;
    let machine = state.machine.context("nothing serves that could be taken over")?;
    origin.take_over_apps(&state.control_path);
    let prepared = match state.held.take_over(origin) {
        Ok(prepared) => prepared,
        Err(Refusal::Wrong(why) | Refusal::Failed(why)) => bail!("cannot take over: {why}"),
    };
    let socket = Socket::take_over(state.control_path, fd(state.control).with_context(taking)?)?;
    let mut children = Vec::new();
    for child in state.children {
        children.push(child.take_over().with_context(taking)?);
    }
    let network = state.network.map(CarriedNetwork::take_over).transpose().with_context(taking)?;
    let apps = state.apps.map(CarriedApps::take_over).transpose().with_context(taking)?;
    for path in state.left_behind {
        // A path that is gone already is as good.
        let _ = std::fs::remove_file(path);
    }
    let taken = Taken {
        version: state.version,
        generation: state.generation,
        machine,
        children,
        network,
        apps,
        serve_state: state.serve_state,
        record: state.record.restored(),
        asker: state.asker.map(fd).transpose()?.map(UnixStream::from),
    };
    Ok((socket, prepared, taken))
}
