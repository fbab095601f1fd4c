//! A set of reads, of which receipts by the hundred thousand are asked whether they are in it, and few are: a filter says no to most.

use super::Loss;

/// Bits a read: one in so many others gets past the filter.
const BITS_A_READ: usize = 16;

/// Reads by flow and sequence.
pub(super) struct ReadSet {
    reads: Vec<(u32, u32)>,
    /// A bit for each read, at a place that its name hashes to. As many bits as a power of two.
    filter: Vec<u64>,
}

impl ReadSet {
    pub(super) fn of<'a>(losses: impl Iterator<Item = &'a Loss>) -> Self {
        let mut reads: Vec<_> = losses.map(|loss| (loss.flow, loss.sequence)).collect();
        reads.sort_unstable();
        reads.dedup();
        let words = (reads.len() * BITS_A_READ / 64 + 1).next_power_of_two();
        let mut set = Self { reads, filter: vec![0; words] };
        for index in 0..set.reads.len() {
            let (word, bit) = set.place(set.reads[index]);
            set.filter[word] |= bit;
        }
        set
    }

    pub(super) fn contains(&self, read: (u32, u32)) -> bool {
        let (word, bit) = self.place(read);
        self.filter[word] & bit != 0 && self.reads.binary_search(&read).is_ok()
    }

    /// The word and the bit of a read, by Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    fn place(&self, (flow, sequence): (u32, u32)) -> (usize, u64) {
        let name = u64::from(flow) << 32 | u64::from(sequence);
        let hash = name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 26;
        ((hash >> 6) as usize & (self.filter.len() - 1), 1 << (hash & 63))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Symptom;
    use super::*;

    #[test]
    fn what_was_put_in_is_in_it_and_nothing_else() {
        let loss = |flow: u32, sequence: u32| Loss {
            flow,
            sequence,
            intended_ns: 0,
            value_bytes: 1,
            failed: true,
            symptom: Symptom::Silent { part_arrived: false },
        };
        let losses: Vec<_> = (0..5000).map(|at| loss(at % 7, at * 13)).collect();
        let set = ReadSet::of(losses.iter().chain(&losses));
        assert!(losses.iter().all(|loss| set.contains((loss.flow, loss.sequence))));
        let others = (0..5000).map(|at| (at % 7, at * 13 + 1));
        assert_eq!(others.filter(|read| set.contains(*read)).count(), 0);
        assert!(!ReadSet::of([].into_iter()).contains((0, 0)));
    }
}
