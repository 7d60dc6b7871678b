//! Clients: one careful request to see that answers are right, wrk for many small ones, readers that throw away for large ones.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::net::{RecvFlags, recv};

use crate::machine::{OTHER_CORE, on_core, pause};
use crate::secure;

/// How long a program may take to answer its first request.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a right answer is.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    /// Of the body; `None`: it does not matter.
    pub(crate) bytes: Option<u64>,
    /// Whether it comes through TLS.
    pub(crate) secure: bool,
    /// Whether it comes by HTTP/2, in clear text.
    pub(crate) http2: bool,
}

/// What a round of load has moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// Asks until the program answers, and sees that it answers rightly.
///
/// # Errors
/// If it never answers, or wrongly.
pub(crate) fn await_right_answer(port: u16, expected: &Expected) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match ask(port, expected) {
            Ok((status, bytes)) if status == expected.status && expected.bytes.is_none_or(|right| right == bytes) => {
                return Ok(());
            }
            Ok((status, bytes)) if status != 503 || Instant::now() > deadline => {
                bail!(
                    "answers {status} with {bytes} bytes; {} with {:?} were expected",
                    expected.status,
                    expected.bytes
                )
            }
            Err(error) if Instant::now() > deadline => return Err(error.context("no answer")),
            _ => pause(Duration::from_millis(20))?,
        }
    }
}

/// The status and the number of bytes of the body.
fn ask(port: u16, expected: &Expected) -> anyhow::Result<(u16, u64)> {
    if expected.http2 {
        return ask_http2(port, expected.path);
    }
    let mut stream = secure::stream(port, expected.secure)?;
    stream.write_all(&request(expected.path))?;
    let head = read_head(&mut stream)?;
    secure::throw_away(&mut *stream, head.length, &mut vec![0; 1 << 20])?;
    Ok((head.status, head.length))
}

fn ask_http2(port: u16, path: &str) -> anyhow::Result<(u16, u64)> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--http2-prior-knowledge", "--max-time", "5", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_code} %{size_download}", &format!("http://127.0.0.1:{port}{path}")]);
    let output = command.output().context("curl does not start: scripts/setup test")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (status, bytes) = said.split_once(' ').context("curl says nothing")?;
    if !output.status.success() {
        bail!("curl: {}", output.status);
    }
    Ok((status.parse()?, bytes.parse()?))
}

pub(crate) fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(crate) fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n").into_bytes()
}

/// An answer's status and the length of its body.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: u64,
}

/// Reads a head byte for byte, so that nothing of the body is taken.
pub(crate) fn read_head(stream: &mut impl Read) -> anyhow::Result<Head> {
    let mut head = Vec::with_capacity(512);
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16 * 1024 || stream.read(&mut byte)? == 0 {
            bail!("the head has no end");
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status")?;
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?);
    Ok(Head { status, length: length.context("no length")? })
}

/// How clients of small requests treat their connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// So many are kept, as long as the program keeps them.
    Kept(u32),
    /// So many at once, each for one request.
    Fresh(u32),
}

/// Many small requests, by wrk.
///
/// # Errors
/// If wrk cannot run, or one answer in a thousand was an error.
pub(crate) fn small(
    port: u16,
    expected: &Expected,
    connections: Connections,
    round: Duration,
) -> anyhow::Result<Moved> {
    let mut command = Command::new("wrk");
    let seconds = round.as_secs();
    let (Connections::Kept(count) | Connections::Fresh(count)) = connections;
    command.args(["-t1", &format!("-c{count}"), &format!("-d{seconds}s"), "--timeout", "20s"]);
    if matches!(connections, Connections::Fresh(_)) {
        command.args(["-H", "Connection: close"]);
    }
    let scheme = if expected.secure { "https" } else { "http" };
    command.arg(format!("{scheme}://127.0.0.1:{port}{}", expected.path));
    let (said, complaint, elapsed) = run("wrk", command, round)?;
    moved(&said, elapsed).with_context(|| format!("wrk: {}", complaint.trim()))
}

/// Many small requests on many streams of HTTP/2, by h2load.
///
/// # Errors
/// If h2load cannot run, or one answer in a thousand was an error.
pub(crate) fn streams(port: u16, expected: &Expected, round: Duration) -> anyhow::Result<Moved> {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c8", "-m16", &format!("-D{}", round.as_secs())]);
    command.arg(format!("http://127.0.0.1:{port}{}", expected.path));
    let (said, complaint, elapsed) = run("h2load", command, round)?;
    streamed(&said, elapsed).with_context(|| format!("h2load: {}", complaint.trim()))
}

/// What a generator of load says and complains of, and how long it took.
fn run(name: &str, mut command: Command, round: Duration) -> anyhow::Result<(String, String, Duration)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let child = on_core(OTHER_CORE, || command.spawn())?;
    let mut child = child.with_context(|| format!("{name} does not start: scripts/setup test"))?;
    while child.try_wait()?.is_none() {
        let late = started.elapsed() > round + PATIENCE;
        if let Err(error) =
            pause(Duration::from_millis(5)).and_then(|()| if late { bail!("{name} hangs") } else { Ok(()) })
        {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
    }
    let elapsed = started.elapsed();
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout), format!("{}: {}", output.status, text(&output.stderr)), elapsed))
}

/// Reads h2load's `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`.
fn streamed(said: &str, elapsed: Duration) -> anyhow::Result<Moved> {
    let line = said.lines().find(|line| line.starts_with("requests: ")).with_context(|| format!("it said: {said}"))?;
    let of = |word: &str| -> anyhow::Result<u64> {
        let part = line["requests: ".len()..].split(", ").find_map(|part| part.strip_suffix(word));
        Ok(part.with_context(|| format!("{word} is not said"))?.trim().parse()?)
    };
    let (requests, wrong) = (of("succeeded")?, of("failed")? + of("errored")?);
    if requests == 0 || wrong * 1000 > requests {
        bail!("wrong answers under load: {}", said.trim());
    }
    Ok(Moved { requests, bytes: 0, elapsed })
}

/// Reads wrk's `123 requests in 2.00s, 45.6MB read` and its complaints.
fn moved(said: &str, elapsed: Duration) -> anyhow::Result<Moved> {
    let line = said.lines().find(|line| line.contains(" requests in ")).with_context(|| format!("wrk said: {said}"))?;
    let requests: u64 = line.trim().split(' ').next().and_then(|word| word.parse().ok()).context("wrk's number")?;
    let complaints: u64 = said
        .lines()
        .filter(|line| line.contains("Socket errors") || line.contains("Non-2xx"))
        .flat_map(|line| line.split([' ', ',']))
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    if requests == 0 || complaints * 1000 > requests {
        bail!("wrong answers under load: {}", said.trim());
    }
    Ok(Moved { requests, bytes: 0, elapsed })
}

/// Large answers, one after the other on each of a few connections; the kernel throws the bytes away, so that this costs little.
///
/// # Errors
/// If a connection fails or an answer is wrong.
pub(crate) fn large(port: u16, expected: &Expected, connections: usize, round: Duration) -> anyhow::Result<Moved> {
    let ended = AtomicBool::new(false);
    let requests = AtomicU64::new(0);
    let bytes = AtomicU64::new(0);
    let started = Instant::now();
    let outcome = on_core(OTHER_CORE, || {
        thread::scope(|scope| {
            let readers: Vec<_> =
                (0..connections).map(|_| scope.spawn(|| read_on(port, expected, &ended, &requests, &bytes))).collect();
            let waited = loop {
                if started.elapsed() >= round || readers.iter().any(thread::ScopedJoinHandle::is_finished) {
                    break Ok(());
                }
                if let Err(error) = pause(Duration::from_millis(5)) {
                    break Err(error);
                }
            };
            ended.store(true, Ordering::Relaxed);
            let results: Vec<_> =
                readers.into_iter().map(|reader| reader.join().expect("readers do not panic")).collect();
            results.into_iter().fold(waited, |first, next| first.and(next))
        })
    })?;
    outcome?;
    Ok(Moved {
        requests: requests.load(Ordering::Relaxed),
        bytes: bytes.load(Ordering::Relaxed),
        elapsed: started.elapsed(),
    })
}

fn read_on(
    port: u16,
    expected: &Expected,
    ended: &AtomicBool,
    requests: &AtomicU64,
    bytes: &AtomicU64,
) -> anyhow::Result<()> {
    if expected.secure {
        return read_secured_on(port, expected, ended, requests, bytes);
    }
    let mut stream = connect(port)?;
    let asked = request(expected.path);
    let mut nothing = vec![0; 1 << 20];
    while !ended.load(Ordering::Relaxed) {
        stream.write_all(&asked)?;
        let head = read_head(&mut stream)?;
        if head.status != expected.status || expected.bytes.is_some_and(|right| right != head.length) {
            bail!("answers {} with {} bytes under load", head.status, head.length);
        }
        let mut left = head.length;
        while left > 0 {
            let want = nothing.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            // With TRUNC, TCP drops what it would have copied.
            let (_, dropped) = recv(&stream, &mut nothing[..want], RecvFlags::TRUNC)?;
            if dropped == 0 {
                bail!("a body ends {left} bytes early");
            }
            left -= dropped as u64;
            bytes.fetch_add(dropped as u64, Ordering::Relaxed);
        }
        requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// The same through TLS, where each byte must be decrypted.
fn read_secured_on(
    port: u16,
    expected: &Expected,
    ended: &AtomicBool,
    requests: &AtomicU64,
    bytes: &AtomicU64,
) -> anyhow::Result<()> {
    let mut stream = secure::stream(port, true)?;
    let asked = request(expected.path);
    let mut buffer = vec![0; 1 << 16];
    while !ended.load(Ordering::Relaxed) {
        stream.write_all(&asked)?;
        let head = read_head(&mut stream)?;
        if head.status != expected.status || expected.bytes.is_some_and(|right| right != head.length) {
            bail!("answers {} with {} bytes under load", head.status, head.length);
        }
        secure::throw_away(&mut *stream, head.length, &mut buffer)?;
        bytes.fetch_add(head.length, Ordering::Relaxed);
        requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let said = "Running 2s test\n  61234 requests in 2.00s, 12.34MB read\nRequests/sec:  30617.00\n";
        assert_eq!(moved(said, Duration::from_secs(2)).expect("a number").requests, 61234);
        let errors = "  1000 requests in 2.00s, 1MB read\n  Non-2xx or 3xx responses: 2\n";
        assert!(moved(errors, Duration::from_secs(2)).is_err());
        let sockets = "  1000 requests in 2.00s, 1MB read\n  Socket errors: connect 0, read 5, write 0, timeout 0\n";
        assert!(moved(sockets, Duration::from_secs(2)).is_err());
    }

    #[test]
    fn h2load_is_understood() {
        let said = "finished in 2.00s, 5000.00 req/s, 1.2MB/s\n\
                    requests: 10010 total, 10128 started, 10010 done, 10000 succeeded, 5 failed, 5 errored, 0 timeout\n";
        assert_eq!(streamed(said, Duration::from_secs(2)).expect("a number").requests, 10_000);
        assert!(streamed(&said.replace("5 failed", "6 failed"), Duration::from_secs(2)).is_err());
        assert!(streamed("nothing\n", Duration::from_secs(2)).is_err());
    }

    #[test]
    fn heads_are_read_to_their_end_and_no_further() {
        let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let head = read_head(&mut bytes).expect("a head");
        assert_eq!((head.status, head.length, bytes), (200, 5, &b"hello"[..]));
    }
}
