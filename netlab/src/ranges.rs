//! Random networks: what may be drawn, and the drawing.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::node::nanoseconds;
use crate::random::{Stream, derive};
use crate::topology::{
    Change, Charge, Drain, Excess, Limit, Link, Path, ReceiveBuffer, Step, Topology, Trigger,
};

/// Path MTUs that real networks have, in bytes of an IP packet. Half of all drawn MTUs are of these.
const REAL_MTUS: [u32; 14] =
    [1280, 1400, 1420, 1446, 1460, 1492, 1500, 3900, 4352, 8500, 8896, 8900, 9000, 9001];

/// What [`Topology::random`] may draw. Each kind of node is in a path with the probability `presence`, drawn for each direction;
/// `None` means never. Rates and numbers are uniform in their ranges. Every kind draws from a stream of its own: changing one range
/// leaves the rest of a seed's network as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// Probability of each kind in each path. Default 1/3.
    pub presence: f64,
    /// Path MTU, with or without ICMP; half of the time one that real networks have. Default 1280 to 9001, which a 1200 B datagram
    /// passes in both address families.
    pub mtu: Option<RangeInclusive<u32>>,
    /// When a path's MTU becomes another of the same range. Default 100 ms to 5 s.
    pub mtu_change: Option<RangeInclusive<Duration>>,
    /// Independent loss. Default 0 to 0.05.
    pub loss: Option<RangeInclusive<f64>>,
    /// Mean loss through bursts of 1 to 10 packets, each lost whole. Default 0 to 0.02.
    pub burst_loss: Option<RangeInclusive<f64>>,
    /// Delay one way, with jitter up to a quarter of it. Drawn for every path. Default 0 to 50 ms.
    pub delay: Option<RangeInclusive<Duration>>,
    /// Packets held back, for up to 10 ms. Default 0 to 0.1.
    pub reorder: Option<RangeInclusive<f64>>,
    /// Packets doubled, the copy up to 20 ms late. Default 0 to 0.05.
    pub duplicate: Option<RangeInclusive<f64>>,
    /// Packets with 1 to 8 flipped bits. Default 0 to 0.02.
    pub corrupt: Option<RangeInclusive<f64>>,
    /// Packets a second: half policed with a burst, half queued, 16 to 1,024 packets. Default 2,000 to 200,000.
    pub packet_limit: Option<RangeInclusive<u64>>,
    /// Bits a second, queued, 16 to 1,024 packets. Default 20 M to 10 G.
    pub bandwidth_limit: Option<RangeInclusive<u64>>,
    /// Fragments a second, any charge, burst 1 to 64. Default 100 to 2,000.
    pub fragment_limit: Option<RangeInclusive<u64>>,
    /// One of so many equal-cost paths drops everything. Default 2 to 8.
    pub bad_path: Option<RangeInclusive<u32>>,
    /// A silence of this length that begins within the first 5 s. Default 10 ms to 1 s.
    pub silence: Option<RangeInclusive<Duration>>,
    /// The client's port or address changes every so many packets, 0 to 2 former ones being kept. Default 20 to 2,000.
    pub address_change: Option<RangeInclusive<u64>>,
    /// Bytes of a receive buffer with Linux's charges, read at 20,000 to 1 million datagrams a second. Default 64 KiB to 1 MiB.
    pub receive_buffer: Option<RangeInclusive<u32>>,
}

impl Default for Ranges {
    fn default() -> Self {
        Self {
            presence: 1.0 / 3.0,
            mtu: Some(1280..=9001),
            mtu_change: Some(Duration::from_millis(100)..=Duration::from_secs(5)),
            loss: Some(0.0..=0.05),
            burst_loss: Some(0.0..=0.02),
            delay: Some(Duration::ZERO..=Duration::from_millis(50)),
            reorder: Some(0.0..=0.1),
            duplicate: Some(0.0..=0.05),
            corrupt: Some(0.0..=0.02),
            packet_limit: Some(2_000..=200_000),
            bandwidth_limit: Some(20_000_000..=10_000_000_000),
            fragment_limit: Some(100..=2_000),
            bad_path: Some(2..=8),
            silence: Some(Duration::from_millis(10)..=Duration::from_secs(1)),
            address_change: Some(20..=2_000),
            receive_buffer: Some(64 << 10..=1 << 20),
        }
    }
}

impl Ranges {
    /// Nothing is ever drawn: set what a test is about.
    pub fn nothing() -> Self {
        Self {
            presence: 1.0,
            mtu: None,
            mtu_change: None,
            loss: None,
            burst_loss: None,
            delay: None,
            reorder: None,
            duplicate: None,
            corrupt: None,
            packet_limit: None,
            bandwidth_limit: None,
            fragment_limit: None,
            bad_path: None,
            silence: None,
            address_change: None,
            receive_buffer: None,
        }
    }
}

impl Topology {
    /// The network this seed stands for. The order of the nodes is drawn, too.
    ///
    /// # Panics
    /// If a range ends before it begins.
    pub fn random(seed: u64, ranges: &Ranges) -> Self {
        let path =
            |name| Drawing { seed: derive(derive(seed, "topology", 0), name, 0), ranges, links: Vec::new() };
        let mut up = path("up");
        up.address_change();
        Self { up: up.path(), down: path("down").path() }
    }
}

/// One path being drawn.
struct Drawing<'a> {
    seed: u64,
    ranges: &'a Ranges,
    /// Nodes with the numbers that order them.
    links: Vec<(u64, Link)>,
}

impl Drawing<'_> {
    fn path(mut self) -> Path {
        self.sizes();
        self.chances();
        self.times();
        self.limits();
        self.links.sort_by_key(|(order, _)| *order);
        let receive_buffer = self.receive_buffer();
        let links = self.links.into_iter().map(|(_, link)| link).collect();
        Path { links, receive_buffer, ..Path::default() }
    }

    /// Draws a kind of node, if it is allowed and its presence is drawn.
    fn draw<T>(&mut self, name: &str, range: Option<&T>, link: impl FnOnce(&mut Stream, &T) -> Link) {
        let mut random = Stream::new(derive(self.seed, name, 0));
        let order = random.next();
        let present = random.chance(self.ranges.presence);
        if let Some(range) = range.filter(|_| present) {
            self.links.push((order, link(&mut random, range)));
        }
    }

    fn sizes(&mut self) {
        let change = self.ranges.mtu_change.clone();
        self.draw("mtu", self.ranges.mtu.as_ref(), |random, range| {
            let first = mtu(random, range);
            let (when, then, changes) = (random.next(), mtu(random, range), random.chance(0.5));
            match change.filter(|_| changes) {
                Some(times) => Link::Schedule(vec![
                    Step { from: Duration::ZERO, link: Some(first) },
                    Step { from: time(&mut Stream::new(when), &times), link: Some(then) },
                ]),
                None => first,
            }
        });
    }

    fn chances(&mut self) {
        let Ranges { loss, burst_loss, reorder, duplicate, corrupt, bad_path, .. } = self.ranges;
        self.draw("loss", loss.as_ref(), |random, range| Link::Loss { rate: rate(random, range) });
        self.draw("burst_loss", burst_loss.as_ref(), |random, range| {
            let (mean, leave) = (rate(random, range), 1.0 / random.between(1, 10) as f64);
            // The share of time in a burst is enter / (enter + leave).
            let enter = if mean < 1.0 { (leave * mean / (1.0 - mean)).min(1.0) } else { 1.0 };
            Link::BurstLoss { enter, leave, rate: 1.0 }
        });
        self.draw("reorder", reorder.as_ref(), |random, range| Link::Reorder {
            rate: rate(random, range),
            delay: time(random, &(Duration::ZERO..=Duration::from_millis(10))),
        });
        self.draw("duplicate", duplicate.as_ref(), |random, range| Link::Duplicate {
            rate: rate(random, range),
            delay: time(random, &(Duration::ZERO..=Duration::from_millis(20))),
        });
        self.draw("corrupt", corrupt.as_ref(), |random, range| Link::Corrupt {
            rate: rate(random, range),
            bits: random.between(1, 8) as u32,
        });
        self.draw("bad_path", bad_path.as_ref(), |random, range| Link::BadPath {
            paths: random.between((*range.start()).into(), (*range.end()).into()) as u32,
            rate: 1.0,
        });
    }

    fn times(&mut self) {
        if let Some(range) = &self.ranges.delay {
            let mut random = Stream::new(derive(self.seed, "delay", 0));
            let (order, delay) = (random.next(), time(&mut random, range));
            let jitter = time(&mut random, &(Duration::ZERO..=delay / 4));
            self.links.push((order, Link::Delay { delay, jitter }));
        }
        self.draw("silence", self.ranges.silence.as_ref(), |random, range| {
            let from = time(random, &(Duration::ZERO..=Duration::from_secs(5)));
            Link::Silence { from, until: from + time(random, range) }
        });
    }

    fn limits(&mut self) {
        let Ranges { packet_limit, bandwidth_limit, fragment_limit, .. } = self.ranges;
        self.draw("packet_limit", packet_limit.as_ref(), |random, range| {
            let limit = Limit::Packets(number(random, range));
            let room = random.between(16, 1024);
            let police = random.chance(0.5);
            let excess =
                if police { Excess::Police { burst: room } } else { Excess::Queue { size: room as usize } };
            Link::RateLimit { limit, excess }
        });
        self.draw("bandwidth_limit", bandwidth_limit.as_ref(), |random, range| Link::RateLimit {
            limit: Limit::Bits(number(random, range)),
            excess: Excess::Queue { size: random.between(16, 1024) as usize },
        });
        self.draw("fragment_limit", fragment_limit.as_ref(), |random, range| Link::FragmentLimit {
            limit: number(random, range),
            charge: [Charge::First, Charge::Rest, Charge::All][random.below(3) as usize],
            burst: random.between(1, 64),
        });
    }

    fn address_change(&mut self) {
        self.draw("address_change", self.ranges.address_change.as_ref(), |random, range| {
            Link::AddressChange {
                trigger: Trigger::Every(number(random, range)),
                change: [Change::Port, Change::Address][random.below(2) as usize],
                keeps: random.below(3) as u32,
            }
        });
    }

    fn receive_buffer(&self) -> Option<ReceiveBuffer> {
        let mut random = Stream::new(derive(self.seed, "receive_buffer", 0));
        let present = random.chance(self.ranges.presence);
        let range = self.ranges.receive_buffer.as_ref().filter(|_| present)?;
        let size = random.between((*range.start()).into(), (*range.end()).into()) as u32;
        let drain = Drain::Rate(random.between(20_000, 1_000_000));
        Some(ReceiveBuffer { size, ..ReceiveBuffer::linux_default(drain) })
    }
}

fn mtu(random: &mut Stream, range: &RangeInclusive<u32>) -> Link {
    let any = random.between((*range.start()).into(), (*range.end()).into()) as u32;
    let real: Vec<u32> = REAL_MTUS.into_iter().filter(|mtu| range.contains(mtu)).collect();
    let picked = real.get(random.below(real.len() as u64) as usize).copied();
    let mtu = picked.filter(|_| random.chance(0.5)).unwrap_or(any);
    Link::Mtu { mtu, icmp: random.chance(0.5) }
}

/// A probability with three digits after the point, or the lower end where the range is narrower.
fn rate(random: &mut Stream, range: &RangeInclusive<f64>) -> f64 {
    let exact = range.start() + (range.end() - range.start()) * random.unit();
    ((exact * 1000.0).round() / 1000.0).clamp(*range.start(), *range.end())
}

/// A duration in whole microseconds, or the lower end where the range is narrower.
fn time(random: &mut Stream, range: &RangeInclusive<Duration>) -> Duration {
    let exact = random.between(nanoseconds(*range.start()), nanoseconds(*range.end()));
    Duration::from_micros(exact / 1000).clamp(*range.start(), *range.end())
}

fn number(random: &mut Stream, range: &RangeInclusive<u64>) -> u64 {
    random.between(*range.start(), *range.end())
}
