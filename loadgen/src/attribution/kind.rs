//! What kind a limit is: of packets or of bits a second.
//!
//! Where answers differ in size, the replayed buckets tell it. Where all are alike both are one model, and there is left how long what passed
//! had waited, which is a hint, and the experiment: at the same rate, answers of another size are lost in the share that their packets or
//! their bits predict.

use super::case::{Case, Wire};
use super::limits::LOG_ODDS_MIN;
use super::numbers::log_likelihood;
use super::traffic::Sent;
use super::{Books, Cause, Direction, Experiment};

/// Waiting below this is what hosts do to any packet.
const WAITED_MS_MIN: f64 = 0.5;
/// What waiting says of the kind of a limit (log of the odds): seven of eight queues that delay belong to a shaper of bits. It is a guess, and
/// leaves room for the experiment that tells.
const WAITING_LOG_ODDS: f64 = 2.0;
/// Shares lost below and above these are as good as none and all, whatever a model says: bursts pass at first, and hosts lose a few.
const SHARES_TOLD: (f64, f64) = (0.005, 0.995);
/// Part of the way from what a limit of bits would have lost of an experiment to what one of packets would, between which neither explains it:
/// chance, which loses the rest, is to be known first.
const NEITHER: std::ops::Range<f64> = 0.2..0.8;
/// Values of the least answers that are made for an experiment.
const TELLING_VALUE_BYTES: u32 = 16;
/// Part of what passed that small answers may take at most, so that surely none of them is lost for its bits.
const TELLING_MARGIN: f64 = 0.8;
/// Where answers are small already: how much larger ones a limit of bits loses three quarters of.
const TELLING_TIMES_LARGER: f64 = 4.0;

/// What was offered to a limit, in the mean, and the share of it that passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    pub(super) passed: f64,
    /// The share of it that chance loses beside the limit.
    pub(super) of_chance: f64,
    pub(super) packets: f64,
    pub(super) link_bytes: f64,
}

/// A kind, and how sure it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) cause: Cause,
    /// Log of the odds against the other kind.
    pub(super) log_odds: f64,
}

impl Kind {
    /// By all there is: the odds by replay for packets (less those for bits), waiting, and an experiment.
    pub(super) fn of(
        case: &Case<'_>,
        direction: Direction,
        (by_replay, holds_ms): (f64, f64),
        offered: &Offered,
        wire: &Wire,
    ) -> Self {
        let told = |log_odds: f64| log_odds.clamp(-LOG_ODDS_MIN, LOG_ODDS_MIN);
        // Requests keep their size, whatever is read.
        let by_experiment = if direction == Direction::Up { 0.0 } else { by_experiment(case, offered, wire) };
        // What was tried in order to tell tells most.
        let apart = told(by_replay) + by_waiting(case, holds_ms) + 2.0 * told(by_experiment);
        let cause = if apart >= 0.0 { Cause::PacketRateLimit } else { Cause::BandwidthLimit };
        Self { cause, log_odds: apart.abs() }
    }

    /// The other kind.
    pub(super) fn other(self) -> Cause {
        if self.cause == Cause::PacketRateLimit { Cause::BandwidthLimit } else { Cause::PacketRateLimit }
    }
}

impl Offered {
    /// What is known to have been sent.
    pub(super) fn sent(sent: &[Sent], wire: &Wire) -> Self {
        let mean = |of: &dyn Fn(&Sent) -> f64| sent.iter().map(of).sum::<f64>() / sent.len().max(1) as f64;
        let known = sent.iter().filter_map(|sent| sent.lost);
        let (lost, known) = known.fold((0u32, 0u32), |sum, lost| (sum.0 + u32::from(lost), sum.1 + 1));
        Self {
            passed: 1.0 - f64::from(lost) / f64::from(known.max(1)),
            of_chance: 0.0,
            packets: mean(&|sent| f64::from(sent.packets(wire))),
            link_bytes: mean(&|sent| f64::from(wire.link_bytes(sent.datagrams, sent.payload))),
        }
    }

    /// The answers that were asked for, where nobody tells which were sent.
    pub(super) fn asked(books: &Books, wire: &Wire) -> Self {
        let population = &books.population;
        let mut sums = [0.0; 4];
        for (index, counts) in population.by_size.iter().enumerate() {
            let value_bytes = index as u32 * population.size_bin_bytes + population.size_bin_bytes / 2;
            let (reads, packets) = (counts.reads as f64, wire.packets(value_bytes));
            let datagrams = if wire.whole() { 1 } else { packets };
            let payload = value_bytes + datagrams * books.stage.answer_overhead_bytes;
            let link_bytes = f64::from(wire.link_bytes(datagrams, payload));
            let of_bin =
                [reads, counts.first_try_lost as f64, reads * f64::from(packets), reads * link_bytes];
            sums.iter_mut().zip(of_bin).for_each(|(sum, of_bin)| *sum += of_bin);
        }
        let reads = f64::max(sums[0], 1.0);
        let (packets, link_bytes) = (sums[2] / reads, sums[3] / reads);
        Self { passed: 1.0 - sums[1] / reads, of_chance: 0.0, packets, link_bytes }
    }
}

/// UDP payload of answers of which limits of packets and of bits lose different shares at the rate of the stage.
pub(super) fn telling_answer_bytes(books: &Books, wire: &Wire) -> u32 {
    let asked = Offered::asked(books, wire);
    let small = books.stage.answer_overhead_bytes + TELLING_VALUE_BYTES;
    // Of small ones a limit of bits loses nothing, if they are that much smaller.
    if f64::from(wire.link_bytes(1, small)) < TELLING_MARGIN * asked.passed * asked.link_bytes {
        return small;
    }
    // With their headers as payload: a little larger tells as well.
    let whole = wire.chunk.unwrap_or(wire.mtu.saturating_sub(wire.headers));
    ((asked.link_bytes * TELLING_TIMES_LARGER) as u32).min(whole)
}

/// How much longer whole reads took than the shortest of all, where reads were lost: in the median window.
pub(super) fn waited_ms(case: &Case<'_>) -> Option<f64> {
    let windows = &case.books.population.windows;
    let shortest = windows.iter().map(|window| window.latency_min_us).filter(|us| *us > 0).min()?;
    let mut means: Vec<_> = windows
        .iter()
        .filter(|window| window.first_try_lost > 0 && window.reads > window.first_try_lost)
        .map(|window| window.latency_us as f64 / f64::from(window.reads - window.first_try_lost))
        .collect();
    means.sort_by(f64::total_cmp);
    means.get(means.len() / 2).map(|mean| (mean - f64::from(shortest)) / 1000.0)
}

/// Log of the odds for packets against bits by how long what passed had waited, beside what a bucket of packets holds.
fn by_waiting(case: &Case<'_>, holds_ms: f64) -> f64 {
    waited_ms(case).map_or(0.0, |waited_ms| {
        if is_queue(waited_ms, holds_ms) { -WAITING_LOG_ODDS } else { WAITING_LOG_ODDS / 2.0 }
    })
}

/// Whether what waited so long stood in a queue, beside a bucket of packets that holds so much.
pub(super) fn is_queue(waited_ms: f64, holds_ms: f64) -> bool {
    waited_ms > WAITED_MS_MIN.max(holds_ms / 10.0)
}

/// Log of the odds for packets against bits by an experiment with answers of another size at the same rate.
fn by_experiment(case: &Case<'_>, offered: &Offered, wire: &Wire) -> f64 {
    let tried = case.books.trials.iter().rev().find_map(|trial| match trial.experiment {
        Experiment::AnswersOf { bytes, share: 1.0 } => Some((bytes, trial.outcome_towards(Direction::Down)?)),
        _ => None,
    });
    let Some((bytes, (lost, reads))) = tried else { return 0.0 };
    let packets = f64::from(wire.fragments(bytes));
    // Chance loses its share of each packet, whatever the limit is.
    let of_chance = 1.0 - (1.0 - offered.of_chance).powf(packets / offered.packets.max(1.0));
    let least = of_chance.clamp(SHARES_TOLD.0, SHARES_TOLD.1);
    let predicted = |then: f64, now: f64| (1.0 - offered.passed * then / now).clamp(least, SHARES_TOLD.1);
    let by_packets = predicted(offered.packets, packets);
    let by_bits = predicted(offered.link_bytes, f64::from(wire.link_bytes(1, bytes)));
    let (lost, reads) = (lost as f64, reads as f64);
    let towards_packets = (lost / reads.max(1.0) - by_bits) / (by_packets - by_bits);
    if NEITHER.contains(&towards_packets) && case.books.lower_rate(Direction::Down).is_none() {
        return 0.0;
    }
    log_likelihood(lost, reads, by_packets) - log_likelihood(lost, reads, by_bits)
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, StageFacts};
    use super::*;

    #[test]
    fn what_was_asked_for_stands_in_for_what_was_sent() {
        let stage = StageFacts { client_mtu: 1500, answer_overhead_bytes: 56, ..StageFacts::default() };
        let mut books = Books { stage, ..Books::default() };
        (books.population.size_bin_bytes, books.population.by_size) = (16, vec![Counts::default(); 200]);
        // Of 96 to 111 bytes, and of 2000 to 2015, which take two packets.
        books.population.by_size[6] = Counts { reads: 300, first_try_lost: 30, failed: 30 };
        books.population.by_size[125] = Counts { reads: 100, first_try_lost: 70, failed: 70 };
        let wire = Wire::of(&books);
        let offered = Offered::asked(&books, &wire);
        assert_eq!((offered.passed, offered.packets), (0.75, 1.25));
        let bytes = |value: u32| f64::from(wire.link_bytes(1, value + 56));
        assert!((offered.link_bytes - (0.75 * bytes(104) + 0.25 * bytes(2008))).abs() < 1e-6, "{offered:?}");
    }
}
