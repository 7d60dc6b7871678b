//! `perron cgi-bridge`: a FastCGI application that runs a program for each request, as CGI has it (RFC 3875).
//!
//! The supervisor starts it as another user, with its listening socket as standard input. It holds nothing back: what
//! the client sends goes to the program as it comes, and what the program writes to the client.

mod connection;
mod locate;
mod script;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::cli::CgiBridge;
use locate::Place;

/// After an error of `accept`, such as too many descriptors: those of other requests come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every request needs.
#[derive(Debug)]
struct Bridge {
    place: Place,
    timeout: Duration,
    /// Of each program: address space in bytes, open descriptors, seconds of processor time.
    memory: Option<u64>,
    files: u64,
    cpu_seconds: Option<u64>,
}

/// Serves until SIGTERM, and then until the programs that run have ended.
pub(crate) fn run(options: CgiBridge) -> anyhow::Result<()> {
    let listener = std::os::unix::net::UnixListener::from(take_stdin()?);
    listener.set_nonblocking(true)?;
    let place = match (options.root, options.script) {
        (Some(root), _) => Place::Root(root),
        (None, Some(script)) => Place::Script(script),
        (None, None) => anyhow::bail!("neither a root nor a script"),
    };
    let bridge = Bridge {
        place,
        timeout: Duration::from_millis(options.timeout_ms),
        memory: options.memory,
        files: options.files,
        cpu_seconds: options.cpu_seconds,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(listener, Arc::new(bridge), options.max_processes))
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    bridge: Arc<Bridge>,
    max_processes: u32,
) -> anyhow::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let mut end = signal(SignalKind::terminate())?;
    let rooms = Arc::new(Semaphore::new(max_processes as usize));
    loop {
        tokio::select! {
            biased;
            _ = end.recv() => break,
            // Whoever comes when there is no room waits in the kernel.
            room = Arc::clone(&rooms).acquire_owned() => {
                let room = room.context("the semaphore is never closed")?;
                let Some(stream) = accept(&listener, &mut end).await else { break };
                let bridge = Arc::clone(&bridge);
                tokio::spawn(async move {
                    connection::serve(stream, &bridge).await;
                    drop(room);
                });
            }
        }
    }
    drop(listener);
    let _ = rooms.acquire_many(max_processes).await;
    Ok(())
}

/// The next connection; `None`: this is to end.
async fn accept(listener: &UnixListener, end: &mut tokio::signal::unix::Signal) -> Option<UnixStream> {
    loop {
        tokio::select! {
            biased;
            _ = end.recv() => return None,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => return Some(stream),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Standard input, which /dev/null takes the place of.
fn take_stdin() -> anyhow::Result<OwnedFd> {
    let stdin = std::io::stdin();
    rustix::net::sockopt::socket_acceptconn(stdin.as_fd()).context("only `perron run` starts this")?;
    let socket = stdin.as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(&std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}
