//! The log: segments of the arena, what each holds, and which may be written next.

use std::collections::VecDeque;

use crate::epoch::Epoch;
use crate::expiry::{Expiry, Seconds};
use crate::limits::READY_SEGMENTS;

/// Which of the two logs a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Records not read since they were stored.
    Small,
    /// Records that were read and kept.
    Main,
}

/// What a segment is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Open,
    Sealed,
    /// Nothing in it is linked; readers may still be in it.
    Retired,
    Index,
}

#[derive(Debug, Clone)]
struct Segment {
    state: State,
    class: Class,
    /// Bytes written, from the start on.
    written_bytes: u32,
    /// Bytes of records that are linked.
    live_bytes: u32,
    /// When the last of its records expires.
    expiry: Expiry,
    /// The order of filling.
    sequence: u64,
    retired: Epoch,
}

/// A segment to clean, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// All of its records have expired.
    Expired(u32),
    /// The most garbage.
    Garbage { segment: u32, garbage_bytes: u32 },
}

/// All segments. Behind the writers' mutex.
pub(crate) struct Segments {
    segment_bytes: usize,
    all: Box<[Segment]>,
    free: Vec<u32>,
    retired: VecDeque<u32>,
    open: [Option<u32>; 2],
    sequence: u64,
    live_bytes: [u64; 2],
    index_segments: usize,
}

impl Segments {
    pub(crate) fn new(count: usize, segment_bytes: usize) -> Segments {
        let free = Segment {
            state: State::Free,
            class: Class::Small,
            written_bytes: 0,
            live_bytes: 0,
            expiry: Expiry::NEVER,
            sequence: 0,
            retired: Epoch::default(),
        };
        Segments {
            segment_bytes,
            all: vec![free; count].into(),
            // The lowest is taken first, so that memory is touched from the bottom up.
            free: (0..count as u32).rev().collect(),
            retired: VecDeque::with_capacity(count),
            open: [None; 2],
            sequence: 0,
            live_bytes: [0; 2],
            index_segments: 0,
        }
    }

    /// Bytes that the books of a segment take.
    pub(crate) const BOOK_BYTES: usize = size_of::<Segment>() + 2 * size_of::<u32>();

    pub(crate) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// Offset of a segment in the arena.
    pub(crate) fn start(&self, segment: u32) -> usize {
        segment as usize * self.segment_bytes
    }

    /// The segment of a record.
    pub(crate) fn of(&self, location: usize) -> u32 {
        (location / self.segment_bytes) as u32
    }

    pub(crate) fn class(&self, segment: u32) -> Class {
        self.all[segment as usize].class
    }

    pub(crate) fn written_bytes(&self, segment: u32) -> usize {
        self.all[segment as usize].written_bytes as usize
    }

    pub(crate) fn live_bytes_of(&self, class: Class) -> u64 {
        self.live_bytes[class as usize]
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes.iter().sum()
    }

    /// Bytes of the segments that are the index's.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index_segments * self.segment_bytes
    }

    /// Segments that are not the index's.
    pub(crate) fn log_segments(&self) -> usize {
        self.all.len() - self.index_segments
    }

    /// Segments that are free now.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Segments that are free, or will be once readers have left.
    pub(crate) fn ready(&self) -> usize {
        self.free.len() + self.retired.len()
    }

    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// How many should be ready.
    pub(crate) fn ready_aim(&self) -> usize {
        (self.log_segments() / 16).clamp(2, READY_SEGMENTS)
    }

    /// Bytes of the segments that records can fill.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        ((self.log_segments() - self.ready_aim()) * self.segment_bytes) as u64
    }

    /// Whether the open segment of a class takes so many bytes more.
    pub(crate) fn has_room(&self, class: Class, bytes: usize) -> bool {
        self.open[class as usize]
            .is_some_and(|segment| self.written_bytes(segment) + bytes <= self.segment_bytes)
    }

    /// Opens a free segment for a class whose last one is sealed; false when there is none.
    pub(crate) fn open(&mut self, class: Class) -> bool {
        assert!(self.open[class as usize].is_none(), "sealed before");
        let Some(segment) = self.free.pop() else { return false };
        self.sequence += 1;
        self.all[segment as usize] = Segment {
            state: State::Open,
            class,
            written_bytes: 0,
            live_bytes: 0,
            expiry: Expiry(1),
            sequence: self.sequence,
            retired: Epoch::default(),
        };
        self.open[class as usize] = Some(segment);
        true
    }

    /// Seals the open segment of a class, so that it can be cleaned; returns it if nothing in it is linked, for
    /// [`Segments::retire`].
    pub(crate) fn seal(&mut self, class: Class) -> Option<u32> {
        let number = self.open[class as usize].take()?;
        let segment = &mut self.all[number as usize];
        segment.state = State::Sealed;
        (segment.live_bytes == 0).then_some(number)
    }

    /// Takes so many bytes of the open segment of a class, which [`Segments::has_room`]; returns their place.
    /// They count as garbage until [`Segments::add_live`].
    pub(crate) fn append(&mut self, class: Class, bytes: usize, expiry: Expiry) -> usize {
        let number = self.open[class as usize].expect("the caller asked for room");
        let start = self.start(number);
        let segment = &mut self.all[number as usize];
        let location = start + segment.written_bytes as usize;
        segment.written_bytes += bytes as u32;
        assert!(segment.written_bytes as usize <= self.segment_bytes, "the caller asked for room");
        segment.expiry = segment.expiry.later(expiry);
        location
    }

    /// A record of so many bytes is linked now.
    pub(crate) fn add_live(&mut self, location: usize, bytes: usize) {
        let segment = &mut self.all[location / self.segment_bytes];
        segment.live_bytes += bytes as u32;
        self.live_bytes[segment.class as usize] += bytes as u64;
    }

    /// A record of so many bytes is not linked any more. Returns its segment if it was sealed and this was the
    /// last record in it.
    pub(crate) fn remove_live(&mut self, location: usize, bytes: usize) -> Option<u32> {
        let number = self.of(location);
        let segment = &mut self.all[number as usize];
        segment.live_bytes -= bytes as u32;
        self.live_bytes[segment.class as usize] -= bytes as u64;
        (segment.live_bytes == 0 && segment.state == State::Sealed).then_some(number)
    }

    /// A sealed segment with nothing live, out of which the last record was taken before `epoch` ended.
    pub(crate) fn retire(&mut self, number: u32, epoch: Epoch) {
        let segment = &mut self.all[number as usize];
        assert!(segment.state == State::Sealed && segment.live_bytes == 0);
        segment.state = State::Retired;
        segment.retired = epoch;
        self.retired.push_back(number);
    }

    /// Everything is unlinked; `epoch` has ended since.
    pub(crate) fn retire_all(&mut self, epoch: Epoch) {
        self.seal(Class::Small);
        self.seal(Class::Main);
        self.live_bytes = [0; 2];
        for number in 0..self.all.len() as u32 {
            if self.all[number as usize].state == State::Sealed {
                self.all[number as usize].live_bytes = 0;
                self.retire(number, epoch);
            }
        }
    }

    /// Frees the segments whose readers have left.
    pub(crate) fn collect(&mut self, oldest: Epoch) {
        while let Some(number) = self.retired.front().copied() {
            if self.all[number as usize].retired >= oldest {
                break;
            }
            self.retired.pop_front();
            self.all[number as usize].state = State::Free;
            self.free.push(number);
        }
    }

    /// Takes a free segment for the index; returns its offset.
    pub(crate) fn take_for_index(&mut self) -> Option<usize> {
        let number = self.free.pop()?;
        self.all[number as usize].state = State::Index;
        self.index_segments += 1;
        Some(self.start(number))
    }

    /// The sealed segment that costs least to clean: an expired one, else the one with the most garbage.
    pub(crate) fn cheapest(&self, now: Seconds) -> Option<Candidate> {
        let mut cheapest = None;
        let mut most = None;
        for (number, segment) in self.sealed() {
            if segment.expiry.is_past(now) {
                return Some(Candidate::Expired(number));
            }
            let garbage_bytes = segment.written_bytes - segment.live_bytes;
            if most < Some(garbage_bytes) {
                most = Some(garbage_bytes);
                cheapest = Some(Candidate::Garbage { segment: number, garbage_bytes });
            }
        }
        cheapest
    }

    /// The sealed segment of a class that was filled first.
    pub(crate) fn oldest(&self, class: Class) -> Option<u32> {
        let of_class = self.sealed().filter(|(_, segment)| segment.class == class);
        of_class.min_by_key(|(_, segment)| segment.sequence).map(|(number, _)| number)
    }

    fn sealed(&self) -> impl Iterator<Item = (u32, &Segment)> {
        (0..).zip(&self.all).filter(|(_, segment)| segment.state == State::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_handed_back_when_its_last_record_goes_or_when_it_is_sealed_after_that() {
        let mut segments = Segments::new(8, 4096);
        for sealed_first in [false, true] {
            assert!(segments.open(Class::Small));
            let location = segments.append(Class::Small, 100, Expiry::NEVER);
            segments.add_live(location, 100);
            let (sealed, removed) = if sealed_first {
                (segments.seal(Class::Small), segments.remove_live(location, 100))
            } else {
                let removed = segments.remove_live(location, 100);
                (segments.seal(Class::Small), removed)
            };
            let number = segments.of(location);
            assert_eq!(
                (sealed, removed),
                if sealed_first { (None, Some(number)) } else { (Some(number), None) }
            );
            segments.retire(number, Epoch::default());
        }
        assert_eq!((segments.free(), segments.ready(), segments.live_bytes()), (6, 8, 0));
    }
}
