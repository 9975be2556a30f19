//! An allocator that counts while it is told to. While times are taken it costs one load of a flag that nobody writes, for
//! who allocates more would otherwise pay for being counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering::Relaxed};

pub struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every method hands its arguments to the system's allocator unchanged, and touches nothing but counters.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: what the caller promises is what System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

fn count(calls: u64, more: usize, less: usize) {
    if ON.load(Relaxed) {
        CALLS.fetch_add(calls, Relaxed);
        LIVE.fetch_add(more as isize - less as isize, Relaxed);
    }
}

/// Calls of the allocator that asked for memory, and octets that are still held, for a piece of work.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, u64, isize) {
    CALLS.store(0, Relaxed);
    LIVE.store(0, Relaxed);
    ON.store(true, Relaxed);
    let done = work();
    ON.store(false, Relaxed);
    (done, CALLS.load(Relaxed), LIVE.load(Relaxed))
}
