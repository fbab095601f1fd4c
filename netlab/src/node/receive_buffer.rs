//! A socket's receive buffer: datagrams are charged more than their payload, and what no longer fits is dropped.

use std::collections::VecDeque;

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::rate::Pace;
use crate::report::DropReason;
use crate::topology::{self, Drain, Truesize};

pub(crate) struct ReceiveBuffer {
    size: u64,
    truesize: Vec<Truesize>,
    used: u64,
    reader: Reader,
}

enum Reader {
    /// Its pace, and what waits: (when it has been read, what it is charged).
    Rate(Pace, VecDeque<(u64, u64)>),
    Endpoint(VecDeque<Packet>),
}

impl ReceiveBuffer {
    pub(crate) fn new(settings: &topology::ReceiveBuffer) -> Self {
        let reader = match settings.drain {
            Drain::Rate(rate) => Reader::Rate(Pace::new(rate), VecDeque::new()),
            Drain::Endpoint => Reader::Endpoint(VecDeque::new()),
        };
        Self { size: settings.size.into(), truesize: settings.truesize.clone(), used: 0, reader }
    }

    fn charge(&self, packet: &Packet) -> u64 {
        let fits = |step: &&Truesize| packet.payload.len() <= step.payload_bytes_max as usize;
        let step = self.truesize.iter().find(fits).or(self.truesize.last());
        step.map_or(0, |step| step.charged_bytes.into())
    }

    /// Gives back what a reader of its own has read by now.
    fn give_back(&mut self, now_ns: u64) {
        if let Reader::Rate(_, waiting) = &mut self.reader {
            while let Some((_, charge)) = waiting.pop_front_if(|(read_ns, _)| *read_ns <= now_ns) {
                self.used -= charge;
            }
        }
    }
}

impl Node for ReceiveBuffer {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        self.give_back(out.now_ns);
        let charge = self.charge(&packet);
        if self.used > 0 && self.used + charge > self.size {
            return out.drop(&packet, DropReason::ReceiveBuffer);
        }
        self.used += charge;
        match &mut self.reader {
            Reader::Rate(pace, waiting) => {
                let read_ns = pace.carry(out.now_ns, 1);
                waiting.push_back((read_ns, charge));
                out.pass_at(read_ns, packet);
            }
            Reader::Endpoint(waiting) => waiting.push_back(packet),
        }
    }

    fn read(&mut self) -> Option<Packet> {
        let Reader::Endpoint(waiting) = &mut self.reader else { return None };
        let packet = waiting.pop_front()?;
        self.used -= self.charge(&packet);
        Some(packet)
    }

    fn held(&self) -> u64 {
        match &self.reader {
            Reader::Rate(..) => 0,
            Reader::Endpoint(waiting) => waiting.len() as u64,
        }
    }
}
