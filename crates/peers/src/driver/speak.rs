//! The connection to one peer, on which this director speaks.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use wire::peer::{Hello, write_heartbeat, write_hello};

use super::{Line, Shared, What, lock, now};
use crate::outbox::Outbox;

/// A director that has nothing to say says so this often.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A peer that takes nothing for so long is dropped: five heartbeats.
const PATIENCE: Duration = Duration::from_secs(5);

/// One attempt to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// The wait before the second attempt; each further one doubles it. One that has connected itself is tried at once.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Connects to a peer, tells it what there is to tell, and begins anew when that ends.
pub(super) async fn speak(shared: Arc<Shared>, line: usize) {
    let line = &shared.lines[line];
    let mut wait = RETRY_FIRST;
    loop {
        let began = Instant::now();
        match timeout(CONNECT_PATIENCE, connect(&shared, line)).await {
            Ok(Ok(mut stream)) => {
                *lock(&line.outbox) = Some(Outbox::new());
                shared.say(line.address, What::Connected);
                let (from, to) = stream.split();
                let why = tell(&shared, line, from, to).await;
                *lock(&line.outbox) = None;
                shared.say(line.address, What::Lost(why));
            }
            Ok(Err(_)) | Err(_) => {
                line.failed.store(true, Relaxed);
                shared.learned.send_modify(|_| {});
            }
        }
        if began.elapsed() > PATIENCE {
            wait = RETRY_FIRST;
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = line.is_there.notified() => {}
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// From the very address that the peers know this director by.
async fn connect(shared: &Shared, line: &Line) -> io::Result<TcpStream> {
    let socket = if line.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let own = shared.config.bind;
    if !own.ip().is_unspecified() && own.is_ipv4() == line.address.is_ipv4() {
        socket.bind((own.ip(), 0).into())?;
    }
    let stream = socket.connect(line.address).await?;
    linux::set_nodelay(stream.as_fd())?;
    linux::set_user_timeout(stream.as_fd(), PATIENCE)?;
    Ok(stream)
}

/// Tells the peer everything and then what changes. Returns why that ended.
pub(super) async fn tell(
    shared: &Shared,
    line: &Line,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> String {
    let mut out = Vec::new();
    let tables = shared.tables.iter().map(crate::Table::wire).collect();
    write_hello(&mut out, &Hello { name: &shared.config.name, tables });
    loop {
        let mut has_more = false;
        if let Some(outbox) = &mut *lock(&line.outbox) {
            let sent = outbox.fill(&shared.tables, now(), &mut out);
            shared.counters.sent.fetch_add(sent as u64, Relaxed);
            has_more = !outbox.is_empty();
        }
        match timeout(PATIENCE, to.write_all(&out)).await {
            Ok(Ok(())) => out.clear(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "it takes nothing".to_owned(),
        }
        if has_more {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = line.filled.notified() => {}
            () = sleep(HEARTBEAT) => write_heartbeat(&mut out),
            read = from.read_u8() => return match read {
                Ok(_) => "it speaks where it should listen".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => "it has closed the connection".to_owned(),
                Err(error) => error.to_string(),
            },
        }
    }
}
