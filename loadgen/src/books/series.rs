//! Counters looked at again and again, against what they were before the stage.

use super::kernel::{self, Back, Named};
use super::watch::seconds;
use crate::attribution::Series;

/// The looks at one host's counters in a stage.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    before: Vec<u64>,
    rows: Vec<(u64, Vec<u64>)>,
    /// Went back, or were not there any more.
    back: Back,
}

impl Columns {
    /// No look yet; these are the counters, and what they were before the stage.
    pub(super) fn new(before: &Named) -> Self {
        Self {
            names: before.keys().cloned().collect(),
            before: before.values().copied().collect(),
            rows: Vec::new(),
            back: Back::new(),
        }
    }

    /// Adds a look of this time, nanoseconds since the stage began.
    pub(super) fn look(&mut self, at_ns: u64, now: &Named) {
        let first = (0, vec![0; self.names.len()]);
        let (from_ns, last) = self.rows.last().cloned().unwrap_or(first);
        let row = self.names.iter().zip(&self.before).enumerate().map(|(index, (name, before))| {
            let risen = now.get(name).and_then(|now| now.checked_sub(*before));
            let risen = risen.filter(|risen| *risen >= last[index]);
            if risen.is_none() {
                let what = if now.contains_key(name) { "went back" } else { "was gone" };
                let (from, to) = (seconds(from_ns, 0), seconds(at_ns, 0));
                let how = || format!("{name} {what} between {from} and {to} of the stage");
                self.back.entry(kernel::family(name).to_owned()).or_insert_with(how);
            }
            risen.unwrap_or(last[index])
        });
        let row = row.collect();
        self.rows.push((at_ns, row));
    }

    /// Those that rose, and what turned out to say nothing.
    pub(super) fn finish(self) -> (Series, Back) {
        let rose = |index: &usize| self.rows.last().is_some_and(|(_, row)| row[*index] > 0);
        let is_known = |index: &usize| !self.back.contains_key(kernel::family(&self.names[*index]));
        let kept: Vec<_> = (0..self.names.len()).filter(is_known).filter(rose).collect();
        let series = Series {
            names: kept.iter().map(|index| self.names[*index].clone()).collect(),
            rows: self
                .rows
                .iter()
                .map(|(at_ns, row)| (*at_ns, kept.iter().map(|index| row[*index]).collect()))
                .collect(),
        };
        (series, self.back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(counters: &[(&str, u64)]) -> Named {
        counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn what_rose_is_told_look_by_look() {
        let mut columns = Columns::new(&named(&[("a", 10), ("b", 5)]));
        columns.look(100, &named(&[("a", 12), ("b", 5)]));
        columns.look(200, &named(&[("a", 20), ("b", 5), ("c", 9)]));
        let (series, back) = columns.finish();
        assert_eq!(
            (series.names, series.rows),
            (vec!["a".to_owned()], vec![(100, vec![2]), (200, vec![10])])
        );
        assert!(back.is_empty(), "{back:?}");
    }

    /// A reset that nobody sees from both ends: it rose beyond what it was again.
    #[test]
    fn what_went_back_between_two_looks_is_not_known() {
        const S: u64 = 1_000_000_000;
        let mut columns = Columns::new(&named(&[("a.a", 10), ("a.z", 0), ("b.b", 0), ("c.c", 1)]));
        columns.look(S, &named(&[("a.a", 60), ("a.z", 1), ("b.b", 1), ("c.c", 2)]));
        columns.look(2 * S, &named(&[("a.a", 30), ("a.z", 2), ("b.b", 2)]));
        columns.look(3 * S, &named(&[("a.a", 20), ("a.z", 3), ("b.b", 3)]));
        let (series, back) = columns.finish();
        assert_eq!(series.names, ["b.b"], "neighbours of what went back say nothing either");
        assert_eq!(back["a"], "a.a went back between 1.0 s and 2.0 s of the stage");
        assert_eq!(back["c"], "c.c was gone between 1.0 s and 2.0 s of the stage");
        assert_eq!(back.len(), 2);
    }
}
