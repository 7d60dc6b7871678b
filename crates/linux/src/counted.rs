use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rustix::thread::gettid;

/// Threads that are told apart, as long as their numbers follow each other.
const THREADS: usize = 4096;

static COUNTS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];

/// The system's memory, which counts how often each thread takes some: for tests of what is to take none.
#[derive(Debug)]
pub struct CountedMemory;

impl CountedMemory {
    /// How often a thread of this process has taken memory, by the number that the kernel knows it by.
    pub fn taken_by(thread: u32) -> u64 {
        COUNTS[thread as usize % THREADS].load(Relaxed)
    }
}

fn count() {
    COUNTS[gettid().as_raw_nonzero().get() as usize % THREADS].fetch_add(1, Relaxed);
}

// SAFETY: all is done by the system's allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for CountedMemory {
    // SAFETY: as the trait asks it of the caller.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: as the trait asks it of the caller.
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the same contract, and the system's allocator gave the place.
        unsafe { System.dealloc(place, layout) }
    }

    // SAFETY: as the trait asks it of the caller.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the same contract, and the system's allocator gave the place.
        unsafe { System.realloc(place, layout, size) }
    }
}
