//! The path-MTU search of one direction: any order of calls. Sizes stay between base and cap, nothing is proved without evidence, and
//! neither calls nor silence make it busy.

mod suspicion;

use arbitrary::{Result, Unstructured};
use shingle_proto::search::{Search, SearchConfig, SearchState};

use suspicion::{Call, Suspicion};

const SECOND_NS: u64 = 1_000_000_000;
/// Probes in flight: one of the size tested, one control.
const IN_FLIGHT_MAX: usize = 2;
/// Probes and wake-ups of a silent hour: a search from the start, tests, and one a minute once timers have backed off.
const SILENT_HOUR_STEPS_MAX: usize = 500;

/// Calls a search in the order the bytes say.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    // Bytes that run out are no finding.
    let _ = scenario(&mut input);
}

fn scenario(input: &mut Unstructured<'_>) -> Result<()> {
    let config = SearchConfig {
        datagram_max: input.arbitrary()?,
        overhead_bytes: [28, 48, input.arbitrary()?][input.choose_index(3)?],
        raise_ns: [600 * SECOND_NS, SECOND_NS, u64::MAX][input.choose_index(3)?],
    };
    let base = [1200, input.arbitrary()?][input.choose_index(2)?];
    let mut world = World {
        search: Search::new(base, config),
        base: base.min(65_507),
        now: [0, 1 << 50][input.choose_index(2)?],
        next_id: 0,
        sent: Vec::new(),
        evidence: 0,
        stopped: false,
        suspicion: Suspicion::default(),
    };
    world.check(Call::Other);
    while !input.is_empty() {
        world.step(input)?;
    }
    if config.raise_ns > SECOND_NS {
        world.be_silent();
    }
    Ok(())
}

struct World {
    search: Search,
    base: u16,
    now: u64,
    next_id: u32,
    /// Every probe handed out; its id is its place.
    sent: Vec<Sent>,
    /// Largest size anything said to pass.
    evidence: u16,
    stopped: bool,
    suspicion: Suspicion,
}

#[derive(Clone, Copy)]
struct Sent {
    bytes: u16,
    at_ns: u64,
}

impl World {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=12)? {
            0 => self.poll(),
            1 => self.now += u64::from(input.arbitrary::<u16>()?) * 10_000,
            2 => self.now += u64::from(input.arbitrary::<u16>()?) * SECOND_NS / 10,
            3 => self.wake(),
            4 => {
                self.now = self.search.poll_timeout().unwrap_or(self.now).max(self.now);
                self.wake();
            }
            5 | 6 => {
                let back = usize::from(input.arbitrary::<u8>()?);
                if let Some(place) = self.sent.len().checked_sub(back + 1) {
                    self.acknowledge(place);
                }
            }
            7 => {
                let back = u32::from(input.arbitrary::<u8>()?);
                self.search.probe_not_sent(self.now, self.next_id.wrapping_sub(back + 1));
                self.check(Call::Other);
            }
            8 => {
                self.search.suspect(self.now);
                self.check(Call::Other);
            }
            9 => {
                let (bytes, ago) = (input.arbitrary()?, u64::from(input.arbitrary::<u32>()?));
                self.evidence = self.evidence.max(bytes);
                let asked_ns = self.now.saturating_sub(ago);
                self.search.arrived(self.now, bytes, asked_ns);
                self.check(Call::Passed { bytes, sent_ns: asked_ns });
            }
            10 => {
                self.search.hint(self.now, input.arbitrary()?);
                self.check(Call::Other);
            }
            11 => {
                let bytes = [1000, 1199, 1200, 1472, input.arbitrary()?][input.choose_index(5)?];
                for _ in 0..input.int_in_range(1..=12)? {
                    self.carry(bytes);
                }
            }
            _ if input.ratio(1, 16)? => {
                self.search.stop();
                self.stopped = true;
                self.check(Call::Limit);
            }
            _ => {
                self.search.limit(self.now, input.arbitrary()?);
                self.check(Call::Limit);
            }
        }
        Ok(())
    }

    /// A path on which probes up to this size are acknowledged at once, until the next timer.
    fn carry(&mut self, bytes: u16) {
        let first = self.sent.len();
        self.poll();
        for place in first..self.sent.len() {
            if self.sent[place].bytes <= bytes.max(self.base) {
                self.acknowledge(place);
            }
        }
        self.now = self.search.poll_timeout().unwrap_or(self.now).max(self.now);
        self.wake();
    }

    fn poll(&mut self) {
        let mut handed_out = 0;
        while let Some(size) = self.search.poll_probe(self.now, self.next_id) {
            assert!((self.base..=self.search.size_max()).contains(&size), "a probe of {size} B");
            assert!(!self.stopped, "a probe after the search was stopped");
            self.sent.push(Sent { bytes: size, at_ns: self.now });
            self.suspicion.probe_sent(size);
            self.next_id += 1;
            handed_out += 1;
            assert!(handed_out <= IN_FLIGHT_MAX, "{handed_out} probes at once");
        }
        self.check(Call::Other);
        let waits = self.search.state() != SearchState::Suspected || self.search.poll_timeout().is_some();
        assert!(waits, "a suspicion that waits for nothing never ends");
    }

    /// Whatever was due is done: the next time to wait for lies ahead.
    fn wake(&mut self) {
        self.search.handle_timeout(self.now);
        self.check(Call::Other);
        self.poll();
        let next = self.search.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "at {} it is to be called at {next:?}", self.now);
    }

    fn acknowledge(&mut self, place: usize) {
        let Sent { bytes, at_ns } = self.sent[place];
        if self.search.handle_ack(self.now, place as u32) {
            self.evidence = self.evidence.max(bytes);
            self.suspicion.acknowledged(bytes, at_ns);
            self.check(Call::Passed { bytes, sent_ns: at_ns });
        }
    }

    fn check(&mut self, call: Call) {
        let (size, proved, cap) = (self.search.size(), self.search.proved(), self.search.size_max());
        assert!(self.base <= size && size <= proved && proved <= cap, "{} {size} {proved} {cap}", self.base);
        let in_use = if self.search.state() == SearchState::Suspected { self.base } else { proved };
        assert_eq!(size, in_use, "{:?}", self.search.state());
        assert!(proved <= self.base.max(self.evidence), "{proved} B proved by {} B", self.evidence);
        assert_eq!(self.stopped, self.search.state() == SearchState::Disabled);
        let counters = self.search.counters();
        assert_eq!(counters.probes, self.sent.len() as u64);
        assert!(counters.acknowledged <= counters.probes && counters.late <= counters.acknowledged);
        self.suspicion.check(&self.search, self.now, call);
    }

    /// An hour in which nothing comes back.
    fn be_silent(&mut self) {
        let (end, mut steps) = (self.now + 3600 * SECOND_NS, self.sent.len());
        let before = steps;
        self.wake();
        while let Some(next) = self.search.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.wake();
            steps += 1;
            assert!(steps - before <= SILENT_HOUR_STEPS_MAX, "busy in silence, {:?}", self.search.state());
        }
        assert!(self.sent.len() - before <= SILENT_HOUR_STEPS_MAX);
    }
}
