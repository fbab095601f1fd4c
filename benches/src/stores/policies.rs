//! Eviction policies as small simulations over numbered items: what a policy is worth before anybody builds it.

/// An eviction policy; budgets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The item read longest ago goes: the yardstick.
    Lru,
    /// The oldest item goes.
    Fifo,
    /// The oldest item goes unless it was read, up to `reads_max` rounds later (Corbató 1968; `reads_max` 1 is second chance).
    Clock {
        /// Reads that are remembered of an item.
        reads_max: u8,
    },
    /// CLOCK whose hand walks on instead of moving items (Zhang et al., NSDI 2024).
    Sieve,
    /// A small queue of newcomers before a CLOCK (Yang et al., SOSP 2023).
    S3Fifo {
        /// Reads that are remembered of an item.
        reads_max: u8,
        /// Reads by which a newcomer gets into the main queue; the paper has 2.
        promoted_from: u8,
        /// Share of the budget for newcomers, in percent; the paper has 10.
        small_percent: u8,
        /// Items gone lately are remembered, and come back into the main queue.
        ghost: bool,
        /// `small_percent` is where the share begins: it grows when an item comes back that left the small queue, and shrinks when one
        /// comes back that left the main queue (the idea of ARC, Megiddo and Modha, FAST 2003).
        adaptive: bool,
    },
}

/// The queue of newcomers, or the only one.
const FIRST: u8 = 0;
/// The main queue of S3-FIFO.
const MAIN: u8 = 1;
/// Not in the cache.
const OUT: u8 = 2;
/// No item.
const NONE: u32 = u32::MAX;

/// What an adaptive share moves by, for each byte that comes back.
const ADAPTION_STEP: u64 = 4;

#[derive(Clone)]
struct Node {
    older: u32,
    younger: u32,
    bytes: u32,
    reads: u8,
    queue: u8,
    expires_s: u32,
    left: Option<Left>,
}

/// When an item left, and whence.
#[derive(Clone, Copy)]
struct Left {
    queue: u8,
    /// Bytes that had left that queue by then.
    at: u64,
}

#[derive(Clone, Copy)]
struct Queue {
    oldest: u32,
    youngest: u32,
    bytes: u64,
    /// Bytes that ever left it for good.
    left_bytes: u64,
}

/// A cache of numbered items that holds no bytes and counts them.
pub struct Simulation {
    policy: Policy,
    budget_bytes: u64,
    nodes: Vec<Node>,
    queues: [Queue; 2],
    /// Where SIEVE's hand stands.
    hand: u32,
    /// What the small queue may hold, bytes.
    small_bytes_max: u64,
}

impl Simulation {
    /// An empty cache for items numbered below `items`.
    #[must_use]
    pub fn new(policy: Policy, budget_bytes: u64, items: u32) -> Self {
        let node =
            Node { older: NONE, younger: NONE, bytes: 0, reads: 0, queue: OUT, expires_s: 0, left: None };
        let queue = Queue { oldest: NONE, youngest: NONE, bytes: 0, left_bytes: 0 };
        let small_percent = match policy {
            Policy::S3Fifo { small_percent, .. } => small_percent,
            _ => 0,
        };
        Self {
            policy,
            budget_bytes,
            nodes: vec![node; items as usize],
            queues: [queue; 2],
            hand: NONE,
            small_bytes_max: budget_bytes * u64::from(small_percent) / 100,
        }
    }

    /// Reads an item through the cache: true for a hit; after a miss the item is in it, for `ttl_s` seconds (0: for ever).
    pub fn read(&mut self, item: u32, bytes: u32, now_s: u32, ttl_s: u32) -> bool {
        let node = &mut self.nodes[item as usize];
        if node.queue != OUT && (node.expires_s == 0 || now_s < node.expires_s) {
            self.hit(item);
            return true;
        }
        let was = node.queue;
        if was != OUT {
            self.unlink(item);
        }
        if u64::from(bytes) <= self.budget_bytes {
            let queue = if was == MAIN { MAIN } else { FIRST };
            self.insert(item, bytes, if ttl_s == 0 { 0 } else { now_s + ttl_s }, queue);
        }
        false
    }

    fn hit(&mut self, item: u32) {
        let reads_max = match self.policy {
            Policy::Fifo => 0,
            Policy::Sieve => 1,
            Policy::Clock { reads_max } | Policy::S3Fifo { reads_max, .. } => reads_max,
            Policy::Lru => {
                self.unlink(item);
                self.link(item, FIRST);
                return;
            }
        };
        let reads = &mut self.nodes[item as usize].reads;
        *reads = (*reads + 1).min(reads_max);
    }

    fn insert(&mut self, item: u32, bytes: u32, expires_s: u32, queue: u8) {
        let queue = if self.comes_back(item, bytes) { MAIN } else { queue };
        while self.queues[0].bytes + self.queues[1].bytes + u64::from(bytes) > self.budget_bytes {
            self.evict();
        }
        let node = &mut self.nodes[item as usize];
        (node.bytes, node.reads, node.expires_s) = (bytes, 0, expires_s);
        self.link(item, queue);
    }

    /// Whether a ghost holds an item: the small queue's remembers what left until as many bytes as the main queue may hold have left
    /// after it; the main queue's, which an adaptive share needs, half of the budget.
    fn comes_back(&mut self, item: u32, bytes: u32) -> bool {
        let Policy::S3Fifo { ghost: true, adaptive, .. } = self.policy else { return false };
        let Some(left) = self.nodes[item as usize].left.take() else { return false };
        let since = self.queues[usize::from(left.queue)].left_bytes - left.at;
        let step = if adaptive { ADAPTION_STEP * u64::from(bytes) } else { 0 };
        if left.queue == FIRST {
            let remembered = since < self.budget_bytes - self.small_bytes_max;
            if remembered {
                self.small_bytes_max = (self.small_bytes_max + step).min(self.budget_bytes / 10 * 9);
            }
            return remembered;
        }
        let remembered = adaptive && since < self.budget_bytes / 2;
        if remembered {
            self.small_bytes_max = self.small_bytes_max.saturating_sub(step).max(self.budget_bytes / 20);
        }
        remembered
    }

    /// Takes one item out, or moves one between the queues.
    fn evict(&mut self) {
        match self.policy {
            Policy::Lru | Policy::Fifo => self.unlink(self.queues[0].oldest),
            Policy::Clock { .. } => self.evict_clock(FIRST),
            Policy::Sieve => self.evict_sieve(),
            Policy::S3Fifo { promoted_from, .. } => {
                if self.queues[0].bytes > self.small_bytes_max || self.queues[1].oldest == NONE {
                    self.evict_newcomer(promoted_from);
                } else {
                    self.evict_clock(MAIN);
                }
            }
        }
    }

    fn evict_newcomer(&mut self, promoted_from: u8) {
        let item = self.queues[0].oldest;
        let promoted = self.nodes[item as usize].reads >= promoted_from;
        self.unlink(item);
        if promoted {
            self.nodes[item as usize].reads = 0;
            self.link(item, MAIN);
        } else {
            self.remember(item, FIRST);
        }
    }

    fn evict_clock(&mut self, queue: u8) {
        loop {
            let item = self.queues[usize::from(queue)].oldest;
            self.unlink(item);
            let node = &mut self.nodes[item as usize];
            if node.reads == 0 {
                self.remember(item, queue);
                return;
            }
            node.reads -= 1;
            self.link(item, queue);
        }
    }

    fn remember(&mut self, item: u32, queue: u8) {
        let from = &mut self.queues[usize::from(queue)];
        from.left_bytes += u64::from(self.nodes[item as usize].bytes);
        self.nodes[item as usize].left = Some(Left { queue, at: from.left_bytes });
    }

    fn evict_sieve(&mut self) {
        loop {
            let item = if self.hand == NONE { self.queues[0].oldest } else { self.hand };
            let node = &mut self.nodes[item as usize];
            self.hand = node.younger;
            if node.reads == 0 {
                self.unlink(item);
                return;
            }
            node.reads = 0;
        }
    }

    /// Makes an item the youngest of a queue.
    fn link(&mut self, item: u32, queue: u8) {
        let list = &mut self.queues[usize::from(queue)];
        let before = std::mem::replace(&mut list.youngest, item);
        if before == NONE {
            list.oldest = item;
        } else {
            self.nodes[before as usize].younger = item;
        }
        let node = &mut self.nodes[item as usize];
        (node.older, node.younger, node.queue) = (before, NONE, queue);
        list.bytes += u64::from(node.bytes);
    }

    fn unlink(&mut self, item: u32) {
        let Node { older, younger, queue, bytes, .. } = self.nodes[item as usize];
        if self.hand == item {
            self.hand = younger;
        }
        let list = &mut self.queues[usize::from(queue)];
        list.bytes -= u64::from(bytes);
        match older {
            NONE => list.oldest = younger,
            older => self.nodes[older as usize].younger = younger,
        }
        match younger {
            NONE => list.youngest = older,
            younger => self.nodes[younger as usize].older = older,
        }
        self.nodes[item as usize].queue = OUT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(policy: Policy, budget_bytes: u64, reads: &[u32]) -> Vec<bool> {
        let mut cache = Simulation::new(policy, budget_bytes, 10);
        reads.iter().map(|item| cache.read(*item, 1, 0, 0)).collect()
    }

    #[test]
    fn each_policy_evicts_what_its_paper_says() {
        let last = |policy, reads: &[u32]| *hits(policy, 3, reads).last().unwrap();
        let (lru, fifo, clock) = (Policy::Lru, Policy::Fifo, Policy::Clock { reads_max: 1 });
        // 0 is the oldest and was read again; 3 takes somebody's place.
        for (policy, holds_0, holds_1) in
            [(lru, true, false), (fifo, false, true), (clock, true, false), (Policy::Sieve, true, false)]
        {
            assert_eq!(last(policy, &[0, 1, 2, 0, 3, 0]), holds_0, "{policy:?}");
            assert_eq!(last(policy, &[0, 1, 2, 0, 3, 1]), holds_1, "{policy:?}");
        }
        // SIEVE's hand has passed 0: the next to go is 2, and 0 stays though it was not read since; CLOCK's order goes on from 2 as
        // well, but with 0 behind 3.
        assert!(last(Policy::Sieve, &[0, 1, 2, 0, 3, 4, 0]));
    }

    #[test]
    fn a_scan_leaves_the_main_queue_of_s3_fifo_alone_and_the_ghost_brings_items_back() {
        let s3 = |ghost| Policy::S3Fifo {
            reads_max: 3,
            promoted_from: 1,
            small_percent: 40,
            ghost,
            adaptive: false,
        };
        let scan = [0, 0, 1, 2, 3, 4, 5, 6, 0];
        assert_eq!(hits(s3(false), 4, &scan).last(), Some(&true));
        assert_eq!(hits(Policy::Lru, 4, &scan).last(), Some(&false));
        // 1 left lately: with a ghost it goes straight to the main queue and outlives what comes after it.
        let back = [0, 0, 1, 2, 3, 4, 1, 5, 6, 7, 1];
        assert_eq!(hits(s3(true), 4, &back).last(), Some(&true));
        assert_eq!(hits(s3(false), 4, &back).last(), Some(&false));
    }

    #[test]
    fn expired_items_are_misses_and_budgets_hold() {
        let mut cache = Simulation::new(Policy::Lru, 10, 4);
        assert!(!cache.read(0, 4, 0, 5));
        assert!(cache.read(0, 4, 4, 5));
        assert!(!cache.read(0, 4, 5, 5));
        assert!(!cache.read(1, 11, 5, 0), "larger than the cache");
        assert!(!cache.read(1, 11, 5, 0));
        for item in 0..4 {
            cache.read(item, 4, 6, 0);
            assert!(cache.queues[0].bytes <= 10);
        }
    }
}
