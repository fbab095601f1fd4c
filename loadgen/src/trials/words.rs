//! Experiments in words that need no knowledge of this program.

use crate::attribution::{Attribution, Estimate, Experiment, Trial};
use crate::report::causes;
use crate::report::terminal::percent;

/// What is done.
pub(super) fn done(experiment: &Experiment) -> String {
    match experiment {
        Experiment::Rate { share } => format!("the same reads at {:.0} % of the rate", share * 100.0),
        Experiment::AnswersOf { bytes, share } => {
            format!("reads whose answers all have {bytes} bytes, at {:.0} % of the rate", share * 100.0)
        }
        Experiment::LargestAnswer { passed_bytes, lost_bytes } => {
            format!(
                "single reads of answers between {passed_bytes} and {lost_bytes} bytes, to find the longest that comes"
            )
        }
        Experiment::DontFragment { bytes } => {
            format!("probes of {bytes} bytes that must not be cut into fragments")
        }
        Experiment::OtherFlows { flows } => {
            format!("the same reads, few of them, from {flows} other source ports")
        }
    }
}

/// What came of it.
pub(super) fn outcome(trial: &Trial) -> String {
    if let Some(because) = &trial.failed {
        return format!("not made: {because}");
    }
    let counts = &trial.counts;
    let lost = match counts.first_try_lost {
        0 => format!("none of {} lost", counts.reads),
        all if all == counts.reads => format!("all {all} lost"),
        some => format!("{some} of {} lost ({})", counts.reads, percent(some as f64 / counts.reads as f64)),
    };
    match trial.experiment {
        Experiment::LargestAnswer { passed_bytes, lost_bytes } => match trial.bounds_bytes {
            Some((passed, lost)) if passed + 1 == lost => {
                format!(
                    "answers of {passed} bytes come, answers of {lost} bytes never do (IP and UDP headers not counted)"
                )
            }
            Some((passed, lost)) => {
                format!(
                    "answers of {passed} bytes come, answers of {lost} bytes never do (IP and UDP headers not counted); no size between them is stored"
                )
            }
            None => format!("all sizes from {passed_bytes} to {lost_bytes} bytes come"),
        },
        Experiment::DontFragment { .. } => {
            let told = match trial.icmp {
                None => "whether the network reported it (ICMP) could not be seen",
                Some(0) => "the network did not report it (no ICMP)",
                Some(_) => "the network reported that something was too big (ICMP)",
            };
            if counts.first_try_lost == 0 { lost } else { format!("{lost}; {told}") }
        }
        Experiment::OtherFlows { .. } => {
            let dead = trial.flows.iter().filter(|flow| 2 * flow.counts.first_try_lost > flow.counts.reads);
            let own = trial.control.map_or(String::new(), |own| {
                format!("; on the stage's own ports {} of {} lost right after", own.first_try_lost, own.reads)
            });
            format!("{lost}; {} of {} ports lose most of their reads{own}", dead.count(), trial.flows.len())
        }
        Experiment::AnswersOf { .. } => match &trial.limit {
            Some(limit) => format!("{lost}; {}", causes::estimated("limit", limit)),
            None => lost,
        },
        Experiment::Rate { .. } => lost,
    }
}

/// What it changed of what the lost reads are put down to.
pub(super) fn decided(before: &Attribution, after: &Attribution) -> String {
    let reads = |attribution: &Attribution, key| attribution.get(&key).map_or(0, |share| share.reads);
    let risen = after
        .iter()
        .map(|(key, share)| (*key, share.reads.saturating_sub(reads(before, *key))))
        .filter(|(_, reads)| *reads > 0)
        .max_by_key(|(_, reads)| *reads);
    let fallen = before
        .iter()
        .map(|(key, share)| (*key, share.reads.saturating_sub(reads(after, *key))))
        .max_by_key(|(_, reads)| *reads);
    if let (Some((now, moved)), Some((was, _))) = (risen, fallen) {
        return format!(
            "{moved} lost reads are put down to {}, instead of {}",
            causes::named(now.0, now.1),
            causes::named(was.0, was.1)
        );
    }
    let main = after.iter().max_by_key(|(_, share)| share.reads);
    let Some((key, now)) = main else { return "nothing".to_owned() };
    let (stays, was) = (causes::named(key.0, key.1), before.get(key));
    let learned = |(name, estimate): (&String, &Estimate)| {
        let known = was.and_then(|share| share.estimates.get(name));
        (known != Some(estimate)).then(|| causes::estimated(name, estimate))
    };
    let mut words: Vec<_> = now.estimates.iter().filter_map(learned).collect();
    let sure = was.map_or(0.0, |share| share.confidence);
    if sure != now.confidence {
        words.push(format!("confidence {:.2} instead of {sure:.2}", now.confidence));
    }
    if words.is_empty() {
        format!("nothing: {stays} stays")
    } else {
        format!("{stays} stays: {}", words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Cause, Counts, Direction, Share};

    fn trial(experiment: Experiment, lost: u64) -> Trial {
        Trial {
            experiment,
            because: String::new(),
            counts: Counts { reads: 100, first_try_lost: lost, failed: lost },
            lost_up: None,
            duration_ns: 1,
            bounds_bytes: None,
            icmp: Some(0),
            control: None,
            limit: None,
            limits: Vec::new(),
            starved: Vec::new(),
            flows: Vec::new(),
            failed: None,
        }
    }

    #[test]
    fn what_came_of_it_is_said() {
        let half = Experiment::Rate { share: 0.5 };
        assert_eq!(done(&half), "the same reads at 50 % of the rate");
        let outcomes = [0, 3, 100].map(|lost| outcome(&trial(half, lost)));
        assert_eq!(outcomes, ["none of 100 lost", "3 of 100 lost (3.00 %)", "all 100 lost"]);
        let probes = outcome(&trial(Experiment::DontFragment { bytes: 8473 }, 100));
        assert_eq!(probes, "all 100 lost; the network did not report it (no ICMP)");
        let largest = Experiment::LargestAnswer { passed_bytes: 1200, lost_bytes: 9000 };
        let found = Trial { bounds_bytes: Some((8472, 8473)), ..trial(largest, 9) };
        assert_eq!(
            outcome(&found),
            "answers of 8472 bytes come, answers of 8473 bytes never do (IP and UDP headers not counted)"
        );
        let not = Trial { failed: Some("no port".to_owned()), ..trial(half, 0) };
        assert_eq!(outcome(&not), "not made: no port");
    }

    #[test]
    fn what_moved_is_said() {
        let of = |cause, reads, confidence| {
            let share = Share { reads, confidence, ..Share::default() };
            Attribution::from([((cause, Direction::Down), share)])
        };
        let (open, found) = (of(Cause::Unexplained, 7, 0.0), of(Cause::PacketRateLimit, 7, 0.9));
        assert_eq!(
            decided(&open, &found),
            "7 lost reads are put down to packet_rate_limit, on answers, instead of unexplained, on answers"
        );
        assert_eq!(decided(&open, &open), "nothing: unexplained, on answers stays");
        let surer = of(Cause::PacketRateLimit, 7, 0.99);
        assert_eq!(
            decided(&found, &surer),
            "packet_rate_limit, on answers stays: confidence 0.99 instead of 0.90"
        );
        let mut measured = surer.clone();
        let limit = Estimate { value: 1000.0, unit: "packets/s".to_owned(), interval: Some((990.0, 1010.0)) };
        let share = measured.get_mut(&(Cause::PacketRateLimit, Direction::Down)).expect("put there");
        share.estimates.insert("limit".to_owned(), limit);
        assert_eq!(
            decided(&surer, &measured),
            "packet_rate_limit, on answers stays: limit 1000 packets/s (990 to 1010)"
        );
    }
}
