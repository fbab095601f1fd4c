//! What has been promised of the credit (`PROTOCOL.md`, section 4.2). The first datagram is always allowed.

use super::terms::Terms;
use crate::chunk::Range;
use crate::limits::CHUNK_BYTES;

/// The books of one answer while it is planned.
pub(super) struct Budget {
    datagram_bytes: usize,
    credit_bytes: usize,
    prefix_bytes: usize,
    levels: bool,
    /// Datagrams so far.
    pub(super) datagrams: u32,
    /// Bytes of all datagrams so far.
    pub(super) spent: usize,
    /// Of these, the datagram that packed frames go into; 0: none yet.
    open: usize,
}

impl Budget {
    #[inline]
    pub(super) const fn new(terms: &Terms, prefix_bytes: usize) -> Self {
        Budget {
            datagram_bytes: terms.datagram_bytes,
            credit_bytes: terms.credit_bytes,
            prefix_bytes,
            levels: terms.levels,
            datagrams: 0,
            spent: 0,
            open: 0,
        }
    }

    /// Packs a frame of this length into the open datagram, or into a new one.
    #[inline]
    pub(super) fn pack(&mut self, frame_bytes: usize) -> bool {
        let joins = self.open > 0 && self.open + frame_bytes <= self.datagram_bytes;
        let bytes = if joins { frame_bytes } else { self.prefix_bytes + frame_bytes };
        let only_one = joins && self.open == self.spent;
        if !only_one && !self.affords(bytes) {
            return false;
        }
        self.open = if joins { self.open + bytes } else { bytes };
        self.datagrams += u32::from(!joins);
        self.spent += bytes;
        true
    }

    /// Takes one more chunk.
    #[inline]
    pub(super) fn chunk(&mut self, chunk: Range) -> bool {
        self.chunks(1, chunk.length)
    }

    /// Takes this many more chunks of so many bytes together, or none.
    #[inline]
    pub(super) fn chunks(&mut self, count: u32, chunk_bytes: u32) -> bool {
        let bytes = count as usize * (self.prefix_bytes + CHUNK_BYTES) + chunk_bytes as usize;
        let fits = self.affords(bytes);
        if fits {
            self.datagrams += count;
            self.spent += bytes;
        }
        fits
    }

    /// Takes padding for a datagram that was taken already.
    #[inline]
    pub(super) fn pad(&mut self, bytes: usize) -> bool {
        let fits = self.levels && self.affords(bytes);
        if fits {
            self.spent += bytes;
        }
        fits
    }

    #[inline]
    const fn affords(&self, bytes: usize) -> bool {
        self.spent == 0 || self.spent + bytes <= self.credit_bytes
    }
}
