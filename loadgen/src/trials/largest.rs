//! The largest answer that comes, to the byte: single reads of values made for it, of sizes that a search asks for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::sizes::{Round, SizeSearch, Sizes};
use super::{Outcome, patience, tps};
use crate::attribution::{Counts, Population};
use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::load::Load;
use crate::reader::{End, Reader};
use crate::record::Stage;
use crate::rig::{self, Rig};
use crate::statistics::share_interval;
use crate::target::Target;
use crate::workload::ItemSpace;

impl Rig {
    /// The largest answer that passes, between two sizes of UDP payload.
    pub(super) fn largest_trial(
        &mut self,
        passed: u32,
        lost: u32,
        stage: &Stage,
        population: &Population,
    ) -> Result<Outcome, Error> {
        let cut = self.load.path_facts().chunk_datagram_bytes;
        if !matches!(self.load, Load::Shingle(..)) {
            return Ok(Outcome::impossible(
                "memcached cuts its answers to datagrams of 1400 B, whatever is asked for",
            ));
        }
        if let Some(cut) = cut.filter(|cut| lost > *cut) {
            return Ok(Outcome::impossible(format!("the port cuts answers to datagrams of {cut} B")));
        }
        let chance_loss = chance_loss(population, passed);
        let (outcome, icmp) = self.counting_icmp(|rig| {
            let spec = rig.single_read_spec();
            let first = rig.load.flows()[0].0.wrapping_sub(limits::TRIAL_READER_FLOWS as u32 + 1);
            let Load::Shingle(target, _) = &mut rig.load else { unreachable!("looked at above") };
            let reader = Reader::open(first, limits::TRIAL_READER_FLOWS, target.ports[0].0, &spec)?;
            let mut stock = Stock::new(target, &rig.space);
            let (patience, pace) = (patience(stage), pace(stage, lost));
            let done = Bisection { reader, counts: Counts::default(), patience, pace }.run(
                (passed, lost),
                chance_loss,
                &mut stock,
            );
            stock.clear();
            done
        })?;
        Ok(Outcome { icmp, ..outcome })
    }

    /// Settings of flows for single reads: nothing is sent twice.
    fn single_read_spec(&self) -> crate::engine::FlowSpec {
        let Load::Shingle(target, _) = &self.load else { unreachable!("only Shingle is read so") };
        let mut spec = rig::flow_spec(&self.options, target);
        (spec.core.retries, spec.core.gets_per_datagram_max, spec.train) = (0, 1, 1);
        spec
    }
}

/// Upper end of the share of answers of up to this size that were lost, whatever by; none where none was read.
fn chance_loss(population: &Population, passed: u32) -> Option<f64> {
    let value_bytes = passed.saturating_sub(ANSWER_OVERHEAD_BYTES);
    let bins = (value_bytes / population.size_bin_bytes.max(1)) as usize + 1;
    let (mut reads, mut lost) = (0, 0);
    for counts in population.by_size.iter().take(bins) {
        (reads, lost) = (reads + counts.reads, lost + counts.first_try_lost);
    }
    (reads > 0).then(|| share_interval(lost as f64 / reads as f64, reads as f64).1)
}

/// Time between two reads: no more reads and bytes a second than the stage had, within reason.
fn pace(stage: &Stage, bytes: u32) -> Duration {
    let by_reads = 1.0 / tps(stage);
    let by_bytes = f64::from(bytes) / stage.goodput_bytes_per_s.max(1.0);
    Duration::from_secs_f64(by_reads.max(by_bytes))
        .clamp(limits::TRIAL_READ_INTERVAL_MIN, limits::TRIAL_READ_INTERVAL_MAX)
}

/// A bisection under way.
struct Bisection {
    reader: Reader,
    counts: Counts,
    patience: Duration,
    pace: Duration,
}

impl Bisection {
    fn run(
        mut self,
        bounds: (u32, u32),
        chance_loss: Option<f64>,
        stock: &mut Stock<'_>,
    ) -> Result<Outcome, Error> {
        let Some(((passed, lost), sizes)) = stock.sizes(bounds) else {
            return Ok(Outcome::impossible(
                "values of other sizes cannot be stored here (no right to update; give --token-file), and those stored are too few",
            ));
        };
        let chance_loss = match chance_loss {
            Some(share) => share,
            None => match self.reads(&[passed; limits::TRIAL_SMALL_READS], stock)? {
                Ok(ends) => {
                    let missed = ends.iter().filter(|end| !end.came).count();
                    share_interval(missed as f64 / ends.len() as f64, ends.len() as f64).1
                }
                Err(because) => return Ok(Outcome { counts: self.counts, ..Outcome::impossible(because) }),
            },
        };
        let Some(mut search) = SizeSearch::new(sizes, passed, lost, chance_loss) else {
            return Ok(Outcome::impossible("too many of the small answers are lost as well"));
        };
        let end = Instant::now() + limits::TRIAL_SEARCH_MAX;
        let mut controls_came = 0;
        while let Some(round) = search.next() {
            if Instant::now() > end {
                let because = if controls_came == 0 {
                    format!("answers of {passed} B did not come either")
                } else {
                    "too many answers were lost by chance to end in time".to_owned()
                };
                return Ok(Outcome { counts: self.counts, ..Outcome::impossible(because) });
            }
            match self.round(&mut search, &round, stock)? {
                Ok(came) => controls_came += came,
                Err(because) => return Ok(Outcome { counts: self.counts, ..Outcome::impossible(because) }),
            }
        }
        Ok(Outcome {
            counts: self.counts,
            bounds_bytes: search.lost().map(|lost| (search.passed(), lost)),
            ..Outcome::default()
        })
    }

    /// Reads what the search asks for; gives how many reads of the size that passes came, or why the server gives no such answers.
    fn round(
        &mut self,
        search: &mut SizeSearch,
        round: &Round,
        stock: &mut Stock<'_>,
    ) -> Result<Result<u32, String>, Error> {
        let Round { once, judged: (judged, times) } = round;
        let control = search.passed();
        let pairs = (0..*times).flat_map(|_| [*judged, control]);
        let wanted: Vec<u32> = pairs.chain(once.iter().copied()).collect();
        let ends = match self.reads(&wanted, stock)? {
            Ok(ends) => ends,
            Err(because) => return Ok(Err(because)),
        };
        let (pairs, rest) = ends.split_at(2 * *times as usize);
        let mut controls_came = 0;
        for pair in pairs.chunks_exact(2) {
            controls_came += u32::from(pair[1].came);
            if pair[0].came { search.came(*judged) } else { search.missed(*judged, pair[1].came) }
        }
        for (size, end) in once.iter().zip(rest) {
            if end.came { search.came(*size) } else { search.missed(*size, false) }
        }
        Ok(Ok(controls_came))
    }

    /// How single reads of answers of these sizes end, or why the server gives no such answers.
    fn reads(&mut self, sizes: &[u32], stock: &mut Stock<'_>) -> Result<Result<Vec<End>, String>, Error> {
        let keys = match stock.keys(sizes) {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(format!("values of other sizes could not be stored: {error}"))),
        };
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let ends = self.reader.read(&keys, self.patience, self.pace)?;
        for end in &ends {
            let missed = u64::from(!end.came);
            self.counts.merge(&Counts { reads: 1, first_try_lost: missed, failed: missed });
        }
        if let Some(at) = ends.iter().position(|end| end.refused || end.missing) {
            let what = if ends[at].refused { "refused" } else { "no longer had" };
            return Ok(Err(format!("the server {what} a value for an answer of {} B", sizes[at])));
        }
        Ok(Ok(ends))
    }
}

/// Values by the size of their answers: made for it where the server takes updates, else those that are stored.
struct Stock<'r> {
    target: &'r mut Target,
    space: &'r ItemSpace,
    /// Name of this trial, of which its keys begin.
    name: String,
    /// Sizes stored for this trial.
    made: BTreeMap<u32, Vec<u8>>,
    /// An item of each size, where none can be made.
    items: BTreeMap<u32, u32>,
}

impl<'r> Stock<'r> {
    fn new(target: &'r mut Target, space: &'r ItemSpace) -> Self {
        let name = format!("shingle-trial-{:016x}-", shingle_udp::realtime_ns());
        Self { target, space, name, made: BTreeMap::new(), items: BTreeMap::new() }
    }

    /// The sizes there are, and the bounds nearest to those wanted; none where there are none.
    fn sizes(&mut self, (passed, lost): (u32, u32)) -> Option<((u32, u32), Sizes)> {
        if self.target.welcome().may_update {
            return (ANSWER_OVERHEAD_BYTES < passed && passed < lost).then_some(((passed, lost), Sizes::All));
        }
        for item in 0..self.space.items() {
            let bytes = self.space.value_bytes(item) as u32 + ANSWER_OVERHEAD_BYTES;
            self.items.entry(bytes).or_insert(item);
        }
        let below = *self.items.range(..=passed).next_back()?.0;
        let above = *self.items.range(lost..).next()?.0;
        let between = self.items.range(below + 1..above).map(|(bytes, _)| *bytes).collect();
        Some(((below, above), Sizes::These(between)))
    }

    /// The keys of values whose answers have these sizes; stored now where they are not.
    fn keys(&mut self, sizes: &[u32]) -> Result<Vec<Vec<u8>>, Error> {
        if !self.items.is_empty() {
            let key = |size: &u32| self.space.key(self.items[size], &mut [0; 250]).to_vec();
            return Ok(sizes.iter().map(key).collect());
        }
        let mut missing: Vec<_> =
            sizes.iter().filter(|size| !self.made.contains_key(size)).copied().collect();
        missing.sort_unstable();
        missing.dedup();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(shingle_udp::realtime_ns());
        for size in &missing {
            self.made.insert(*size, format!("{}{size}", self.name).into_bytes());
        }
        let made = &self.made;
        let items = missing.iter().map(|size| {
            // Noise, which no port stores compressed.
            let mut value = vec![0; (size - ANSWER_OVERHEAD_BYTES) as usize];
            random.fill_bytes(&mut value);
            (made[size].clone(), value, limits::TRIAL_KEYS_TTL_S)
        });
        self.target.control.set_all(items, |_| ())?;
        Ok(sizes.iter().map(|size| self.made[size].clone()).collect())
    }

    /// Deletes what was stored, as far as the server can be asked.
    fn clear(self) {
        for key in self.made.into_values() {
            if self.target.control.delete(&key).is_err() {
                return;
            }
        }
    }
}
