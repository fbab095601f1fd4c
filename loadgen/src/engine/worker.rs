//! A generator thread's flows of Shingle's protocol, as the loop wants them.

use std::io;
use std::time::Duration;

use shingle_proto::client::{Event, Join};
use shingle_udp::{PollSet, RecvBatch, SendBatch, monotonic_ns};

use super::booking::Failure;
use super::drive::Flows;
use super::flow::Flow;
use super::tally::Tally;
use super::{Stage, booking};
use crate::attribution::Symptom;
use crate::limits;
use crate::workload::KeySampler;

/// One generator thread's flows and batches; lives through all stages.
pub struct Worker {
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// Its flows.
    pub flows: Vec<Flow>,
    keys: KeySampler,
    poll: PollSet,
    recv: RecvBatch,
    send: SendBatch,
    scratch: Vec<u8>,
    /// The flow that takes the burst.
    turn: usize,
    /// When the burst began.
    now_ns: u64,
    /// When the first timer of a flow is due.
    next_timeout_ns: u64,
    /// Nobody looked whether something had arrived: silence says nothing, and timers do not run.
    resting: bool,
}

/// Requests are never longer than the base datagram.
const REQUEST_BYTES_MAX: usize = 1472;

impl Worker {
    /// A worker over these flows, drawing keys from this sampler.
    pub fn new(cpu: usize, flows: Vec<Flow>, keys: KeySampler) -> Self {
        let messages = limits::SEND_REQUESTS_MAX;
        Self {
            cpu,
            poll: PollSet::new(flows.iter().map(|flow| &flow.socket)),
            flows,
            keys,
            // Room for what GRO may put together.
            recv: RecvBatch::new(limits::RECV_SLOTS, 65_535),
            send: SendBatch::new(messages, messages, messages * REQUEST_BYTES_MAX),
            scratch: vec![0; REQUEST_BYTES_MAX],
            turn: 0,
            now_ns: 0,
            next_timeout_ns: u64::MAX,
            resting: false,
        }
    }
}

impl Flows for Worker {
    fn cpu(&self) -> usize {
        self.cpu
    }

    fn count(&self) -> usize {
        self.flows.len()
    }

    fn in_flight(&self) -> usize {
        self.flows.iter().map(|flow| flow.core.in_flight()).sum()
    }

    fn read(&mut self, position: usize, intended_ns: u64, stage: &Stage<'_>, tally: &mut Tally) {
        let Stage { spec, space, .. } = *stage;
        let item = self.keys.next_item();
        let mut buffer = [0; 250];
        let key = space.key(item, &mut buffer);
        let join =
            if position.is_multiple_of(spec.gets_per_datagram) { Join::Alone } else { Join::WithPrevious };
        tally.scheduled += 1;
        let now = self.now_ns;
        let flow = &mut self.flows[self.turn];
        if flow.core.get(now, key, u64::from(item), intended_ns + spec.timeout_ns, join).is_err() {
            let failure = Failure { item, intended_ns, sequence: 0, symptom: Symptom::NoRoom };
            booking::failed(tally, stage, (self.turn, flow.number), now, &failure);
        }
    }

    fn next_turn(&mut self, now_ns: u64) {
        self.turn = (self.turn + 1) % self.flows.len();
        self.now_ns = now_ns;
    }

    fn pump(&mut self, stage: &Stage<'_>, tally: &mut Tally) -> io::Result<()> {
        // The clock is read when time has gone by: after a burst was made up, and after each system call that did something.
        let mut now = monotonic_ns();
        self.next_timeout_ns = u64::MAX;
        if self.flows[self.turn].send(now, &mut self.send, &mut self.scratch)? {
            now = monotonic_ns();
        }
        for (index, flow) in self.flows.iter_mut().enumerate() {
            let number = flow.number;
            let mut touched = false;
            let mut sink = |now, event: Event<'_>| booking::event(tally, stage, (index, number), now, &event);
            if self.poll.readable(index)
                && let Some(last) = flow.receive(&mut self.recv, monotonic_ns, &mut sink)?
            {
                (now, touched) = (last, true);
            }
            if !self.resting && flow.core.poll_timeout().is_some_and(|due| due <= now) {
                flow.core.handle_timeout(now, &mut |event| sink(now, event));
                touched = true;
            }
            // What the answers or the timeouts made due.
            if touched && flow.send(now, &mut self.send, &mut self.scratch)? {
                now = monotonic_ns();
            }
            if !self.resting {
                self.next_timeout_ns = self.next_timeout_ns.min(flow.core.poll_timeout().unwrap_or(u64::MAX));
            }
        }
        Ok(())
    }

    fn next_timeout_ns(&self) -> u64 {
        self.next_timeout_ns
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.resting = false;
        self.poll.wait(timeout).map(|ready| ready > 0)
    }

    fn rest(&mut self, time: Duration) -> bool {
        self.resting = true;
        self.poll.sleep(time);
        false
    }

    fn settle(&mut self, tally: &mut Tally) {
        for flow in &mut self.flows {
            tally.settle_unroutable(flow.number, &flow.unroutable);
            flow.unroutable.clear();
        }
    }
}
