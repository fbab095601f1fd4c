//! Whether searches for the knee find the same one: several in laboratories whose limit is a policer's, and in one whose limit is this machine.

use std::fmt;

use clap::Parser as _;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::commands;
use shingle_loadgen::record::Record;

use crate::limits;
use crate::speech::say;

/// A limit to be found.
pub struct Limit {
    /// In words.
    pub what: &'static str,
    /// Arguments of `loadgen` that search for it.
    pub arguments: &'static str,
    /// It is a policer's: knees must agree within [`limits::KNEE_SPREAD`]. Else each must lie within the intervals that the others state.
    pub policer: bool,
}

/// What is searched: limits far below what two CPUs generate, and this machine's own.
pub const LIMITS: [Limit; 3] = [
    Limit {
        what: "10,000 packets/s",
        arguments: "qualify --lab packet-limit --items 1k --values fixed:500 --duration 2s --slo failures=0.5%,p99=50ms",
        policer: true,
    },
    Limit {
        what: "1,000 fragments/s",
        arguments: "qualify --lab fragment-limit --strategy kernel-pmtud --items 1k --duration 2s --slo failures=0.5%,p99=50ms",
        policer: true,
    },
    Limit {
        what: "this machine, over loopback",
        arguments: "qualify --items 10k --duration 2s",
        policer: false,
    },
];

/// A knee, and the interval it lies in, where the search says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// Reads/s.
    pub tps: f64,
    /// From and to, reads/s.
    pub interval: Option<(f64, f64)>,
}

/// Searches several times for each, and says whether all agree.
///
/// # Errors
/// A search could not be made.
pub fn searched() -> Result<bool, Box<dyn std::error::Error>> {
    let mut agree = true;
    for limit in &LIMITS {
        say!("{}: loadgen {}", limit.what, limit.arguments);
        let knees = (0..limits::KNEE_SEARCHES).map(|_| search(limit)).collect::<Result<Vec<_>, _>>()?;
        let (good, words) = verdict(limit.policer, &knees);
        say!("  {words}");
        agree &= good;
    }
    Ok(agree)
}

fn search(limit: &Limit) -> Result<Knee, Box<dyn std::error::Error>> {
    let words = ["loadgen"].into_iter().chain(limit.arguments.split(' ')).chain(["--quiet"]);
    let Command::Qualify(qualify) = Cli::try_parse_from(words)?.command else {
        return Err("not a search".into());
    };
    let knee = Knee::of(&commands::qualify(&qualify)?.record);
    say!("  {knee}");
    Ok(knee)
}

impl Knee {
    /// What a record says.
    fn of(record: &Record) -> Self {
        let verdict = &record.verdict;
        let interval = verdict.tps_interval.as_ref();
        let interval = interval.and_then(|interval| Some((interval.lower_tps, interval.upper_tps?)));
        Self { tps: verdict.tps_at_slo as f64, interval }
    }
}

impl fmt::Display for Knee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} reads/s", self.tps)?;
        self.interval.map_or(Ok(()), |(low, high)| write!(f, " ({low:.0} to {high:.0})"))
    }
}

/// Whether knees agree, in words as well.
fn verdict(policer: bool, knees: &[Knee]) -> (bool, String) {
    let (low, high) = knees
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), knee| (low.min(knee.tps), high.max(knee.tps)));
    let spread = if low > 0.0 { high / low - 1.0 } else { f64::INFINITY };
    let all: Vec<_> = knees.iter().map(|knee| format!("{:.0}", knee.tps)).collect();
    let words = format!("knees {} reads/s, spread {:.1} %", all.join(", "), 100.0 * spread);
    if policer {
        let good = spread <= limits::KNEE_SPREAD;
        return (
            good,
            format!(
                "{words} (allowed {:.0} %){}",
                100.0 * limits::KNEE_SPREAD,
                if good { "" } else { ": NOT MET" }
            ),
        );
    }
    let holds = |(low, high): (f64, f64)| knees.iter().all(|knee| (low..=high).contains(&knee.tps));
    let stated: Vec<_> = knees.iter().filter_map(|knee| knee.interval).collect();
    let good = !stated.is_empty() && stated.iter().all(|interval| holds(*interval));
    let stated: Vec<_> = stated.iter().map(|(low, high)| format!("{low:.0} to {high:.0}")).collect();
    (
        good,
        format!(
            "{words}; stated {}{}",
            stated.join(", "),
            if good { "" } else { ": NOT MET, not all within each" }
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knees(of: &[f64], interval: Option<(f64, f64)>) -> Vec<Knee> {
        of.iter().map(|tps| Knee { tps: *tps, interval }).collect()
    }

    #[test]
    fn policers_knees_agree_within_their_spread() {
        assert!(verdict(true, &knees(&[10_000.0, 10_490.0, 10_200.0], None)).0);
        assert!(!verdict(true, &knees(&[10_000.0, 10_510.0], None)).0);
        assert!(!verdict(true, &knees(&[0.0, 10_510.0], None)).0);
    }

    #[test]
    fn a_machines_knees_agree_within_what_the_searches_state() {
        assert!(verdict(false, &knees(&[50_000.0, 70_000.0], Some((45_000.0, 75_000.0)))).0);
        assert!(!verdict(false, &knees(&[50_000.0, 70_000.0], Some((45_000.0, 65_000.0)))).0);
        assert!(!verdict(false, &knees(&[50_000.0, 50_000.0], None)).0, "nothing stated is no promise kept");
    }
}
