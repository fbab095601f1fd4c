//! How far one answer goes: credit counts datagrams with their headers, values are counted without.

use core::ops::Range as Span;

use crate::chunk::Range;
use crate::limits::{ANSWER_HEADER_BYTES, CHUNK_BYTES, COOKIE_FRAME_BYTES, RANGES_MAX, TELEMETRY_BYTES};

/// Most bytes of a datagram beside its chunk.
const OVERHEAD_BYTES_MAX: u32 =
    (ANSWER_HEADER_BYTES + TELEMETRY_BYTES + COOKIE_FRAME_BYTES + CHUNK_BYTES) as u32;

/// End of what a server sends in answer to a GET alone in its datagram, judged by one chunk of it: whole datagrams as far
/// as the credit goes, and always one.
pub(crate) fn window_end(chunk: Span<u32>, total: u32, datagram_bytes: u32, credit: u32) -> u32 {
    let chunk_bytes = chunk.end - chunk.start;
    let overhead = datagram_bytes - chunk_bytes;
    // 64 bits: a server that sends tiny chunks in large datagrams makes large numbers, not a panic.
    let answer_bytes = u64::from(total) + u64::from(total.div_ceil(chunk_bytes)) * u64::from(overhead);
    if chunk.end == total || answer_bytes <= u64::from(credit) {
        return total;
    }
    ((credit / datagram_bytes).max(1) * chunk_bytes).clamp(chunk.end, total)
}

/// The ranges to ask for next and how many bytes of the value they cover together.
pub(crate) struct Plan {
    ranges: [Range; RANGES_MAX],
    count: usize,
    datagrams: u32,
}

impl Plan {
    /// Takes `gaps` in order as far as `credit` allows for datagrams of `datagram_bytes`; always one chunk.
    pub(crate) fn new(gaps: impl Iterator<Item = Span<u32>>, datagram_bytes: u32, credit: u32) -> Self {
        let mut plan = Self { ranges: [Range { offset: 0, length: 0 }; RANGES_MAX], count: 0, datagrams: 0 };
        let capacity = datagram_bytes - OVERHEAD_BYTES_MAX;
        let mut datagrams = (credit / datagram_bytes).max(1);
        for gap in gaps.take(RANGES_MAX) {
            let length = (gap.end - gap.start).min(datagrams.saturating_mul(capacity));
            if length == 0 {
                break;
            }
            datagrams -= length.div_ceil(capacity);
            plan.datagrams += length.div_ceil(capacity);
            plan.ranges[plan.count] = Range { offset: gap.start, length };
            plan.count += 1;
        }
        plan
    }

    /// The ranges, rising and apart.
    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges[..self.count]
    }

    /// Datagrams of the answer, at most.
    pub(crate) fn datagrams(&self) -> u32 {
        self.datagrams
    }

    /// End of the last range.
    pub(crate) fn end(&self) -> u32 {
        self.ranges().last().map_or(0, |range| range.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_what_the_credit_pays_for() {
        // 1000 B chunks in 1040 B datagrams, credit for ten of them.
        assert_eq!(window_end(3000..4000, 50_000, 1040, 10_400), 10_000);
        assert_eq!(window_end(0..1000, 50_000, 1040, 10_399), 9_000);
        assert_eq!(window_end(0..1000, 50_000, 1040, 0), 1_000, "one datagram is always sent");
        assert_eq!(window_end(12_000..13_000, 50_000, 1040, 10_400), 13_000, "the server was more generous");
        assert_eq!(
            window_end(0..1000, 9_500, 1040, 9_900),
            9_500,
            "a shorter last chunk fits where a full one would not"
        );
        assert_eq!(window_end(0..1, 16 << 20, 65_507, 256 << 10), 4, "1 B chunks in padded datagrams");
        assert_eq!(window_end(49_000..50_000, 50_000, 1040, 10_400), 50_000, "the last chunk was sent");
    }

    #[test]
    fn a_plan_pays_whole_datagrams_for_each_range() {
        let capacity = 1200 - OVERHEAD_BYTES_MAX;
        let gaps = || [0..10, 100..101, 5_000..50_000].into_iter();
        let plan = Plan::new(gaps(), 1200, 6_000);
        assert_eq!(plan.ranges().len(), 3);
        assert_eq!(plan.end(), 5_000 + 3 * capacity, "two of five datagrams went to the small gaps");
        assert_eq!(
            Plan::new(gaps(), 1200, 1).ranges(),
            [Range { offset: 0, length: 10 }],
            "always one chunk"
        );
        let many = (0..100).map(|i| i * 10..i * 10 + 1);
        assert_eq!(Plan::new(many, 1200, 256 << 10).ranges().len(), RANGES_MAX);
    }
}
