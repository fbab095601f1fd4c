//! Which experiments would decide between causes that the books leave open.

use super::case::Wire;
use super::limits::{DOUBT_BELOW, LOSSES_MIN};
use super::{Attribution, Books, Cause, Direction, Experiment, Share, fragments, kind};

/// An answer that passes wherever IP does: less than the least MTU that hosts must take whole (RFC 791).
const SMALL_BYTES: u32 = 500;
/// Other flows that are tried where all went silent: if half of them work, all of these not doing so is no accident.
const OTHER_FLOWS: u32 = 16;

/// Experiments that can change the answer, the most telling first, each with the reason in words. None where nothing is in doubt, or where
/// each that would help has been made.
pub fn doubts(books: &Books, attribution: &Attribution) -> Vec<(Experiment, String)> {
    let wire = Wire::of(books);
    let lost: u64 = attribution.values().map(|share| share.reads).sum();
    // A cause of a few reads among many is not worth seconds.
    let least = LOSSES_MIN.max(lost / 20);
    let mut shares: Vec<_> = attribution.iter().filter(|(_, share)| share.reads >= least).collect();
    shares.sort_by_key(|(_, share)| std::cmp::Reverse(share.reads));
    let of_share = |((cause, direction), share): (&(Cause, Direction), &Share)| {
        wanted(books, (*cause, *direction), share, &wire)
    };
    let mut all: Vec<(Experiment, &str)> = shares.into_iter().flat_map(of_share).collect();
    all.retain(|(experiment, _)| !tried(books, experiment));
    all.into_iter().map(|(experiment, because)| (experiment, because.to_owned())).collect()
}

/// Whether this, or what asks the same, was tried.
fn tried(books: &Books, experiment: &Experiment) -> bool {
    books.trials.iter().any(|trial| trial.experiment.asks_as(experiment))
}

/// What would tell more of one cause.
fn wanted(
    books: &Books,
    (cause, direction): (Cause, Direction),
    share: &Share,
    wire: &Wire,
) -> Vec<(Experiment, &'static str)> {
    let doubtful = share.confidence < DOUBT_BELOW;
    match cause {
        Cause::MtuBlackHole => of_sizes(share, wire),
        Cause::ServerSilent if books.server.is_some() && share.rival.is_some() => vec![(
            Experiment::OtherFlows { flows: OTHER_FLOWS },
            "the server answers over TCP: it may be the flows that are silent",
        )],
        Cause::FragmentRateLimit if !doubtful => {
            let limit = share.estimates.get("limit");
            let experiment = limit.and_then(|limit| fragments::telling(books, wire, limit));
            let because = "answers of two fragments each tell the limit more closely";
            experiment.map(|experiment| (experiment, because)).into_iter().collect()
        }
        Cause::PathLoss
        | Cause::PacketRateLimit
        | Cause::BandwidthLimit
        | Cause::FragmentRateLimit
        | Cause::Unexplained
            // Where nobody tells directions, there are no receipts either.
            if doubtful && (direction != Direction::Host || books.all_receipts().is_none()) =>
        {
            of_rates(books, direction, share, wire)
        }
        _ => Vec::new(),
    }
}

/// What tells how large a black hole is, and that nobody speaks of it.
fn of_sizes(share: &Share, wire: &Wire) -> Vec<(Experiment, &'static str)> {
    let Some((low, high)) = share.estimates.get("size").and_then(|size| size.interval) else {
        return Vec::new();
    };
    let payload = |ip_bytes: f64| (ip_bytes as u32).saturating_sub(wire.headers);
    // A reader may have seen no lost answer at all but the largest.
    let lost_bytes = payload(high).saturating_add(1).min(u32::from(u16::MAX) - wire.headers);
    let mut wanted = Vec::new();
    if high - low >= 1.0 {
        // Where all answers are large nothing has passed yet.
        let largest = Experiment::LargestAnswer { passed_bytes: payload(low).max(SMALL_BYTES), lost_bytes };
        wanted.push((largest, "which is the largest answer that passes"));
    }
    if share.confidence < DOUBT_BELOW {
        let probes = Experiment::DontFragment { bytes: lost_bytes };
        wanted.push((probes, "whether the network says that they are too big"));
    }
    wanted
}

/// What tells limits from chance, and limits from each other.
fn of_rates(
    books: &Books,
    direction: Direction,
    share: &Share,
    wire: &Wire,
) -> Vec<(Experiment, &'static str)> {
    // Requests keep their size, whatever is read.
    let others = Experiment::AnswersOf { bytes: kind::telling_answer_bytes(books, wire), share: 1.0 };
    if share.rival.is_some() && direction != Direction::Up && !tried(books, &others) {
        return vec![(others, "answers of another size change the bits a second and not the packets")];
    }
    // Below what passed no limit loses anything.
    let rate = Experiment::Rate { share: (0.7 * passed_of_hit(books, wire)).clamp(0.02, 0.5) };
    vec![(rate, "at a rate that passed anyway a limit loses nothing, and chance the same share")]
}

/// Share that passed of those reads that were hit most: all, or those whose answers take several packets.
fn passed_of_hit(books: &Books, wire: &Wire) -> f64 {
    let population = &books.population;
    let large = population
        .by_size
        .iter()
        .enumerate()
        .filter(|(index, _)| wire.packets(*index as u32 * population.size_bin_bytes) > 1)
        .fold((0, 0), |sum, (_, counts)| (sum.0 + counts.first_try_lost, sum.1 + counts.reads));
    let of_large = if large.1 == 0 { 1.0 } else { 1.0 - large.0 as f64 / large.1 as f64 };
    of_large.min(books.whole_share())
}
