//! The path-MTU search of one direction: any order of calls. Sizes stay between base and cap, nothing is proved without evidence, and
//! neither calls nor silence make it busy.

use arbitrary::{Result, Unstructured};
use shingle_proto::search::{Search, SearchConfig, SearchState};

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
    };
    world.check();
    while !input.is_empty() {
        world.step(input)?;
        world.check();
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
    /// Id and size of every probe handed out.
    sent: Vec<(u32, u16)>,
    /// Largest size anything said to pass.
    evidence: u16,
    stopped: bool,
}

impl World {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=11)? {
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
                self.acknowledge(back);
            }
            7 => {
                let id = input.arbitrary::<u8>()?.into();
                self.search.probe_not_sent(self.now, id);
            }
            8 => self.search.suspect(self.now),
            9 => {
                let (bytes, ago) = (input.arbitrary()?, u64::from(input.arbitrary::<u32>()?));
                self.evidence = self.evidence.max(bytes);
                self.search.arrived(self.now, bytes, self.now.saturating_sub(ago));
            }
            10 => self.search.hint(self.now, input.arbitrary()?),
            _ if input.ratio(1, 16)? => {
                self.search.stop();
                self.stopped = true;
            }
            _ => self.search.limit(self.now, input.arbitrary()?),
        }
        Ok(())
    }

    fn poll(&mut self) {
        let mut handed_out = 0;
        while let Some(size) = self.search.poll_probe(self.now, self.next_id) {
            assert!((self.base..=self.search.size_max()).contains(&size), "a probe of {size} B");
            assert!(!self.stopped, "a probe after the search was stopped");
            self.sent.push((self.next_id, size));
            self.next_id += 1;
            handed_out += 1;
            assert!(handed_out <= IN_FLIGHT_MAX, "{handed_out} probes at once");
        }
    }

    /// Whatever was due is done: the next time to wait for lies ahead.
    fn wake(&mut self) {
        self.search.handle_timeout(self.now);
        self.poll();
        let next = self.search.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "at {} it is to be called at {next:?}", self.now);
    }

    fn acknowledge(&mut self, back: usize) {
        let Some(&(id, size)) = self.sent.iter().nth_back(back) else { return };
        if self.search.handle_ack(self.now, id) {
            self.evidence = self.evidence.max(size);
        }
    }

    fn check(&self) {
        let (size, proved, cap) = (self.search.size(), self.search.proved(), self.search.size_max());
        assert!(self.base <= size && size <= proved && proved <= cap, "{} {size} {proved} {cap}", self.base);
        assert!(size == self.base || size == proved);
        assert!(proved <= self.base.max(self.evidence), "{proved} B proved by {} B", self.evidence);
        assert_eq!(self.stopped, self.search.state() == SearchState::Disabled);
        let counters = self.search.counters();
        assert_eq!(counters.probes, self.sent.len() as u64);
        assert!(counters.acknowledged <= counters.probes && counters.late <= counters.acknowledged);
    }

    /// An hour in which nothing comes back.
    fn be_silent(&mut self) {
        let (end, mut steps) = (self.now + 3600 * SECOND_NS, self.sent.len());
        let before = steps;
        self.wake();
        while let Some(next) = self.search.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.wake();
            self.check();
            steps += 1;
            assert!(steps - before <= SILENT_HOUR_STEPS_MAX, "busy in silence, {:?}", self.search.state());
        }
        assert!(self.sent.len() - before <= SILENT_HOUR_STEPS_MAX);
    }
}
