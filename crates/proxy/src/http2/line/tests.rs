use super::*;
use crate::clock::Clock;

/// A connection to a server that says nothing, and what drives it.
async fn line() -> (Line, impl Sized) {
    let (here, there) = tokio::io::duplex(1024);
    let (send, connection) = h2::client::handshake(here).await.unwrap();
    let gauge = Gauge::new(Clock::start());
    let line = Line {
        send: RefCell::new(send),
        scheme: Scheme::HTTP,
        gauge,
        streams: Cell::new(1),
        quiet_since: Cell::new(Instant::now()),
        retired: Cell::new(false),
    };
    (line, (connection, there))
}

/// Whether the connection gets others after a request that began so long ago.
async fn goes_on(ago: Duration, is_answered: bool, heard: u64) -> bool {
    let (line, _driven) = line().await;
    let began = Instant::now().checked_sub(ago).unwrap();
    line.gauge.received.set(heard);
    line.left(is_answered, began, 0);
    assert_eq!(line.streams.get(), 0);
    line.is_well()
}

#[test]
fn a_connection_that_was_silent_for_five_seconds_gets_no_other_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert!(!goes_on(Duration::from_secs(5), false, 0).await);
        assert!(goes_on(Duration::from_secs(4), false, 0).await, "a client that went away sooner tells nothing");
        assert!(goes_on(Duration::from_secs(5), false, 1).await, "something has come, if only for others");
        assert!(goes_on(Duration::from_secs(5), true, 0).await, "the answer was there before");
    });
}
