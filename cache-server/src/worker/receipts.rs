//! The receipt ring of a worker: the worker writes without waiting while the control plane reads.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use shingle_proto::limits::RECEIPT_BYTES;
use shingle_proto::wire::Receipt;

const WORDS: usize = RECEIPT_BYTES / size_of::<u64>();
type Slot = [AtomicU64; WORDS];

/// The newest receipts of one worker, numbered from 0 since its start. One thread writes, any number read.
///
/// A slot is four words that a reader may see half overwritten; it finds out by looking at the count of receipts again
/// (the idea of a sequence lock, with one sequence for all slots).
pub(crate) struct ReceiptRing {
    slots: Box<[Slot]>,
    /// Receipts written. The receipt of that number may be under way into its slot.
    written: AtomicU64,
}

impl ReceiptRing {
    /// Takes the memory for `capacity` receipts.
    pub(crate) fn new(capacity: usize) -> ReceiptRing {
        let slots = (0..capacity).map(|_| Slot::default()).collect();
        ReceiptRing { slots, written: AtomicU64::new(0) }
    }

    /// Adds a receipt over the oldest one. For the worker that owns the ring alone.
    pub(crate) fn push(&self, receipt: &Receipt) {
        let number = self.written.load(Ordering::Relaxed);
        // Who reads one of the words below also sees that `number` receipts were written (the count stored last time).
        fence(Ordering::Release);
        let bytes = receipt.to_bytes();
        for (word, bytes) in self.slot(number).iter().zip(bytes.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.written.store(number + 1, Ordering::Release);
    }

    /// Receipts written since the start.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Up to `count_max` receipts from number `first` on, and the number of the first one given: later than asked for
    /// where those before it were overwritten.
    pub(crate) fn read(&self, first: u64, count_max: usize) -> (u64, Vec<[u8; RECEIPT_BYTES]>) {
        let written = self.written.load(Ordering::Acquire);
        let first = first.max(self.oldest(written)).min(written);
        let last = written.min(first.saturating_add(count_max as u64));
        let mut receipts: Vec<_> = (first..last).map(|number| self.copy(number)).collect();
        // What was read above was written before this load, or the load tells that its slot was begun anew.
        fence(Ordering::Acquire);
        let overwritten = self.oldest(self.written.load(Ordering::Relaxed)).clamp(first, last) - first;
        receipts.drain(..overwritten as usize);
        (first + overwritten, receipts)
    }

    /// The oldest number whose slot is whole when `written` receipts were: the next one may be half in its slot.
    fn oldest(&self, written: u64) -> u64 {
        (written + 1).saturating_sub(self.slots.len() as u64)
    }

    fn copy(&self, number: u64) -> [u8; RECEIPT_BYTES] {
        let mut bytes = [0; RECEIPT_BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.slot(number)) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        bytes
    }

    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number % self.slots.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use shingle_proto::wire::Outcome;

    use super::*;

    /// Every field that can hold it tells the number, so that a mixture shows.
    fn receipt(number: u64) -> Receipt {
        let number32 = number as u32;
        Receipt {
            flow: number32,
            sequence: number32,
            attempt: 0,
            outcome: Outcome::Answered,
            answer_datagrams: 1,
            answer_bytes: number32,
            arrival_unix_us: number,
            residence_us: number32,
            port: 7400,
            gets: 1,
        }
    }

    fn check(first: u64, receipts: &[[u8; RECEIPT_BYTES]]) {
        for (number, bytes) in (first..).zip(receipts) {
            assert_eq!(Receipt::from_bytes(bytes), Some(receipt(number)));
        }
    }

    #[test]
    fn keeps_the_newest_and_says_where_they_begin() {
        let ring = ReceiptRing::new(8);
        assert_eq!(ring.read(5, 10), (0, vec![]));
        for number in 0..5 {
            ring.push(&receipt(number));
        }
        let (first, receipts) = ring.read(1, 3);
        assert_eq!((first, receipts.len()), (1, 3));
        check(first, &receipts);
        assert_eq!(ring.read(100, 3), (5, vec![]));
        for number in 5..30 {
            ring.push(&receipt(number));
        }
        // Seven of eight: the next receipt could be half in the eighth.
        let (first, receipts) = ring.read(0, 100);
        assert_eq!((first, receipts.len()), (23, 7));
        check(first, &receipts);
    }

    #[test]
    fn readers_beside_the_writer_never_see_a_mixture() {
        let (ring, done) = (ReceiptRing::new(64), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..200_000).for_each(|number| ring.push(&receipt(number)));
                done.store(true, Ordering::Release);
            });
            let mut next = 0;
            while !done.load(Ordering::Acquire) || next < 200_000 {
                let (first, receipts) = ring.read(next, 32);
                assert!(first >= next);
                check(first, &receipts);
                next = first + receipts.len() as u64;
            }
            assert_eq!(next, 200_000);
        });
    }
}
