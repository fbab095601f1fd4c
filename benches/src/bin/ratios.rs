//! Nanoseconds of each scenario, and what a chunked read costs beside its floor: `cargo run --release -p shingle-benches --bin ratios`.
//!
//! All scenarios take turns in every round, so that whatever disturbs the machine disturbs all of them; medians over the
//! rounds are printed. For figures that are to be kept the machine has to be quiet.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use shingle_benches::{FLOOR, SCENARIOS, SMALL, SMALL_CHECKSUMS, Scenario};

/// Rounds, of which the median is taken.
const ROUNDS: usize = 101;
/// Least time a scenario is run in one round.
const ROUND: Duration = Duration::from_millis(2);

fn main() {
    let mut scenarios: Vec<_> = SCENARIOS.iter().map(|(name, make)| Measured::new(name, make())).collect();
    for _ in 0..ROUNDS {
        scenarios.iter_mut().for_each(Measured::round);
    }
    println!("{:>10} {:>10}  scenario (medians of {ROUNDS} interleaved rounds)", "ns", "of floor");
    let medians: Vec<(&str, f64)> = scenarios.iter_mut().map(|one| (one.name, one.median_ns())).collect();
    let of = |name: &str| medians.iter().find(|(known, _)| *known == name).expect("one of the scenarios").1;
    for (name, ns) in &medians {
        let ratio = if name.contains("64 KiB") { format!("{:.2}", ns / of(FLOOR)) } else { String::new() };
        println!("{ns:>10.1} {ratio:>10}  {name}");
    }
    println!("{:>10.1} {:>10}  {SMALL}, its checksums subtracted", of(SMALL) - of(SMALL_CHECKSUMS), "");
}

/// One scenario and what it took.
struct Measured {
    name: &'static str,
    scenario: Box<dyn Scenario>,
    /// Runs of one round.
    runs: u32,
    /// Of each round, a run's share.
    took_ns: Vec<f64>,
}

impl Measured {
    fn new(name: &'static str, scenario: Box<dyn Scenario>) -> Self {
        let mut measured = Measured { name, scenario, runs: 1, took_ns: Vec::with_capacity(ROUNDS) };
        while measured.time() < ROUND {
            measured.runs *= 2;
        }
        measured
    }

    fn round(&mut self) {
        let took = self.time();
        self.took_ns.push(took.as_nanos() as f64 / f64::from(self.runs));
    }

    /// Time of one round. What is not measured is left out where there is such a thing, at the price of two looks at the
    /// clock for each run.
    fn time(&mut self) -> Duration {
        if self.scenario.has_preparation() {
            let mut took = Duration::ZERO;
            for _ in 0..self.runs {
                self.scenario.prepare();
                let start = Instant::now();
                self.scenario.run();
                took += start.elapsed();
            }
            return took;
        }
        let start = Instant::now();
        for _ in 0..self.runs {
            self.scenario.run();
        }
        start.elapsed()
    }

    fn median_ns(&mut self) -> f64 {
        self.took_ns.sort_by(f64::total_cmp);
        self.took_ns[ROUNDS / 2]
    }
}
