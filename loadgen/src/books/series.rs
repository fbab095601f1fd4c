//! Counters looked at again and again, against what they were before the stage.

use super::kernel::{self, Named};
use crate::attribution::Series;

/// The looks at one host's counters in a stage.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    before: Vec<u64>,
    rows: Vec<(u64, Vec<u64>)>,
    /// Went back, or were not there any more: what they rose by is not known.
    broken: Vec<bool>,
}

impl Columns {
    /// No look yet; these are the counters, and what they were before the stage.
    pub(super) fn new(before: &Named) -> Self {
        Self {
            names: before.keys().cloned().collect(),
            before: before.values().copied().collect(),
            rows: Vec::new(),
            broken: vec![false; before.len()],
        }
    }

    /// Adds a look of this time, nanoseconds since the stage began.
    pub(super) fn look(&mut self, at_ns: u64, now: &Named) {
        let last = self.rows.last().map(|(_, row)| row.clone()).unwrap_or_else(|| vec![0; self.names.len()]);
        let row = self.names.iter().zip(&self.before).enumerate().map(|(index, (name, before))| {
            let risen = now.get(name).and_then(|now| now.checked_sub(*before));
            let risen = risen.filter(|risen| *risen >= last[index]);
            self.broken[index] |= risen.is_none();
            risen.unwrap_or(last[index])
        });
        let row = row.collect();
        self.rows.push((at_ns, row));
    }

    /// Those that rose, and takes out of `risen` what turned out to say nothing. `host` is whose they are, in words.
    pub(super) fn finish(self, risen: &mut Named, host: &str, gaps: &mut Vec<String>) -> Series {
        for (name, _) in self.names.iter().zip(&self.broken).filter(|(_, broken)| **broken) {
            if risen.remove(name).is_some() {
                gaps.push(kernel::went_back(name, host));
            }
        }
        let rose = |index: &usize| self.rows.last().is_some_and(|(_, row)| row[*index] > 0);
        let kept: Vec<_> = (0..self.names.len()).filter(|index| !self.broken[*index]).filter(rose).collect();
        Series {
            names: kept.iter().map(|index| self.names[*index].clone()).collect(),
            rows: self
                .rows
                .iter()
                .map(|(at_ns, row)| (*at_ns, kept.iter().map(|index| row[*index]).collect()))
                .collect(),
        }
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
        let (mut risen, mut gaps) = (named(&[("a", 11), ("b", 0)]), Vec::new());
        let series = columns.finish(&mut risen, "this host", &mut gaps);
        assert_eq!(
            (series.names, series.rows),
            (vec!["a".to_owned()], vec![(100, vec![2]), (200, vec![10])])
        );
        assert!(gaps.is_empty() && risen.len() == 2);
    }

    /// A reset that nobody sees from both ends: it rose beyond what it was again.
    #[test]
    fn what_went_back_between_two_looks_is_not_known() {
        let mut columns = Columns::new(&named(&[("a", 10), ("b", 0), ("c", 1)]));
        columns.look(100, &named(&[("a", 60), ("b", 1), ("c", 2)]));
        columns.look(200, &named(&[("a", 30), ("b", 2)]));
        let (mut risen, mut gaps) = (named(&[("a", 70), ("b", 3), ("c", 4)]), Vec::new());
        let series = columns.finish(&mut risen, "this host", &mut gaps);
        assert_eq!(series.names, ["b"]);
        assert_eq!(risen, named(&[("b", 3)]));
        assert!(gaps.len() == 2 && gaps[0].contains("what a of this host"), "{gaps:?}");
    }
}
