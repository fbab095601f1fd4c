//! The last hour's books, and the causes judged by them: few losses an interval say little, many intervals' together say more.

use std::collections::VecDeque;

use super::merge::Timed;
use super::thin;
use crate::attribution::Attribution;
use crate::limits::{WATCH_KINDS_MAX, WATCH_SLICE_NS, WATCH_SLICES};

/// A window that slides over the books by slices of some minutes, and the sum of what it judged since the begin.
#[derive(Debug, Default)]
pub struct Sliding {
    slices: VecDeque<Slice>,
    /// Slices at the end of the window whose losses are in no sum yet.
    unsettled: usize,
    /// What was judged of slices before those.
    settled: Attribution,
}

/// Some minutes of books, those that go together as one.
#[derive(Debug)]
struct Slice {
    begin_ns: u64,
    kinds: Vec<Timed>,
}

impl Sliding {
    /// Adds a stage's books.
    pub fn add(&mut self, stage: Timed) {
        let is_full = |slice: &Slice| stage.begin_ns.saturating_sub(slice.begin_ns) >= WATCH_SLICE_NS;
        if self.slices.back().is_none_or(is_full) {
            // All of the window and nothing else is unsettled: each loss is settled once, with an hour around it.
            if self.unsettled == WATCH_SLICES {
                let hour = self.judged(WATCH_SLICES);
                add(&mut self.settled, hour);
                self.unsettled = 0;
            }
            if self.slices.len() == WATCH_SLICES {
                self.slices.pop_front();
            }
            self.slices.push_back(Slice { begin_ns: stage.begin_ns, kinds: Vec::new() });
            self.unsettled += 1;
        }
        let slice = self.slices.back_mut().expect("there is one now");
        match slice.kinds.iter().position(|kind| kind.goes_with(&stage)) {
            Some(place) => slice.kinds[place].add(&stage),
            None if slice.kinds.len() < WATCH_KINDS_MAX => slice.kinds.push(stage),
            // A path that is never the same twice: what it lost is judged by itself.
            None => add(&mut self.settled, judge(&stage)),
        }
    }

    /// Who lost the reads of the window.
    pub fn window(&self) -> Attribution {
        self.judged(self.slices.len())
    }

    /// Who lost reads since the begin; their sum is all reads lost.
    pub fn total(&self) -> Attribution {
        let mut total = self.settled.clone();
        add(&mut total, self.judged(self.unsettled));
        total
    }

    /// Stages' books held, as many as are apart: what memory depends on.
    pub fn books_held(&self) -> usize {
        self.slices.iter().map(|slice| slice.kinds.len()).sum()
    }

    /// Judges the last slices.
    fn judged(&self, slices: usize) -> Attribution {
        let mut kinds: Vec<Timed> = Vec::new();
        for stage in self.slices.iter().skip(self.slices.len() - slices).flat_map(|slice| &slice.kinds) {
            match kinds.iter_mut().find(|kind| kind.goes_with(stage)) {
                Some(kind) => kind.add(stage),
                None => kinds.push(stage.clone()),
            }
        }
        let mut all = Attribution::new();
        for kind in &kinds {
            add(&mut all, judge(kind));
        }
        all
    }
}

fn judge(stage: &Timed) -> Attribution {
    if stage.books.losses.is_empty() && stage.books.unlisted.0 == 0 {
        return Attribution::new();
    }
    thin::judged(&stage.books)
}

/// Adds up what was judged apart; of evidence and estimates those of the larger part stay.
fn add(sum: &mut Attribution, more: Attribution) {
    for (name, share) in more {
        match sum.get_mut(&name) {
            None => drop(sum.insert(name, share)),
            Some(known) => {
                let (reads, failed) = (known.reads + share.reads, known.failed + share.failed);
                if share.reads > known.reads {
                    *known = share;
                }
                (known.reads, known.failed) = (reads, failed);
            }
        }
    }
}
