//! Exact LRU over numbered keys, to compare with.

pub(crate) struct Lru {
    items_max: usize,
    items: usize,
    /// A ring of the keys held, by the time of their last read, closed by `END`: what comes after and before.
    after: Vec<u32>,
    before: Vec<u32>,
}

const END: usize = 0;
const ABSENT: u32 = u32::MAX;

impl Lru {
    pub(crate) fn new(items_max: usize) -> Lru {
        Lru { items_max, items: 0, after: vec![0], before: vec![0] }
    }

    /// Whether the key was there; it is now.
    pub(crate) fn read_or_insert(&mut self, key: u32) -> bool {
        let at = key as usize + 1;
        if at >= self.after.len() {
            self.after.resize(at + 1, ABSENT);
            self.before.resize(at + 1, ABSENT);
        }
        let found = self.after[at] != ABSENT;
        if found {
            self.unlink(at);
        } else if self.items == self.items_max {
            self.unlink(self.before[END] as usize);
        } else {
            self.items += 1;
        }
        let first = self.after[END] as usize;
        (self.after[at], self.before[at]) = (first as u32, END as u32);
        (self.after[END], self.before[first]) = (at as u32, at as u32);
        found
    }

    fn unlink(&mut self, at: usize) {
        let (after, before) = (self.after[at], self.before[at]);
        self.after[before as usize] = after;
        self.before[after as usize] = before;
        (self.after[at], self.before[at]) = (ABSENT, ABSENT);
    }
}
