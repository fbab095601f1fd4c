//! So many packets or bits a second: a policer drops the rest, a queue sends it later.

use std::collections::VecDeque;

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::rate::{Pace, TokenBucket};
use crate::report::DropReason;
use crate::topology::{Excess, Limit};

pub(super) struct RateLimit {
    limit: Limit,
    excess: State,
}

enum State {
    Police(TokenBucket),
    Queue(Line),
}

/// A queue before a link. Its packets' departures are known when they come, so it keeps only these.
struct Line {
    size: usize,
    departures_ns: VecDeque<u64>,
    pace: Pace,
}

impl RateLimit {
    pub(super) fn new(limit: Limit, excess: Excess) -> Self {
        let excess = match excess {
            Excess::Police { burst } => State::Police(TokenBucket::new(per_second(limit), burst)),
            Excess::Queue { size } => State::Queue(Line {
                size,
                departures_ns: VecDeque::new(),
                pace: Pace::new(per_second(limit)),
            }),
        };
        Self { limit, excess }
    }
}

impl Node for RateLimit {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        let units = match self.limit {
            Limit::Packets(_) => 1,
            Limit::Bits(_) => packet.ip_bytes() as u64 * 8,
        };
        let (passes_ns, reason) = match &mut self.excess {
            State::Police(bucket) => {
                (bucket.take(out.now_ns, units).then_some(out.now_ns), DropReason::RateLimit)
            }
            State::Queue(line) => (line.depart(out.now_ns, units), DropReason::QueueFull),
        };
        match passes_ns {
            Some(at_ns) => out.pass_at(at_ns, packet),
            None => out.drop(&packet, reason),
        }
    }
}

impl Line {
    /// When a packet that comes now has been sent; none if the queue is full. The packet being sent counts as waiting.
    fn depart(&mut self, now_ns: u64, units: u64) -> Option<u64> {
        while self.departures_ns.pop_front_if(|at_ns| *at_ns <= now_ns).is_some() {}
        if self.departures_ns.len() >= self.size {
            return None;
        }
        let at_ns = self.pace.carry(now_ns, units);
        self.departures_ns.push_back(at_ns);
        Some(at_ns)
    }
}

fn per_second(limit: Limit) -> u64 {
    match limit {
        Limit::Packets(limit) | Limit::Bits(limit) => limit,
    }
}
