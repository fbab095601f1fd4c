//! A path with a size, a loss and a delay, and the clock that drives a search over it.

use shingle_proto::search::{Search, SearchConfig, SearchState};

/// SplitMix64: the same numbers for the same seed, everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, percent: f64) -> bool {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64 * 100.0 < percent
    }
}

/// Loss of a round trip.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    None,
    All,
    Percent(f64),
    /// Gilbert-Elliott: mean lengths of good and bad times, ns; loss in bad times.
    Bursts {
        good_ns: u64,
        bad_ns: u64,
        percent: f64,
    },
}

pub(crate) struct Path {
    pub(crate) datagram_max: u16,
    pub(crate) loss: Loss,
    pub(crate) round_trip_ns: u64,
    /// How much longer datagrams above the base take.
    pub(crate) large_held_ns: u64,
    /// Of two sent back to back the one (0 or 1) that is lost.
    pub(crate) lost_of_pair: Option<usize>,
    pub(crate) random: Random,
    bad: bool,
    turn_ns: u64,
}

impl Path {
    pub(crate) fn new(datagram_max: u16, loss: Loss, seed: u64) -> Self {
        Self {
            datagram_max,
            loss,
            round_trip_ns: 300_000,
            large_held_ns: 0,
            lost_of_pair: None,
            random: Random(seed),
            bad: false,
            turn_ns: 0,
        }
    }

    /// Whether a datagram of this size and its answer pass now.
    pub(crate) fn passes(&mut self, now_ns: u64, bytes: u16) -> bool {
        let lost = match self.loss {
            Loss::None => false,
            Loss::All => true,
            Loss::Percent(percent) => self.random.chance(percent),
            Loss::Bursts { good_ns, bad_ns, percent } => {
                while self.turn_ns <= now_ns {
                    self.bad = !self.bad;
                    let mean_ns = if self.bad { bad_ns } else { good_ns };
                    self.turn_ns += 1 + self.random.below(2 * mean_ns);
                }
                self.bad && self.random.chance(percent)
            }
        };
        !lost && bytes <= self.datagram_max
    }
}

/// A search on a path, and the time.
pub(crate) struct Run {
    pub(crate) search: Search,
    pub(crate) path: Path,
    pub(crate) now_ns: u64,
    pub(crate) largest_probe: u16,
    next_id: u32,
    acks: Vec<(u64, u32)>,
}

impl Run {
    pub(crate) fn new(config: SearchConfig, path: Path) -> Self {
        let search = Search::new(1200, config);
        Self { search, path, now_ns: 1_000, largest_probe: 0, next_id: 0, acks: Vec::new() }
    }

    /// Sends what is to be sent.
    pub(crate) fn transmit(&mut self) {
        let mut nth = 0;
        while let Some(bytes) = self.search.poll_probe(self.now_ns, self.next_id) {
            self.largest_probe = self.largest_probe.max(bytes);
            if self.path.passes(self.now_ns, bytes) && self.path.lost_of_pair != Some(nth) {
                let held_ns = if bytes > 1200 { self.path.large_held_ns } else { 0 };
                self.acks.push((self.now_ns + self.path.round_trip_ns + held_ns, self.next_id));
            }
            self.next_id += 1;
            nth += 1;
        }
    }

    fn next_event_ns(&self) -> Option<u64> {
        let acks = self.acks.iter().map(|&(at_ns, _)| at_ns);
        acks.chain(self.search.poll_timeout()).min()
    }

    /// Goes to the next event, not past `until_ns`; false once there is none before it.
    pub(crate) fn step(&mut self, until_ns: u64) -> bool {
        self.transmit();
        let Some(at_ns) = self.next_event_ns().filter(|&at_ns| at_ns <= until_ns) else {
            self.now_ns = self.now_ns.max(until_ns);
            return false;
        };
        self.now_ns = self.now_ns.max(at_ns);
        self.acks.sort_unstable();
        while let Some(&(at_ns, id)) = self.acks.first().filter(|&&(at_ns, _)| at_ns <= self.now_ns) {
            let known = self.search.handle_ack(at_ns, id);
            assert!(known, "probe {id} is forgotten: {:?}", self.search);
            self.acks.remove(0);
        }
        self.search.handle_timeout(self.now_ns);
        if let Some(due_ns) = self.search.poll_timeout() {
            assert!(due_ns > self.now_ns, "due at {due_ns}, asked at {}: {:?}", self.now_ns, self.search);
        }
        true
    }

    pub(crate) fn until(&mut self, until_ns: u64) {
        while self.step(until_ns) {}
    }

    /// Runs until the search is complete; the number of probes it took.
    pub(crate) fn complete(&mut self) -> u64 {
        let before = self.search.counters().probes;
        while self.search.state() != SearchState::Complete {
            assert!(self.search.counters().probes - before < 2_000, "no end: {:?}", self.search);
            assert!(self.step(u64::MAX), "nothing to do: {:?}", self.search);
        }
        self.search.counters().probes - before
    }
}
