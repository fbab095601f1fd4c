//! The nodes: each takes a packet and passes it, passes it later, changes it, makes more of it, or drops it.

use crate::endpoint::PacketTooBig;
use crate::packet::Packet;
use crate::random::{Stream, derive};
use crate::report::{Counts, DropReason};
use crate::topology::Link;

pub(crate) mod address_change;
mod bad_path;
mod balancer;
mod burst_loss;
mod corrupt;
mod delay;
mod duplicate;
mod fragment_limit;
mod fragment_loss;
mod loss;
mod mtu;
mod rate_limit;
pub(crate) mod reassembly;
pub(crate) mod receive_buffer;
mod reorder;
mod schedule;
mod silence;
mod size_loss;

/// A small deterministic machine on the way.
pub(crate) trait Node {
    /// Takes a packet and says what becomes of it.
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>);

    /// Gives a packet to an endpoint that reads.
    fn read(&mut self) -> Option<Packet> {
        None
    }

    /// Packets it keeps inside, other than those it passes later.
    fn held(&self) -> u64 {
        0
    }
}

/// Where a node puts what it decided.
pub(crate) struct Outbox<'a> {
    pub(crate) now_ns: u64,
    pub(crate) counts: &'a mut Counts,
    pub(crate) actions: &'a mut Vec<Action>,
}

/// What a node decided about a packet.
pub(crate) enum Action {
    Pass { at_ns: u64, packet: Packet },
    Drop { datagram: u64, reason: DropReason },
    Hint { at_ns: u64, datagram: u64, hint: PacketTooBig },
}

impl Outbox<'_> {
    /// Goes on to the next node now.
    pub(crate) fn pass(&mut self, packet: Packet) {
        self.pass_at(self.now_ns, packet);
    }

    /// Goes on to the next node then.
    pub(crate) fn pass_at(&mut self, at_ns: u64, packet: Packet) {
        self.actions.push(Action::Pass { at_ns, packet });
    }

    /// Is gone.
    pub(crate) fn drop(&mut self, packet: &Packet, reason: DropReason) {
        self.counts.dropped[reason as usize] += 1;
        self.actions.push(Action::Drop { datagram: packet.origin.id, reason });
    }

    /// Its sender hears of the MTU it exceeds, as long after now as the packet travelled until now.
    pub(crate) fn hint(&mut self, packet: &Packet, mtu: u32) {
        let origin = &packet.origin;
        let at_ns = self.now_ns + (self.now_ns - origin.sent_ns);
        let hint = PacketTooBig { mtu, source: origin.source, destination: origin.destination };
        self.actions.push(Action::Hint { at_ns, datagram: origin.id, hint });
    }
}

/// The machine for a description, drawing from streams of this seed. An address change is built from both directions, elsewhere.
pub(crate) fn build(link: &Link, seed: u64) -> Box<dyn Node> {
    let random = Stream::new(seed);
    match *link {
        Link::Mtu { mtu, icmp } => Box::new(mtu::Mtu { mtu, icmp }),
        Link::Loss { rate } => Box::new(loss::Loss { rate, random }),
        Link::SizeLoss { above, rate } => Box::new(size_loss::SizeLoss { above, rate, random }),
        Link::BurstLoss { enter, leave, rate } => {
            Box::new(burst_loss::BurstLoss::new(enter, leave, rate, random))
        }
        Link::Delay { delay, jitter } => Box::new(delay::Delay::new(delay, jitter, random)),
        Link::Reorder { rate, delay } => {
            Box::new(reorder::Reorder { rate, delay_ns: nanoseconds(delay), random })
        }
        Link::Duplicate { rate, delay } => {
            Box::new(duplicate::Duplicate { rate, delay_ns: nanoseconds(delay), random })
        }
        Link::Corrupt { rate, bits } => Box::new(corrupt::Corrupt { rate, bits, random }),
        Link::RateLimit { limit, excess } => Box::new(rate_limit::RateLimit::new(limit, excess)),
        Link::FragmentLimit { limit, charge, burst } => {
            Box::new(fragment_limit::FragmentLimit::new(limit, charge, burst))
        }
        Link::FragmentLoss { rate, charge } => Box::new(fragment_loss::FragmentLoss { rate, charge, random }),
        Link::BadPath { paths, rate } => Box::new(bad_path::BadPath::new(paths, rate, random)),
        Link::Balancer { servers, from, timeout } => {
            Box::new(balancer::Balancer::new(servers, nanoseconds(from), nanoseconds(timeout)))
        }
        Link::Silence { from, until } => {
            Box::new(silence::Silence { from_ns: nanoseconds(from), until_ns: nanoseconds(until) })
        }
        Link::Schedule(ref steps) => Box::new(schedule::Schedule::new(steps, |step, link| {
            build(link, derive(seed, link.name(), step))
        })),
        Link::AddressChange { .. } => {
            unreachable!("Topology::check refuses it here, Network builds it elsewhere")
        }
    }
}

/// A duration in the unit of the simulation; more than it can count (584 years) is as good as never.
pub(crate) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
