//! What an experiment shows of a limit of fragments: its answers all take two fragments, and there are many of them.

use super::case::{Case, Wire};
use super::charging::{Charging, Counted};
use super::counters;
use super::flows;
use super::fragment_limit::{Beside, Large, fitted, lost_of};
use super::limits::{ALL_LOST, LOG_ODDS_MIN, LOSSES_MIN};
use super::numbers::share_sd;
use super::sizes::SizeCounters;
use super::starved::{self, Arrived, Starving};
use super::traffic;
use super::{Books, Direction, Estimate};

/// What the reads of an experiment show of a limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The likeliest limit; none where hardly any answer of several packets was lost.
    pub limit: Option<Estimate>,
    /// The limit for each way in which a device may charge them. Two fragments do not tell first ones from others, which those of the stage may.
    pub by_charging: Vec<(Charging, Estimate)>,
    /// Where hardly any answer came whole: the buckets that may have done that.
    pub starved: Vec<Starving>,
}

/// How many reads were lost because their requests never arrived; none where not all directions are told.
pub fn lost_up(books: &Books) -> Option<u64> {
    let case = Case::open(books);
    let told = books.unlisted.0 == 0 && case.open.iter().all(|open| open.direction != Direction::Host);
    told.then(|| case.open.iter().filter(|open| open.direction == Direction::Up).count() as u64)
}

/// What an experiment's books show of a limit of fragments; those of the stage before it tell what chance loses of small answers.
pub fn fragment_limit(books: &Books, stage: &Books) -> Shown {
    let wire = Wire::of(books);
    let mut case = Case::open(books);
    case.count_unheard();
    flows::settle(&mut case);
    let case = case;
    let counters = SizeCounters::of(&case);
    let large: Vec<_> =
        traffic::answers(&case).into_iter().flatten().filter(|sent| sent.packets(&wire) > 1).collect();
    let lost = large.iter().filter(|sent| sent.lost == Some(true)).count();
    let became = Large {
        whole: large.iter().filter(|sent| sent.lost == Some(false)).count() as u64,
        packets: 2.0,
        put_together: counters.reassembled,
        changed: counters::corrupted(&case, Direction::Down),
    };
    let beside = beside_experiment(&case, &wire, stage, became);
    if (lost as u64) < LOSSES_MIN {
        return Shown::default();
    }
    let fits = fitted(&large, &wire, beside, &counters);
    let fits = fits.into_iter().filter(|found| found.fit.log_odds >= LOG_ODDS_MIN);
    let by_losses: Vec<_> = fits.map(|found| (found.charging, found.limit)).collect();
    let by_losses = Shown {
        limit: by_losses.first().map(|(_, limit)| limit.clone()),
        by_charging: by_losses,
        starved: Vec::new(),
    };
    // Where hardly any comes whole, which ones are lost tells nothing.
    let starved = lost as f64 >= ALL_LOST * large.len() as f64;
    match counters.fragments_arrived {
        Some(fragments) if starved || by_losses.limit.is_none() => {
            by_arrivals(&case, &wire, Arrived { fragments, lost: beside.of_packets, stray: 0.0 })
                .unwrap_or(by_losses)
        }
        _ => by_losses,
    }
}

/// What the number of fragments that arrived shows.
fn by_arrivals(case: &Case<'_>, wire: &Wire, arrived: Arrived) -> Option<Shown> {
    let possible = |way: Charging| (way, starved::possible(case, wire, arrived, |other| other == way));
    let by_way: Vec<_> = Charging::ways(wire).map(possible).collect();
    let of_any = by_way.iter().filter(|(way, _)| way.counted != Counted::First);
    let starved: Vec<_> = of_any.flat_map(|(_, possible)| possible).copied().collect();
    let limit = |possible: &[Starving]| starved::summed_up(possible, arrived, wire);
    Some(Shown {
        limit: Some(limit(&starved)?),
        by_charging: by_way.iter().filter_map(|(way, possible)| Some((*way, limit(possible)?))).collect(),
        starved,
    })
}

/// What is lost beside a limit in an experiment with answers of two packets, by the answers of one packet of the stage before it.
fn beside_experiment(case: &Case<'_>, wire: &Wire, stage: &Books, large: Large) -> Beside {
    let small = |index: usize| wire.packets((index as u32 + 1) * stage.population.size_bin_bytes) == 1;
    let met = Case::open(stage).met(Direction::Down);
    let counts = met.into_iter().enumerate().filter(|(index, _)| small(*index)).map(|(_, counts)| counts);
    let (reads, lost) = counts.fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    let of_one = lost as f64 / reads.max(1) as f64;
    Beside::of(1.0 - (1.0 - of_one).powi(2), lost_of(case, of_one, 2.0), share_sd(of_one, reads), large)
}
