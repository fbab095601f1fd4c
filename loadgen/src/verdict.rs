//! The verdict: whether the service level was met, up to which rate, and what to do, in plain words. Pure.

use crate::limits;
use crate::record::{CauseReport, LabFacts, Outcome, Stage, Verdict};
use crate::report::terminal::{lab_range, latency, percent, rate};
use crate::slo::{Broke, Slo};
use crate::target::Placement;

/// What a search or a single stage brought, as far as the verdict needs it.
pub struct Findings<'a> {
    /// The service level.
    pub slo: Slo,
    /// Stage of the highest rate that met it.
    pub best: Option<&'a Stage>,
    /// Stage of the lowest rate that did not.
    pub broken: Option<&'a Stage>,
    /// Who lost the reads of that stage.
    pub causes: &'a [CauseReport],
    /// Rate that had to be met.
    pub target_tps: Option<u64>,
    /// What server and generator share.
    pub placement: Placement,
    /// The laboratory they stood in, if they did.
    pub lab: Option<&'a LabFacts>,
    /// The search went no higher because the laboratory would have been the limit.
    pub ended_by_lab: bool,
    /// One stage, not a search.
    pub single: bool,
    /// The server went away, which ended the search.
    pub server_gone: bool,
}

/// Judges.
pub fn judge(findings: &Findings<'_>) -> Verdict {
    let tps_at_slo = findings.best.map_or(0, |stage| stage.tps() as u64);
    let met = match findings.target_tps {
        Some(target) => tps_at_slo >= target,
        None => findings.best.is_some(),
    };
    let limited =
        findings.broken.is_some_and(|stage| stage.generator_limited) && !findings.placement.shares_cpus();
    // A generator that gave up first, or a server that went, says nothing beyond the rate that passed.
    let enough = met && (findings.target_tps.is_some() || !(limited || findings.server_gone));
    let outcome = match (enough, limited) {
        (true, _) => Outcome::Pass,
        (false, true) => Outcome::GeneratorLimited,
        (false, false) => Outcome::Fail,
    };
    let words = words(findings, outcome, tps_at_slo);
    let broke_first = findings.broken.and_then(|stage| stage.broke);
    Verdict { outcome, tps_at_slo, broke_first, hosts_needed: None, words }
}

fn words(findings: &Findings<'_>, outcome: Outcome, tps_at_slo: u64) -> Vec<String> {
    let mut words = vec![first_words(findings, outcome, tps_at_slo)];
    if findings.server_gone {
        words.push(
            "When the last stage was over the server could not be asked any more: it was stopped or started again, or the way to it was lost. What that stage shows is no figure of its capacity."
                .to_owned(),
        );
    }
    if let Some((stage, broke)) = findings.broken.and_then(|stage| Some((stage, stage.broke?))) {
        words.push(broken_words(stage, broke, findings.single));
        words.push(who_words(stage, broke, findings.causes));
        if stage.generator_limited {
            words.push(generator_words(findings, stage));
        }
        words.extend(host_words(stage));
    } else if findings.best.is_some() && !findings.single && !findings.server_gone {
        words.push("Nothing broke up to the highest rate tried.".to_owned());
    }
    words.extend(findings.best.and_then(stall_words));
    words.extend(findings.lab.map(|lab| lab_words(lab, findings)));
    if findings.placement.shares_counters() {
        words.push(
            "Server and generator shared this host's CPUs and network namespace: the figures speak for both together. \
             To qualify a machine for serving, run the server there and this command on another host with --server."
                .to_owned(),
        );
    }
    words
}

/// That it was a laboratory, which, and how far it can be trusted.
fn lab_words(lab: &LabFacts, findings: &Findings<'_>) -> String {
    let settings: Vec<_> = lab.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut words = format!(
        "This was the laboratory {} ({}): real packets between namespaces of this machine, whose CPUs both ends and the network shared. \
         The figures speak for that network, not for a machine.",
        lab.topology,
        settings.join(", ")
    );
    let honest = lab.packets_per_s_max;
    let packets = |stage: &&Stage| stage.lab.as_ref().map_or(0.0, |figures| figures.packets_per_s);
    let most = findings.best.iter().chain(&findings.broken).map(packets).fold(0.0, f64::max);
    if most > honest {
        words += &format!(
            " It {}, and had {} packets/s to carry: what was lost or late there may be its own doing.",
            lab_range(honest),
            rate(most)
        );
    } else if findings.ended_by_lab {
        words += &format!(" The search went no higher because the laboratory {}.", lab_range(honest));
    }
    words
}

fn first_words(findings: &Findings<'_>, outcome: Outcome, tps_at_slo: u64) -> String {
    let slo = &findings.slo;
    let level =
        format!("failures <= {} and p99 <= {}", percent(slo.failure_rate), latency(slo.p99_us as f64));
    let found = rate(tps_at_slo as f64);
    match (findings.best, findings.target_tps) {
        (Some(_), Some(target)) if tps_at_slo < target => format!(
            "NOT MET: {found} reads/s meet the service level ({level}), but {} were asked for.",
            rate(target as f64)
        ),
        (Some(stage), _) => format!(
            "{}: {found} reads/s with failures {} and p99 {} ({level}).",
            if outcome == Outcome::Pass { "MET" } else { "AT LEAST" },
            percent(stage.failure_rate),
            latency(stage.judged_us().p99),
        ),
        (None, _) if findings.single => format!("NOT MET: the service level is {level}."),
        (None, _) => format!("NOT MET: no rate tried meets the service level ({level})."),
    }
}

fn broken_words(stage: &Stage, broke: Broke, single: bool) -> String {
    let what = match broke {
        Broke::FailureRate => format!("{} of the reads failed", percent(stage.failure_rate)),
        Broke::Misses => format!(
            "{} of {} reads found nothing stored. The server has lost items: look at its evictions and memory, or whether it was started again",
            stage.misses, stage.sent
        ),
        Broke::P99 => format!("p99 was {}", latency(stage.judged_us().p99)),
    };
    let verb = if single { "broke" } else { "broke first" };
    format!("At {} reads/s {} {verb}: {what}.", rate(stage.tps()), broke.words())
}

/// Who lost the reads, or who spent the time.
fn who_words(stage: &Stage, broke: Broke, causes: &[CauseReport]) -> String {
    match (broke, causes.first()) {
        (Broke::FailureRate | Broke::Misses, Some(cause)) => format!(
            "Who lost most: {} of {} reads by {} ({}; confidence {:.2}). {}",
            cause.reads, stage.first_try_lost, cause.cause, cause.place, cause.confidence, cause.remedy
        ),
        (Broke::FailureRate, None) => "Who lost them could not be told.".to_owned(),
        (Broke::Misses, None) => "No read was lost on the way.".to_owned(),
        (Broke::P99, _) => {
            let (slip, residence) = (stage.slip_us.p99, stage.residence_us.p99);
            let half = stage.judged_us().p99 / 2.0;
            let in_server = match residence {
                // Nobody is that fast: the server does not tell.
                0.0 => "how much in the server it does not tell".to_owned(),
                _ => format!("{} in the server", latency(residence)),
            };
            let place = if residence > half && residence >= slip {
                "the server (from its kernel's receive timestamp to the send): requests waited for its worker"
            } else if slip > half {
                "the generator, before the request left"
            } else {
                match residence {
                    0.0 => "the server, between the hosts, or at the generator's receiving side",
                    _ => "between the hosts, or at the generator's receiving side",
                }
            };
            format!(
                "Where the time went at p99: {in_server}, {} before the request left; most of it was spent in {place}.",
                latency(slip)
            )
        }
    }
}

fn generator_words(findings: &Findings<'_>, stage: &Stage) -> String {
    let because = stage.generator_limited_because.join("; ");
    if findings.placement.shares_cpus() {
        format!("The generator was short of CPU too ({because}): the server alone may carry more.")
    } else {
        format!(
            "GENERATOR-LIMITED: the generator could not offer that rate ({because}), so it says nothing about the server. \
             Give it more threads (--threads) or CPUs, or load from more hosts."
        )
    }
}

/// What of the host spoiled the stage that broke, and what could not be read.
fn host_words(stage: &Stage) -> Vec<String> {
    let mut words = Vec::new();
    if stage.server_draining {
        words.push("The server said that it was leaving (it was drained): what it did not answer after that is explained by it.".to_owned());
    }
    words.extend((!stage.valid).then(|| stall_words(stage)).flatten());
    if !stage.gaps.is_empty() {
        words.push(format!("Of that stage could not be had: {}.", stage.gaps.join("; ")));
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
    words
}

/// How much of a stage stalls kept out of its latency, and what it is with them; of a stage they spoiled, that it is judged by all reads.
fn stall_words(stage: &Stage) -> Option<String> {
    let disturbed = stage.disturbed as f64 / stage.sent.max(1) as f64;
    let longest = stage.stalls.iter().map(|stall| stall.length_ms).fold(0.0, f64::max);
    let stalls = format!(
        "At {} reads/s this host, or this process, was kept from its CPUs {} times (idle threads overslept, by up to {longest:.1} ms)",
        rate(stage.tps()),
        stage.stalls.len()
    );
    if !stage.valid {
        let share = percent(disturbed);
        return Some(format!(
            "{stalls}, which fell into {share} of the reads: the stage is invalid, and judged by all of them."
        ));
    }
    (disturbed > limits::DISTURBED_WORTH_SAYING).then(|| {
        let counted_in = latency(stage.latency_with_stalls_us.p99);
        format!("{stalls}. The {} of its reads that this fell into are not in its latency; with them p99 is {counted_in}.", percent(disturbed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(tps: f64, failure_rate: f64, p99_us: f64) -> Stage {
        let mut stage = Stage {
            offered_tps: tps,
            achieved_tps: tps,
            failure_rate,
            valid: true,
            sent: 1000,
            ..Stage::default()
        };
        stage.latency_us.p99 = p99_us;
        stage.broke = Slo::default().broken_by(failure_rate, 0.0, p99_us as u64);
        stage
    }

    fn findings<'a>(best: Option<&'a Stage>, broken: Option<&'a Stage>) -> Findings<'a> {
        Findings {
            slo: Slo::default(),
            best,
            broken,
            causes: &[],
            target_tps: None,
            placement: Placement::Apart,
            lab: None,
            ended_by_lab: false,
            single: false,
            server_gone: false,
        }
    }

    #[test]
    fn met_and_broken_above() {
        let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
        let verdict = judge(&findings(Some(&best), Some(&broken)));
        assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Pass, 40_000));
        assert!(verdict.words[0].starts_with("MET: 40.0k reads/s"), "{:?}", verdict.words);
    }

    #[test]
    fn a_target_decides() {
        let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
        let mut findings = findings(Some(&best), Some(&broken));
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
        let mut findings = findings(Some(&best), Some(&broken));
        let verdict = judge(&findings);
        assert_eq!(verdict.outcome, Outcome::GeneratorLimited);
        assert!(verdict.words[0].starts_with("AT LEAST"), "{:?}", verdict.words);
        findings.placement = Placement::Embedded;
        assert_eq!(judge(&findings).outcome, Outcome::Pass);
    }

    #[test]
    fn a_server_that_went_keeps_the_best_rate_but_passes_nothing() {
        let best = stage(40_000.0, 0.0, 120.0);
        let mut findings = findings(Some(&best), None);
        findings.server_gone = true;
        let verdict = judge(&findings);
        assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Fail, 40_000));
        assert!(
            verdict.words[0].starts_with("AT LEAST") && verdict.words[1].contains("could not be asked"),
            "{:?}",
            verdict.words
        );
    }

    #[test]
    fn what_stalls_kept_out_of_the_latency_is_said_of_a_stage_that_met_it() {
        let mut best = stage(40_000.0, 0.0, 120.0);
        best.disturbed = 50;
        best.latency_with_stalls_us.p99 = 2100.0;
        let verdict = judge(&findings(Some(&best), None));
        assert!(
            verdict.words.iter().any(|words| words.contains("5.00 %") && words.contains("2.10 ms")),
            "{:?}",
            verdict.words
        );
    }

    #[test]
    fn nothing_met() {
        let broken = stage(5_000.0, 0.5, 100_000.0);
        let verdict = judge(&findings(None, Some(&broken)));
        assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Fail, 0));
    }
}
