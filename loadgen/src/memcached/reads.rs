//! Reads of a UDP flow by request: a pool with a queue by deadline and one of those that are over but remembered, in memory taken once.

use super::limits::KEY_BYTES_MAX;

/// No read, no request.
pub(super) const NONE: u32 = u32::MAX;

/// One read.
pub(super) struct Read {
    pub(super) item: u32,
    pub(super) deadline_ns: u64,
    /// Request it belongs to, and the next read of that request.
    pub(super) request: u32,
    pub(super) sibling: u32,
    /// It has timed out and is only remembered, until then.
    pub(super) lingers_until_ns: Option<u64>,
    previous: u32,
    next: u32,
    key_bytes: u8,
    key: [u8; KEY_BYTES_MAX],
}

impl Read {
    pub(super) fn key(&self) -> &[u8] {
        &self.key[..self.key_bytes.into()]
    }
}

/// A queue through the pool: oldest first.
#[derive(Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
    length: usize,
}

impl Queue {
    const EMPTY: Self = Self { first: NONE, last: NONE, length: 0 };
}

/// The pool.
pub(super) struct Reads {
    all: Box<[Read]>,
    free: Vec<u32>,
    waiting: Queue,
    lingering: Queue,
}

impl Reads {
    pub(super) fn new(most: usize) -> Self {
        let read = |_| Read {
            item: 0,
            deadline_ns: 0,
            request: NONE,
            sibling: NONE,
            lingers_until_ns: None,
            previous: NONE,
            next: NONE,
            key_bytes: 0,
            key: [0; KEY_BYTES_MAX],
        };
        Self {
            all: (0..most).map(read).collect(),
            free: (0..most as u32).rev().collect(),
            waiting: Queue::EMPTY,
            lingering: Queue::EMPTY,
        }
    }

    pub(super) fn get(&self, index: u32) -> &Read {
        &self.all[index as usize]
    }

    /// Reads that wait for their answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.length
    }

    /// The read whose deadline is first, and the remembered one that is forgotten first.
    pub(super) fn oldest_waiting(&self) -> Option<u32> {
        Some(self.waiting.first).filter(|index| *index != NONE)
    }

    pub(super) fn oldest_lingering(&self) -> Option<u32> {
        Some(self.lingering.first).filter(|index| *index != NONE)
    }

    /// Adds a read; `None` if there is no room. Deadlines come in rising order, as they do when all reads have one timeout.
    pub(super) fn add(&mut self, key: &[u8], item: u32, deadline_ns: u64, request: u32) -> Option<u32> {
        let index = self.free.pop()?;
        let read = &mut self.all[index as usize];
        read.item = item;
        read.deadline_ns = deadline_ns;
        (read.request, read.sibling, read.lingers_until_ns) = (request, NONE, None);
        read.key_bytes = key.len() as u8;
        read.key[..key.len()].copy_from_slice(key);
        Self::push(&mut self.all, &mut self.waiting, index);
        Some(index)
    }

    /// Makes `next` the read after `index` in its request.
    pub(super) fn chain(&mut self, index: u32, next: u32) {
        self.all[index as usize].sibling = next;
    }

    /// Keeps a read that timed out in mind until then.
    pub(super) fn linger(&mut self, index: u32, until_ns: u64) {
        Self::unlink(&mut self.all, &mut self.waiting, index);
        self.all[index as usize].lingers_until_ns = Some(until_ns);
        Self::push(&mut self.all, &mut self.lingering, index);
    }

    /// Forgets a read.
    pub(super) fn remove(&mut self, index: u32) {
        let queue = match self.get(index).lingers_until_ns {
            Some(_) => &mut self.lingering,
            None => &mut self.waiting,
        };
        Self::unlink(&mut self.all, queue, index);
        self.free.push(index);
    }

    fn push(all: &mut [Read], queue: &mut Queue, index: u32) {
        (all[index as usize].previous, all[index as usize].next) = (queue.last, NONE);
        match queue.last {
            NONE => queue.first = index,
            last => all[last as usize].next = index,
        }
        queue.last = index;
        queue.length += 1;
    }

    fn unlink(all: &mut [Read], queue: &mut Queue, index: u32) {
        let (previous, next) = (all[index as usize].previous, all[index as usize].next);
        match previous {
            NONE => queue.first = next,
            previous => all[previous as usize].next = next,
        }
        match next {
            NONE => queue.last = previous,
            next => all[next as usize].previous = previous,
        }
        queue.length -= 1;
    }
}
