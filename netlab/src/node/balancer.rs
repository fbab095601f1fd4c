//! A balancer before several servers: known flows stay with theirs, also when the first one is gone.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::report::DropReason;

pub(super) struct Balancer {
    servers: u64,
    from_ns: u64,
    timeout_ns: u64,
    /// Flows given to servers so far, while the first was there.
    given: u64,
    flows: HashMap<(SocketAddr, SocketAddr), Flow>,
}

struct Flow {
    on_first: bool,
    last_ns: u64,
}

impl Balancer {
    pub(super) fn new(servers: u64, from_ns: u64, timeout_ns: u64) -> Self {
        Self { servers, from_ns, timeout_ns, given: 0, flows: HashMap::new() }
    }

    /// Whether a packet's flow is the first server's.
    fn on_first(&mut self, packet: &Packet, now_ns: u64) -> bool {
        let key = (packet.source, packet.destination);
        let remembered = |flow: &&mut Flow| now_ns - flow.last_ns < self.timeout_ns;
        if let Some(flow) = self.flows.get_mut(&key).filter(remembered) {
            flow.last_ns = now_ns;
            return flow.on_first;
        }
        let on_first = now_ns < self.from_ns && self.given.is_multiple_of(self.servers);
        self.given += u64::from(now_ns < self.from_ns);
        self.flows.insert(key, Flow { on_first, last_ns: now_ns });
        on_first
    }
}

impl Node for Balancer {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if self.on_first(&packet, out.now_ns) && out.now_ns >= self.from_ns {
            out.drop(&packet, DropReason::Silence);
        } else {
            out.pass(packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Counts;

    #[test]
    fn known_flows_of_the_first_server_die_with_it_and_new_ones_live() {
        let (from_ns, timeout_ns) = (1_000, 100);
        let mut balancer = Balancer::new(2, from_ns, timeout_ns);
        let (mut counts, mut actions) = (Counts::default(), Vec::new());
        let mut passes = |port: u16, now_ns: u64| {
            let packet = Packet::new(([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], 1).into(), vec![]);
            let before = counts.dropped_total();
            balancer.push(packet, &mut Outbox { now_ns, counts: &mut counts, actions: &mut actions });
            counts.dropped_total() == before
        };
        for now_ns in (0..1_000).step_by(50) {
            assert!((10..14).all(|port| passes(port, now_ns)));
        }
        for now_ns in (1_000..2_000).step_by(50) {
            let alive: Vec<u16> = (10..20).filter(|&port| passes(port, now_ns)).collect();
            assert_eq!(alive, [11, 13, 14, 15, 16, 17, 18, 19], "every other of the known ones is dead");
        }
        // Port 10 was silent for long enough to be forgotten.
        assert!(passes(10, 2_050));
    }
}
