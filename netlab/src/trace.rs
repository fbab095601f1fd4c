//! What happened when: one event at a time, folded into a number that is equal for equal runs.

use std::fmt;

use crate::random::mix64;
use crate::report::DropReason;
use crate::topology::Direction;

/// Something that happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// When, in nanoseconds since the network began.
    pub at_ns: u64,
    /// Which way the packet went.
    pub direction: Direction,
    /// Number of the node in its path, from 0; the number of nodes for what an endpoint does.
    pub node: usize,
    /// Number of the datagram in its network, from 0; copies and fragments share it.
    pub datagram: u64,
    /// What happened.
    pub what: What,
}

/// What happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An endpoint sent it; bytes of the IP packet.
    Sent(usize),
    /// The node passes it on at this time.
    Passed(u64),
    /// The node dropped it.
    Dropped(DropReason),
    /// The other endpoint received it; bytes of the IP packet.
    Delivered(usize),
    /// The sender heard that it exceeds this MTU.
    TooBig(u32),
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ns, direction, node, datagram, what } = self;
        write!(f, "{at_ns} ns, {direction} node {node}, datagram {datagram}: {what:?}")
    }
}

/// Hash of all events so far, and who wants to hear of them.
#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    listener: Option<Box<dyn FnMut(TraceEvent)>>,
}

impl Trace {
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn listen(&mut self, listener: Box<dyn FnMut(TraceEvent)>) {
        self.listener = Some(listener);
    }

    pub(crate) fn note(&mut self, event: TraceEvent) {
        let (kind, detail) = match event.what {
            What::Sent(bytes) => (0, bytes as u64),
            What::Passed(at_ns) => (1, at_ns),
            What::Dropped(reason) => (2, reason as u64),
            What::Delivered(bytes) => (3, bytes as u64),
            What::TooBig(mtu) => (4, u64::from(mtu)),
        };
        let place = (event.node as u64) << 8 | (event.direction as u64) << 4 | kind;
        self.hash = [event.at_ns, place, event.datagram, detail]
            .into_iter()
            .fold(self.hash, |hash, word| mix64(hash ^ word));
        if let Some(listener) = &mut self.listener {
            listener(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_counts_and_so_does_its_order() {
        let hash = |bytes: &[usize]| {
            let mut trace = Trace::default();
            for &bytes in bytes {
                let what = What::Sent(bytes);
                trace.note(TraceEvent { at_ns: 0, direction: Direction::Up, node: 0, datagram: 0, what });
            }
            trace.hash()
        };
        assert_eq!(hash(&[1, 2]), hash(&[1, 2]));
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(hash(&[1, 2]), hash(&[3, 2]));
        assert_ne!(hash(&[1, 2]), hash(&[2]));
    }
}
