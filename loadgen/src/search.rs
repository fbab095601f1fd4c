//! The search for the knee, the highest rate that meets the service level: climb by doubling, then ask where it is in doubt. Pure: rates
//! and chances in, rates and an interval out.
//!
//! A stage is a noisy test: near the knee one is met and the next is not. The search therefore keeps for each rate how probable it is that
//! the knee lies there ([`Belief`]), tries the rate that halves what is in doubt, and ends when 95 % of it lie within
//! the resolution asked for, or when it has tried often enough. Then five searches agree within that resolution in 95 of 100 cases (the
//! range of five draws from a normal distribution is, in 95 of 100 cases, at most as wide as the middle 95 % of it). Where the system's own
//! scatter is wider than that, so is the interval that is stated.

use crate::belief::Belief;
use crate::limits::BROKEN_TWICE;

/// How a search goes about it.
#[derive(Clone, Copy, Debug)]
pub struct SearchSpec {
    /// First and lowest rate tried, reads/s.
    pub lowest_tps: f64,
    /// Highest rate tried, reads/s.
    pub highest_tps: f64,
    /// The search ends when the knee is known to lie between two rates of which one is at most this many times the other (1.05 = 5 %), with
    /// 95 % probability.
    pub resolution: f64,
    /// Stages after the climb at most.
    pub stages_max: usize,
}

/// The knee as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// Best estimate: as probably above as below, reads/s. The highest rate tried where none broke.
    pub tps: f64,
    /// Between these, the limit of 95 of 100 stages lies, and with it the knee that another search finds. No upper one where no rate broke.
    pub lower_tps: f64,
    /// See `lower_tps`.
    pub upper_tps: Option<f64>,
    /// Scatter of the limit from stage to stage, one standard deviation as a share of the rate.
    pub scatter: f64,
    /// The knee itself lies within a range this wide with 95 % probability, as a share of it; none where no rate broke.
    pub known_to: Option<f64>,
    /// That is the resolution asked for, or less.
    pub resolved: bool,
}

/// One try of a rate.
#[derive(Clone, Copy, Debug)]
struct Try {
    tps: f64,
    met: bool,
}

/// The state of a search.
#[derive(Clone, Debug)]
pub struct Search {
    spec: SearchSpec,
    belief: Belief,
    tries: Vec<Try>,
    /// Tries when the climb was over.
    climbed: Option<usize>,
}

impl Search {
    /// Starts below everything.
    pub fn new(spec: SearchSpec) -> Self {
        let belief = Belief::new(spec.lowest_tps, spec.highest_tps, spec.resolution);
        Self { spec, belief, tries: Vec::new(), climbed: None }
    }

    /// The rate to try next, or `None` when the knee is known to the resolution asked for, or enough was tried.
    pub fn next_tps(&self) -> Option<f64> {
        let SearchSpec { lowest_tps, highest_tps, stages_max, .. } = self.spec;
        let Some(climbed) = self.climbed else { return self.climb() };
        if self.is_all_broken() || self.tries.len() >= climbed + stages_max || self.is_resolved() {
            return None;
        }
        let quantile = QUANTILES[(self.tries.len() - climbed) % QUANTILES.len()];
        Some(readable(self.belief.quantile(quantile)).clamp(lowest_tps, highest_tps))
    }

    /// The next rate on the way up. One that broke is tried once more: a bad moment below the knee would cost many stages.
    fn climb(&self) -> Option<f64> {
        match self.tries.last() {
            None => Some(self.spec.lowest_tps),
            Some(last) if !last.met || last.tps < self.spec.highest_tps => {
                Some(if last.met { (last.tps * 2.0).min(self.spec.highest_tps) } else { last.tps })
            }
            // The highest rate is met: once more, since once may be luck.
            Some(last) => (self.times(last.tps, true) < BROKEN_TWICE).then_some(last.tps),
        }
    }

    /// Takes in a try of a rate: how probable it is that the stage met the service level, 0 to 1.
    pub fn record(&mut self, tps: f64, chance_met: f64) {
        self.belief.learn(tps, chance_met);
        self.tries.push(Try { tps, met: chance_met >= 0.5 });
        if self.climbed.is_none() && self.times(tps, false) >= BROKEN_TWICE {
            self.climbed = Some(self.tries.len());
        }
    }

    /// No further rate will be tried: one that broke on the way up counts as broken, though it was to be tried once more.
    pub fn end(&mut self) {
        if self.tries.last().is_some_and(|last| !last.met) {
            self.climbed.get_or_insert(self.tries.len());
        }
    }

    fn times(&self, tps: f64, met: bool) -> usize {
        self.tries.iter().filter(|tried| tried.tps == tps && tried.met == met).count()
    }

    fn is_resolved(&self) -> bool {
        self.ratio_of_95() <= self.spec.resolution
    }

    /// Upper over lower end of the range that holds the knee with 95 % probability.
    fn ratio_of_95(&self) -> f64 {
        self.belief.quantile(0.975) / self.belief.quantile(0.025)
    }

    /// No rate is met more often than not.
    fn is_all_broken(&self) -> bool {
        self.climbed.is_some() && self.belief.quantile(0.5) < self.spec.lowest_tps
    }

    /// What is known of the knee; `None` where no rate meets the service level.
    pub fn knee(&self) -> Option<Knee> {
        let met = self.tries.iter().filter(|tried| tried.met).map(|tried| tried.tps);
        let highest_met =
            met.fold(None, |most: Option<f64>, tps| Some(most.map_or(tps, |most| most.max(tps))))?;
        let scatter = self.belief.scatter();
        if self.climbed.is_none() {
            let (tps, resolved) = (highest_met, self.times(self.spec.highest_tps, true) >= BROKEN_TWICE);
            return Some(Knee { tps, lower_tps: tps, upper_tps: None, scatter, known_to: None, resolved });
        }
        if self.is_all_broken() {
            return None;
        }
        let tps = readable(self.belief.quantile(0.5)).clamp(self.spec.lowest_tps, self.spec.highest_tps);
        let (lower, upper) = self.belief.limit_of_95_stages();
        Some(Knee {
            tps,
            lower_tps: readable(lower).min(tps),
            upper_tps: Some(readable(upper).max(tps)),
            scatter,
            known_to: Some(self.ratio_of_95() - 1.0),
            resolved: self.is_resolved(),
        })
    }

    /// The highest rate that was tried and met, of those not above the knee.
    pub fn met_tps(&self) -> Option<f64> {
        let knee = self.knee()?.tps;
        let met = |tried: &&Try| tried.met && tried.tps <= knee;
        // All that was met may lie a little above the estimate.
        let lowest_met =
            || self.tries.iter().filter(|tried| tried.met).map(|tried| tried.tps).reduce(f64::min);
        self.tries.iter().filter(met).map(|tried| tried.tps).reduce(f64::max).or_else(lowest_met)
    }

    /// The lowest rate that was tried and broke, of those not below the knee.
    pub fn broken_tps(&self) -> Option<f64> {
        let knee = self.knee().map_or(0.0, |knee| knee.tps);
        let broken = |tried: &&Try| !tried.met && tried.tps >= knee;
        let highest_broken =
            || self.tries.iter().filter(|tried| !tried.met).map(|tried| tried.tps).reduce(f64::max);
        self.climbed?;
        self.tries.iter().filter(broken).map(|tried| tried.tps).reduce(f64::min).or_else(highest_broken)
    }
}

/// Where in what is in doubt the search asks: the middle halves it, the sides tell a sharp limit from one that scatters.
const QUANTILES: [f64; 4] = [0.5, 0.1, 0.9, 0.5];

/// Three significant digits: nobody can read or quote 56568.542.
fn readable(tps: f64) -> f64 {
    let step = 10f64.powf(tps.log10().floor() - 2.0);
    (tps / step).round() * step
}

#[cfg(test)]
mod tests;
