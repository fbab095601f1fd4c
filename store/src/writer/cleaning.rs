//! Cleaning: making free segments out of full ones, a little with each update.
//!
//! A segment is gone through from start to end. What is not linked any more is garbage; what is live is moved
//! to an open segment, or evicted if its turn has come ([`crate::policy`]). Then the segment waits for its
//! readers to leave.

use std::thread;
use std::time::{Duration, Instant};

use super::Writer;
use crate::StoreError;
use crate::expiry::Seconds;
use crate::hash::KeyHash;
use crate::index::Entry;
use crate::limits::{
    CLEANED_PER_STORED, CLEANED_PER_UPDATE_BYTES, CLEANED_TOGETHER, COMPACT_BELOW_1024THS,
    GARBAGE_LEAST_PARTS, GARBAGE_WORTH_PARTS, READERS_WAIT_MS_MAX, SPARED_BYTES_MAX,
};
use crate::prefetch::prefetch;
use crate::segments::{Candidate, Class};
use crate::shared::Shared;

/// The segment being cleaned, and how far.
#[derive(Debug, Default)]
pub(super) struct Cleaning {
    victim: Option<Victim>,
    /// Bytes of records spared because they were read, since a segment was last opened for updates.
    spared_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Victim {
    segment: u32,
    /// Offset in the segment of the next record.
    next: usize,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// For its garbage: all that is live is kept.
    Garbage,
    /// For room: what was read is kept ...
    Room,
    /// ... or not even that.
    RoomAtOnce,
}

impl Cleaning {
    pub(super) fn is_done_with(&mut self, segment: u32) {
        self.victim = self.victim.filter(|victim| victim.segment != segment);
    }
}

/// A record of the segment being cleaned.
#[derive(Clone, Copy)]
struct Seen {
    location: usize,
    hash: KeyHash,
}

impl Writer {
    /// Makes the open segment of a class take so many bytes more.
    pub(super) fn make_room(
        &mut self,
        shared: &Shared,
        class: Class,
        bytes: usize,
        now: Seconds,
    ) -> Result<(), StoreError> {
        while !self.segments.has_room(class, bytes) {
            self.reclaim(shared, now)?;
            self.open(shared, class);
            self.cleaning.spared_bytes = 0;
        }
        Ok(())
    }

    /// Seals the open segment of a class and opens a free one; false when there is none.
    fn open(&mut self, shared: &Shared, class: Class) -> bool {
        if self.segments.free() == 0 {
            return false;
        }
        self.seal(shared, class);
        self.segments.open(class)
    }

    /// Seals the open segment of a class. Retired at once if nothing in it is left, so that an update never finds
    /// many such segments to go through.
    fn seal(&mut self, shared: &Shared, class: Class) {
        if let Some(dead) = self.segments.seal(class) {
            self.retire(shared, dead);
        }
    }

    /// Cleans in proportion to what was stored, if less is ready than should be.
    pub(super) fn clean_a_little(&mut self, shared: &Shared, stored_bytes: usize, now: Seconds) {
        if self.segments.ready() < self.segments.ready_aim() {
            self.clean(shared, now, stored_bytes * CLEANED_PER_STORED + CLEANED_PER_UPDATE_BYTES);
        }
    }

    /// Sees to it that two segments are free: one to use, and one for what cleaning keeps.
    ///
    /// # Errors
    /// Readers hold on to what was cleaned.
    pub(super) fn reclaim(&mut self, shared: &Shared, now: Seconds) -> Result<(), StoreError> {
        let mut waiting = Waiting::default();
        while self.segments.free() < 2 {
            self.collect(shared);
            let on_the_way = self.segments.ready() >= self.segments.ready_aim();
            if self.segments.free() < 2 && (on_the_way || !self.clean(shared, now, usize::MAX)) {
                waiting.for_readers()?;
            }
        }
        Ok(())
    }

    /// Goes on with the segment being cleaned, or begins one, for so many bytes; false when there is nothing to
    /// clean, or nowhere to put what is kept before readers leave.
    fn clean(&mut self, shared: &Shared, now: Seconds, bytes_max: usize) -> bool {
        if self.segments.free() == 0 && self.segments.has_retired() {
            self.collect(shared);
            if self.segments.free() == 0 && self.segments.has_retired() {
                return false;
            }
        }
        let Some(mut victim) = self.cleaning.victim.or_else(|| self.choose(shared, now)) else {
            return false;
        };
        let start = self.segments.start(victim.segment);
        let end = self.segments.written_bytes(victim.segment);
        let stop = victim.next.saturating_add(bytes_max).min(end);
        self.cleaning.victim = Some(victim);
        while victim.next < stop && self.cleaning.victim.is_some() {
            let mut seen = [None; CLEANED_TOGETHER];
            for place in &mut seen {
                if victim.next < stop {
                    *place = Some(self.look_at(shared, start + victim.next, &mut victim.next));
                }
            }
            self.cleaning.victim = Some(victim);
            for seen in seen.into_iter().flatten() {
                self.clean_record(shared, seen, victim, now);
            }
        }
        assert!(
            victim.next < end || self.cleaning.victim.is_none(),
            "nothing live is left of a cleaned segment"
        );
        true
    }

    /// Steps over a record, asking for its place in the index.
    fn look_at(&self, shared: &Shared, location: usize, next: &mut usize) -> Seen {
        let record = self.record_at(shared, location);
        *next += record.bytes();
        let hash = shared.hasher.hash(record.key());
        // SAFETY: the writers' mutex is held, and no table is retired while the borrow lives.
        let table = unsafe { shared.table(hash) };
        prefetch(table.first_bucket(&shared.arena, hash.tag()));
        Seen { location, hash }
    }

    fn clean_record(&mut self, shared: &Shared, seen: Seen, victim: Victim, now: Seconds) {
        // SAFETY: the writers' mutex is held, and no table is retired while the borrow lives.
        let table = unsafe { shared.table(seen.hash) };
        let mut candidates = table.candidates(&shared.arena, seen.hash.tag());
        let Some((slot, _)) = candidates.find(|(_, entry)| entry.location() == seen.location) else { return };
        let record = self.record_at(shared, seen.location);
        let (bytes, read, class) = (record.bytes(), record.was_read(), self.segments.class(victim.segment));
        let kept = match victim.why {
            _ if record.is_expired(now) => None,
            Why::Garbage => Some((class, read)),
            Why::Room if read => Some((Class::Main, false)),
            Why::Room | Why::RoomAtOnce => None,
        };
        let room =
            kept.filter(|(class, _)| self.segments.has_room(*class, bytes) || self.open(shared, *class));
        if let Some((class, read)) = room {
            let location = self.segments.append(class, bytes, record.expiry());
            // SAFETY: these bytes of the open segment were never handed out since it was opened, and no reader
            // was left in it then.
            unsafe { record.copy_to(shared.arena.at(location), read) };
            self.segments.add_live(location, bytes);
            slot.put(Entry::new(seen.hash.tag(), location));
            if victim.why == Why::Room {
                self.cleaning.spared_bytes += bytes as u64;
            }
        } else {
            slot.clear();
            shared.counters.items.down();
            if record.is_expired(now) {
                shared.counters.expirations.up();
            } else {
                shared.counters.evictions.up();
                self.policy.evicted(seen.hash, class, shared.counters.items.get());
            }
        }
        self.unlinked(shared, seen.location, bytes);
    }

    /// The next segment to clean: one that costs nothing or little, else one whose turn it is.
    fn choose(&mut self, shared: &Shared, now: Seconds) -> Option<Victim> {
        let segment_bytes = self.segments.segment_bytes() as u32;
        let spacious =
            self.segments.live_bytes() * 1024 <= self.segments.capacity_bytes() * COMPACT_BELOW_1024THS;
        let least_bytes = segment_bytes / if spacious { GARBAGE_LEAST_PARTS } else { GARBAGE_WORTH_PARTS };
        let (segment, why) = match self.segments.cheapest(now) {
            Some(Candidate::Expired(segment)) => (segment, Why::RoomAtOnce),
            Some(Candidate::Garbage { segment, garbage_bytes }) if garbage_bytes >= least_bytes => {
                (segment, Why::Garbage)
            }
            _ => (self.next_in_turn(shared)?, self.why_room()),
        };
        Some(Victim { segment, next: 0, why })
    }

    fn why_room(&self) -> Why {
        let most_bytes = SPARED_BYTES_MAX.max(8 * self.segments.segment_bytes()) as u64;
        if self.cleaning.spared_bytes > most_bytes { Why::RoomAtOnce } else { Why::Room }
    }

    /// The segment that was filled first, of the log that pays; an open one where there are few segments.
    fn next_in_turn(&mut self, shared: &Shared) -> Option<u32> {
        let (small, main) =
            (self.segments.live_bytes_of(Class::Small), self.segments.live_bytes_of(Class::Main));
        let pays = self.policy.pays(small, main);
        let other = if pays == Class::Small { Class::Main } else { Class::Small };
        let oldest =
            |segments: &crate::segments::Segments| segments.oldest(pays).or_else(|| segments.oldest(other));
        oldest(&self.segments).or_else(|| {
            self.seal(shared, pays);
            self.seal(shared, other);
            oldest(&self.segments)
        })
    }
}

/// A writer's wait for readers.
#[derive(Default)]
struct Waiting {
    turns: u32,
    since: Option<Instant>,
}

impl Waiting {
    /// A moment, longer each time: readers are mostly about to leave.
    fn for_readers(&mut self) -> Result<(), StoreError> {
        const SPINS: u32 = 100;
        const NAP: Duration = Duration::from_micros(50);
        let since = *self.since.get_or_insert_with(Instant::now);
        let waited_ms = since.elapsed().as_millis() as u64;
        if waited_ms >= READERS_WAIT_MS_MAX {
            return Err(StoreError::HeldByReaders { waited_ms });
        }
        self.turns += 1;
        if self.turns <= SPINS {
            thread::yield_now()
        } else {
            thread::sleep(NAP)
        }
        Ok(())
    }
}
