//! What is said of captures of the real keepalived. `captures/` has them as text: what was done, then a line for each frame, its
//! time in seconds and its bytes.

mod captures;

use captures::{Capture, timeline};

/// Milliseconds, packet and text of what is no routine.
fn assert_told(name: &str, expected: &[&str]) {
    let told = timeline(&Capture::read(name));
    let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(told, expected, "told:\n{}", told.join("\n"));
}

/// The others wait (256 - 100) / 256 × 100 ms.
#[test]
fn an_orderly_stop() {
    assert_told(
        "stop",
        &[
            "0.0 #1 active: 10.0.0.2 (priority 150) is active for 10.0.0.9, an advert each 100 ms",
            "424.6 #6 leaves: priority 0: 10.0.0.2 leaves; the others wait only their skew",
            "485.9 #7 takes-over: 10.0.0.2 has left and skew 60.938 ms is up: 10.0.0.3 (priority 100) takes over, \
             61.26 ms after it left",
            "486.9 #8 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, 0.983 ms after 10.0.0.3 \
             became active",
        ],
    );
}

/// The last advert is at 300.6 ms: missed are the ones at 400.6 and 500.6, each once the next one is due.
#[test]
fn a_death() {
    assert_told(
        "kill",
        &[
            "0.0 #1 active: 10.0.0.2 (priority 150) is active for 10.0.0.9, an advert each 100 ms",
            "500.6 #- missed: first advert of 10.0.0.2 missed",
            "600.6 #- missed: second advert of 10.0.0.2 missed",
            "661.8 #5 takes-over: third advert of 10.0.0.2 missed: 3 × 100 ms + skew 60.938 ms is up; 10.0.0.3 \
             (priority 100) takes over, 361.197 ms after that one's last",
            "663.6 #6 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, 1.86 ms after 10.0.0.3 became \
             active",
        ],
    );
}

#[test]
fn a_preemption() {
    assert_told(
        "preempt",
        &[
            "0.0 #1 active: 10.0.0.3 (priority 100) is active for 10.0.0.9, an advert each 100 ms",
            "477.1 #6 takes-over: 10.0.0.2 (priority 150) takes over from 10.0.0.3 (priority 100), which is lower; \
             10.0.0.3 gives way when it hears this: 10.0.0.2 has priority 150",
            "478.1 #7 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:02 now, 0.956 ms after 10.0.0.2 \
             became active",
        ],
    );
}

/// The lower one takes over though the capture has no silence, and gives way once it hears again.
#[test]
fn two_that_do_not_hear_each_other() {
    assert_told(
        "split",
        &[
            "0.0 #1 active: 10.0.0.2 (priority 150) is active for 10.0.0.9, an advert each 100 ms",
            "263.4 #4 two-active: two active routers: 10.0.0.3 (priority 100) sends adverts, though those of \
             10.0.0.2 (priority 150) are not missed; 10.0.0.2 stays active and answers at once when it hears this",
            "266.2 #5 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, 2.877 ms after 10.0.0.3 \
             became active",
            "301.2 #7 gives-way: 10.0.0.3 gives way when it hears this: 10.0.0.2 has priority 150",
            "368.8 #8 two-active: two active routers for 105.411 ms: 10.0.0.3 goes on and does not hear 10.0.0.2",
            "1073.7 #23 gives-way: 10.0.0.2 has heard another and answers at once; 10.0.0.3 gives way when it hears \
             this: 10.0.0.2 has priority 150",
            "1073.8 #24 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:02 now, and was at \
             02:00:00:00:00:03, 1.074 s after 10.0.0.2 became active",
            "1325.5 #- one-active: one active router again: 10.0.0.2 (priority 150); two were active for 909.496 ms",
        ],
    );
}

/// The greater address stays.
#[test]
fn equal_priorities() {
    assert_told(
        "equal",
        &[
            "0.0 #1 active: 10.0.0.3 (priority 100) is active for 10.0.0.9, an advert each 100 ms",
            "0.0 #2 two-active: two active routers: 10.0.0.2 (priority 100) sends adverts, though those of 10.0.0.3 \
             (priority 100) are not missed; 10.0.0.3 stays active and answers at once when it hears this; for \
             10.0.0.3: 10.0.0.2 has our priority: the greater address decides",
            "0.7 #3 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:02 now, 0.665 ms after 10.0.0.2 became \
             active",
            "0.7 #4 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, and was at 02:00:00:00:00:02, \
             0.697 ms after 10.0.0.3 became active",
            "0.7 #6 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:02 now, and was at 02:00:00:00:00:03, \
             0.738 ms after 10.0.0.2 became active",
            "100.9 #7 gives-way: 10.0.0.2 gives way when it hears this: 10.0.0.3 has the same priority and a greater \
             address; for 10.0.0.2: 10.0.0.3 has our priority: the greater address decides",
            "101.1 #8 two-active: two active routers for 101.081 ms: 10.0.0.2 goes on and does not hear 10.0.0.3",
            "1000.9 #25 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, and was at \
             02:00:00:00:00:02, 1.001 s after 10.0.0.3 became active",
            "1000.9 #26 conflict: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:02 now, and was at \
             02:00:00:00:00:03; that is 10.0.0.2, though 10.0.0.3 is active",
            "1000.9 #27 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, and was at \
             02:00:00:00:00:02, 1.001 s after 10.0.0.3 became active",
            "1000.9 #28 conflict: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:02 now, and was at \
             02:00:00:00:00:03; that is 10.0.0.2, though 10.0.0.3 is active",
            "1705.7 #45 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, and was at \
             02:00:00:00:00:02, 1.706 s after 10.0.0.3 became active",
            "1855.6 #- one-active: one active router again: 10.0.0.3 (priority 100); two were active for 1.705 s",
        ],
    );
}

/// Its skew is of a second, whatever the interval: (256 - 100) / 256 s.
#[test]
fn version_2_with_a_password() {
    assert_told(
        "pass",
        &[
            "0.0 #1 active: 10.0.0.2 (priority 150) is active for 10.0.0.9, an advert each 1 s",
            "2294.4 #4 leaves: priority 0: 10.0.0.2 leaves; the others wait only their skew",
            "2904.0 #5 takes-over: 10.0.0.2 has left and skew 609.375 ms is up: 10.0.0.3 (priority 100) takes over, \
             609.547 ms after it left",
            "2905.2 #6 announced: gratuitous ARP: 10.0.0.9 is at 02:00:00:00:00:03 now, 1.269 ms after 10.0.0.3 \
             became active",
        ],
    );
}

/// On a machine that was busy: the adverts of the other one were late, too.
#[test]
fn a_death_of_ipv6() {
    assert_told(
        "v6",
        &[
            "0.0 #1 announced: neighbour advertisement: fe80::9 is at 02:00:00:00:00:02 now",
            "0.0 #2 announced: neighbour advertisement: fd00::9 is at 02:00:00:00:00:02 now",
            "30.7 #5 active: fe80::ff:fe00:2 (priority 150) is active for fe80::9, fd00::9, an advert each 100 ms",
            "439.9 #- missed: first advert of fe80::ff:fe00:2 missed",
            "539.9 #- missed: second advert of fe80::ff:fe00:2 missed",
            "639.2 #- missed: third advert of fe80::ff:fe00:2 missed, 399.219 ms after its last: no backup waits \
             longer (3 × 100 ms + skew 99.219 ms)",
            "676.8 #8 takes-over: third advert of fe80::ff:fe00:2 missed: 3 × 100 ms + skew 60.938 ms is up; \
             fe80::ff:fe00:3 (priority 100) takes over, 436.842 ms after that one's last",
            "786.7 #9 announced: neighbour advertisement: fe80::9 is at 02:00:00:00:00:03 now, and was at \
             02:00:00:00:00:02, 109.87 ms after fe80::ff:fe00:3 became active",
            "786.7 #10 announced: neighbour advertisement: fd00::9 is at 02:00:00:00:00:03 now, and was at \
             02:00:00:00:00:02, 109.896 ms after fe80::ff:fe00:3 became active",
            "876.8 #- missed: first advert of fe80::ff:fe00:3 missed",
            "894.1 #13 back: fe80::ff:fe00:3 is heard again, 217.349 ms after its last advert",
            "1094.1 #- missed: first advert of fe80::ff:fe00:3 missed",
            "1194.1 #- missed: second advert of fe80::ff:fe00:3 missed",
            "1212.6 #14 back: fe80::ff:fe00:3 is heard again, 318.479 ms after its last advert",
            "1545.5 #16 late: an advert of fe80::ff:fe00:3 is 90.132 ms late, at an interval of 100 ms",
            "1702.0 #17 late: an advert of fe80::ff:fe00:3 is 56.491 ms late, at an interval of 100 ms",
        ],
    );
}
