//! The bytes of a value: which item and which run they belong to, checked at the speed of a comparison.
//!
//! A value opens with a stamp (4 bytes for the item, 8 for the seed), then goes on with slices of one
//! pseudo-random block, a slice every 32 KiB, each from a place that depends on seed, item and slice. So a
//! value of another item or another run never passes, and a part put in the wrong place passes with a chance
//! of about 1 in 32,768. Values of less than 12 bytes hold the beginning of the stamp: up to 4 bytes tell
//! items apart as well as their length allows.

use super::random::mix64;

/// Bytes of the stamp.
const STAMP_BYTES: usize = 12;

/// Added to a difference this early.
const IN_STAMP: &str = " (inside the stamp: perhaps another item's value, or one of another seed)";

/// Bytes taken from one place of the block.
const SLICE_BYTES: usize = 32 << 10;

/// Pseudo-random bytes, the same in every run; small enough to stay in a core's second-level cache.
static BLOCK: [u8; 2 * SLICE_BYTES] = block();

/// Why an answer's bytes are not the value that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueMismatch {
    /// The length differs.
    #[error("item {item}: the value has {found_bytes} bytes where {expected_bytes} were stored")]
    Length {
        /// The item that was read.
        item: u32,
        /// Bytes stored.
        expected_bytes: usize,
        /// Bytes answered.
        found_bytes: usize,
    },
    /// A byte differs.
    #[error(
        "item {item}: byte {offset} is {found:#04x} where {expected:#04x} was stored{}",
        if *offset < STAMP_BYTES { IN_STAMP } else { "" }
    )]
    Content {
        /// The item that was read.
        item: u32,
        /// First byte that differs.
        offset: usize,
        /// That byte as stored.
        expected: u8,
        /// That byte as answered.
        found: u8,
    },
}

/// Generates and checks the bytes of values for one seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    seed: u64,
}

impl Content {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Writes the value of item `item`, whose length is `out`'s.
    pub(super) fn fill(&self, item: u32, out: &mut [u8]) {
        let mut at = 0;
        while at < out.len() {
            let length = part_bytes(at, out.len());
            self.with_part(item, at, length, |part| out[at..at + length].copy_from_slice(part));
            at += length;
        }
    }

    /// Compares `found` with the value of item `item` of length `expected_bytes`.
    pub(super) fn check(&self, item: u32, expected_bytes: usize, found: &[u8]) -> Result<(), ValueMismatch> {
        if found.len() != expected_bytes {
            return Err(ValueMismatch::Length { item, expected_bytes, found_bytes: found.len() });
        }
        let mut at = 0;
        while at < found.len() {
            let length = part_bytes(at, found.len());
            self.with_part(item, at, length, |part| compare(item, at, part, &found[at..at + length]))?;
            at += length;
        }
        Ok(())
    }

    /// Hands over the `length` bytes that belong at offset `at`, which is where a part begins.
    fn with_part<T>(&self, item: u32, at: usize, length: usize, use_it: impl FnOnce(&[u8]) -> T) -> T {
        if at == 0 {
            return use_it(&self.stamp(item)[..length]);
        }
        let slice = ((at - STAMP_BYTES) / SLICE_BYTES) as u64;
        let place = mix64(mix64(self.seed).wrapping_add((slice << 32) | u64::from(item)));
        let start = place as usize % SLICE_BYTES;
        use_it(&BLOCK[start..start + length])
    }

    /// Both halves are one-to-one (in the item, in the seed), so two stamps are equal only if both are.
    fn stamp(&self, item: u32) -> [u8; STAMP_BYTES] {
        let run = mix64(self.seed);
        let mut stamp = [0; STAMP_BYTES];
        stamp[..4].copy_from_slice(&mix32(item ^ run as u32).to_le_bytes());
        stamp[4..].copy_from_slice(&run.to_le_bytes());
        stamp
    }
}

/// Length of the part that begins at `at`: the stamp, or one slice.
fn part_bytes(at: usize, total: usize) -> usize {
    (if at == 0 { STAMP_BYTES } else { SLICE_BYTES }).min(total - at)
}

fn compare(item: u32, at: usize, expected: &[u8], found: &[u8]) -> Result<(), ValueMismatch> {
    if expected == found {
        return Ok(());
    }
    let i = expected.iter().zip(found).position(|(a, b)| a != b).expect("the parts differ");
    Err(ValueMismatch::Content { item, offset: at + i, expected: expected[i], found: found[i] })
}

/// A one-to-one mixing of 32 bits (the finaliser of MurmurHash3).
const fn mix32(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    let x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

const fn block() -> [u8; 2 * SLICE_BYTES] {
    let mut block = [0; 2 * SLICE_BYTES];
    let mut i = 0;
    while i < block.len() {
        block[i] = mix64(i as u64) as u8;
        i += 1;
    }
    block
}
