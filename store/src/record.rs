//! A record: header, key and value in one run of bytes, as they lie in the arena.
//!
//! ```text
//! 0  flags: 1 read, 2 has an expiry, 4 long    the one byte that changes: readers set "read"
//! 1  length of the key
//! 2  version less the store's first, 48 bits
//! 8  length of the value, 16 bits, or 32 if long
//!    expiry, 32 bits, if there is one
//!    key, value
//! ```
//! Numbers are little-endian and records begin at any byte: nothing is lost to alignment.

use std::marker::PhantomData;
use std::slice;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::expiry::{Expiry, Seconds};
use crate::limits::KEY_BYTES_MAX;

const READ: u8 = 1;
const EXPIRES: u8 = 2;
const LONG: u8 = 4;

/// Longest header: long, with an expiry.
const HEADER_BYTES_MAX: usize = 16;

/// Versions stored are less than 2^48 above the store's first: 89 years at 100,000 updates a second.
pub(crate) const VERSION_BITS: u32 = 48;

/// Bytes of the largest record with values up to this size.
pub(crate) fn largest_bytes(value_bytes_max: usize) -> usize {
    value_bytes_max.saturating_add(HEADER_BYTES_MAX + KEY_BYTES_MAX)
}

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'p> {
    pub(crate) key: &'p [u8],
    pub(crate) value: &'p [u8],
    pub(crate) version: u64,
    pub(crate) expiry: Expiry,
    pub(crate) read: bool,
}

impl Parts<'_> {
    /// Bytes of the record.
    pub(crate) fn bytes(&self) -> usize {
        self.header_bytes() + self.key.len() + self.value.len()
    }

    fn flags(&self) -> u8 {
        let long = if self.value.len() > usize::from(u16::MAX) { LONG } else { 0 };
        let expires = if self.expiry == Expiry::NEVER { 0 } else { EXPIRES };
        long | expires | u8::from(self.read)
    }

    fn header_bytes(&self) -> usize {
        header_bytes(self.flags())
    }

    /// Writes the record.
    ///
    /// # Safety
    /// The [`Parts::bytes`] from `to` on are the caller's alone.
    pub(crate) unsafe fn write(&self, to: *mut u8) {
        let mut header = [0; HEADER_BYTES_MAX];
        header[0] = self.flags();
        header[1] = self.key.len() as u8;
        header[2..8].copy_from_slice(&self.version.to_le_bytes()[..6]);
        header[8..12].copy_from_slice(&(self.value.len() as u32).to_le_bytes());
        let length_end = if header[0] & LONG == 0 { 10 } else { 12 };
        header[length_end..length_end + 4].copy_from_slice(&self.expiry.0.to_le_bytes());
        let header_bytes = self.header_bytes();
        // SAFETY: the three runs are next to each other and as long as `bytes` says; the sources are other
        // memory, as nobody else refers to the target.
        unsafe {
            to.copy_from_nonoverlapping(header.as_ptr(), header_bytes);
            let key = to.add(header_bytes);
            key.copy_from_nonoverlapping(self.key.as_ptr(), self.key.len());
            key.add(self.key.len()).copy_from_nonoverlapping(self.value.as_ptr(), self.value.len());
        }
    }
}

const fn header_bytes(flags: u8) -> usize {
    10 + if flags & LONG == 0 { 0 } else { 2 } + if flags & EXPIRES == 0 { 0 } else { 4 }
}

/// A whole record in the arena.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    at: *const u8,
    arena: PhantomData<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// # Safety
    /// At `at` there is a record, written before what led the caller here (an Acquire load of its slot, or
    /// the writers' mutex), and its memory is not used for anything else during `'a`.
    #[inline]
    pub(crate) unsafe fn at(at: *const u8) -> Self {
        Record { at, arena: PhantomData }
    }

    #[inline]
    pub(crate) fn key(self) -> &'a [u8] {
        // SAFETY: within the record, whose bytes after the flags nobody writes during `'a`.
        unsafe { slice::from_raw_parts(self.at.add(self.header_bytes()), self.key_bytes()) }
    }

    #[inline]
    pub(crate) fn value(self) -> &'a [u8] {
        let start = self.header_bytes() + self.key_bytes();
        // SAFETY: as in `key`.
        unsafe { slice::from_raw_parts(self.at.add(start), self.value_bytes()) }
    }

    /// Less the store's first version.
    #[inline]
    pub(crate) fn version(self) -> u64 {
        let [a, b, c, d, e, f] = self.field::<6>(2);
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    #[inline]
    pub(crate) fn expiry(self) -> Expiry {
        let flags = self.flags();
        if flags & EXPIRES == 0 {
            return Expiry::NEVER;
        }
        Expiry(u32::from_le_bytes(self.field(header_bytes(flags) - 4)))
    }

    #[inline]
    pub(crate) fn is_expired(self, now: Seconds) -> bool {
        self.expiry().is_past(now)
    }

    /// Bytes of the whole record.
    #[inline]
    pub(crate) fn bytes(self) -> usize {
        self.header_bytes() + self.key_bytes() + self.value_bytes()
    }

    /// Whether a reader found it since it was written.
    pub(crate) fn was_read(self) -> bool {
        self.flags() & READ != 0
    }

    /// Looks before it writes: a record read often would otherwise bounce between the CPUs that read it.
    #[inline]
    pub(crate) fn mark_read(self) {
        let flags = self.flags();
        if flags & READ == 0 {
            // Relaxed: a hint to the writer that publishes nothing. All who write it write the same.
            self.flags_cell().store(flags | READ, Ordering::Relaxed);
        }
    }

    /// Copies the record, with another mark, to a place of the same size.
    ///
    /// # Safety
    /// The [`Record::bytes`] from `to` on are the caller's alone.
    pub(crate) unsafe fn copy_to(self, to: *mut u8, read: bool) {
        let flags = self.flags() & !READ | u8::from(read);
        // SAFETY: source and target are apart, as the target is the caller's alone. The flags, which readers
        // may write meanwhile, are not part of the plain copy.
        unsafe {
            to.write(flags);
            to.add(1).copy_from_nonoverlapping(self.at.add(1), self.bytes() - 1);
        }
    }

    #[inline]
    fn key_bytes(self) -> usize {
        usize::from(self.field::<1>(1)[0])
    }

    #[inline]
    fn value_bytes(self) -> usize {
        if self.flags() & LONG == 0 {
            usize::from(u16::from_le_bytes(self.field(8)))
        } else {
            u32::from_le_bytes(self.field(8)) as usize
        }
    }

    #[inline]
    fn header_bytes(self) -> usize {
        header_bytes(self.flags())
    }

    /// Relaxed: all but the mark was written before the record was published and stays.
    #[inline]
    fn flags(self) -> u8 {
        self.flags_cell().load(Ordering::Relaxed)
    }

    #[inline]
    fn flags_cell(self) -> &'a AtomicU8 {
        // SAFETY: the first byte of a record is only ever used as an atomic once it is published; a byte has
        // no alignment, and the arena is writable.
        unsafe { AtomicU8::from_ptr(self.at.cast_mut()) }
    }

    #[inline]
    fn field<const N: usize>(self, offset: usize) -> [u8; N] {
        // SAFETY: callers keep to the header, which nobody writes but for its first byte; arrays of bytes
        // have no alignment.
        unsafe { self.at.add(offset).cast::<[u8; N]>().read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expiry::Ttl;

    #[test]
    fn every_field_comes_back_at_every_length_and_after_a_copy() {
        let long_key = [7u8; KEY_BYTES_MAX];
        let long_value = vec![9u8; 70_000];
        for key in [&b"k"[..], b"key", &long_key] {
            for value in [&b""[..], b"value", &long_value[..65_535], &long_value[..65_536], &long_value] {
                for (expiry, version) in
                    [(Expiry::NEVER, 0), (Expiry::new(Ttl(5), Seconds(9)), (1 << 48) - 1)]
                {
                    let parts = Parts { key, value, version, expiry, read: false };
                    let mut bytes = vec![0xaa; 2 * parts.bytes() + 1];
                    let to = bytes.as_mut_ptr();
                    // SAFETY: both records fit into the buffer, which nobody else has.
                    let (first, second) = unsafe {
                        parts.write(to);
                        let first = Record::at(to);
                        first.mark_read();
                        first.copy_to(to.add(parts.bytes()), false);
                        (first, Record::at(to.add(parts.bytes())))
                    };
                    assert!(first.was_read() && !second.was_read());
                    for record in [first, second] {
                        assert_eq!((record.key(), record.value()), (key, value));
                        assert_eq!((record.version(), record.expiry()), (version, expiry));
                        assert_eq!(record.bytes(), parts.bytes());
                        assert!(parts.bytes() <= largest_bytes(value.len()));
                    }
                    assert_eq!(bytes[2 * parts.bytes()], 0xaa, "not a byte too far");
                }
            }
        }
    }

    #[test]
    fn the_header_is_as_short_as_promised() {
        let bytes = |value: &[u8], ttl| {
            let expiry = Expiry::new(ttl, Seconds(0));
            Parts { key: b"k", value, version: 0, expiry, read: false }.bytes() - 1 - value.len()
        };
        assert_eq!((bytes(&[0; 100], Ttl::NEVER), bytes(&[0; 100], Ttl(1))), (10, 14));
        assert_eq!((bytes(&[0; 65_536], Ttl::NEVER), bytes(&[0; 65_536], Ttl(1))), (12, 16));
    }
}
