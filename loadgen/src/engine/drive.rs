//! The loop of a generator thread: issues reads on schedule, lets its flows send, receive and book, and knows when a stage is over.
//! Which protocol the flows speak is theirs to know.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shingle_store::counting::thread_allocations;
use shingle_udp::{monotonic_ns, pin_thread_to, thread_cpu_time, tighten_timer_slack};

use super::tally::Tally;
use super::{Pace, Stage, StageSpec};
use crate::limits;
use crate::workload::Schedule;

/// What the loop asks of one thread's flows.
pub trait Flows {
    /// The CPU the thread is pinned to.
    fn cpu(&self) -> usize;

    /// How many flows there are.
    fn count(&self) -> usize;

    /// Reads in flight over all flows.
    fn in_flight(&self) -> usize;

    /// Issues one read, meant for `intended_ns`, on the flow whose turn it is. `position` is its place in the burst: full requests
    /// are formed from its start.
    fn read(&mut self, position: usize, intended_ns: u64, stage: &Stage<'_>, tally: &mut Tally);

    /// Lets the next flow have the next burst, which begins now: bursts, not reads, take turns, so that each is one system call.
    fn next_turn(&mut self, now_ns: u64);

    /// Sends, receives and lets time pass on every flow once.
    ///
    /// # Errors
    /// Those of the kernel that no read can be blamed for.
    fn pump(&mut self, stage: &Stage<'_>, tally: &mut Tally) -> io::Result<()>;

    /// When the next timer of a flow is due, on the monotonic clock; `u64::MAX` if none runs.
    fn next_timeout_ns(&self) -> u64;

    /// Waits until a flow has something to read, at most this long; whether one has.
    ///
    /// # Errors
    /// Those of the kernel.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;

    /// Lets this time go by without looking at any flow: what arrives waits in its socket. False, as nothing is found.
    fn rest(&mut self, time: Duration) -> bool;

    /// Says at the end of a stage what only the flows know of its losses.
    fn settle(&mut self, tally: &mut Tally);
}

/// Where the reads of a stage come from.
enum Source {
    /// Open loop: the schedule and the next read's time, from the start of the stage.
    Schedule(Schedule, u64),
    /// Closed loop: reads in flight.
    InFlight(usize),
}

/// Runs one stage and returns its books; every read issued has ended, late answers have been waited for.
///
/// # Errors
/// Those of the kernel that no read can be blamed for.
pub(super) fn drive(
    flows: &mut impl Flows,
    stage: &Stage<'_>,
    schedule: Option<Schedule>,
) -> io::Result<Tally> {
    let Stage { spec, stalls, .. } = *stage;
    pin_thread_to(flows.cpu())?;
    tighten_timer_slack();
    let mut tally = Tally::new(spec, flows.count());
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
    let mut spinning = Spinning::default();
    let allocations_before = thread_allocations();
    loop {
        let now = monotonic_ns();
        let scheduled_before = tally.scheduled;
        let issuing = now >= spec.start_ns && issue(flows, &mut source, stage, now, &mut tally);
        flows.pump(stage, &mut tally)?;
        tally.timing.settle(now, stalls);
        if !issuing && now >= spec.start_ns && flows.in_flight() == 0 {
            // Late answers are only worth waiting for while there are reads they could belong to.
            if tally.failed == 0 || now >= quiet_until {
                break;
            }
            quiet_until = quiet_until.min(now + spec.linger_ns);
        }
        let nothing_due = pause(flows, &source, spec, issuing, quiet_until);
        spinning.turn(now, nothing_due.is_zero() && tally.scheduled == scheduled_before);
        let resting = spec.pause.and_then(|pause| pause.remaining(now.saturating_sub(spec.start_ns)));
        spinning.readable = match resting {
            Some(left) => flows.rest(nothing_due.min(left)),
            None => flows.wait(nothing_due)?,
        };
    }
    // The stall watch speaks for the last reads a little later; nothing else is to be done meanwhile.
    std::thread::sleep(Duration::from_nanos(limits::HOLD_NS));
    tally.timing.settle(u64::MAX, stalls);
    tally.allocations = thread_allocations() - allocations_before;
    flows.settle(&mut tally);
    tally.cpu_ns = (thread_cpu_time() - cpu_before).as_nanos() as u64;
    tally.spun_ns = spinning.spun_ns.min(tally.cpu_ns);
    tally.work_ns = tally.cpu_ns - tally.spun_ns;
    tally.wall_ns = monotonic_ns().saturating_sub(spec.start_ns);
    Ok(tally)
}

/// Tells the time in which the loop only looked for something to do from that in which it worked: what a read costs is the latter.
#[derive(Default)]
struct Spinning {
    /// Something was to be read when the turn began.
    readable: bool,
    /// When the turn began that found nothing to do.
    idle_since_ns: Option<u64>,
    spun_ns: u64,
}

impl Spinning {
    /// A turn that began at `now_ns` is over; `idle` says that it sent no read and is followed by the next one at once.
    fn turn(&mut self, now_ns: u64, idle: bool) {
        // A turn that the host stood still in was none of this thread's time.
        let spun =
            self.idle_since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns).min(limits::SPIN_NS));
        self.spun_ns += spun;
        self.idle_since_ns = (idle && !self.readable).then_some(now_ns);
    }
}

/// Issues the reads that are due; false when the stage has no more to issue.
fn issue(
    flows: &mut impl Flows,
    source: &mut Source,
    stage: &Stage<'_>,
    now: u64,
    tally: &mut Tally,
) -> bool {
    let spec = stage.spec;
    let elapsed = now - spec.start_ns;
    if spec.cut.is_some_and(|cut| cut.load(Ordering::Relaxed)) {
        if elapsed < spec.duration_ns {
            tally.cut_ns.get_or_insert(elapsed);
        }
        return false;
    }
    let requests = (limits::BURST_READS_MAX / spec.gets_per_datagram).max(limits::BURST_REQUESTS_MIN);
    let burst = requests * spec.gets_per_datagram;
    flows.next_turn(now);
    let mut issued = 0;
    match source {
        Source::Schedule(schedule, due) => {
            while *due < spec.duration_ns && *due <= elapsed && issued < burst {
                tally.backlog += u64::from(elapsed >= spec.duration_ns);
                flows.read(issued, spec.start_ns + *due, stage, tally);
                *due = schedule.next_ns();
                issued += 1;
            }
            *due < spec.duration_ns
        }
        Source::InFlight(reads) => {
            if elapsed < spec.duration_ns {
                for issued in 0..room(*reads, flows.in_flight(), spec.gets_per_datagram).min(burst) {
                    flows.read(issued, now, stage, tally);
                }
            }
            elapsed < spec.duration_ns
        }
    }
}

/// Reads a closed loop issues now: full requests, unless not even one fits.
fn room(reads: usize, in_flight: usize, gets_per_datagram: usize) -> usize {
    let room = reads.saturating_sub(in_flight);
    if in_flight == 0 && room < gets_per_datagram { room } else { room - room % gets_per_datagram }
}

/// How long nothing is due. Below a wake-up's cost it is worth more to look again than to sleep.
fn pause(flows: &impl Flows, source: &Source, spec: &StageSpec, issuing: bool, quiet_until: u64) -> Duration {
    let now = monotonic_ns();
    let next_read = match source {
        Source::Schedule(_, due) if issuing => spec.start_ns + due,
        Source::InFlight(reads) if issuing && room(*reads, flows.in_flight(), spec.gets_per_datagram) > 0 => {
            0
        }
        _ if now < spec.start_ns => spec.start_ns,
        _ => u64::MAX,
    };
    let end = if quiet_until == u64::MAX { now + 10_000_000 } else { quiet_until };
    let pause = next_read.min(flows.next_timeout_ns()).min(end).saturating_sub(now);
    if pause < limits::SPIN_NS { Duration::ZERO } else { Duration::from_nanos(pause) }
}
