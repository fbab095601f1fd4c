//! The verdict: whether the service level was met, up to which rate, and what to do, in plain words. Pure.

use crate::limits;
use crate::record::{CauseReport, Outcome, Stage, Verdict};
use crate::report::terminal::{latency, percent, rate};
use crate::slo::{Broke, Slo};

/// What a search or a single stage brought, as far as the verdict needs it.
pub struct Findings<'a> {
    /// The service level.
    pub slo: Slo,
    /// Highest rate that met it, and its stage.
    pub best: Option<&'a Stage>,
    /// Lowest rate that did not, its stage and what it broke.
    pub broken: Option<(&'a Stage, Broke)>,
    /// Who lost the reads of that stage.
    pub causes: &'a [CauseReport],
    /// Rate that had to be met.
    pub target_tps: Option<u64>,
    /// Server and generator share CPUs and namespace.
    pub shared_namespace: bool,
    /// One stage, not a search.
    pub single: bool,
}

/// Judges.
pub fn judge(findings: &Findings<'_>) -> Verdict {
    // A closed loop offers nothing but what is answered.
    let tps = |stage: &Stage| if stage.offered_tps > 0.0 { stage.offered_tps } else { stage.achieved_tps };
    let tps_at_slo = findings.best.map_or(0, |stage| tps(stage) as u64);
    let met = match findings.target_tps {
        Some(target) => tps_at_slo >= target,
        None => findings.best.is_some(),
    };
    let limited =
        findings.broken.is_some_and(|(stage, _)| stage.generator_limited) && !findings.shared_namespace;
    // A generator that gave up first says nothing about the server beyond the rate that passed.
    let enough = met && (findings.target_tps.is_some() || !limited);
    let outcome = match (enough, limited) {
        (true, _) => Outcome::Pass,
        (false, true) => Outcome::GeneratorLimited,
        (false, false) => Outcome::Fail,
    };
    let words = words(findings, outcome, tps_at_slo);
    Verdict {
        outcome,
        tps_at_slo,
        broke_first: findings.broken.map(|(_, broke)| broke),
        hosts_needed: None,
        words,
    }
}

fn words(findings: &Findings<'_>, outcome: Outcome, tps_at_slo: u64) -> Vec<String> {
    let slo = &findings.slo;
    let level =
        format!("failures <= {} and p99 <= {}", percent(slo.failure_rate), latency(slo.p99_us as f64));
    let mut words = Vec::new();
    words.push(match (findings.best, findings.target_tps) {
        (Some(_), Some(target)) if tps_at_slo < target => {
            format!(
                "NOT MET: {} reads/s meet the service level ({level}), but {} were asked for.",
                rate(tps_at_slo as f64),
                rate(target as f64)
            )
        }
        (Some(stage), _) => format!(
            "{}: {} reads/s with failures {} and p99 {} ({level}).",
            if outcome == Outcome::GeneratorLimited { "AT LEAST" } else { "MET" },
            rate(tps_at_slo as f64),
            percent(stage.failure_rate),
            latency(stage.latency_us.p99),
        ),
        (None, _) if findings.single => format!("NOT MET: the service level is {level}."),
        (None, _) => format!("NOT MET: no rate tried meets the service level ({level})."),
    });
    if let Some((stage, broke)) = findings.broken {
        words.push(broken_words(stage, broke, findings.single));
        words.push(who_words(stage, broke, findings.causes));
        if stage.generator_limited {
            words.push(generator_words(findings, stage));
        }
        if !stage.gaps.is_empty() {
            words.push(format!("What could not be had of this stage: {}.", stage.gaps.join("; ")));
        }
        let disturbed = stage.disturbed as f64 / stage.sent.max(1) as f64;
        if disturbed > limits::DISTURBED_WORTH_SAYING {
            let longest = stage.stalls.iter().map(|stall| stall.length_ms).fold(0.0, f64::max);
            words.push(format!(
                "This host stalled {} times meanwhile (idle threads overslept, by up to {longest:.1} ms); the {} of the reads it fell into are in no latency figure.",
                stage.stalls.len(),
                percent(disturbed),
            ));
        }
        let taken = stage.cpu_others + stage.cpu_stolen;
        if taken > limits::CPU_OTHERS_MAX {
            words.push(format!(
                "This host was not quiet: others took {:.0} % of its CPU time meanwhile (other processes {:.0} %, the hypervisor {:.0} %). \
                 Stop them and measure again.",
                taken * 100.0,
                stage.cpu_others * 100.0,
                stage.cpu_stolen * 100.0
            ));
        }
    } else if findings.best.is_some() && !findings.single {
        words.push("Nothing broke up to the highest rate tried.".to_owned());
    }
    if findings.shared_namespace {
        words.push(
            "Server and generator shared this host's CPUs and network namespace: the figures speak for both together. \
             To qualify a machine for serving, run `cache-server` there and this command on another host with --server."
                .to_owned(),
        );
    }
    words
}

fn broken_words(stage: &Stage, broke: Broke, single: bool) -> String {
    let what = match broke {
        Broke::FailureRate => format!("{} of the reads failed", percent(stage.failure_rate)),
        Broke::P99 => format!("p99 was {}", latency(stage.latency_us.p99)),
    };
    let at = if stage.offered_tps > 0.0 { stage.offered_tps } else { stage.achieved_tps };
    let verb = if single { "broke" } else { "broke first" };
    format!("At {} reads/s {} {verb}: {what}.", rate(at), broke.words())
}

/// Who lost the reads, or who spent the time.
fn who_words(stage: &Stage, broke: Broke, causes: &[CauseReport]) -> String {
    match (broke, causes.first()) {
        (Broke::FailureRate, Some(cause)) => format!(
            "Who lost them: {} of {} reads by {} ({}; confidence {:.2}). {}",
            cause.reads, stage.first_try_lost, cause.cause, cause.place, cause.confidence, cause.remedy
        ),
        (Broke::FailureRate, None) => "Who lost them could not be told.".to_owned(),
        (Broke::P99, _) => {
            let (slip, residence) = (stage.slip_us.p99, stage.residence_us.p99);
            let half = stage.latency_us.p99 / 2.0;
            let place = if residence > half && residence >= slip {
                "the server (from its kernel's receive timestamp to the send): requests waited for its worker"
            } else if slip > half {
                "the generator, before the request left"
            } else {
                "between the hosts, or at the generator's receiving side"
            };
            format!(
                "Where the time went at p99: {} in the server, {} before the request left; most of it was spent in {place}.",
                latency(residence),
                latency(slip)
            )
        }
    }
}

fn generator_words(findings: &Findings<'_>, stage: &Stage) -> String {
    let because = stage.generator_limited_because.join("; ");
    if findings.shared_namespace {
        format!("The generator was short of CPU too ({because}): the server alone may carry more.")
    } else {
        format!(
            "GENERATOR-LIMITED: the generator could not offer that rate ({because}), so it says nothing about the server. \
             Give it more threads (--threads) or CPUs, or load from more hosts."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(tps: f64, failure_rate: f64, p99_us: f64) -> Stage {
        let mut stage = Stage { offered_tps: tps, achieved_tps: tps, failure_rate, ..Stage::default() };
        stage.latency_us.p99 = p99_us;
        stage
    }

    fn findings<'a>(best: Option<&'a Stage>, broken: Option<(&'a Stage, Broke)>) -> Findings<'a> {
        Findings {
            slo: Slo::default(),
            best,
            broken,
            causes: &[],
            target_tps: None,
            shared_namespace: false,
            single: false,
        }
    }

    #[test]
    fn met_and_broken_above() {
        let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
        let verdict = judge(&findings(Some(&best), Some((&broken, Broke::FailureRate))));
        assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Pass, 40_000));
        assert!(verdict.words[0].starts_with("MET: 40.0k reads/s"), "{:?}", verdict.words);
    }

    #[test]
    fn a_target_decides() {
        let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
        let mut findings = findings(Some(&best), Some((&broken, Broke::FailureRate)));
        findings.target_tps = Some(50_000);
        assert_eq!(judge(&findings).outcome, Outcome::Fail);
        findings.target_tps = Some(40_000);
        assert_eq!(judge(&findings).outcome, Outcome::Pass);
    }

    #[test]
    fn a_generator_that_gives_up_blames_nobody_but_itself() {
        let (best, mut broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.0, 3000.0));
        broken.generator_limited = true;
        broken.generator_limited_because = vec!["late".to_owned()];
        let mut findings = findings(Some(&best), Some((&broken, Broke::P99)));
        let verdict = judge(&findings);
        assert_eq!(verdict.outcome, Outcome::GeneratorLimited);
        assert!(verdict.words[0].starts_with("AT LEAST"), "{:?}", verdict.words);
        findings.shared_namespace = true;
        assert_eq!(judge(&findings).outcome, Outcome::Pass);
    }

    #[test]
    fn nothing_met() {
        let broken = stage(5_000.0, 0.5, 100_000.0);
        let verdict = judge(&findings(None, Some((&broken, Broke::FailureRate))));
        assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Fail, 0));
    }
}
