//! An allocator that counts, to prove that a path allocates nothing.
//!
//! Put it into a binary or a test and take the difference of [`thread_allocations`] around the path in
//! question:
//!
//! ```
//! use shingle_store::counting::{CountingAllocator, thread_allocations};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let before = thread_allocations();
//! let _boxed = std::hint::black_box(Box::new(1));
//! assert_eq!(thread_allocations() - before, 1);
//! ```
//!
//! An allocation costs two plain additions to the thread's own cells and one relaxed atomic addition on top
//! of the system's allocator, so it can always stay in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// The system's allocator, counted. Without it as `#[global_allocator]` every count of this module stays 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

/// How often this thread asked for memory: fresh allocations and changes of size alike; freeing does not
/// count.
pub fn thread_allocations() -> u64 {
    THREAD_ALLOCATIONS.get()
}

/// Bytes this thread asked for, over its life; a change of size counts its new size.
pub fn thread_allocated_bytes() -> u64 {
    THREAD_ALLOCATED_BYTES.get()
}

/// Bytes the whole process holds now, as asked for: what the allocator rounds up or keeps back is not in it.
/// 0 tells that the counting allocator is not installed.
pub fn process_allocated_bytes() -> usize {
    PROCESS_BYTES.load(Ordering::Relaxed)
}

thread_local! {
    // Const and without a destructor: the first use allocates nothing and registers nothing, so the allocator
    // itself may use them, at any time in a thread's life.
    static THREAD_ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static THREAD_ALLOCATED_BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Never wraps: a block is added before its owner has it and taken off by whoever frees it. Padded, as every
/// thread that allocates writes it.
static PROCESS_BYTES: CachePadded<AtomicUsize> = CachePadded::new(AtomicUsize::new(0));

/// Counts a block unless the system refused it, and passes it on.
fn counted(block: *mut u8, bytes: usize) -> *mut u8 {
    if !block.is_null() {
        THREAD_ALLOCATIONS.set(THREAD_ALLOCATIONS.get() + 1);
        THREAD_ALLOCATED_BYTES.set(THREAD_ALLOCATED_BYTES.get() + bytes as u64);
        PROCESS_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
    block
}

// SAFETY: every call goes to `System` with the caller's arguments unchanged, and what it returns is returned,
// so `System`'s guarantees hold; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is `System`'s.
        counted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is `System`'s.
        counted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the block came from `System` through this allocator with this layout, as the caller
        // promises.
        let moved = counted(unsafe { System.realloc(block, layout, new_size) }, new_size);
        if !moved.is_null() {
            PROCESS_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        PROCESS_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the block came from `System` through this allocator with this layout, as the caller
        // promises.
        unsafe { System.dealloc(block, layout) }
    }
}
