use proptest::collection::vec;
use proptest::prelude::*;
use units::{AdminState, Bandwidth, Weight};

use super::*;
use crate::{Algorithm, PoolConfig};

const A: ServerIndex = ServerIndex(0);
const B: ServerIndex = ServerIndex(1);
/// Bytes a second of each link.
const MB: u64 = 1_000_000;

fn at(millis: u64) -> Instant {
    Instant::from_millis(1_000_000 + millis)
}

fn report(sent: u64, left: u64, requests: u32) -> LoadReport {
    LoadReport { sent, left, requests }
}

/// Two servers, each with a link of 1 MB a second, and their accounts.
fn two() -> (Gauges, Account, Account) {
    let server = |name: &str| ServerConfig {
        name: name.to_owned(),
        weight: Weight::ONE,
        max_in_flight: None,
        tier: 0,
        checked: true,
        admin: AdminState::Ready,
        class: None,
        zone: None,
        bandwidth: Some(Bandwidth(8 * MB)),
        sorry: false,
    };
    let config = PoolConfig {
        algorithm: Algorithm::Bandwidth,
        slow_start: Duration::ZERO,
        servers: vec![server("a"), server("b")],
        classes: Vec::new(),
        max_in_flight: None,
        quorum: crate::Quorum::default(),
        alpha: true,
    };
    (Gauges::new(&config), Account::new(MB), Account::new(MB))
}

/// How long the account has to wait, in milliseconds, and its rate.
fn settled(account: &Account, now: Instant) -> (u128, u64) {
    (account.free_at().since(now).as_millis(), account.rate())
}

#[test]
fn a_full_link_has_all_that_is_left_before_it() {
    let (mut gauges, account, _) = two();
    gauges.handle_report(A, report(5 * MB, 9 * MB, 3), &account, at(0));
    assert_eq!(settled(&account, at(0)), (9_000, MB), "the first report makes no rate, but has work");
    assert_eq!(gauges.rate_seen(A), None);
    gauges.handle_report(A, report(5 * MB + 1_600_000, 7 * MB, 3), &account, at(2_000));
    assert_eq!(gauges.rate_seen(A), Some(800_000), "four fifths");
    assert_eq!(settled(&account, at(2_000)), (7_000, MB));
}

#[test]
fn where_the_clients_are_the_limit_nothing_waits() {
    let (mut gauges, account, _) = two();
    gauges.handle_report(A, report(0, 90 * MB, 3), &account, at(0));
    gauges.handle_report(A, report(600_000, 89_400_000, 3), &account, at(2_000));
    assert_eq!(settled(&account, at(2_000)), (0, 700_000), "what is not used");
    // 790 kB a second of 3 requests: one more gets at least a fourth of the link.
    gauges.handle_report(A, report(600_000 + 1_580_000, 80 * MB, 3), &account, at(4_000));
    assert_eq!(settled(&account, at(4_000)), (0, 250_000));
    // A full link whose work is done in a moment is not waited for either.
    gauges.handle_report(A, report(2_180_000 + 2_000_000, 100_000, 9), &account, at(6_000));
    assert_eq!(settled(&account, at(6_000)), (0, 100_000));
}

#[test]
fn a_link_that_is_too_small_for_its_requests_is_found_out() {
    let (mut gauges, a, b) = two();
    for n in 0..=4u64 {
        let now = at(n * 2_000);
        // Four requests at B get 200 kB a second each; eight at A only 50 kB.
        gauges.handle_report(B, report(n * 1_600_000, 50 * MB, 4), &b, now);
        gauges.handle_report(A, report(n * 800_000, 50 * MB, 8), &a, now);
    }
    assert_eq!(gauges.capacity(B), MB);
    // Half the way from 1 MB to 400 kB, four times.
    assert_eq!(gauges.capacity(A), 437_500);
    assert_eq!(settled(&a, at(8_000)).0, 114_285, "50 MB");
    // The other traffic ends: more is seen.
    gauges.handle_report(A, report(3_200_000 + 1_800_000, 50 * MB, 8), &a, at(10_000));
    assert_eq!(gauges.capacity(A), 900_000);
    gauges.handle_report(A, report(5_000_000 + 4_000_000, 50 * MB, 8), &a, at(12_000));
    assert_eq!(gauges.capacity(A), MB, "never more than is configured");
}

#[test]
fn a_wrong_belief_heals_with_time() {
    let (mut gauges, a, b) = two();
    for n in 0..=9u64 {
        let now = at(n * 2_000);
        gauges.handle_report(B, report(n * 1_600_000, 50 * MB, 4), &b, now);
        gauges.handle_report(A, report(0, 50 * MB, 8), &a, now);
    }
    assert_eq!(gauges.capacity(A), MB / 64, "its least");
    // Nothing to do is no evidence: a tenth more each second.
    gauges.handle_report(A, report(0, 0, 0), &a, at(20_000));
    assert_eq!(gauges.capacity(A), 15_625 + 3_124);
    for n in 11..=34 {
        gauges.handle_report(A, report(0, 0, 0), &a, at(n * 2_000));
    }
    assert_eq!(gauges.capacity(A), MB, "after 50 s");
}

#[test]
fn few_requests_and_growing_ones_are_no_evidence() {
    let (mut gauges, a, b) = two();
    for n in 0..=3u64 {
        gauges.handle_report(B, report(n * 1_600_000, 50 * MB, 4), &b, at(n * 2_000));
        gauges.handle_report(A, report(n * 200_000, 50 * MB, 3), &a, at(n * 2_000));
    }
    assert_eq!(gauges.capacity(A), MB, "three clients may be slow");
    // Twice the requests bring twice the bytes: slow clients.
    gauges.handle_report(A, report(600_000, 50 * MB, 4), &a, at(8_000));
    gauges.handle_report(A, report(1_000_000, 50 * MB, 6), &a, at(10_000));
    assert_eq!(gauges.capacity(A), MB);
    // Half as many again bring nothing.
    gauges.handle_report(A, report(1_400_000, 50 * MB, 12), &a, at(12_000));
    assert_eq!(gauges.capacity(A), 600_000);
}

#[test]
fn a_server_alone_is_judged_by_its_own_past() {
    let (mut gauges, account, _) = two();
    gauges.handle_report(A, report(0, 50 * MB, 2), &account, at(0));
    gauges.handle_report(A, report(800_000, 50 * MB, 2), &account, at(2_000));
    gauges.handle_report(A, report(1_600_000, 50 * MB, 4), &account, at(4_000));
    gauges.handle_report(A, report(2_400_000, 50 * MB, 8), &account, at(6_000));
    assert_eq!(gauges.capacity(A), 700_000, "200 kB a second each, then 100 kB: half the way to 400 kB");
    // Five minutes later nobody knows what a request may get.
    let mut sent = 2_400_000;
    for n in 1..=160 {
        sent += 800_000;
        gauges.handle_report(A, report(sent, 50 * MB, 8), &account, at(6_000 + n * 2_000));
    }
    assert!(gauges.capacity(A) > 400_000, "{}", gauges.capacity(A));
}

#[test]
fn counters_that_go_back_and_reports_too_near_or_too_far_make_no_rate() {
    let (mut gauges, account, _) = two();
    gauges.handle_report(A, report(5 * MB, 0, 0), &account, at(0));
    gauges.handle_report(A, report(6 * MB, 0, 0), &account, at(1_000));
    assert_eq!(gauges.rate_seen(A), Some(MB));
    gauges.handle_report(A, report(7 * MB, 0, 0), &account, at(1_499));
    assert_eq!(gauges.rate_seen(A), Some(MB), "too near: the next is measured from the one before");
    gauges.handle_report(A, report(7 * MB, 0, 0), &account, at(3_000));
    assert_eq!(gauges.rate_seen(A), Some(MB / 2));
    gauges.handle_report(A, report(MB, 0, 0), &account, at(5_000));
    assert_eq!(gauges.rate_seen(A), None, "it began anew");
    gauges.handle_report(A, report(2 * MB, 0, 0), &account, at(7_000));
    assert_eq!(gauges.rate_seen(A), Some(MB / 2));
    gauges.handle_report(A, report(90 * MB, 0, 0), &account, at(37_001));
    assert_eq!(gauges.rate_seen(A), None, "half a minute ago");
}

#[test]
fn what_is_on_its_way_comes_on_top_of_what_is_left() {
    let (mut gauges, account, _) = two();
    account.promise(at(0), 4 * MB);
    gauges.handle_tick(A, &account, at(100));
    account.promise(at(110), MB);
    gauges.handle_report(A, report(0, 4 * MB, 1), &account, at(150));
    assert_eq!(settled(&account, at(150)), (5_000, MB));
    gauges.handle_tick(A, &account, at(350));
    account.promise(at(380), MB);
    // The last tick is so young that a client promised before it may still be on its way.
    gauges.handle_report(A, report(0, 4 * MB, 1), &account, at(390));
    assert_eq!(settled(&account, at(390)), (6_000, MB));
    // Nobody ticked for long: nothing is known of what is on its way.
    gauges.handle_report(A, report(1_250_000, 4 * MB, 1), &account, at(1_400));
    assert_eq!(settled(&account, at(1_400)), (4_000, MB));
}

#[test]
fn a_promise_counts_for_those_of_others_too() {
    let (mut gauges, account, _) = two();
    gauges.handle_tick(A, &account, at(0));
    gauges.handle_report(A, report(0, 10 * MB, 1), &account, at(60));
    account.promise(at(100), 5 * MB);
    account.take_back(3 * MB);
    gauges.handle_tick(A, &account, at(1_900));
    // 8 MB more than before reached it, 2 MB of them from here: a fourth.
    gauges.handle_report(A, report(2 * MB, 16 * MB, 4), &account, at(2_060));
    assert_eq!(settled(&account, at(2_060)), (16_000, MB / 4));
    account.promise(at(2_060), MB);
    assert_eq!(settled(&account, at(2_060)), (20_000, MB / 4));
    // Nothing of what comes is from here: no less than an eighth.
    for n in 1..=60u64 {
        gauges.handle_tick(A, &account, at(2_000 + n * 2_000));
        gauges.handle_report(A, report((1 + n) * 2 * MB, 16 * MB, 4), &account, at(2_060 + n * 2_000));
    }
    assert_eq!(account.rate(), MB / 8);
}

#[test]
fn the_clients_under_way_are_reported_and_promised() {
    let (mut gauges, account, _) = two();
    assert_eq!(gauges.handle_tick(A, &account, at(0)), 0);
    account.promise(at(10), 300_000);
    account.promise(at(10), 100_000);
    assert_eq!(gauges.handle_tick(A, &account, at(10)), 2, "400 kB of 200 kB each");
    assert_eq!(gauges.handle_tick(A, &account, at(211)), 1, "199 kB");
    assert_eq!(gauges.handle_tick(A, &account, at(410)), 0);

    gauges.handle_report(A, report(0, MB, 7), &account, at(500));
    assert_eq!(gauges.handle_tick(A, &account, at(500)), 7);
    // 200 kB each at 1 MB a second, as far as is known, and 50 ms to come: of forty in a second a fourth is there.
    (0..40).for_each(|_| account.promise(at(700), 200_000));
    gauges.handle_tick(A, &account, at(750));
    assert_eq!(gauges.handle_tick(A, &account, at(1_410)), 7 + 10);
    assert_eq!(gauges.handle_tick(A, &account, at(30_410)), 7 + 1, "never none while they may be there");
    let backlog = account.free_at().since(at(30_411)).as_millis();
    assert_eq!(backlog, 0);
    assert_eq!(gauges.handle_tick(A, &account, at(30_411)), 0, "a report that old says nothing");
}

#[test]
fn a_server_that_went_down_keeps_no_promise() {
    let (mut gauges, account, _) = two();
    account.promise(at(0), 90 * MB);
    gauges.handle_report(A, report(0, 90 * MB, 9), &account, at(0));
    gauges.handle_report(A, report(MB, 89 * MB, 9), &account, at(1_000));
    gauges.handle_down(A, &account, at(2_000));
    assert_eq!(settled(&account, at(2_000)), (0, MB));
    assert_eq!(gauges.rate_seen(A), None);
    assert_eq!(gauges.handle_tick(A, &account, at(2_000)), 0);
}

#[test]
fn who_is_not_in_the_pool_is_passed_over() {
    let (mut gauges, account, _) = two();
    let nobody = ServerIndex(2);
    gauges.handle_report(nobody, report(0, MB, 1), &account, at(0));
    gauges.handle_down(nobody, &account, at(0));
    assert_eq!(gauges.handle_tick(nobody, &account, at(0)), 0);
    assert_eq!((gauges.rate_seen(nobody), gauges.capacity(nobody)), (None, 0));
    assert_eq!(settled(&account, at(0)), (0, MB));
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0u64..10_000_000, any::<u64>()]
}

proptest! {
    /// Whatever an origin says: a belief stays between its bounds and a rate is never 0.
    #[test]
    fn no_report_breaks_an_account(
        events in vec((any::<bool>(), 0u64..5_000, numbers(), numbers(), any::<u32>(), 0u8..5), 1..60),
    ) {
        let (mut gauges, a, b) = two();
        let mut now = 0;
        for (of_a, later, sent, left, requests, kind) in events {
            now += later;
            let (server, account) = if of_a { (A, &a) } else { (B, &b) };
            match kind {
                0 => account.promise(at(now), sent),
                1 => { gauges.handle_tick(server, account, at(now)); }
                2 => account.take_back(left),
                3 if requests % 8 == 0 => gauges.handle_down(server, account, at(now)),
                _ => gauges.handle_report(server, report(sent, left, requests), account, at(now)),
            }
            prop_assert!(account.rate() > 0 && account.rate() <= MB);
            prop_assert!((15_625..=MB).contains(&gauges.capacity(server)));
        }
    }
}
