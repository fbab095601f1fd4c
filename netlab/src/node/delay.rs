//! A delay for every packet, with jitter that never changes their order.

use std::time::Duration;

use super::{Node, Outbox, nanoseconds};
use crate::packet::Packet;
use crate::random::Stream;

pub(super) struct Delay {
    delay_ns: u64,
    jitter_ns: u64,
    last_ns: u64,
    random: Stream,
}

impl Delay {
    pub(super) fn new(delay: Duration, jitter: Duration, random: Stream) -> Self {
        Self { delay_ns: nanoseconds(delay), jitter_ns: nanoseconds(jitter), last_ns: 0, random }
    }
}

impl Node for Delay {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        let jitter_ns = self.random.between(0, self.jitter_ns);
        let at_ns = out.now_ns.saturating_add(self.delay_ns).saturating_add(jitter_ns);
        self.last_ns = self.last_ns.max(at_ns);
        out.pass_at(self.last_ns, packet);
    }
}
