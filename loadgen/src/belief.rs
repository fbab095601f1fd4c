//! Where the knee may lie, given what stages showed: a probability for each rate on a grid, for several sizes of the system's own scatter.
//! Pure.
//!
//! The model: a stage at rate r meets the service level if r is below the limit of that moment, which is the knee times a random factor
//! (log-normal, its scatter unknown). Beside that a stage below may break by accident (a stall of the host), and one above may be met by
//! luck. The knee is anywhere between the lowest and the highest rate alike at first, on a logarithmic scale; each stage multiplies in how
//! well it goes with each place (Bayes). A stage of which it is uncertain whether it met the level counts as both, by its chance.

use crate::limits::{BROKEN_BY_ACCIDENT, MET_BY_LUCK, SCATTERS};
use crate::statistics::normal_cdf;

/// Steps of the grid within the resolution: fine enough that the grid adds nothing to the interval.
const STEPS_A_RESOLUTION: f64 = 8.0;
/// The probability of each place of the knee and each scatter.
#[derive(Clone, Debug)]
pub struct Belief {
    /// Logarithm of the lowest rate of the grid.
    first_ln: f64,
    step_ln: f64,
    /// For each of [`SCATTERS`] the weight of each rate; all together they sum to 1.
    weights: Vec<Vec<f64>>,
}

impl Belief {
    /// All places alike, from half of the lowest rate (none is met) to twice the highest (none breaks).
    pub fn new(lowest_tps: f64, highest_tps: f64, resolution: f64) -> Self {
        let (first_ln, last_ln) = ((lowest_tps / 2.0).ln(), (highest_tps * 2.0).ln());
        let step_ln = resolution.ln() / STEPS_A_RESOLUTION;
        let places = ((last_ln - first_ln) / step_ln).ceil() as usize + 1;
        let weights = SCATTERS.iter().map(|(_, weight)| vec![weight / places as f64; places]).collect();
        Self { first_ln, step_ln, weights }
    }

    /// Takes in a stage: its rate, and how probable it is that it met the service level, 0 to 1.
    pub fn learn(&mut self, tps: f64, chance_met: f64) {
        let at_ln = tps.ln();
        let mut sum = 0.0;
        for (weights, (scatter, _)) in self.weights.iter_mut().zip(SCATTERS) {
            for (place, weight) in weights.iter_mut().enumerate() {
                let knee_ln = self.first_ln + place as f64 * self.step_ln;
                let below = normal_cdf((knee_ln - at_ln) / scatter);
                let met = MET_BY_LUCK + (1.0 - MET_BY_LUCK - BROKEN_BY_ACCIDENT) * below;
                *weight *= chance_met * met + (1.0 - chance_met) * (1.0 - met);
                sum += *weight;
            }
        }
        self.weights.iter_mut().flatten().for_each(|weight| *weight /= sum);
    }

    /// The rate below which the knee lies with this probability, reads/s.
    pub fn quantile(&self, probability: f64) -> f64 {
        let places = self.weights[0].len();
        let at = |place: usize| self.weights.iter().map(|weights| weights[place]).sum();
        self.crossing(probability, (0..places).map(at))
    }

    /// Between which rates the limit of a stage to come lies with 95 % probability: the knee's uncertainty and the scatter together.
    pub fn limit_of_95_stages(&self) -> (f64, f64) {
        let places = self.weights[0].len();
        let mut limit = vec![0.0; places];
        for (weights, (scatter, _)) in self.weights.iter().zip(SCATTERS) {
            let kernel = kernel(scatter / self.step_ln);
            for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 1e-6) {
                for (offset, share) in kernel.iter().enumerate() {
                    let at = (place + offset).saturating_sub(kernel.len() / 2).min(places - 1);
                    limit[at] += weight * share;
                }
            }
        }
        (self.crossing(0.025, limit.iter().copied()), self.crossing(0.975, limit.iter().copied()))
    }

    /// Expected scatter of the limit from stage to stage, as a share of the rate.
    pub fn scatter(&self) -> f64 {
        let of = |weights: &Vec<f64>| weights.iter().sum::<f64>();
        self.weights.iter().zip(SCATTERS).map(|(weights, (scatter, _))| of(weights) * scatter).sum()
    }

    /// Where the sum of the weights crosses this, between the middles of the grid's places.
    fn crossing(&self, probability: f64, weights: impl Iterator<Item = f64>) -> f64 {
        let (mut sum, mut last) = (0.0, 0);
        for (place, weight) in weights.enumerate() {
            if sum + weight >= probability && weight > 0.0 {
                let within = (probability - sum) / weight - 0.5;
                return (self.first_ln + (place as f64 + within) * self.step_ln).exp();
            }
            sum += weight;
            last = place;
        }
        (self.first_ln + last as f64 * self.step_ln).exp()
    }
}

/// A normal distribution over whole steps, its standard deviation given in steps.
fn kernel(sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil().max(1.0) as i64;
    let upper = |step: f64| normal_cdf((step + 0.5) / sigma) - normal_cdf((step - 0.5) / sigma);
    (-reach..=reach).map(|step| upper(step as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_move_what_is_believed() {
        let mut belief = Belief::new(1e3, 1e6, 1.05);
        assert!((belief.quantile(0.5) / 31_600.0 - 1.0).abs() < 0.02, "{}", belief.quantile(0.5));
        for _ in 0..3 {
            belief.learn(100_000.0, 1.0);
            belief.learn(110_000.0, 0.0);
        }
        let (low, high) = (belief.quantile(0.025), belief.quantile(0.975));
        assert!(
            (90_000.0..101_000.0).contains(&low) && (109_000.0..122_000.0).contains(&high),
            "{low} {high}"
        );
        let (lower, upper) = belief.limit_of_95_stages();
        assert!(lower < low && upper > high, "a stage's limit scatters more than the knee is uncertain");
    }

    #[test]
    fn an_undecided_stage_teaches_nothing() {
        let mut belief = Belief::new(1e3, 1e6, 1.05);
        let before = belief.quantile(0.3);
        belief.learn(50_000.0, 0.5);
        assert!((belief.quantile(0.3) / before - 1.0).abs() < 1e-9);
    }

    #[test]
    fn contradictions_are_scatter() {
        let (mut steady, mut shaky) = (Belief::new(1e3, 1e6, 1.05), Belief::new(1e3, 1e6, 1.05));
        for (tps, met) in [(80e3, 1.0), (90e3, 1.0), (100e3, 1.0), (110e3, 0.0), (120e3, 0.0), (130e3, 0.0)] {
            steady.learn(tps, met);
        }
        for (tps, met) in [(80e3, 0.0), (90e3, 1.0), (100e3, 0.0), (110e3, 1.0), (120e3, 1.0), (130e3, 0.0)] {
            shaky.learn(tps, met);
        }
        assert!(shaky.scatter() > 2.0 * steady.scatter(), "{} {}", shaky.scatter(), steady.scatter());
    }
}
