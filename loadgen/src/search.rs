//! The search for the knee: climb by doubling until a rate fails, then bisect. Pure: rates and verdicts in, rates out.

/// How a search goes about it.
#[derive(Clone, Copy, Debug)]
pub struct SearchSpec {
    /// First and lowest rate tried, reads/s.
    pub lowest_tps: f64,
    /// Highest rate tried, reads/s.
    pub highest_tps: f64,
    /// The search ends when the lowest failing rate is within this factor of the highest passing one (1.05 = 5 %).
    pub resolution: f64,
}

/// The state of a search: what is known to pass and to fail.
#[derive(Clone, Debug)]
pub struct Search {
    spec: SearchSpec,
    passed: Option<f64>,
    /// How often the highest passing rate was met.
    times_met: u32,
    failed: Option<f64>,
}

impl Search {
    /// Starts below everything.
    pub fn new(spec: SearchSpec) -> Self {
        Self { spec, passed: None, times_met: 0, failed: None }
    }

    /// The rate to try next, or `None` when the knee is known to the resolution asked for.
    pub fn next_tps(&self) -> Option<f64> {
        let SearchSpec { lowest_tps, highest_tps, resolution } = self.spec;
        match (self.passed, self.failed) {
            (None, None) => Some(lowest_tps),
            // The lowest rate failed: there is nothing below to search.
            (None, Some(_)) => None,
            (Some(passed), None) if passed < highest_tps => Some((passed * 2.0).min(highest_tps)),
            (Some(passed), Some(failed)) if failed / passed > resolution => {
                Some(readable((passed * failed).sqrt()))
            }
            // Met once, near a limit, may be luck: a knee is a rate that is met again.
            (Some(passed), _) => (self.times_met < TIMES_MET).then_some(passed),
        }
    }

    /// Takes in the outcome at a rate. A failure below a rate that passed (noise) lowers the search to below it.
    pub fn record(&mut self, tps: f64, met: bool) {
        if met {
            match self.passed {
                Some(best) if best == tps => self.times_met += 1,
                Some(best) if best > tps => {}
                _ => (self.passed, self.times_met) = (Some(tps), 1),
            }
        } else {
            self.failed = Some(self.failed.map_or(tps, |worst| worst.min(tps)));
            if self.passed.is_some_and(|passed| passed >= tps) {
                // Taken back a step, not to nothing: the step is searched again at once.
                let below = tps / self.spec.resolution;
                (self.passed, self.times_met) = ((below >= self.spec.lowest_tps).then_some(below), 0);
            }
        }
    }

    /// The highest rate that passed so far.
    pub fn knee_tps(&self) -> Option<f64> {
        self.passed
    }

    /// The lowest rate that failed so far.
    pub fn lowest_failed_tps(&self) -> Option<f64> {
        self.failed
    }
}

/// Times a rate must be met to be called the knee.
const TIMES_MET: u32 = 2;

/// Three significant digits: nobody can read or quote 56568.542.
fn readable(tps: f64) -> f64 {
    let step = 10f64.powf(tps.log10().floor() - 2.0);
    (tps / step).round() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: SearchSpec = SearchSpec { lowest_tps: 5_000.0, highest_tps: 5e6, resolution: 1.05 };

    fn run(capacity_tps: f64) -> (Search, usize) {
        let mut search = Search::new(SPEC);
        let mut steps = 0;
        while let Some(tps) = search.next_tps() {
            search.record(tps, tps <= capacity_tps);
            steps += 1;
            assert!(steps < 40, "search does not end");
        }
        (search, steps)
    }

    #[test]
    fn finds_the_knee_to_the_resolution() {
        for capacity in [5_000.0, 7_777.0, 28_571.0, 151_234.0, 4_900_000.0] {
            let (search, steps) = run(capacity);
            let knee = search.knee_tps().expect("the lowest rate passes");
            assert!(knee <= capacity && capacity / knee <= 1.06, "{capacity}: {knee}");
            assert!(steps <= 19, "{capacity}: {steps} steps");
        }
    }

    #[test]
    fn ends_at_both_bounds() {
        let (search, steps) = run(1_000.0);
        assert_eq!((search.knee_tps(), search.lowest_failed_tps(), steps), (None, Some(5_000.0), 1));
        let (search, _) = run(1e9);
        assert_eq!((search.knee_tps(), search.lowest_failed_tps()), (Some(5e6), None));
    }

    #[test]
    fn a_failed_confirmation_lowers_the_knee() {
        let (mut search, _) = run(28_571.0);
        let knee = search.knee_tps().expect("found");
        search.record(knee, false);
        let lowered = search.knee_tps().expect("a step lower");
        assert!(lowered < knee && lowered > knee / 1.06);
        // The step below was not tried yet: it has to be met twice.
        for _ in 0..2 {
            assert_eq!(search.next_tps(), Some(lowered));
            search.record(lowered, true);
        }
        assert_eq!((search.next_tps(), search.knee_tps()), (None, Some(lowered)));
    }

    #[test]
    fn a_knee_is_met_twice() {
        let mut search = Search::new(SearchSpec { highest_tps: 10_000.0, ..SPEC });
        let mut tried = Vec::new();
        while let Some(tps) = search.next_tps() {
            tried.push(tps);
            search.record(tps, true);
        }
        assert_eq!(tried, [5_000.0, 10_000.0, 10_000.0]);
    }
}
