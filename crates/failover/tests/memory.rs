//! What the thread of adverts takes of memory, once all is as it stays: nothing.

#![allow(clippy::unwrap_used, reason = "what these tests build is right, or they fail")]

use std::fs;

use lab::{Host, SOON, wait_for};
use linux::CountedMemory;

use director::{active_and_backup, two, vip};

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "routers/director.rs"]
mod director;

#[global_allocator]
static MEMORY: CountedMemory = CountedMemory;

/// Threads of this process that send and hear adverts.
fn advert_threads() -> Vec<u32> {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let named = threads.filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "vrrp"));
    named.map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// Packets that the host's interface has sent.
fn sent(host: &Host) -> u64 {
    let devices = host.run(&["cat", "/proc/net/dev"]).text();
    let line = devices.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

#[test]
fn adverts_are_sent_and_heard_without_taking_memory() {
    let (_lab, one, other) = lab::require!(two("engine-memory"));
    let make = |priority| {
        let mut vip = vip("web", 51, priority, "10.0.0.100/32");
        vip.announce.again = None;
        vip
    };
    let (first, _second) = active_and_backup(&one, &other, make);
    first.wait_for("it is announced", |first| first.vip().announced == 5);
    let threads = advert_threads();
    assert_eq!(threads.len(), 2);
    let taken = || threads.iter().map(|&thread| CountedMemory::taken_by(thread)).sum::<u64>();
    // Asking for it takes some.
    first.report();
    let (before, from) = (taken(), sent(&one));
    wait_for(SOON, "many adverts are sent", || sent(&one) > from + 200);
    assert_eq!(taken(), before);
    first.report();
    assert!(taken() > before, "they are counted");
}
