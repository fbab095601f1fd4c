//! What is to happen, by time and then by the order in which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of events. The heap holds small keys, the events lie in slots that are used again.
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    planned: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), planned: 0 }
    }

    pub(crate) fn push(&mut self, at_ns: u64, event: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(event);
        self.heap.push(Reverse((at_ns, self.planned, slot)));
        self.planned += 1;
    }

    /// When the next event is due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ns, ..))| *at_ns)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let Reverse((_, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn events_come_by_time_and_then_in_order() {
        let mut queue = Queue::new();
        for (at_ns, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.push(at_ns, event);
        }
        assert_eq!(queue.next_ns(), Some(1));
        assert_eq!(queue.pop(), Some('a'));
        queue.push(5, 'e');
        queue.push(0, '0');
        let rest: String = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, "0bcde");
        assert_eq!(queue.slots.len(), 5, "slots are used again");
    }
}
