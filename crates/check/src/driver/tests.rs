use std::net::SocketAddr;

use health::{Finding, Policy};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::config::{Kind, Target};

const ONLY: CheckIndex = CheckIndex(0);

fn clock() -> Clock {
    let zero = std::time::Instant::now();
    Arc::new(move || Instant::ZERO + zero.elapsed())
}

fn check(address: SocketAddr, interval: Duration) -> Check {
    let policy = Policy {
        interval,
        fast_interval: Duration::from_millis(5),
        down_interval: Duration::from_millis(5),
        timeout: Duration::from_secs(10),
        retries: 0,
        retry_delay: Duration::ZERO,
        warmup: None,
        rise: 2,
        fall: 3,
        observe_failures: Some(2),
    };
    let config = CheckConfig { kind: Kind::Tcp, target: Target::Ip(address), send_proxy: None, tls: None, policy };
    Check { config, carried: None, suspended: false }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
    event.expect("an event in time").expect("a driver")
}

/// The next change of mind, and how many probes ended before it.
async fn next_change(events: &mut UnboundedReceiver<Event>) -> (Status, Status, Why, usize) {
    let mut probes = 0;
    loop {
        match next(events).await.what {
            What::Probed(..) => probes += 1,
            What::Became { from, to, why } => return (from, to, why, probes),
        }
    }
}

#[tokio::test]
async fn a_server_is_followed_down_and_up_again() {
    let (listener, address) = listener().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let interval = Duration::from_millis(5);
    let _driver = Driver::spawn(vec![check(address, interval)], &Means::default(), clock(), sender);

    let (from, to, _, probes) = next_change(&mut events).await;
    assert_eq!((from, to, probes), (Status::Unknown, Status::Up, 1));

    drop(listener);
    let (from, to, why, probes) = next_change(&mut events).await;
    assert_eq!((from, to), (Status::Up, Status::Down));
    assert!(matches!(why, Why::Probed(outcome) if outcome.finding == Finding::ConnectFailed));
    assert!(probes >= 3, "{probes}");

    let _listener = TcpListener::bind(address).await.expect("the same port");
    let (from, to, _, _) = next_change(&mut events).await;
    assert_eq!((from, to), (Status::Down, Status::Up));
    let known = next(&mut events).await.known;
    assert_eq!((known.status, known.downs), (Status::Up, 1));
}

#[tokio::test]
async fn maintenance_stops_the_probes_and_its_end_starts_them() {
    let (_listener, address) = listener().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let hour = Duration::from_secs(3600);
    let driver = Driver::spawn(vec![check(address, hour)], &Means::default(), clock(), sender);
    assert_eq!(next_change(&mut events).await.1, Status::Up);

    driver.handle().suspend(ONLY);
    let (_, to, why, probes) = next_change(&mut events).await;
    assert_eq!((to, why, probes), (Status::Unknown, Why::Suspended, 0));
    driver.handle().resume(ONLY);
    assert_eq!(next_change(&mut events).await.1, Status::Up);
}

#[tokio::test]
async fn who_starts_in_maintenance_is_not_probed() {
    let (listener, address) = listener().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let sleeper = Check { suspended: true, ..check(address, Duration::from_millis(5)) };
    let driver =
        Driver::spawn(vec![sleeper, check(address, Duration::from_millis(5))], &Means::default(), clock(), sender);
    for _ in 0..10 {
        assert_eq!(next(&mut events).await.check, CheckIndex(1));
    }
    driver.handle().resume(ONLY);
    while next(&mut events).await.check != ONLY {}
    drop(listener);
}

#[tokio::test]
async fn failing_requests_take_a_server_down() {
    let (_listener, address) = listener().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let hour = Duration::from_secs(3600);
    let driver = Driver::spawn(vec![check(address, hour)], &Means::default(), clock(), sender);
    assert_eq!(next_change(&mut events).await.1, Status::Up);

    let handle = driver.handle();
    for ok in [true, false, true, false, false] {
        handle.traffic(ONLY, ok);
    }
    let (_, to, why, probes) = next_change(&mut events).await;
    assert_eq!((to, why, probes), (Status::Down, Why::Traffic(2), 0));
    assert_eq!(next_change(&mut events).await.1, Status::Up, "probes bring it back");
    handle.traffic(CheckIndex(9), false);
}

#[tokio::test]
async fn checks_end_with_their_driver() {
    let (_listener, address) = listener().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let driver = Driver::spawn(vec![check(address, Duration::from_secs(3600))], &Means::default(), clock(), sender);
    let handle = driver.handle();
    drop(driver);
    while tokio::time::timeout(Duration::from_secs(10), events.recv()).await.expect("an end").is_some() {}
    handle.suspend(ONLY);
    handle.traffic(ONLY, false);
}

#[test]
fn first_probes_are_spread() {
    let address = "127.0.0.1:1".parse().expect("an address");
    let new = check(address, Duration::from_secs(10));
    assert_eq!(spread(&new, 0, 4), Duration::ZERO);
    assert_eq!(spread(&new, 3, 4), Duration::from_millis(750));
    let quick = check(address, Duration::from_millis(100));
    assert_eq!(spread(&quick, 3, 4), Duration::from_millis(75));
    let known = Carried { status: Status::Down, ..Carried::default() };
    let old = Check { carried: Some(known), ..new };
    assert_eq!(spread(&old, 3, 4), Duration::from_millis(7_500));
}

#[test]
fn a_warmup_spreads_the_first_probes_of_any_of_5000_checks_that_stand_together() {
    let mut check = check("127.0.0.1:1".parse().expect("an address"), Duration::from_secs(10));
    check.config.policy.warmup = Some(Duration::from_secs(60));
    for (first, count) in [(0, 5_000), (4_900, 100), (17, 60)] {
        let mut seconds = vec![0; 60];
        for index in first..first + count {
            let at = spread(&check, index, 5_000);
            seconds[usize::try_from(at.as_secs()).expect("a few")] += 1;
        }
        let (least, most) = (seconds.iter().min(), seconds.iter().max());
        assert!(most.is_some_and(|most| *most <= count / 60 + 2), "{first}: {least:?} to {most:?}");
    }
    check.config.policy.warmup = Some(Duration::ZERO);
    assert_eq!(spread(&check, 17, 5_000), Duration::ZERO);
}

#[test]
fn successes_are_news_only_after_a_failure() {
    let (traffic, mut results) = mpsc::channel(TRAFFIC_MAX);
    let (suspended, _) = watch::channel(false);
    let line = Line { suspended, traffic, connector: watch::Sender::new(None), failing: AtomicBool::new(false) };
    let handle = Handle { checks: [line].into() };
    for ok in [true, true, false, false, true, true, false] {
        handle.traffic(ONLY, ok);
    }
    let told: Vec<bool> = std::iter::from_fn(|| results.try_recv().ok()).collect();
    assert_eq!(told, [false, false, true, false]);
    for _ in 0..1_000 {
        handle.traffic(ONLY, false);
    }
    assert_eq!(results.len(), 64, "no more wait than may");
}
