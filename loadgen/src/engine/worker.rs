//! A generator thread: the loop that issues reads on schedule, sends, receives and books, over its flows.

use std::io;
use std::time::Duration;

use shingle_proto::client::{Ended, Event, Join};
use shingle_udp::{
    PollSet, RecvBatch, SendBatch, monotonic_ns, pin_thread_to, thread_cpu_time, tighten_timer_slack,
};

use super::flow::Flow;
use super::tally::{End, Tally};
use super::{Pace, StageSpec};
use crate::attribution::{Loss, Symptom};
use crate::limits;
use crate::workload::{ItemSpace, KeySampler, Schedule};

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
    pub fn run(
        &mut self,
        spec: &StageSpec,
        schedule: Option<Schedule>,
        space: &ItemSpace,
    ) -> io::Result<Tally> {
        pin_thread_to(self.cpu)?;
        tighten_timer_slack();
        let mut tally = Tally::new(spec.duration_ns, self.flows.len());
        let cpu_before = thread_cpu_time();
        let mut source = match (spec.pace, schedule) {
            (Pace::InFlight(reads), _) => Source::InFlight(reads),
            (Pace::PerSecond(_), Some(mut schedule)) => {
                let first = schedule.next_ns();
                Source::Schedule(schedule, first)
            }
            (Pace::PerSecond(_), None) => unreachable!("an open loop has a schedule"),
        };
        let mut lost_before = 0;
        let mut quiet_until = u64::MAX;
        loop {
            let now = monotonic_ns();
            let issuing = now >= spec.start_ns && self.issue(&mut source, spec, space, now, &mut tally);
            self.pump(spec, space, &mut tally)?;
            if !issuing && now >= spec.start_ns && self.in_flight() == 0 {
                // Late answers are only worth waiting for while there are reads they could belong to.
                if tally.failed == lost_before && quiet_until == u64::MAX || now >= quiet_until {
                    break;
                }
                lost_before = tally.failed;
                quiet_until = quiet_until.min(now + spec.linger_ns);
            }
            self.poll.wait(self.pause(&source, spec, issuing, quiet_until))?;
        }
        tally.cpu_ns = (thread_cpu_time() - cpu_before).as_nanos() as u64;
        tally.wall_ns = monotonic_ns().saturating_sub(spec.start_ns);
        Ok(tally)
    }

    fn in_flight(&self) -> usize {
        self.flows.iter().map(|flow| flow.core.in_flight()).sum()
    }

    /// Issues the reads that are due; false when the stage has no more to issue.
    fn issue(
        &mut self,
        source: &mut Source,
        spec: &StageSpec,
        space: &ItemSpace,
        now: u64,
        tally: &mut Tally,
    ) -> bool {
        let elapsed = now - spec.start_ns;
        let flow = self.next_flow;
        self.next_flow = (flow + 1) % self.flows.len();
        let mut issued = 0;
        match source {
            Source::Schedule(schedule, due) => {
                while *due < spec.duration_ns && *due <= elapsed && issued < limits::BURST_READS_MAX {
                    tally.backlog += u64::from(elapsed >= spec.duration_ns);
                    tally.slip.saturating_record(elapsed - *due);
                    self.read(flow, issued, spec.start_ns + *due, spec, space, tally);
                    *due = schedule.next_ns();
                    issued += 1;
                }
                *due < spec.duration_ns
            }
            Source::InFlight(reads) => {
                let room = reads.saturating_sub(self.in_flight()).min(limits::BURST_READS_MAX);
                if elapsed < spec.duration_ns {
                    for issued in 0..room {
                        self.read(flow, issued, now, spec, space, tally);
                    }
                }
                elapsed < spec.duration_ns
            }
        }
    }

    /// Issues one read on a flow. `position` is its place in the burst: full datagrams of gets are formed from its start.
    fn read(
        &mut self,
        flow: usize,
        position: usize,
        intended: u64,
        spec: &StageSpec,
        space: &ItemSpace,
        tally: &mut Tally,
    ) {
        let item = self.keys.next_item();
        let mut buffer = [0; 250];
        let key = space.key(item, &mut buffer);
        let join =
            if position.is_multiple_of(spec.gets_per_datagram) { Join::Alone } else { Join::WithPrevious };
        let number = self.flows[flow].number;
        tally.scheduled += 1;
        let deadline = intended + spec.timeout_ns;
        if self.flows[flow].core.get(monotonic_ns(), key, u64::from(item), deadline, join).is_err() {
            let loss = Loss { flow: number, sequence: 0, failed: true, symptom: Symptom::NoRoom };
            tally.end(&End {
                flow_index: flow,
                value_bytes: space.value_bytes(item),
                intended_ns: intended - spec.start_ns,
                latency_ns: spec.timeout_ns,
                loss: Some(loss),
            });
        }
    }

    /// Sends, receives and lets time pass on every flow once.
    fn pump(&mut self, spec: &StageSpec, space: &ItemSpace, tally: &mut Tally) -> io::Result<()> {
        for index in 0..self.flows.len() {
            let flow = &mut self.flows[index];
            let number = flow.number;
            flow.send(monotonic_ns(), &mut self.send, &mut self.scratch)?;
            let mut sink = |now, event: Event<'_>| book(tally, spec, space, (index, number), now, &event);
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

/// Books one event of the protocol's core.
fn book(
    tally: &mut Tally,
    spec: &StageSpec,
    space: &ItemSpace,
    flow: (usize, u32),
    now: u64,
    event: &Event<'_>,
) {
    let (flow_index, number) = flow;
    let item = event.token as u32;
    let residence_ns = event.telemetry.map(|telemetry| u64::from(telemetry.residence_us) * 1000);
    let symptom = match event.end {
        Ended::Late { .. } => return tally.late(number, event.first_sequence, residence_ns),
        Ended::Value(value) => space.check_value(item, value).err().map(|_| Symptom::Corrupt),
        Ended::Miss => None,
        Ended::Refused { .. } | Ended::OverTcp => Some(Symptom::Refused),
        Ended::NotSent => Some(Symptom::NotSent),
        Ended::TimedOut { corrupt: 1.., .. } => Some(Symptom::Corrupt),
        // Whatever became of the answer: the server and the path never had the time they were to have.
        Ended::TimedOut { .. } if left_late(event, spec) => Some(Symptom::LeftLate),
        // Chunks came and none was kept.
        Ended::TimedOut { total_bytes: 0, .. } if event.chunks > 0 => Some(Symptom::NoRoom),
        Ended::TimedOut { .. } => Some(Symptom::Silent { part_arrived: event.chunks > 0 }),
    };
    let intended = event.deadline_ns - spec.timeout_ns;
    let mut latency_ns = spec.timeout_ns;
    if symptom.is_none() {
        latency_ns = now.saturating_sub(intended);
        tally.service.saturating_record(now.saturating_sub(event.first_sent_ns));
        tally.misses += u64::from(matches!(event.end, Ended::Miss));
    }
    if let Ended::Value(value) = event.end {
        tally.value_bytes += value.len() as u64;
        tally.wrong += u64::from(symptom.is_some());
    }
    if let Some(residence_ns) = residence_ns {
        tally.residence.saturating_record(residence_ns);
    }
    // Saved by a second try: a part arrived, unless the whole request had to be repeated.
    let saved = (event.attempts > 0).then_some(Symptom::Silent { part_arrived: event.chunks > 0 });
    let loss = symptom.or(saved).map(|shown| Loss {
        flow: number,
        sequence: event.first_sequence,
        failed: symptom.is_some(),
        symptom: shown,
    });
    let intended_ns = intended.saturating_sub(spec.start_ns);
    tally.end(&End { flow_index, value_bytes: space.value_bytes(item), intended_ns, latency_ns, loss });
}

/// Whether the request left when more than half of its timeout was gone, or has not left at all.
fn left_late(event: &Event<'_>, spec: &StageSpec) -> bool {
    event.first_sent_ns == 0 || event.first_sent_ns + spec.timeout_ns / 2 > event.deadline_ns
}
