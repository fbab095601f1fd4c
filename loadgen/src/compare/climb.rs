//! The short search of one strategy for its highest rate within the service level: a [`Search`] that knows what the rounds showed, with
//! a bound on its length. Pure.

use crate::limits;
use crate::record::Stage;
use crate::search::{Search, SearchSpec};
use crate::slo::Broke;

/// A search under way.
pub(super) struct Climb {
    search: Search,
    stages: usize,
    /// Times the host spoiled the rate tried now.
    spoiled: usize,
    broke_first: Option<(f64, Broke)>,
}

impl Climb {
    /// A search that is not to be made.
    pub(super) fn new() -> Self {
        Self { stages: limits::CLIMB_STAGES_MAX, ..Self::from(1.0, false, 1.0) }
    }

    /// Climbs from the rate of the rounds where it was met up to the highest, else from an eighth of that rate up to it.
    pub(super) fn from(tps: f64, met: bool, highest_tps: f64) -> Self {
        let (lowest_tps, highest_tps) = if met { (tps, highest_tps.max(tps)) } else { (tps / 8.0, tps) };
        let mut search = Search::new(SearchSpec {
            lowest_tps,
            highest_tps,
            resolution: limits::CLIMB_RESOLUTION,
            stages_max: limits::CLIMB_STAGES_MAX,
        });
        if met {
            search.record(tps, 1.0);
        }
        Self { search, stages: 0, spoiled: 0, broke_first: None }
    }

    /// The rate to try next; `None` when enough is known or enough time was spent.
    pub(super) fn next_tps(&self) -> Option<f64> {
        self.search.next_tps().filter(|_| self.stages < limits::CLIMB_STAGES_MAX)
    }

    /// Takes in the stage at [`next_tps`](Self::next_tps). As in `qualify`, a stage that the host spoiled is no try, a few times.
    pub(super) fn record(&mut self, stage: &Stage) {
        self.stages += 1;
        if stage.broke.is_some() && !stage.valid && self.spoiled < limits::INVALID_REPEATS_MAX {
            self.spoiled += 1;
            return;
        }
        self.spoiled = 0;
        let hard = if stage.broke.is_none() { 1.0 } else { 0.0 };
        self.search.record(stage.offered_tps, stage.chance_met.unwrap_or(hard));
        if let Some(broke) = stage.broke
            && self.broke_first.is_none_or(|(tps, _)| stage.offered_tps <= tps)
        {
            self.broke_first = Some((stage.offered_tps, broke));
        }
    }

    /// The highest rate that met the level; 0 if none did.
    pub(super) fn knee_tps(&self) -> f64 {
        self.search.met_tps().unwrap_or(0.0)
    }

    /// The lowest rate that broke it.
    pub(super) fn broken_tps(&self) -> Option<f64> {
        self.search.broken_tps()
    }

    /// What broke there.
    pub(super) fn broke_first(&self) -> Option<Broke> {
        self.broke_first.map(|(_, broke)| broke)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(capacity_tps: f64, from: f64, met: bool) -> (Climb, usize) {
        let (mut climb, mut stages) = (Climb::from(from, met, 1e7), 0);
        while let Some(tps) = climb.next_tps() {
            let broke = (tps > capacity_tps).then_some(Broke::P99);
            climb.record(&Stage { offered_tps: tps, valid: true, broke, ..Stage::default() });
            stages += 1;
        }
        (climb, stages)
    }

    #[test]
    fn finds_the_rate_above_and_below_that_of_the_rounds() {
        let (above, _) = search(130_000.0, 40_000.0, true);
        assert!((100_000.0..=130_000.0).contains(&above.knee_tps()), "{}", above.knee_tps());
        assert_eq!(above.broke_first(), Some(Broke::P99));
        let (below, _) = search(13_000.0, 40_000.0, false);
        assert!((10_000.0..=13_000.0).contains(&below.knee_tps()), "{}", below.knee_tps());
        let (nothing, _) = search(100.0, 40_000.0, false);
        assert_eq!((nothing.knee_tps(), nothing.broken_tps()), (0.0, Some(5_000.0)));
    }

    #[test]
    fn ends_whatever_the_host_does() {
        let mut climb = Climb::from(40_000.0, true, 1e7);
        let mut stages = 0;
        while let Some(tps) = climb.next_tps() {
            climb.record(&Stage {
                offered_tps: tps,
                valid: false,
                broke: Some(Broke::P99),
                ..Stage::default()
            });
            stages += 1;
        }
        assert!(stages <= limits::CLIMB_STAGES_MAX);
        assert_eq!(Climb::new().next_tps(), None);
    }

    #[test]
    fn a_rate_that_broke_once_is_tried_again() {
        let mut climb = Climb::from(40_000.0, true, 1e7);
        let tps = climb.next_tps().expect("a rate above");
        climb.record(&Stage {
            offered_tps: tps,
            valid: true,
            broke: Some(Broke::FailureRate),
            ..Stage::default()
        });
        assert_eq!((climb.next_tps(), climb.broken_tps()), (Some(tps), None));
    }
}
