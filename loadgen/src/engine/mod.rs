//! The load engine: workers pinned to CPUs, several flows each, one stage at a time.
//!
//! A stage is a rate held for a time. Every thread runs the same loop over its [`Flows`] and keeps a ledger of its own, the [`Tally`]; idle threads
//! watch for stalls of the host. The ledgers are put together when all reads have ended.

pub(crate) mod booking;
mod drive;
mod flow;
mod population;
mod stalls;
mod tally;
mod timing;
mod train;
mod worker;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub use drive::Flows;
pub use flow::{Flow, FlowSpec};
use shingle_server::Pause;
use shingle_udp::monotonic_ns;
pub use stalls::{Stall, StallLog};
pub use tally::{SizeTally, Tally};
pub use timing::{IntervalTiming, Timing};
pub use worker::Worker;

use crate::error::Error;
use crate::limits;
use crate::workload::{Arrivals, ItemSpace, Schedule, Stream};

/// How reads are paced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop: reads per second over all workers.
    PerSecond(f64),
    /// Closed loop: reads in flight of each worker.
    InFlight(usize),
}

/// One stage.
#[derive(Clone, Copy, Debug)]
pub struct StageSpec {
    /// Pace.
    pub pace: Pace,
    /// Arrival process of an open loop.
    pub arrivals: Arrivals,
    /// Time during which reads are issued.
    pub duration_ns: u64,
    /// When it starts, on the monotonic clock; the same for all workers.
    pub start_ns: u64,
    /// Timeout of a read from its intended time.
    pub timeout_ns: u64,
    /// How long late answers are waited for.
    pub linger_ns: u64,
    /// Gets in one datagram.
    pub gets_per_datagram: usize,
    /// Seed of the arrivals.
    pub seed: u64,
    /// The service level's bound on latency: a stall later in a read's life did not break it.
    pub bound_ns: u64,
    /// Shortest stall of the host that matters.
    pub stall_ns: u64,
    /// Largest answer datagram that the path from the server carries whole, as far as it is known.
    pub path_datagram_bytes: usize,
    /// Times in which nothing is received, while reads are sent as scheduled.
    pub pause: Option<Pause>,
    /// Keep what attribution needs. Only who measures what that costs does not.
    pub books: bool,
    /// Once set, no further read is issued: the stage ends early.
    pub cut: Option<&'static AtomicBool>,
}

/// A second at 1,000 reads/s, for tests.
#[cfg(test)]
pub(crate) const PLAIN_STAGE: StageSpec = StageSpec {
    pace: Pace::PerSecond(1000.0),
    arrivals: Arrivals::Constant,
    duration_ns: 1_000_000_000,
    start_ns: 0,
    timeout_ns: 100_000_000,
    linger_ns: 100_000_000,
    gets_per_datagram: 1,
    seed: 1,
    bound_ns: 1_000_000,
    stall_ns: 1_000_000,
    path_datagram_bytes: 1472,
    pause: None,
    books: true,
    cut: None,
};

/// What all workers of a stage share.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// What is asked for.
    pub spec: &'a StageSpec,
    /// What is read.
    pub space: &'a ItemSpace,
    /// Stalls of the host seen so far.
    pub stalls: &'a StallLog,
}

/// What a stage brought.
pub struct StageOutcome {
    /// All workers' books.
    pub tally: Tally,
    /// Stalls of the host.
    pub stalls: Vec<Stall>,
    /// There were more stalls than could be noted.
    pub stalls_overflowed: bool,
    /// When the stage started, on the monotonic clock.
    pub start_ns: u64,
}

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// Time the threads get to come up before a stage begins.
const LEAD_NS: u64 = 20_000_000;

/// An empty histogram of the kind that latencies are kept in.
pub fn latency_histogram() -> hdrhistogram::Histogram<u64> {
    timing::histogram(3)
}

/// Size class bounds, bytes of value.
pub fn size_classes() -> &'static [u64] {
    &tally::SIZE_CLASSES
}

/// Runs one stage on all workers, with a stall watch on each of these CPUs. `on_tick` is called about ten times a second with the seconds gone by.
///
/// # Errors
/// A worker that could not be pinned, or a kernel error no read can be blamed for.
pub fn run_stage<W: Flows + Send>(
    workers: &mut [W],
    spec: &StageSpec,
    space: &ItemSpace,
    watched_cpus: &[usize],
    on_tick: &dyn Fn(f64),
) -> Result<StageOutcome, Error> {
    let spec = StageSpec { start_ns: monotonic_ns() + LEAD_NS, ..*spec };
    let schedules = schedules(&spec, workers.len() as u32)?;
    let (stop, stalls) = (AtomicBool::new(false), StallLog::new(spec.stall_ns));
    let stage = Stage { spec: &spec, space, stalls: &stalls };
    let tallies: io::Result<Vec<_>> = thread::scope(|scope| {
        for cpu in watched_cpus {
            scope.spawn(|| stalls.watch(*cpu, &stop));
        }
        let running: Vec<_> = workers
            .iter_mut()
            .zip(schedules)
            .map(|(worker, schedule)| scope.spawn(move || drive::drive(worker, &stage, schedule)))
            .collect();
        while running.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(TICK);
            on_tick(monotonic_ns().saturating_sub(spec.start_ns) as f64 / 1e9);
        }
        stop.store(true, Ordering::Relaxed);
        running.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    let tallies = tallies.map_err(|error| Error::system("a generator thread failed", error))?;
    let tally = tallies.into_iter().reduce(|mut all, tally| {
        all.merge(tally);
        all
    });
    let mut tally = tally.expect("at least one worker");
    tally.settle_late();
    thread::sleep(limits::DRAIN);
    Ok(StageOutcome {
        tally,
        stalls: stalls.stalls(),
        stalls_overflowed: stalls.overflowed(),
        start_ns: spec.start_ns,
    })
}

/// Each worker's part of the stage's arrivals; none for a closed loop.
fn schedules(spec: &StageSpec, workers: u32) -> Result<Vec<Option<Schedule>>, Error> {
    let schedule = |index| match spec.pace {
        Pace::PerSecond(tps) => {
            Ok(Some(Schedule::new(tps, spec.arrivals, spec.seed, Stream::new(index, workers))?))
        }
        Pace::InFlight(_) => Ok(None),
    };
    (0..workers).map(schedule).collect()
}
