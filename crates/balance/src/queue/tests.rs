use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const A: ServerIndex = ServerIndex(0);
const B: ServerIndex = ServerIndex(1);
const NOW: Instant = Instant::from_millis(1_000);
const LATER: Instant = Instant::from_millis(31_000);

#[test]
fn whoever_came_first_goes_first() {
    let mut queue = Queue::new(10);
    let wants = [None, Some(A), None, Some(B), Some(A)];
    let tickets = [0, 1, 2, 3, 4].map(|client| queue.push(NOW, LATER, wants[client], client as u64).expect("room"));
    assert_eq!(queue.len(), 5);
    assert_eq!(queue.len_for(A), 2);
    assert_eq!(queue.next_for(A, NOW), Some(tickets[0]));
    assert_eq!(queue.next_for(B, NOW), Some(tickets[2]));
    assert_eq!(queue.next_for(B, NOW), Some(tickets[3]));
    assert_eq!(queue.next_for(B, NOW), None);
    assert_eq!(queue.next_for(A, NOW), Some(tickets[1]));
    assert_eq!(queue.next_for(A, NOW), Some(tickets[4]));
    assert!(queue.is_empty());
}

#[test]
fn who_waits_for_one_server_can_be_let_in_alone() {
    let mut queue = Queue::new(10);
    let any = queue.push(NOW, LATER, None, 1).expect("room");
    queue.push(NOW, NOW, Some(A), 2).expect("room");
    let own = queue.push(NOW, LATER, Some(A), 3).expect("room");
    assert_eq!(queue.next_wanting(B, NOW), None);
    assert_eq!(queue.next_wanting(A, NOW), Some(own));
    assert_eq!(queue.next_wanting(A, NOW), None);
    assert_eq!((queue.len(), queue.next_for(A, NOW)), (1, Some(any)));
}

#[test]
fn who_waited_too_long_gets_nothing() {
    let mut queue = Queue::new(10);
    let late = queue.push(NOW, NOW + Duration::from_millis(5), None, 1).expect("room");
    let fresh = queue.push(NOW, LATER, Some(A), 2).expect("room");
    let now = NOW + Duration::from_millis(5);
    assert_eq!(queue.longest_wait(now), Some(Duration::from_millis(5)));
    assert_eq!(queue.next_for(A, now), Some(fresh));
    assert!(!queue.cancel(late), "dropped on the way");
    assert!(queue.is_empty());
    assert_eq!(queue.longest_wait(now), None);
}

#[test]
fn a_full_queue_takes_nobody_until_one_goes() {
    let mut queue = Queue::new(1);
    let first = queue.push(NOW, LATER, Some(B), 3).expect("room");
    assert_eq!(queue.push(NOW, LATER, None, 4), Err(QueueFull));
    assert!(queue.cancel(first));
    assert!(!queue.cancel(first));
    assert_eq!(queue.next_for(B, NOW), None);
    assert!(queue.push(NOW, LATER, None, 5).is_ok());
    assert_eq!(Queue::new(0).push(NOW, LATER, None, 6), Err(QueueFull));
}

#[test]
fn a_server_that_goes_leaves_its_waiters_their_places() {
    let mut queue = Queue::new(10);
    let first = queue.push(NOW, LATER, Some(A), 7).expect("room");
    let second = queue.push(NOW, LATER, None, 8).expect("room");
    queue.release(A);
    assert_eq!(queue.len_for(A), 0);
    assert_eq!(queue.next_for(B, NOW), Some(first));
    assert_eq!(queue.next_for(B, NOW), Some(second));
}

#[test]
fn a_clients_second_stands_behind_every_others_first() {
    let mut queue = Queue::new(10);
    let clients = [7, 7, 7, 8, 8, 9];
    let tickets = clients.map(|client| queue.push(NOW, LATER, None, client).expect("room"));
    let served: Vec<Ticket> = std::iter::from_fn(|| queue.next_for(A, NOW)).collect();
    assert_eq!(served, [0, 3, 5, 1, 4, 2].map(|place: usize| tickets[place]));
    assert!(queue.rounds.is_empty(), "nothing is kept of who no longer waits");
}

#[test]
fn who_comes_later_stands_in_the_round_that_is_served() {
    let mut queue = Queue::new(10);
    let greedy = [(); 4].map(|()| queue.push(NOW, LATER, None, 1).expect("room"));
    assert_eq!(queue.next_for(A, NOW), Some(greedy[0]));
    assert_eq!(queue.next_for(A, NOW), Some(greedy[1]));
    let late = queue.push(NOW, LATER, None, 2).expect("room");
    let fifth = queue.push(NOW, LATER, None, 1).expect("room");
    let served: Vec<Ticket> = std::iter::from_fn(|| queue.next_for(A, NOW)).collect();
    assert_eq!(served, [late, greedy[2], greedy[3], fifth]);
}

#[test]
fn who_gave_up_does_not_stand_farther_back_for_it() {
    let mut queue = Queue::new(10);
    let kept = queue.push(NOW, LATER, Some(A), 1).expect("room");
    for _ in 0..100 {
        let given_up = queue.push(NOW, LATER, Some(A), 1).expect("room");
        assert!(queue.cancel(given_up));
    }
    let second = queue.push(NOW, LATER, Some(A), 1).expect("room");
    let others = [(); 2].map(|()| queue.push(NOW, LATER, Some(A), 2).expect("room"));
    assert_eq!(queue.wanted().collect::<Vec<ServerIndex>>(), [A]);
    let served: Vec<Ticket> = std::iter::from_fn(|| queue.next_for(A, NOW)).collect();
    assert_eq!(served, [kept, others[0], second, others[1]]);
}

proptest! {
    /// Whoever comes and goes meanwhile: of two clients that wait all the time, none is served twice more than the other.
    #[test]
    fn clients_that_wait_are_served_alike(
        pushes in vec((0u64..3, 1usize..6), 1..40),
        greed in 2usize..6,
    ) {
        let mut queue = Queue::new(10_000);
        let mut owners = BTreeMap::new();
        let push = |queue: &mut Queue, owners: &mut BTreeMap<Ticket, u64>, client| {
            owners.insert(queue.push(NOW, LATER, None, client).expect("room"), client);
        };
        for _ in 0..1_000 {
            push(&mut queue, &mut owners, 100);
        }
        let mut served = BTreeMap::new();
        for (client, count) in pushes {
            push(&mut queue, &mut owners, 200);
            for _ in 0..greed {
                push(&mut queue, &mut owners, 200);
            }
            push(&mut queue, &mut owners, client);
            for _ in 0..count {
                let ticket = queue.next_for(A, NOW).expect("somebody waits");
                *served.entry(owners[&ticket]).or_insert(0i64) += 1;
                if !owners.iter().any(|(ticket, client)| *client == 200 && queue.waiting.contains_key(ticket)) {
                    push(&mut queue, &mut owners, 200);
                }
            }
            let difference = served.get(&100).unwrap_or(&0) - served.get(&200).unwrap_or(&0);
            prop_assert!((-2..=2).contains(&difference), "{served:?}");
        }
    }
}
