//! Answers lost for their size: what is made of large answers (fragments, packets that do not fit) does not arrive, and small ones do.
//!
//! Predicts a step in the loss ratio over the answer's size. Loss by chance rises with the number of an answer's packets and no more; what it
//! accounts for is left to it. What stands above the step is told apart by what hosts counted: fragments made and put together, ICMP.

use super::case::{Case, Wire};
use super::fragments;
use super::limits::{ALL_LOST, LOG_ODDS_MIN, LOSSES_MIN};
use super::numbers::{best_log_likelihood, confidence, share_sd};
use super::path_mtu;
use super::starved;
use super::{Cause, Direction, Estimate, Experiment, HostCounters};

/// A step in loss over size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Values from this size on are above it, bytes.
    pub(super) from_bytes: u32,
    /// Reads above it, and of them those lost that wait for a cause.
    pub(super) reads: u64,
    pub(super) lost: u64,
    /// The same below it.
    pub(super) reads_below: u64,
    pub(super) lost_below: u64,
    /// Log of the odds for the step against the same loss for all sizes; infinite where all sizes are above.
    pub(super) log_odds: f64,
}

impl Step {
    /// Share lost below it: what loss by chance does to one packet.
    pub(super) fn base(&self) -> f64 {
        self.lost_below as f64 / self.reads_below.max(1) as f64
    }

    /// Standard deviation of that share.
    pub(super) fn base_sd(&self) -> f64 {
        share_sd(self.base(), self.reads_below)
    }

    /// Nearly everything above it is lost.
    pub(super) fn all_lost(&self) -> bool {
        self.lost as f64 >= ALL_LOST * self.reads as f64
    }
}

/// What both hosts counted that goes with size; none: not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SizeCounters {
    /// Datagrams that the server's kernel cut into fragments, and the fragments.
    pub(super) fragmented: Option<u64>,
    pub(super) fragments_made: Option<u64>,
    /// Fragments that arrived at the client's kernel, and datagrams put together from them.
    pub(super) fragments_arrived: Option<u64>,
    pub(super) reassembled: Option<u64>,
    /// ICMP messages that say "too big" at the server (those of IPv4 among others that say "unreachable").
    pub(super) too_big: Option<u64>,
}

impl SizeCounters {
    pub(super) fn of(case: &Case<'_>) -> Self {
        if case.books.stage.shared_counters {
            return Self::default();
        }
        let ipv6 = case.books.stage.ipv6;
        let ip = |host: &HostCounters, name| host.of_version(ipv6, "Ip", name);
        let client = &case.books.client.host;
        let server = case.books.server.as_ref().map(|server| &server.host);
        // IPv4 says so as one of the ways of being unreachable (RFC 792), IPv6 in a message of its own (RFC 4443 section 3.2).
        let says_so = if ipv6 { "InPktTooBigs" } else { "InDestUnreachs" };
        let too_big = server.and_then(|host| host.of_version(ipv6, "Icmp", says_so));
        Self {
            fragmented: server.and_then(|host| ip(host, "FragOKs")),
            fragments_made: server.and_then(|host| ip(host, "FragCreates")),
            fragments_arrived: ip(client, "ReasmReqds"),
            reassembled: ip(client, "ReasmOKs"),
            too_big,
        }
    }

    /// Without so many answers put together from so many fragments.
    fn without(&self, (answers, fragments): (u64, u64)) -> Self {
        let less = |count: Option<u64>, by: u64| count.map(|count| count.saturating_sub(by));
        Self {
            fragments_arrived: less(self.fragments_arrived, fragments),
            reassembled: less(self.reassembled, answers),
            ..*self
        }
    }
}

/// Takes the reads that were lost for their answers' size.
pub(super) fn settle(case: &mut Case<'_>) {
    let wire = Wire::of(case.books);
    if !wire.whole() {
        return;
    }
    let counters = SizeCounters::of(case);
    path_mtu::refused(case, &wire);
    fragments::overflowed(case, &wire, &counters);
    path_mtu::learned(case, &wire, &counters);
    let Some(step) = step(case, &wire).filter(|step| exceeds_chance(case, &wire, step)) else { return };
    if step.all_lost() {
        vanished(case, &wire, &step, &counters);
    } else {
        fragments::limited(case, &wire, &step, &counters);
    }
}

/// The step that fits best, if any stands out; where all answers are of more than one packet, all of them are above it.
pub(super) fn step(case: &Case<'_>, wire: &Wire) -> Option<Step> {
    let population = &case.books.population;
    let width = population.size_bin_bytes.max(1);
    let bins = case.met(Direction::Down);
    let (reads, lost) = bins.iter().fold((0, 0), |sum, bin| (sum.0 + bin.0, sum.1 + bin.1));
    if lost < LOSSES_MIN {
        return None;
    }
    let alike = best_log_likelihood(lost as f64, reads as f64);
    let mut best: Option<Step> = None;
    let (mut reads_below, mut lost_below, mut places) = (0, 0, 0.0f64);
    for (index, (bin_reads, bin_lost)) in bins.iter().enumerate().filter(|(_, bin)| bin.0 > 0) {
        if reads_below > 0 {
            places += 1.0;
            let (above, lost_above) = (reads - reads_below, lost - lost_below);
            let apart = best_log_likelihood(lost_above as f64, above as f64)
                + best_log_likelihood(lost_below as f64, reads_below as f64);
            let rises = lost_above as f64 * reads_below as f64 > lost_below as f64 * above as f64;
            if rises && best.is_none_or(|best| apart - alike > best.log_odds) {
                best = Some(Step {
                    from_bytes: (index as u32).saturating_mul(width),
                    reads: above,
                    lost: lost_above,
                    reads_below,
                    lost_below,
                    log_odds: apart - alike,
                });
            }
        } else if wire.packets(index as u32 * width) > 1 {
            let log_odds = f64::INFINITY;
            return Some(Step { from_bytes: 0, reads, lost, reads_below: 0, lost_below: 0, log_odds });
        }
        (reads_below, lost_below) = (reads_below + bin_reads, lost_below + bin_lost);
    }
    let Some(step) = best.filter(|step| step.log_odds - places.ln() >= LOG_ODDS_MIN) else {
        // Not one answer arrived, of those that the server is known to have sent: they may all be too large.
        let sent = case.open.iter().any(|open| open.direction == Direction::Down);
        let none = lost as f64 >= ALL_LOST * reads as f64;
        let log_odds = f64::INFINITY;
        let step = Step { from_bytes: 0, reads, lost, reads_below: 0, lost_below: 0, log_odds };
        return (sent && none).then_some(step);
    };
    Some(sharpened(case, step, width, bins[(step.from_bytes / width) as usize - 1]))
}

/// The step may lie within the bin below it: its losses then are above the step, if they are far more than the loss below.
fn sharpened(case: &Case<'_>, step: Step, width: u32, (bin_reads, bin_lost): (u64, u64)) -> Step {
    let below = (step.lost_below - bin_lost) as f64 / (step.reads_below - bin_reads).max(1) as f64;
    let expected = (below * bin_reads as f64).max(0.5);
    if (bin_lost as f64) < expected + (2.0 * LOG_ODDS_MIN * expected).sqrt() {
        return step;
    }
    let in_bin = step.from_bytes - width..step.from_bytes;
    let lost = case.open_towards(Direction::Down).map(|open| open.loss.value_bytes);
    let from_bytes = lost.filter(|bytes| in_bin.contains(bytes)).min().unwrap_or(step.from_bytes);
    Step {
        from_bytes,
        reads: step.reads + bin_lost,
        lost: step.lost + bin_lost,
        reads_below: step.reads_below.saturating_sub(bin_lost),
        lost_below: step.lost_below - bin_lost,
        ..step
    }
}

/// Whether more was lost above the step than chance would, at the loss below it and the packets that the answers above it have.
fn exceeds_chance(case: &Case<'_>, wire: &Wire, step: &Step) -> bool {
    if step.reads_below == 0 {
        return true;
    }
    // The upper end of what the loss below tells of a packet's.
    let (_, base) = super::numbers::share_interval(step.lost_below as f64, step.reads_below as f64, 1.0);
    let population = &case.books.population;
    let (mut expected, mut variance) = (0.0, 0.0);
    for (index, (reads, _)) in case.met(Direction::Down).into_iter().enumerate() {
        let value_bytes = index as u32 * population.size_bin_bytes;
        if value_bytes >= step.from_bytes && reads > 0 {
            let packets = wire.packets(value_bytes + population.size_bin_bytes - 1);
            let lost = 1.0 - (1.0 - base).powi(packets as i32);
            expected += reads as f64 * lost;
            variance += reads as f64 * lost * (1.0 - lost);
        }
    }
    let beyond = step.lost as f64 - expected;
    // Odds of e^12 are 4.9 standard deviations.
    beyond > (2.0 * LOG_ODDS_MIN).sqrt() * variance.sqrt().max(1.0)
}

/// Nothing above a size arrives: fragments that are dropped, or packets that do not fit and nobody says so.
fn vanished(case: &mut Case<'_>, wire: &Wire, step: &Step, counters: &SizeCounters) {
    let bounds = bounds(case, wire, step);
    // Fragments that arrived were made by somebody, whatever the server's counter says.
    let arrived = counters.fragments_arrived.is_some_and(|fragments| fragments > 0);
    let cut = counters.fragments_made.map(|made| made > 0 || arrived);
    let at_the_mtu = at_the_mtu(wire, bounds);
    let below = cut_below(case, wire, step);
    if at_the_mtu && cut == Some(true) && starved::settle(case, wire, step, counters, below.1) {
        return;
    }
    let counters = &counters.without(below);
    let put_together = counters.reassembled.is_some_and(|datagrams| datagrams > 0);
    let direction = case.told(Direction::Down);
    let above = format!(
        "{} of {} answers of more than {:.0} B (IP packet) were lost, {} of {} smaller ones",
        step.lost, step.reads, bounds.0, step.lost_below, step.reads_below
    );
    if at_the_mtu && cut != Some(false) && !put_together {
        let reads = take_above(case, Cause::FragmentsBlocked, step);
        let share = case.share(Cause::FragmentsBlocked, direction);
        share.confidence = match (cut, counters.reassembled) {
            (Some(true), Some(0)) => confidence(reads as f64),
            _ => 0.6,
        };
        share.evidence.push(above);
        share.evidence.push(match (counters.fragments_made, counters.fragments_arrived) {
            (Some(made), Some(arrived)) => format!(
                "the server's kernel made {made} fragments, {arrived} arrived at the client's, and no answer could be put together from them"
            ),
            _ => format!("they are just those that do not fit a packet of {} B and are cut into fragments", wire.mtu),
        });
        return;
    }
    let reads = take_above(case, Cause::MtuBlackHole, step);
    let unheard = probes_unheard(case);
    let proved = unheard || counters.too_big == Some(0) && (cut == Some(false) || !at_the_mtu);
    let share = case.share(Cause::MtuBlackHole, direction);
    // Where no smaller answer passed, size is but the likeliest of what may be.
    let contrast = if step.reads_below > 0 || bounds.0 > 0.0 { 1.0 } else { 0.7 };
    share.confidence = contrast * if proved { confidence(reads as f64) } else { 0.7 };
    share.evidence.push(above);
    share.evidence.push(match (counters.too_big, counters.fragments_made) {
        (Some(0), Some(0)) => {
            "the server received no ICMP that would have told it so, and cut nothing into fragments".into()
        }
        (Some(0), _) => "the server received no ICMP that would have told it so".to_owned(),
        _ => "whether ICMP told the server so is not known".to_owned(),
    });
    if unheard {
        share
            .evidence
            .push("probes with DF set were lost as well, and nobody said that they were too big".to_owned());
    }
    let size = if bounds.1 - bounds.0 < 1.0 { bounds.0 } else { f64::midpoint(bounds.0, bounds.1).floor() };
    share.estimates.insert("size".into(), Estimate::new(size, "bytes", bounds));
}

/// Whole packets up to the MTU at which hosts, or routers after them, cut pass, and nothing of what they cut.
fn at_the_mtu(wire: &Wire, bounds: (f64, f64)) -> bool {
    let within = |mtu: u32| bounds.1 >= f64::from(mtu) && bounds.0 <= f64::from(mtu);
    within(wire.mtu) || within(wire.cut_mtu())
}

/// Most answers below the step that can have been put together from fragments, and their fragments: those that routers alone cut.
fn cut_below(case: &Case<'_>, wire: &Wire, step: &Step) -> (u64, u64) {
    let population = &case.books.population;
    // Of a bin that the cut lies in, all may be.
    let pieces = |index: usize| wire.packets((index as u32 + 1) * population.size_bin_bytes);
    let last = (step.from_bytes / population.size_bin_bytes.max(1)) as usize + 1;
    let whole = |counts: &super::Counts| counts.reads.saturating_sub(counts.first_try_lost);
    let bins = population.by_size.iter().enumerate().take(last).filter(|(index, _)| pieces(*index) > 1);
    bins.fold((0, 0), |sum, (index, counts)| {
        (sum.0 + whole(counts), sum.1 + whole(counts) * u64::from(pieces(index)))
    })
}

/// An experiment showed that packets that must not be cut vanish, and that no ICMP says so.
fn probes_unheard(case: &Case<'_>) -> bool {
    case.books.trials.iter().any(|trial| {
        let all_lost = trial.outcome().is_some_and(|(lost, reads)| lost == reads);
        matches!(trial.experiment, Experiment::DontFragment { .. }) && all_lost && trial.icmp == Some(0)
    })
}

/// Largest IP packet known to pass, and the largest that may: from experiments where there were some, else from the reads.
fn bounds(case: &Case<'_>, wire: &Wire, step: &Step) -> (f64, f64) {
    let tried = case.books.trials.iter().rev().find_map(|trial| match trial.experiment {
        Experiment::LargestAnswer { .. } if trial.failed.is_none() => trial.bounds_bytes,
        _ => None,
    });
    let headers = wire.headers;
    if let Some((passed, lost)) = tried {
        return (f64::from(passed + headers), f64::from((lost + headers).saturating_sub(1)));
    }
    let population = &case.books.population;
    let width = population.size_bin_bytes.max(1);
    let passing = |(index, counts): (usize, &super::Counts)| {
        let from = index as u32 * width;
        (counts.reads > counts.first_try_lost && from < step.from_bytes).then_some(from)
    };
    let passed = population.by_size.iter().enumerate().filter_map(passing).max();
    let lost = case
        .open_towards(Direction::Down)
        .map(|open| open.loss.value_bytes)
        .filter(|bytes| *bytes >= step.from_bytes)
        .min();
    let passed = passed.map_or(0, |bytes| wire.ip_bytes(bytes));
    let lost = lost.map_or(u32::MAX, |bytes| wire.ip_bytes(bytes).saturating_sub(1));
    (f64::from(passed), f64::from(lost.max(passed)))
}

/// Takes the open losses above the step.
pub(super) fn take_above(case: &mut Case<'_>, cause: Cause, step: &Step) -> u64 {
    let from = step.from_bytes;
    case.take((cause, None), |_, open| open.direction != Direction::Up && open.loss.value_bytes >= from)
}
