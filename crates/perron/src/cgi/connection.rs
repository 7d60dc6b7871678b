//! One connection of the gateway's, which carries one request.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use fcgi_proto::{CONTENT_MAX, Given, HEADER_BYTES, Request, Said, end_request, stderr_header, stdout_header};
use scripts::Unfit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use super::Bridge;
use super::locate::Missing;
use super::script::Script;

/// From a connection to all of the request's parameters: the gateway has them and sends them at once.
const PARAMS_PATIENCE: Duration = Duration::from_secs(10);

/// Read at once.
const READ_MAX: usize = 64 * 1024;

/// How a request ended that a program was run for.
enum End {
    /// The program did, and what it wrote is with the gateway.
    Over(io::Result<ExitStatus>),
    /// The gateway is gone, or wants no answer any more.
    Gone,
    /// The program took too long.
    Late,
}

/// What comes from the gateway.
struct Incoming {
    socket: OwnedReadHalf,
    request: Request,
    buffer: Vec<u8>,
    /// What of the buffer was not looked at yet.
    unread: std::ops::Range<usize>,
}

/// What goes to the gateway.
struct Outgoing {
    socket: OwnedWriteHalf,
    id: u16,
    /// Whether anything of the answer was sent.
    begun: bool,
    /// Room for one.
    record: Vec<u8>,
}

/// Answers the request. What goes wrong with the connection ends it, and nobody is left to be told.
pub(super) async fn serve(stream: UnixStream, bridge: &Bridge) {
    let (socket, sending) = stream.into_split();
    let mut incoming = Incoming { socket, request: Request::new(), buffer: vec![0; READ_MAX], unread: 0..0 };
    let Ok(Ok(Some(given))) = timeout(PARAMS_PATIENCE, incoming.params()).await else { return };
    let mut outgoing = Outgoing {
        socket: sending,
        id: incoming.request.id(),
        begun: false,
        record: vec![0; HEADER_BYTES + CONTENT_MAX],
    };
    let _ = answer(incoming, &mut outgoing, &given, bridge).await;
}

async fn answer(incoming: Incoming, outgoing: &mut Outgoing, given: &Given, bridge: &Bridge) -> io::Result<()> {
    let found = match bridge.place.find(given) {
        Ok(found) => found,
        Err(Missing::NotFound) => return outgoing.refuse("404 Not Found", "no program is there").await,
        Err(Missing::Forbidden) => return outgoing.refuse("403 Forbidden", "what is there is no program").await,
    };
    let script = match Script::start(&found, given, bridge) {
        Ok(script) => script,
        Err(unfit) => {
            outgoing.complain(&format!("{unfit}\n")).await?;
            let status = match unfit {
                Unfit::Missing { .. } => "404 Not Found",
                Unfit::NotExecutable { .. } | Unfit::NotAFile { .. } => "403 Forbidden",
                _ => "500 Internal Server Error",
            };
            return outgoing.refuse(status, "the program was not run").await;
        }
    };
    match run(script, incoming, outgoing, bridge.timeout).await? {
        End::Over(status) => {
            let status = status.ok().and_then(|status| status.code()).unwrap_or(-1);
            outgoing.end(status.cast_unsigned()).await
        }
        End::Gone => Ok(()),
        End::Late => {
            let late = units::write_duration(bridge.timeout);
            outgoing.complain(&format!("{} took longer than {late} and was ended\n", found.file.display())).await?;
            // Without an end the gateway knows that an answer that was begun is cut.
            if outgoing.begun {
                Ok(())
            } else {
                outgoing.refuse("504 Gateway Timeout", "the program took too long").await
            }
        }
    }
}

/// Runs it to whichever end comes first. Whatever that is, nothing of the program is left.
async fn run(mut script: Script, mut incoming: Incoming, outgoing: &mut Outgoing, limit: Duration) -> io::Result<End> {
    let input = script.input.take();
    tokio::select! {
        biased;
        over = relay(&mut script, outgoing) => over.map(End::Over),
        () = incoming.feed(input) => Ok(End::Gone),
        () = sleep(limit) => Ok(End::Late),
    }
}

/// Passes on what the program writes, each piece as it comes, until it has ended.
async fn relay(script: &mut Script, outgoing: &mut Outgoing) -> io::Result<io::Result<ExitStatus>> {
    let (mut speaks, mut complains) = (true, true);
    let Script { child, output, errors, .. } = &mut *script;
    let status = loop {
        tokio::select! {
            ready = output.readable(), if speaks => {
                ready?;
                speaks = outgoing.pass(output, stdout_header).await?;
            }
            ready = errors.readable(), if complains => {
                ready?;
                complains = outgoing.pass(errors, stderr_header).await?;
            }
            status = child.wait() => break status,
        }
    };
    // What it has started may hold the other ends still: what it wrote itself is there.
    script.end();
    outgoing.drain(&script.output, stdout_header).await?;
    outgoing.drain(&script.errors, stderr_header).await?;
    Ok(status)
}

impl Incoming {
    /// All parameters; `None`: the gateway is gone, or what it says is no request.
    async fn params(&mut self) -> io::Result<Option<Given>> {
        loop {
            let mut input = &self.buffer[self.unread.clone()];
            let said = self.request.next(&mut input);
            self.unread.start = self.unread.end - input.len();
            match said {
                Ok(Some(Said::Params(given))) => return Ok(Some(given)),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Ok(None),
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Passes the body on to the program; returns when the gateway is gone or has given up the request.
    async fn feed(&mut self, mut input: Option<Sender>) {
        loop {
            let mut bytes = &self.buffer[self.unread.clone()];
            loop {
                match self.request.next(&mut bytes) {
                    Ok(Some(Said::Body(piece))) => {
                        if let Some(pipe) = &mut input
                            && pipe.write_all(piece).await.is_err()
                        {
                            // It reads no further: the rest is nobody's.
                            input = None;
                        }
                    }
                    Ok(Some(Said::BodyEnd)) => input = None,
                    Ok(None) => break,
                    Ok(Some(Said::Abort | Said::Params(_))) | Err(_) => return,
                }
            }
            self.unread = 0..0;
            if !matches!(self.read().await, Ok(true)) {
                return;
            }
        }
    }

    /// Reads more; `false`: nothing will come.
    async fn read(&mut self) -> io::Result<bool> {
        let length = self.socket.read(&mut self.buffer).await?;
        self.unread = 0..length;
        Ok(length > 0)
    }
}

impl Outgoing {
    /// Passes on what can be read now; `false`: there will be no more.
    async fn pass(&mut self, from: &Receiver, header: fn(u16, u16) -> [u8; 8]) -> io::Result<bool> {
        match from.try_read(&mut self.record[HEADER_BYTES..]) {
            Ok(0) => Ok(false),
            Ok(length) => self.send_record(header, length).await.map(|()| true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(true),
            Err(_) => Ok(false),
        }
    }

    /// Passes on all that is there.
    async fn drain(&mut self, from: &Receiver, header: fn(u16, u16) -> [u8; 8]) -> io::Result<()> {
        // Past tokio, which waits until it is told that there is something.
        while let Ok(length @ 1..) = rustix::io::read(from, &mut self.record[HEADER_BYTES..]) {
            self.send_record(header, length).await?;
        }
        Ok(())
    }

    async fn send(&mut self, header: fn(u16, u16) -> [u8; 8], content: &[u8]) -> io::Result<()> {
        for content in content.chunks(CONTENT_MAX) {
            self.record[HEADER_BYTES..][..content.len()].copy_from_slice(content);
            self.send_record(header, content.len()).await?;
        }
        Ok(())
    }

    /// Sends so much of the record's content.
    async fn send_record(&mut self, header: fn(u16, u16) -> [u8; 8], length: usize) -> io::Result<()> {
        let content = u16::try_from(length).expect("a record's content has its room alone");
        let header = header(self.id, content);
        self.begun |= header[1] == stdout_header(0, 0)[1];
        self.record[..HEADER_BYTES].copy_from_slice(&header);
        self.socket.write_all(&self.record[..HEADER_BYTES + length]).await
    }

    /// Says something for the log.
    async fn complain(&mut self, text: &str) -> io::Result<()> {
        self.send(stderr_header, text.as_bytes()).await
    }

    /// Answers in the place of a program.
    async fn refuse(&mut self, status: &str, why: &str) -> io::Result<()> {
        let text = format!("Status: {status}\r\nContent-Type: text/plain\r\n\r\n{status}: {why}\n");
        self.send(stdout_header, text.as_bytes()).await?;
        self.end(0).await
    }

    async fn end(&mut self, status: u32) -> io::Result<()> {
        self.socket.write_all(&end_request(self.id, status)).await?;
        self.socket.shutdown().await
    }
}
