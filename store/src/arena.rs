//! The one piece of memory that holds every record and the index: anonymous, mapped once, backed by the
//! kernel as it is first touched.

use std::io;
use std::ptr::{self, NonNull};

/// A huge page of x86-64 and of arm64 with pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A mapping, all zero at first. What lies where, and who may touch it when, is its owner's to know.
pub(crate) struct Arena {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; `Arena` itself hands out addresses only.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps `bytes`, beginning on a huge page where they fill one, and asks for huge pages: with records
    /// spread over gigabytes, a look-up would otherwise miss the TLB three times.
    ///
    /// # Errors
    /// What mmap(2) says, `ENOMEM` mostly.
    pub(crate) fn new(bytes: usize) -> io::Result<Arena> {
        let slack = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { 0 };
        let mapped = map(bytes + slack)?;
        let head = mapped.align_offset(if slack == 0 { 1 } else { HUGE_PAGE_BYTES });
        // SAFETY: `head` is less than `slack`, so both ends that are given back lie within the mapping, and
        // nobody has seen them. The addresses are pages, as mmap's and huge pages are; munmap rounds the
        // length of the tail up to what mmap rounded up.
        let base = unsafe {
            let base = mapped.add(head);
            unmap(mapped, head);
            let kept = bytes.next_multiple_of(page_bytes());
            unmap(base.add(kept), (bytes + slack).next_multiple_of(page_bytes()) - head - kept);
            // A kernel without huge pages refuses, and all works without them.
            libc::madvise(base.cast(), kept, libc::MADV_HUGEPAGE);
            base
        };
        Ok(Arena { base: NonNull::new(base).expect("mmap gives no null without MAP_FIXED"), bytes })
    }

    /// The address of a byte, or of the end.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.bytes);
        // SAFETY: offsets come from segments and blocks, which were cut out of these bytes; the mapping is
        // one allocated object below isize::MAX.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and whoever borrows from it borrows the store that owns it.
        unsafe { unmap(self.base.as_ptr(), self.bytes) }
    }
}

fn map(bytes: usize) -> io::Result<*mut u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new private mapping at an address of the kernel's choice touches no memory of ours.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address.cast()) }
}

/// # Safety
/// The bytes are mapped, begin on a page, and nobody uses them any more.
unsafe fn unmap(address: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: as the caller promises. It fails only where the kernel is out of mappings; then the memory
        // stays mapped and unused.
        unsafe { libc::munmap(address.cast(), bytes) };
    }
}

fn page_bytes() -> usize {
    // SAFETY: sysconf(3) reads a constant of the system.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_any_size_are_zero_and_writable_to_the_last_byte() {
        for bytes in [1, 4096, 4097, HUGE_PAGE_BYTES - 1, HUGE_PAGE_BYTES, 3 * HUGE_PAGE_BYTES + 5] {
            let arena = Arena::new(bytes).unwrap();
            // SAFETY: the whole mapping, and nobody else has it.
            let all = unsafe { std::slice::from_raw_parts_mut(arena.at(0), bytes) };
            assert!(all.iter().all(|byte| *byte == 0));
            all[bytes - 1] = 1;
            assert!(bytes < HUGE_PAGE_BYTES || arena.at(0).addr().is_multiple_of(HUGE_PAGE_BYTES));
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        assert!(Arena::new(1 << 60).is_err());
    }
}
