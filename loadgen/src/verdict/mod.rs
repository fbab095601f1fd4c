//! The verdict: whether the service level was met, up to which rate, what broke and what to do, in plain words, most important first. Pure.

use crate::limits;
use crate::plan;
use crate::record::{
    Canary, CapacityPlan, CauseReport, ColdPath, KneeInterval, LabFacts, Outcome, Stage, Verdict,
};
use crate::report::causes;
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
    /// Stage whose lost reads `causes` explain; the broken one unless another is named.
    pub explained: Option<&'a Stage>,
    /// Who lost the reads of that stage.
    pub causes: &'a [CauseReport],
    /// The knee that a search found, and the interval it lies in.
    pub knee: Option<(f64, &'a KneeInterval)>,
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
    /// Its port cut answers to what the path carries.
    pub cuts_answers: bool,
    /// The server went away, which ended the search.
    pub server_gone: bool,
    /// A signal ended the run or the search, or its experiments, before they were over.
    pub cut_short: bool,
    /// Hosts for a fleet, where they were asked for.
    pub plan: Option<CapacityPlan>,
    /// What became of the first large answers to a destination before the search.
    pub cold: Option<&'a ColdPath>,
    /// What low-volume clients met beside the load.
    pub canary: Option<&'a Canary>,
}

impl Findings<'_> {
    /// Of a single stage, nothing found yet.
    pub fn of_a_stage(slo: Slo, placement: Placement) -> Self {
        Self {
            slo,
            best: None,
            broken: None,
            explained: None,
            causes: &[],
            knee: None,
            target_tps: None,
            placement,
            lab: None,
            ended_by_lab: false,
            single: true,
            cuts_answers: false,
            server_gone: false,
            cut_short: false,
            plan: None,
            cold: None,
            canary: None,
        }
    }

    /// Of a search instead.
    #[must_use]
    pub fn searched(self) -> Self {
        Self { single: false, ..self }
    }

    /// The rate that the verdict speaks of, reads/s.
    fn tps_at_slo(&self) -> f64 {
        let stage = self.best.map_or(0.0, Stage::tps);
        self.knee.map_or(stage, |(tps, _)| tps)
    }
}

/// Judges.
pub fn judge(findings: &Findings<'_>) -> Verdict {
    let tps_at_slo = findings.tps_at_slo() as u64;
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
    let outcome = if findings.cut_short { Outcome::CutShort } else { outcome };
    Verdict {
        outcome,
        tps_at_slo,
        tps_interval: findings.knee.map(|(_, interval)| *interval),
        broke_first: findings.broken.and_then(|stage| stage.broke),
        hosts_needed: findings.plan.as_ref().map(|plan| plan.hosts_needed),
        words: words(findings, outcome),
        plan: findings.plan,
    }
}

fn words(findings: &Findings<'_>, outcome: Outcome) -> Vec<String> {
    let mut words = vec![first_words(findings, outcome)];
    words.extend(findings.cut_short.then(|| cut_words(findings)));
    if findings.server_gone {
        words.push(
            "When the last stage was over the server could not be asked any more: it was stopped or started again, or the way to it was lost. What that stage shows is no figure of its capacity."
                .to_owned(),
        );
    }
    if let Some((stage, broke)) = findings.broken.and_then(|stage| Some((stage, stage.broke?))) {
        words.push(broken_words(stage, broke, findings));
        words.extend(who_words(stage, broke, findings));
        if stage.generator_limited {
            words.push(generator_words(findings, stage));
        }
    } else if findings.best.is_some() && !findings.single && !findings.server_gone {
        words.push("What broke first: nothing, up to the highest rate tried.".to_owned());
    }
    words.extend(findings.knee.map(|(_, interval)| sure_words(interval, findings)));
    words.extend(findings.plan.as_ref().map(|plan| format!("Hosts: {}", plan::words(plan))));
    words.extend(seldom_words(findings));
    words.extend(findings.broken.into_iter().flat_map(host_words));
    words.extend(gap_words(findings));
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

/// What a signal left out.
fn cut_words(findings: &Findings<'_>) -> String {
    let stage = findings.broken.or(findings.best);
    match stage.and_then(|stage| Some((stage.duration_s, stage.cut_short_of_s?))) {
        Some((ran_s, whole_s)) => format!(
            "A signal ended this after {ran_s:.1} of {whole_s:.1} s: all figures are those of the reads until then, and no experiment was made."
        ),
        None if findings.single => {
            "A signal ended the experiments that were to tell more of who lost reads: that is judged without them."
                .to_owned()
        }
        None => "A signal ended the search or its experiments: the stage under way is left out, and the figures are those of the stages before it."
            .to_owned(),
    }
}

/// How sure the knee is.
fn sure_words(interval: &KneeInterval, findings: &Findings<'_>) -> String {
    let Some(upper_tps) = interval.upper_tps else {
        return "How sure: no rate tried broke the service level, so its highest rate may lie above."
            .to_owned();
    };
    let between = format!("{} and {} reads/s", rate(interval.lower_tps), rate(upper_tps));
    let mut words = format!(
        "How sure: with 95 % confidence another run finds its highest rate between {between} ({} stages were run; from one to the next the limit moved by {}).",
        interval.stages,
        percent(interval.scatter)
    );
    let Some(known_to) = interval.known_to else { return words };
    words += &format!(" The estimate itself is known to {}", percent(known_to));
    words += &if interval.resolved || findings.server_gone || findings.ended_by_lab || findings.cut_short {
        ".".to_owned()
    } else {
        format!(
            ", and {} was asked for (--resolution): the system was not steady enough for a search of this length. A quiet host, or longer stages (--duration), help.",
            percent(interval.resolution)
        )
    };
    words
}

/// What clients met that read now and then.
fn seldom_words(findings: &Findings<'_>) -> Vec<String> {
    let mut words = Vec::new();
    match findings.canary {
        Some(canary) if canary.measured => {
            let mut line = format!(
                "Clients that read seldom: beside the load (while it met the service level) {} other address{} read a long value ({} B) once a second; {} of {} first such answers to an address were lost, and {} of {} later ones.",
                canary.addresses.len(),
                if canary.addresses.len() == 1 { "" } else { "es" },
                canary.value_bytes,
                canary.first_lost,
                canary.first,
                canary.later_lost,
                canary.later
            );
            if canary.first_lost * 2 > canary.first.max(1) && canary.later_lost * 2 < canary.later.max(1) {
                line += " So each such client loses its first long answer, and again whenever the server's host has forgotten the path MTU (after 10 minutes unless set otherwise): the failure rate under load does not show it.";
            }
            words.push(line);
        }
        Some(canary) => words.push(format!(
            "Clients that read seldom: not measured ({}).",
            canary.because.as_deref().unwrap_or("there were none")
        )),
        None => {}
    }
    match findings.cold {
        Some(cold) if cold.measured && cold.figures.first_lost + cold.figures.later_lost > 0 => words.push(format!(
            "Before the search, without load: {} of {} long answers ({} B) were lost right after the server's host had forgotten the path MTU, and {} of {} later ones.",
            cold.figures.first_lost, cold.figures.first, cold.figures.value_bytes, cold.figures.later_lost, cold.figures.later
        )),
        Some(cold) if !cold.measured => words.push(format!(
            "Cold destinations (the first long answer to a client): not measured, {}.",
            cold.because.as_deref().unwrap_or("for no reason known")
        )),
        _ => {}
    }
    words
}

/// Laboratories that trouble long answers alone.
const ABOUT_LONG_ANSWERS: [&str; 6] =
    ["fragment-limit", "fragments-blocked", "small-reassembly", "black-hole", "asymmetric", "narrow"];

/// That it was a laboratory, which, and how far it can be trusted.
fn lab_words(lab: &LabFacts, findings: &Findings<'_>) -> String {
    let settings: Vec<_> = lab.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut words = format!(
        "This was the laboratory {} ({}): real packets between namespaces of this machine, whose CPUs both ends and the network shared. \
         The figures speak for that network, not for a machine.",
        lab.topology,
        settings.join(", ")
    );
    let about_long = lab.topology.split('+').any(|topology| ABOUT_LONG_ANSWERS.contains(&topology));
    if findings.cuts_answers && about_long {
        words += " Answers were cut to what its path carries (--strategy chunked, the default): --strategy kernel-pmtud, whose long answers leave in fragments, shows what it does to those.";
    }
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

fn first_words(findings: &Findings<'_>, outcome: Outcome) -> String {
    let slo = &findings.slo;
    let level =
        format!("failures <= {} and p99 <= {}", percent(slo.failure_rate), latency(slo.p99_us as f64));
    let tps_at_slo = findings.tps_at_slo();
    let found = rate(tps_at_slo);
    let not_met = if findings.cut_short { "CUT SHORT, NOT MET SO FAR" } else { "NOT MET" };
    match (findings.best, findings.target_tps) {
        (Some(_), Some(target)) if tps_at_slo < target as f64 => format!(
            "{not_met}: {found} reads/s meet the service level ({level}), but {} were asked for.",
            rate(target as f64)
        ),
        (Some(stage), _) => {
            let met = match outcome {
                Outcome::Pass => "MET",
                Outcome::CutShort => "CUT SHORT, MET SO FAR",
                _ => "AT LEAST",
            };
            let seen = format!(
                "failures {} and p99 {}",
                percent(stage.failure_rate),
                latency(stage.judged_us().p99)
            );
            if findings.single || (stage.tps() / tps_at_slo - 1.0).abs() < 0.001 {
                return format!("{met}: {found} reads/s with {seen} ({level}).");
            }
            format!(
                "{met}: {found} reads/s within the service level ({level}); at {} it had {seen}.",
                rate(stage.tps())
            )
        }
        (None, _) if findings.single => format!("{not_met}: the service level is {level}."),
        (None, _) => format!("{not_met}: no rate tried meets the service level ({level})."),
    }
}

fn broken_words(stage: &Stage, broke: Broke, findings: &Findings<'_>) -> String {
    let what = match broke {
        Broke::FailureRate => format!(
            "{} of the reads failed, and {} may",
            percent(stage.failure_rate),
            percent(findings.slo.failure_rate)
        ),
        Broke::Misses => format!(
            "{} of {} reads found nothing stored. The server has lost items: look at its evictions and memory, or whether it was started again",
            stage.misses, stage.sent
        ),
        Broke::P99 => format!(
            "one read in a hundred took longer than {} (p99), and {} are allowed",
            latency(stage.judged_us().p99),
            latency(findings.slo.p99_us as f64)
        ),
    };
    let verb = if findings.single { "What broke" } else { "What broke first" };
    format!("{verb}: {}. At {} reads/s {what}.", broke.words(), rate(stage.tps()))
}

/// Who lost the reads, or who spent the time, what that means, and what to do.
fn who_words(stage: &Stage, broke: Broke, findings: &Findings<'_>) -> Vec<String> {
    let explained = findings.explained.unwrap_or(stage);
    match (broke, findings.causes.first()) {
        (Broke::FailureRate, Some(cause)) => cause_words(explained, cause, findings.causes),
        (Broke::FailureRate, None) => vec!["Who lost them could not be told.".to_owned()],
        (Broke::Misses, Some(_)) => Vec::new(),
        (Broke::Misses, None) => vec!["No read was lost on the way.".to_owned()],
        (Broke::P99, cause) => {
            let mut words = vec![time_words(stage)];
            // Far above the rate that was only late, reads are lost too; who loses them comes next.
            if let Some(cause) = cause.filter(|_| explained.broke == Some(Broke::FailureRate)) {
                words.push(format!(
                    "{} {} reads/s, {} of the reads failed.",
                    if explained.tps() > stage.tps() { "Above that, at" } else { "At" },
                    rate(explained.tps()),
                    percent(explained.failure_rate)
                ));
                words.extend(cause_words(explained, cause, findings.causes));
            }
            words
        }
    }
}

/// Who lost most of a stage's reads: what happens, where, how sure, what to do about it, and what it would bring.
fn cause_words(stage: &Stage, cause: &CauseReport, all: &[CauseReport]) -> Vec<String> {
    let others: Vec<_> = all.iter().skip(1).filter(|other| other.reads > 0).collect();
    let beside = if others.is_empty() {
        String::new()
    } else {
        let name =
            |other: &&CauseReport| format!("{} {}", other.reads, causes::named(other.cause, other.direction));
        format!(" The others: {}.", others.iter().map(name).collect::<Vec<_>>().join(", "))
    };
    let how_much = match causes::how_much(cause) {
        none if none.is_empty() => none,
        estimates => format!(" Measured: {estimates}."),
    };
    let rest = stage.failed.saturating_sub(cause.failed) as f64 / stage.sent.max(1) as f64;
    let mut words = vec![
        format!(
            "Who lost them: {} of {} reads went to {}, {} ({}, confidence {:.2}).{beside}",
            cause.reads,
            stage.first_try_lost,
            cause.cause,
            cause.place,
            sureness(cause.confidence),
            cause.confidence
        ),
        format!("What happens: {}{how_much}", causes::meaning(cause.cause)),
        format!("What to do: {}", cause.remedy),
    ];
    if cause.cause != crate::attribution::Cause::Unexplained && cause.failed > 0 {
        words.push(format!(
            "What that brings: without these losses {} of the reads would have failed at {} reads/s instead of {}.",
            percent(rest),
            rate(stage.tps()),
            percent(stage.failure_rate)
        ));
    }
    words
}

/// How sure a cause is, in words beside its number.
fn sureness(confidence: f64) -> &'static str {
    match confidence {
        0.95.. => "as good as certain",
        0.8.. => "very likely",
        0.5.. => "likely",
        _ => "uncertain",
    }
}

/// Where the time of slow reads went.
fn time_words(stage: &Stage) -> String {
    let (slip, residence) = (stage.slip_us.p99, stage.residence_us.p99);
    let half = stage.judged_us().p99 / 2.0;
    let in_server = match residence {
        // Nobody is that fast: the server does not tell.
        0.0 => "how much in the server it does not tell".to_owned(),
        _ => format!("{} in the server", latency(residence)),
    };
    let place = if residence > half && residence >= slip {
        "the server (from its kernel's receive timestamp to the send): requests waited for its worker. More workers (--workers-per-port), or a faster host, take them sooner"
    } else if slip > half {
        "the generator, before the request left: it had too little CPU to keep its schedule. Give it more threads (--threads) or CPUs of its own"
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

/// What could not be read of the stage that broke, and of the one whose lost reads are put down to causes: each once.
fn gap_words(findings: &Findings<'_>) -> Vec<String> {
    let explained = findings.explained.or(findings.broken).or(findings.best);
    let explained = explained.filter(|_| !findings.causes.is_empty());
    let (mut said, mut words) = (Vec::new(), Vec::new());
    for stage in findings.broken.into_iter().chain(explained) {
        let new: Vec<_> = stage.gaps.iter().filter(|gap| !said.contains(*gap)).cloned().collect();
        if !new.is_empty() {
            let at = rate(stage.tps());
            words.push(format!("Of the stage at {at} reads/s could not be had: {}.", new.join("; ")));
        }
        said.extend(new);
    }
    words
}

/// What of the host spoiled the stage that broke.
fn host_words(stage: &Stage) -> Vec<String> {
    let mut words = Vec::new();
    if stage.server_draining {
        words.push("The server said that it was leaving (it was drained): what it did not answer after that is explained by it.".to_owned());
    }
    words.extend((!stage.valid).then(|| stall_words(stage)).flatten());
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
mod tests;
