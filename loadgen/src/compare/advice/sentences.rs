//! The sentences of the advice: the verdict, the recommendation with its reason, a sentence on each of the others, and what the figures
//! do not tell.

use shingle_proto::wire::Strategy;

use super::{Grounds, carried_more, faster, is_undecided, lost_less, needs_luck, strategy_of};
use crate::compare::meaning;
use crate::record::{Outcome, StrategyFigures};
use crate::report::terminal::{latency, percent, rate};

/// All sentences, in order of weight.
pub(super) fn words(grounds: &Grounds<'_>, best: Option<&StrategyFigures>, outcome: Outcome) -> Vec<String> {
    let mut words = vec![first_words(grounds, best, outcome)];
    if grounds.server_gone {
        words.push("The server could not be asked any more after the last turn: it was stopped or started again, or the way to it was lost.".to_owned());
    }
    words.extend(nothing_to_split(grounds));
    words.extend(best.map(|best| recommendation(grounds, best)));
    let others =
        grounds.strategies.iter().filter(|figures| best.is_none_or(|best| best.strategy != figures.strategy));
    words.extend(others.filter_map(|figures| on_another(grounds, figures, best)));
    words.extend(risks(grounds));
    words.extend(not_told(grounds));
    words
}

fn first_words(grounds: &Grounds<'_>, best: Option<&StrategyFigures>, outcome: Outcome) -> String {
    let slo = &grounds.slo;
    let level =
        format!("failures <= {} and p99 <= {}", percent(slo.failure_rate), latency(slo.p99_us as f64));
    let tps = rate(grounds.comparison.offered_tps);
    let met = grounds.strategies.iter().filter(|figures| figures.broke.is_none()).count();
    let all = grounds.strategies.len();
    match (best, outcome) {
        (Some(_), _) => {
            format!("{met} of {all} strategies meet the service level ({level}) at {tps} reads/s.")
        }
        (None, Outcome::GeneratorLimited) => format!(
            "GENERATOR-LIMITED: the generator could not offer {tps} reads/s, so nothing is said of the strategies. Give it more threads (--threads) or CPUs, or a lower --rate."
        ),
        (None, _) => format!("NOT MET: no strategy meets the service level ({level}) at {tps} reads/s."),
    }
}

/// Where no answer exceeds the path, strategies have nothing to differ in.
fn nothing_to_split(grounds: &Grounds<'_>) -> Option<String> {
    let path = grounds.comparison;
    (path.answers_above_path == 0.0).then(|| {
        let carries = match path.path_mtu {
            Some(mtu) => format!("a path MTU of {mtu} B was proved"),
            None => format!("the interface's MTU is {} B", path.interface_mtu),
        };
        format!(
            "No answer is longer than this path carries in one datagram (the longest has {} B, {carries}): on such a path all strategies send the same, and differences are noise. To see them differ, use larger --values or a path with a smaller MTU.",
            path.answer_bytes_max
        )
    })
}

fn recommendation(grounds: &Grounds<'_>, best: &StrategyFigures) -> String {
    let mut reasons = vec![format!("failures {}, p99 {}", failures(best), latency(best.latency_us.p99))];
    reasons.extend(is_undecided(best).then(|| {
        format!(
            "the medians broke the level, but {} of {} rounds met it: noise of the hosts more likely than the strategy, so repeat it with more --rounds on quieter ones",
            best.rounds_met, best.rounds
        )
    }));
    reasons.extend(cold(best));
    match strategy_of(best) {
        Some(strategy) if needs_luck(strategy) => reasons.push(
            "none that works without fragments met the level, so what is said of fragments below holds for it too".to_owned(),
        ),
        Some(Strategy::Compressed) => reasons.push("it needs no fragments, and less to send than chunked".to_owned()),
        _ if grounds.comparison.answers_above_path > 0.0 => {
            reasons.push(format!("it needs no fragments ({:.2} datagrams a read)", best.datagrams_per_read));
        }
        _ => {}
    }
    reasons.extend(best.tps_at_slo.map(|tps| format!("met up to {} reads/s", rate(tps))));
    let no_better =
        grounds.strategies.iter().filter(|other| other.broke.is_none() && other.strategy != best.strategy);
    let alike: Vec<_> = no_better
        .filter(|other| !differs(other, best) && !differs(best, other))
        .map(|other| other.strategy.as_str())
        .collect();
    if !alike.is_empty() {
        reasons.push(format!("no difference beyond noise to {}", alike.join(", ")));
    }
    format!("Use {}: {}.", best.strategy, reasons.join("; "))
}

fn differs(a: &StrategyFigures, b: &StrategyFigures) -> bool {
    let lost_cold =
        |figures: &StrategyFigures| figures.cold.map_or(0, |cold| cold.first_lost + cold.later_lost);
    lost_less(a, b) || carried_more(a, b) || faster(a, b) || lost_cold(a) < lost_cold(b)
}

/// The failures with their range, and who lost most.
fn failures(figures: &StrategyFigures) -> String {
    let [least, most] = figures.spread_of("failure_rate");
    if least == most {
        return percent(figures.failure_rate);
    }
    format!("{} ({} to {})", percent(figures.failure_rate), percent(least), percent(most))
}

/// What became of large answers to a cold destination.
fn cold(figures: &StrategyFigures) -> Option<String> {
    let cold = figures.cold?;
    let refused =
        if cold.refused > 0 { format!(" ({} of them refused)", cold.refused) } else { String::new() };
    Some(format!(
        "large answers to a cold destination lost: {} of {} first ones, {} of {} later ones{refused}",
        cold.first_lost, cold.first, cold.later_lost, cold.later,
    ))
}

/// The sentence on a strategy that is not recommended; nothing where there is nothing to split.
fn on_another(
    grounds: &Grounds<'_>,
    figures: &StrategyFigures,
    best: Option<&StrategyFigures>,
) -> Option<String> {
    let strategy = strategy_of(figures)?;
    if grounds.comparison.answers_above_path == 0.0 && figures.broke.is_none() {
        return None;
    }
    let mut said = Vec::new();
    if let Some(broke) = figures.broke {
        said.push(format!(
            "{} broken: failures {}, p99 {}",
            broke.words(),
            failures(figures),
            latency(figures.latency_us.p99)
        ));
        // What the server refused is told apart below.
        let most = figures.causes.first().filter(|_| 2 * figures.refused < figures.failed);
        said.extend(most.map(|cause| format!("most reads lost by {} ({})", cause.cause, cause.place)));
    }
    if let Some(best) = best.filter(|_| figures.broke.is_none()) {
        if carried_more(figures, best) {
            said.push(format!(
                "it carried more here (up to {} reads/s)",
                rate(figures.tps_at_slo.unwrap_or(0.0))
            ));
        } else if carried_more(best, figures) {
            said.push(format!(
                "it carried less here (up to {} reads/s)",
                rate(figures.tps_at_slo.unwrap_or(0.0))
            ));
        }
        if faster(figures, best) {
            said.push(format!("its p99 was lower ({})", latency(figures.latency_us.p99)));
        } else if faster(best, figures) {
            said.push(format!("its p99 was higher ({})", latency(figures.latency_us.p99)));
        }
    }
    said.extend(cold(figures));
    said.extend(nature(grounds, strategy, figures));
    let verdict = match (figures.broke, strategy) {
        (Some(_), _) if is_undecided(figures) => {
            format!(
                "{} is undecided, {} of {} rounds met the level",
                figures.strategy, figures.rounds_met, figures.rounds
            )
        }
        (Some(_), _) if !figures.valid => {
            format!("{} cannot be judged, stalls of the host spoiled all its rounds", figures.strategy)
        }
        (Some(_), _) => format!("Do not use {} here", figures.strategy),
        (None, Strategy::Chunked | Strategy::Compressed) => {
            format!("{} meets the level too", figures.strategy)
        }
        (None, _) => format!("{} meets the level at this rate", figures.strategy),
    };
    Some(format!("{verdict}: {}.", said.join("; ")))
}

/// What makes a strategy what it is, with its figures.
fn nature(grounds: &Grounds<'_>, strategy: Strategy, figures: &StrategyFigures) -> Option<String> {
    let fragments = |made: f64| format!("{} fragments/s", rate(made));
    let ipv6 = grounds.comparison.ipv6;
    match strategy {
        Strategy::KernelPmtud => Some(format!(
            "its host made {}, which many network cards and clouds limit (some to about 1000/s) and no counter of theirs names",
            fragments(figures.fragments_sent_per_s)
        )),
        Strategy::DfOff | Strategy::Interface if ipv6 => Some(meaning::does(strategy, true).to_owned()),
        Strategy::DfOff | Strategy::Interface => Some(format!(
            "{} arrived, made on the way: it works as long as every router fragments for it, nothing limits or drops fragments, and nobody uses IPv6, where it loses every answer above the path MTU",
            fragments(figures.fragments_received_per_s)
        )),
        Strategy::DfStrict => Some(format!(
            "{} of {} reads were refused as too big and have to be read over TCP",
            figures.refused, figures.sent
        )),
        Strategy::Compressed => compressed(grounds),
        Strategy::Chunked => None,
    }
}

/// How much there was to compress.
fn compressed(grounds: &Grounds<'_>) -> Option<String> {
    let share = grounds.comparison.compressed_share?;
    if share > 0.98 {
        return Some(
            "these values do not compress (they are noise: see --content), so it sent what chunked sends: whether compressing pays cannot be judged"
                .to_owned(),
        );
    }
    Some(format!(
        "these values compress to {:.0} %, which leaves {} of the answers above the path ({} uncompressed), for the CPU time of compressing when they are stored and decoding at the client",
        share * 100.0,
        percent(grounds.comparison.compressed_above_path.unwrap_or(0.0)),
        percent(grounds.comparison.answers_above_path),
    ))
}

/// What the usual remedies bring with them.
fn risks(grounds: &Grounds<'_>) -> Option<String> {
    let is_kernels = |figures: &&StrategyFigures| strategy_of(figures) == Some(Strategy::KernelPmtud);
    let kernels = grounds.strategies.iter().find(is_kernels)?;
    let harmed = kernels.broke.is_some() || kernels.cold.is_some_and(|cold| cold.first_lost > 0);
    (harmed && !grounds.comparison.ipv6).then(|| {
        "Never mend kernel-pmtud by sysctl net.ipv4.ip_no_pmtu_disc=1 under a running server: its sockets keep the mode they were opened with, and the next ICMP pins the path at min_pmtu (552 B), so that more fragments leave, not fewer. Restart the server after it, or set `ip route replace ... mtu lock`, which works at once. Nothing of this helps on IPv6.".to_owned()
    })
}

/// What the figures do not tell.
fn not_told(grounds: &Grounds<'_>) -> Vec<String> {
    let comparison = grounds.comparison;
    let mut words = Vec::new();
    if let Some(because) = &comparison.cold_not_measured_because {
        words.push(format!(
            "Cold behaviour not measured ({because}): path MTUs that one strategy's turn taught the server's kernel held for the next, and reads lost while a path MTU is learned do not show."
        ));
    }
    if comparison.answers_above_path == 0.0
        && comparison.compressed_share.is_some_and(|share| share > 0.98)
        && grounds
            .strategies
            .iter()
            .any(|figures| figures.broke.is_none() && strategy_of(figures) == Some(Strategy::Compressed))
    {
        words.extend(compressed(grounds).map(|sentence| format!("compressed: {sentence}.")));
    }
    let unbroken = |figures: &&StrategyFigures| {
        figures.tps_at_slo.is_some_and(|tps| tps > 0.0) && figures.broken_at_tps.is_none()
    };
    let unbroken: Vec<_> =
        grounds.strategies.iter().filter(unbroken).map(|figures| figures.strategy.as_str()).collect();
    if !unbroken.is_empty() {
        words.push(format!(
            "The search broke nothing of {}: it ended where its time was over or, in a laboratory, at what the laboratory carries by itself, so they may carry more.",
            unbroken.join(", ")
        ));
    }
    if grounds.all_compressed {
        words.push("This server keeps values compressed for its compressed port, and its other ports decode them for each answer: their CPU time includes that.".to_owned());
    }
    if grounds.crowded {
        words.push("Some turns began while this host still held fragments of the turn before, which take memory from those that arrive: shorten net.ipv4.ipfrag_time, or compare fewer strategies at a time.".to_owned());
    }
    if grounds.strategies.iter().any(|figures| !figures.valid) {
        words.push(
            "Stalls of the host left no valid turn of some strategy: its figures are over all reads."
                .to_owned(),
        );
    }
    if grounds.shares_counters {
        words.push("Server and generator shared this host's CPUs and network namespace: CPU time includes the network between them, and the highest rates speak for both together.".to_owned());
    } else if grounds.shares_cpus {
        words.push("Both ends ran on this machine: whoever sends pays for the network too, so the CPU time of a side includes forwarding and part of the other side's receiving.".to_owned());
    }
    words
}
