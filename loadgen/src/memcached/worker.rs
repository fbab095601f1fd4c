//! A generator thread's flows towards memcached, as the engine's loop wants them, and what becomes of their reads in the ledger.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use shingle_proto::client::{Ended, Event};
use shingle_udp::{PollSet, monotonic_ns};

use super::{End, Ending};
use crate::attribution::Symptom;
use crate::engine::booking::{self, Failure, FlowName};
use crate::engine::{Flows, Stage, Tally};
use crate::workload::KeySampler;

/// Takes the end of a read, with its time.
pub type Sink<'a> = dyn FnMut(u64, &Ending<'_>) + 'a;

/// One flow, over UDP or TCP.
pub trait Carrier: Send {
    /// What the flows of a thread share.
    type Gear: Default + Send;

    /// Its number, unique in the process.
    fn number(&self) -> u32;

    /// Reads that wait for their answer.
    fn core_in_flight(&self) -> usize;

    /// When its next timer is due; `u64::MAX` if none runs.
    fn next_timeout_ns(&self) -> u64;

    /// Asks for a key, in the request of the read before if `join`. False if there is no room.
    fn get(&mut self, key: &[u8], item: u32, deadline_ns: u64, join: bool) -> bool;

    /// Sends, receives and lets time pass. True if [`poll`](Self::poll) may say something else than before.
    ///
    /// # Errors
    /// Those of the kernel that no read can be blamed for.
    fn pump(&mut self, gear: &mut Self::Gear, readable: bool, sink: &mut Sink<'_>) -> io::Result<bool>;

    /// What to wait for: a descriptor to read from, if there is one, and whether to write to as well.
    fn poll(&self) -> (Option<BorrowedFd<'_>>, bool);

    /// Source port and server port.
    fn ports(&self) -> (u16, u16);

    /// Receive buffer the kernel granted, as it accounts it.
    fn recv_buffer_granted_bytes(&self) -> usize;

    /// What was counted since it was opened, by name.
    fn counters(&self) -> Vec<(&'static str, u64)>;
}

/// One generator thread's flows; lives through all stages.
pub struct Worker<C: Carrier> {
    cpu: usize,
    /// Its flows.
    pub flows: Vec<C>,
    keys: KeySampler,
    poll: PollSet,
    /// Flows whose entry in `poll` is not the usual one.
    restless: Vec<bool>,
    gear: C::Gear,
    turn: usize,
}

impl<C: Carrier> Worker<C> {
    /// A worker over these flows, drawing keys from this sampler.
    pub fn new(cpu: usize, flows: Vec<C>, keys: KeySampler) -> Self {
        let mut poll = PollSet::with_places(flows.len());
        for (index, flow) in flows.iter().enumerate() {
            let (descriptor, write) = flow.poll();
            poll.watch(index, descriptor, write);
        }
        Self { cpu, poll, restless: vec![false; flows.len()], flows, keys, gear: C::Gear::default(), turn: 0 }
    }
}

impl<C: Carrier> Flows for Worker<C> {
    fn cpu(&self) -> usize {
        self.cpu
    }

    fn count(&self) -> usize {
        self.flows.len()
    }

    fn in_flight(&self) -> usize {
        self.flows.iter().map(C::core_in_flight).sum()
    }

    fn read(&mut self, position: usize, intended_ns: u64, stage: &Stage<'_>, tally: &mut Tally) {
        let Stage { spec, space, .. } = *stage;
        let item = self.keys.next_item();
        let mut buffer = [0; 250];
        let key = space.key(item, &mut buffer);
        tally.scheduled += 1;
        let flow = &mut self.flows[self.turn];
        let join = !position.is_multiple_of(spec.gets_per_datagram);
        if !flow.get(key, item, intended_ns + spec.timeout_ns, join) {
            let failure = Failure { item, intended_ns, sequence: 0, symptom: Symptom::NoRoom };
            booking::failed(tally, stage, (self.turn, flow.number()), monotonic_ns(), &failure);
        }
    }

    fn next_turn(&mut self, _now_ns: u64) {
        self.turn = (self.turn + 1) % self.flows.len();
    }

    fn pump(&mut self, stage: &Stage<'_>, tally: &mut Tally) -> io::Result<()> {
        for (index, flow) in self.flows.iter_mut().enumerate() {
            let name = (index, flow.number());
            let mut sink = |now, ending: &Ending<'_>| book(tally, stage, name, now, ending);
            let restless = flow.pump(&mut self.gear, self.poll.readable(index), &mut sink)?;
            if restless || self.restless[index] {
                let (descriptor, write) = flow.poll();
                self.poll.watch(index, descriptor, write);
            }
            self.restless[index] = restless;
        }
        Ok(())
    }

    fn next_timeout_ns(&self) -> u64 {
        self.flows.iter().map(C::next_timeout_ns).min().unwrap_or(u64::MAX)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.poll.wait(timeout).map(|ready| ready > 0)
    }

    fn rest(&mut self, time: Duration) -> bool {
        self.poll.sleep(time);
        false
    }

    fn settle(&mut self, _tally: &mut Tally) {}
}

/// Books the end of a read.
fn book(tally: &mut Tally, stage: &Stage<'_>, flow: FlowName, now: u64, ending: &Ending<'_>) {
    let Ending { item, deadline_ns, sent_ns, sequence, mut pieces, end } = *ending;
    let failed =
        |symptom| Failure { item, intended_ns: deadline_ns - stage.spec.timeout_ns, sequence, symptom };
    let timed_out = |received_bytes, total_bytes| Ended::TimedOut { received_bytes, total_bytes, corrupt: 0 };
    let end = match end {
        // Pieces of several keys got mixed up, which is no value the server sent: some of the right ones never came.
        End::Value { bytes, ambiguous: true } if stage.space.check_value(item, bytes).is_err() => {
            timed_out(bytes.len() as u32, bytes.len() as u32)
        }
        End::Value { bytes, .. } => Ended::Value(bytes),
        End::Miss => Ended::Miss,
        End::TimedOut { part_arrived, no_memory } => {
            pieces = u16::from(part_arrived || no_memory);
            timed_out(0, u32::from(!no_memory))
        }
        End::Late => Ended::Late { complete: true, after_ns: now.saturating_sub(deadline_ns) },
        End::NotSent => Ended::NotSent,
        End::ServerError => {
            return booking::failed(tally, stage, flow, now, &failed(Symptom::ServerError));
        }
        End::ConnectionLost => {
            return booking::failed(tally, stage, flow, now, &failed(Symptom::ConnectionLost));
        }
    };
    let event = Event {
        token: u64::from(item),
        attempts: 0,
        continuations: 0,
        spurious: false,
        challenged: false,
        chunks: pieces,
        first_sequence: sequence,
        first_sent_ns: sent_ns,
        deadline_ns,
        telemetry: None,
        end,
    };
    booking::event(tally, stage, flow, now, &event);
}
