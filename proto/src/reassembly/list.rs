//! Doubly linked lists of array indices: O(1) insertion and removal anywhere, without allocation.
//!
//! One [`Links`] serves any number of [`List`]s as long as an index is in one of them at a time, which is how a slot
//! moves from the free list to the send queue and on without memory of its own.

use alloc::boxed::Box;
use alloc::vec;

/// Not an index: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

/// Head and tail of one list.
#[derive(Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { head: NONE, tail: NONE };

    /// The first index, or [`NONE`].
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

/// The links of all indices below a fixed count.
pub(crate) struct Links(Box<[Link]>);

impl Links {
    pub(crate) fn new(count: usize) -> Self {
        Self(vec![Link { previous: NONE, next: NONE }; count].into_boxed_slice())
    }

    /// Bytes [`Links::new`] takes.
    pub(crate) fn memory_bytes(count: usize) -> usize {
        count * size_of::<Link>()
    }

    /// The index after `index` in its list, or [`NONE`].
    pub(crate) fn next(&self, index: u32) -> u32 {
        self.0[index as usize].next
    }

    /// Appends `index`, which must be in no list.
    pub(crate) fn push_back(&mut self, list: &mut List, index: u32) {
        self.0[index as usize] = Link { previous: list.tail, next: NONE };
        match list.tail {
            NONE => list.head = index,
            tail => self.0[tail as usize].next = index,
        }
        list.tail = index;
    }

    /// Takes `index` out of `list`, which must be the list it is in.
    pub(crate) fn unlink(&mut self, list: &mut List, index: u32) {
        let Link { previous, next } = self.0[index as usize];
        match previous {
            NONE => list.head = next,
            previous => self.0[previous as usize].next = next,
        }
        match next {
            NONE => list.tail = previous,
            next => self.0[next as usize].previous = previous,
        }
    }

    pub(crate) fn pop_front(&mut self, list: &mut List) -> Option<u32> {
        let index = list.head;
        if index == NONE {
            return None;
        }
        self.unlink(list, index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_moves_between_lists_that_share_links() {
        let mut links = Links::new(4);
        let (mut a, mut b) = (List::EMPTY, List::EMPTY);
        for index in 0..4 {
            links.push_back(&mut a, index);
        }
        links.unlink(&mut a, 1);
        links.unlink(&mut a, 3);
        links.push_back(&mut b, 3);
        links.push_back(&mut b, 1);
        assert_eq!(
            [links.pop_front(&mut a), links.pop_front(&mut a), links.pop_front(&mut a)],
            [Some(0), Some(2), None]
        );
        assert_eq!(b.head(), 3);
        assert_eq!(links.next(3), 1);
        links.unlink(&mut b, 3);
        links.unlink(&mut b, 1);
        assert!(a.is_empty() && b.is_empty());
    }
}
