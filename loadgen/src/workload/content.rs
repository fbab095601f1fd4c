//! The bytes of a value: which item and which run they belong to, checked at the speed of a comparison.
//!
//! A value opens with a stamp (4 bytes for the item, 8 for the seed), then goes on with slices of one
//! block, a slice every 32 KiB, each from a place that depends on seed, item and slice. So a
//! value of another item or another run never passes, and a part put in the wrong place passes with a chance
//! of about 1 in 32,768. Values of less than 12 bytes hold the beginning of the stamp: up to 4 bytes tell
//! items apart as well as their length allows.
//!
//! The block is pseudo-random, which nothing compresses, or text as metadata of objects is, which compresses as such metadata does.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::LazyLock;

use super::error::WorkloadError;
use super::random::mix64;

/// What the bytes of values are like: it matters to whoever compresses them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentSpec {
    /// Pseudo-random bytes.
    #[default]
    Noise,
    /// Records of object metadata as JSON: the same names over and over, with identifiers and times between them.
    Metadata,
}

impl fmt::Display for ContentSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noise => "noise",
            Self::Metadata => "metadata",
        })
    }
}

impl FromStr for ContentSpec {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        [Self::Noise, Self::Metadata]
            .into_iter()
            .find(|spec| spec.to_string() == text)
            .ok_or_else(|| WorkloadError::invalid("--content", text, "give noise or metadata"))
    }
}

/// Bytes of the stamp.
const STAMP_BYTES: usize = 12;

/// Added to a difference this early.
const IN_STAMP: &str = " (inside the stamp: perhaps another item's value, or one of another seed)";

/// Bytes taken from one place of the block.
const SLICE_BYTES: usize = 32 << 10;

/// Bytes of a block; small enough to stay in a core's second-level cache.
const BLOCK_BYTES: usize = 2 * SLICE_BYTES;

/// Pseudo-random bytes, the same in every run.
static NOISE: [u8; BLOCK_BYTES] = noise();

/// Text, the same in every run.
static METADATA: LazyLock<Vec<u8>> = LazyLock::new(metadata);

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
    block: &'static [u8],
}

impl Content {
    pub(super) fn new(seed: u64, spec: ContentSpec) -> Self {
        let block = match spec {
            ContentSpec::Noise => &NOISE[..],
            ContentSpec::Metadata => &METADATA[..],
        };
        Self { seed, block }
    }

    /// The same seed with other bytes.
    pub(super) fn with(self, spec: ContentSpec) -> Self {
        Self::new(self.seed, spec)
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
        use_it(&self.block[start..start + length])
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

/// Records of some 330 bytes, no two alike.
fn metadata() -> Vec<u8> {
    const CLASSES: [&str; 4] = ["standard", "infrequent-access", "archive", "standard"];
    let mut text = String::with_capacity(BLOCK_BYTES + 400);
    for record in 0.. {
        if text.len() >= BLOCK_BYTES {
            break;
        }
        let [id, etag_high, etag_low, times, places] =
            [1, 2, 3, 4, 5].map(|field: u64| mix64(record * 8 + field));
        write!(
            text,
            "{{\"bucket\":\"tenant-{:04x}\",\"key\":\"objects/{:02x}/{:012x}\",\"version\":{record},\"size\":{},\"etag\":\"{etag_high:016x}{etag_low:016x}\",\
             \"created\":{},\"modified\":{},\"class\":\"{}\",\"encryption\":\"aes256\",\"owner\":\"{:08x}\",\
             \"replicas\":[\"cell-{:02}/disk-{:03}\",\"cell-{:02}/disk-{:03}\",\"cell-{:02}/disk-{:03}\"],\"deleted\":false}}",
            id >> 56,
            id & 0xFF,
            id >> 16,
            times % 10_000_000,
            1_700_000_000 + times % 50_000_000,
            1_700_000_000 + times % 60_000_000,
            CLASSES[(places % 4) as usize],
            id as u32,
            places >> 8 & 31,
            places >> 16 & 255,
            places >> 24 & 31,
            places >> 32 & 255,
            places >> 40 & 31,
            places >> 48 & 255,
        )
        .expect("writing into a string cannot fail");
    }
    text.truncate(BLOCK_BYTES);
    text.into_bytes()
}

const fn noise() -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut i = 0;
    while i < block.len() {
        block[i] = mix64(i as u64) as u8;
        i += 1;
    }
    block
}

#[cfg(test)]
mod tests {
    use shingle_proto::seal;

    use super::*;

    fn sealed_share(spec: ContentSpec, bytes: usize) -> f64 {
        let content = Content::new(1, spec);
        let items = 0..200;
        let sealed: usize = items
            .clone()
            .map(|item| {
                let mut value = vec![0; bytes];
                content.fill(item, &mut value);
                content.check(item, bytes, &value).expect("the same bytes again");
                seal::compress(b"key", &value).map_or(bytes, |sealed| sealed.len())
            })
            .sum();
        sealed as f64 / (bytes * items.len()) as f64
    }

    #[test]
    fn metadata_compresses_and_noise_does_not() {
        assert_eq!(sealed_share(ContentSpec::Noise, 1500), 1.0);
        let shares = [400, 1500, 4000].map(|bytes| sealed_share(ContentSpec::Metadata, bytes));
        assert!(shares[0] > shares[1] && shares[1] > shares[2], "{shares:?}");
        assert!((0.4..0.8).contains(&shares[1]), "{shares:?}");
    }

    #[test]
    fn text_of_another_item_or_place_does_not_pass() {
        let content = Content::new(1, ContentSpec::Metadata);
        let mut value = vec![0; 100_000];
        content.fill(3, &mut value);
        assert!(content.check(4, value.len(), &value).is_err());
        let (stamp, slices) = value.split_at_mut(STAMP_BYTES);
        assert_eq!(stamp.len(), STAMP_BYTES);
        slices[..2 * SLICE_BYTES].rotate_left(SLICE_BYTES);
        assert!(content.check(3, value.len(), &value).is_err());
    }

    #[test]
    fn names_are_read_back() {
        for spec in [ContentSpec::Noise, ContentSpec::Metadata] {
            assert_eq!(spec.to_string().parse::<ContentSpec>().expect("its own name"), spec);
        }
        assert!("text".parse::<ContentSpec>().unwrap_err().to_string().contains("metadata"));
    }
}
