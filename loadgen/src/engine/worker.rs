//! A generator thread: the loop that issues reads on schedule, sends, receives and books, over its flows.

use std::io;
use std::time::Duration;

use shingle_proto::client::{Event, Join};
use shingle_udp::{
    PollSet, RecvBatch, SendBatch, monotonic_ns, pin_thread_to, thread_cpu_time, tighten_timer_slack,
};

use super::flow::Flow;
use super::tally::Tally;
use super::{Pace, Stage, StageSpec, booking};
use crate::limits;
use crate::workload::{KeySampler, Schedule};

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
    /// The flow that takes the next burst: bursts, not reads, take turns, so that each is one system call.
    next_flow: usize,
}

/// Requests are never longer than the base datagram.
const REQUEST_BYTES_MAX: usize = 1472;

/// Where the reads of a stage come from.
enum Source {
    /// Open loop: the schedule and the next read's time, from the start of the stage.
    Schedule(Schedule, u64),
    /// Closed loop: reads in flight.
    InFlight(usize),
}

impl Worker {
    /// A worker over these flows, drawing keys from this sampler.
    pub fn new(cpu: usize, flows: Vec<Flow>, keys: KeySampler) -> Self {
        let messages = limits::BURST_READS_MAX;
        Self {
            cpu,
            poll: PollSet::new(flows.iter().map(|flow| &flow.socket)),
            flows,
            keys,
            // Room for what GRO may put together.
            recv: RecvBatch::new(limits::RECV_SLOTS, 65_535),
            send: SendBatch::new(messages, messages, messages * REQUEST_BYTES_MAX),
            scratch: vec![0; REQUEST_BYTES_MAX],
            next_flow: 0,
        }
    }

    /// Runs one stage and returns its books; every read issued has ended, late answers have been waited for.
    ///
    /// # Errors
    /// Those of the kernel that no read can be blamed for.
    pub(super) fn run(&mut self, stage: &Stage<'_>, schedule: Option<Schedule>) -> io::Result<Tally> {
        let Stage { spec, stalls, .. } = *stage;
        pin_thread_to(self.cpu)?;
        tighten_timer_slack();
        let mut tally = Tally::new(spec, self.flows.len());
        let cpu_before = thread_cpu_time();
        let mut source = match (spec.pace, schedule) {
            (Pace::InFlight(reads), _) => Source::InFlight(reads),
            (Pace::PerSecond(_), Some(mut schedule)) => {
                let first = schedule.next_ns();
                Source::Schedule(schedule, first)
            }
            (Pace::PerSecond(_), None) => unreachable!("an open loop has a schedule"),
        };
        let mut quiet_until = u64::MAX;
        loop {
            let now = monotonic_ns();
            let issuing = now >= spec.start_ns && self.issue(&mut source, stage, now, &mut tally);
            self.pump(stage, &mut tally)?;
            tally.timing.settle(now, stalls);
            if !issuing && now >= spec.start_ns && self.in_flight() == 0 {
                // Late answers are only worth waiting for while there are reads they could belong to.
                if tally.failed == 0 || now >= quiet_until {
                    break;
                }
                quiet_until = quiet_until.min(now + spec.linger_ns);
            }
            self.poll.wait(self.pause(&source, spec, issuing, quiet_until))?;
        }
        // The stall watch speaks for the last reads a little later; nothing else is to be done meanwhile.
        std::thread::sleep(Duration::from_nanos(limits::HOLD_NS));
        tally.timing.settle(u64::MAX, stalls);
        for flow in &mut self.flows {
            tally.settle_unroutable(flow.number, &flow.unroutable);
            flow.unroutable.clear();
        }
        tally.cpu_ns = (thread_cpu_time() - cpu_before).as_nanos() as u64;
        tally.wall_ns = monotonic_ns().saturating_sub(spec.start_ns);
        Ok(tally)
    }

    fn in_flight(&self) -> usize {
        self.flows.iter().map(|flow| flow.core.in_flight()).sum()
    }

    /// Issues the reads that are due; false when the stage has no more to issue.
    fn issue(&mut self, source: &mut Source, stage: &Stage<'_>, now: u64, tally: &mut Tally) -> bool {
        let spec = stage.spec;
        let elapsed = now - spec.start_ns;
        let flow = self.next_flow;
        self.next_flow = (flow + 1) % self.flows.len();
        let mut issued = 0;
        match source {
            Source::Schedule(schedule, due) => {
                while *due < spec.duration_ns && *due <= elapsed && issued < limits::BURST_READS_MAX {
                    tally.backlog += u64::from(elapsed >= spec.duration_ns);
                    self.read(flow, issued, spec.start_ns + *due, stage, tally);
                    *due = schedule.next_ns();
                    issued += 1;
                }
                *due < spec.duration_ns
            }
            Source::InFlight(reads) => {
                let room = reads.saturating_sub(self.in_flight()).min(limits::BURST_READS_MAX);
                if elapsed < spec.duration_ns {
                    for issued in 0..room {
                        self.read(flow, issued, now, stage, tally);
                    }
                }
                elapsed < spec.duration_ns
            }
        }
    }

    /// Issues one read on a flow. `position` is its place in the burst: full datagrams of gets are formed from its start.
    fn read(&mut self, flow: usize, position: usize, intended: u64, stage: &Stage<'_>, tally: &mut Tally) {
        let Stage { spec, space, .. } = *stage;
        let item = self.keys.next_item();
        let mut buffer = [0; 250];
        let key = space.key(item, &mut buffer);
        let join =
            if position.is_multiple_of(spec.gets_per_datagram) { Join::Alone } else { Join::WithPrevious };
        tally.scheduled += 1;
        let now = monotonic_ns();
        let flow_index = flow;
        let flow = &mut self.flows[flow];
        if flow.core.get(now, key, u64::from(item), intended + spec.timeout_ns, join).is_err() {
            booking::no_room(tally, stage, (flow_index, flow.number), item, intended, now);
        }
    }

    /// Sends, receives and lets time pass on every flow once.
    fn pump(&mut self, stage: &Stage<'_>, tally: &mut Tally) -> io::Result<()> {
        for index in 0..self.flows.len() {
            let flow = &mut self.flows[index];
            let number = flow.number;
            flow.send(monotonic_ns(), &mut self.send, &mut self.scratch)?;
            let mut sink = |now, event: Event<'_>| booking::event(tally, stage, (index, number), now, &event);
            if self.poll.readable(index) {
                flow.receive(&mut self.recv, monotonic_ns, &mut sink)?;
            }
            let now = monotonic_ns();
            if flow.core.poll_timeout().is_some_and(|due| due <= now) {
                flow.core.handle_timeout(now, &mut |event| sink(now, event));
            }
            // What the answers or the timeouts made due.
            flow.send(monotonic_ns(), &mut self.send, &mut self.scratch)?;
        }
        Ok(())
    }

    /// How long nothing is due. Below a wake-up's cost it is worth more to look again than to sleep.
    fn pause(&self, source: &Source, spec: &StageSpec, issuing: bool, quiet_until: u64) -> Duration {
        let next_read = match source {
            Source::Schedule(_, due) if issuing => spec.start_ns + due,
            Source::InFlight(reads) if issuing && self.in_flight() < *reads => 0,
            _ if monotonic_ns() < spec.start_ns => spec.start_ns,
            _ => u64::MAX,
        };
        let timers = self.flows.iter().filter_map(|flow| flow.core.poll_timeout()).min().unwrap_or(u64::MAX);
        let now = monotonic_ns();
        let end = if quiet_until == u64::MAX { now + 10_000_000 } else { quiet_until };
        let pause = next_read.min(timers).min(end).saturating_sub(now);
        if pause < limits::SPIN_NS { Duration::ZERO } else { Duration::from_nanos(pause) }
    }
}
