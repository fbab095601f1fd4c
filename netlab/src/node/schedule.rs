//! A node that is another one from a time on: paths that shrink, loss that begins.

use super::{Node, Outbox, nanoseconds};
use crate::packet::Packet;
use crate::topology::{Link, Step};

pub(super) struct Schedule {
    /// Sorted by time.
    steps: Vec<(u64, Option<Box<dyn Node>>)>,
}

impl Schedule {
    pub(super) fn new(steps: &[Step], build: impl Fn(u64, &Link) -> Box<dyn Node>) -> Self {
        let machine = |(i, step): (usize, &Step)| {
            (nanoseconds(step.from), step.link.as_ref().map(|link| build(i as u64, link)))
        };
        Self { steps: steps.iter().enumerate().map(machine).collect() }
    }
}

impl Node for Schedule {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        let begun = self.steps.iter_mut().rev().find(|(from_ns, _)| *from_ns <= out.now_ns);
        match begun {
            Some((_, Some(node))) => node.push(packet, out),
            _ => out.pass(packet),
        }
    }
}
