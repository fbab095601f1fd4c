//! What books and attribution cost of the generator's CPU: `cargo run --release -p shingle-benches --bin books`.
//!
//! Stages with and without them take turns against one server, and the ratio of the CPU time the generator's process used is printed with its
//! interval. With them: every read booked by size, time and flow, both hosts' counters read around the stage and looked at during it, and,
//! where reads were lost, each one listed, the server's receipts fetched and all of it attributed. CPU time in which the generator only
//! looked for something to do is taken off on both sides: it looks without a pause, so that any cost would hide in it.
//!
//! Reads are lost to a server that stands still now and then, which their receipts prove one by one. Losses that prove nothing take more: all
//! models are asked. That is timed apart, on the books of such a stage with other reads marked as lost by chance.
#![forbid(unsafe_code)]

mod chance;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::{Parser, Subcommand};
use shingle_benches::floors::error::{Error, system};
use shingle_benches::floors::serve::{Serve, ShingleArgs};
use shingle_benches::floors::servers::Process;
use shingle_benches::floors::statistics::Interval;
use shingle_loadgen::attribution::Books;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::engine::Pace;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::{self, Rig};
use shingle_store::counting::CountingAllocator;
use shingle_udp::process_cpu_time;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Reads a second that the promise is made at.
const TPS: f64 = 200_000.0;
/// What is promised: books and attribution over all the generator does.
const SHARE_MAX: f64 = 0.03;
/// Where reads are to be lost, about one in a hundred: the server stands still for longer than they have, and its socket holds them meanwhile.
const PAUSE: Duration = Duration::from_millis(40);
/// From one pause to the next.
const PAUSE_INTERVAL: Duration = Duration::from_secs(1);
/// Of a read, in those stages.
const TIMEOUT: [&str; 2] = ["--timeout", "30ms"];
/// Reads of which one is marked as lost by chance.
const ONE_IN: usize = 100;
/// Times that attribution is timed.
const ATTRIBUTIONS: usize = 9;

/// What is typed.
#[derive(Debug, Parser)]
#[command(about = "What books and attribution cost of the generator's CPU")]
struct Args {
    #[command(subcommand)]
    serve: Option<Child>,
    /// Pairs of stages of each row; fewer than six have no interval.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(6..1000))]
    pairs: u64,
    /// Length of a stage in milliseconds; by default that of `qualify`.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(100..60_000))]
    stage_ms: u64,
}

#[derive(Debug, Subcommand)]
enum Child {
    /// Serve, as a child of this program
    #[command(subcommand, hide = true)]
    Serve(Serve),
}

fn main() -> ExitCode {
    let Args { serve, pairs, stage_ms } = Args::parse();
    let done = match serve {
        Some(Child::Serve(serve)) => serve.run().map(|()| true),
        None => measure(pairs, Duration::from_millis(stage_ms)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether no row misses the promise: where the interval holds it, the machine is too noisy to tell.
fn measure(pairs: u64, span: Duration) -> Result<bool, Error> {
    let cpus = shingle_udp::allowed_cpus().or_else(system("reading the CPUs allowed"))?;
    let (Some(&server_cpu), true) = (cpus.first(), cpus.len() > 1) else {
        return Err(Error::Cpus { found: cpus.len() });
    };
    println!(
        "{pairs} interleaved pairs of stages of {} s at {TPS} reads/s, in turned order; CPU time of the generator's process",
        span.as_secs_f64()
    );
    println!(
        "{:<12} {:>12} {:>12} {:>24} {:>10}",
        "reads lost", "bare", "with books", "ratio (95 %)", "lost"
    );
    let args =
        || ShingleArgs { memory_bytes: 256 << 20, path_mtu: 1500, ports: 1, workers: 1, receipts: true };
    let whole = {
        let server = Process::shingle(args(), &[server_cpu])?;
        Row::measure(&mut rig(&server, &[])?, pairs, span)?
    };
    let some = {
        let server = Process::shingle(args(), &[server_cpu])?;
        let mut rig = rig(&server, &TIMEOUT)?;
        let _pauses = Pauses::of(server.id());
        Row::measure(&mut rig, pairs, span)?
    };
    let of_none = whole.print("none");
    let of_some = some.print("some");
    let Some(books) = &some.books else {
        return Err(Error::Wrong {
            server: "the cache server".into(),
            what: "it could not be made to lose reads".into(),
        });
    };
    let us_a_read = Interval::of(&some.bare).median;
    let by_chance = chance::share_of_cpu(books, us_a_read, ONE_IN, ATTRIBUTIONS);
    println!(
        "attribution where one read in {ONE_IN} is lost by chance instead: {by_chance:.3} of the generator's CPU more"
    );
    let most = 1.0 + SHARE_MAX;
    println!("promised: at most {most:.2}");
    let rows = [("none", of_none, 0.0), ("some", of_some, 0.0), ("by chance", of_some, by_chance)];
    let verdicts = rows.map(|(lost, ratio, more)| {
        let (low, high) = (ratio.low + more, ratio.high + more);
        let verdict = match (low > most, high > most) {
            (true, _) => "missed",
            (false, true) => "undecided",
            (false, false) => "kept",
        };
        println!("reads lost: {lost:<10} {:.3} ({low:.3} to {high:.3})  {verdict}", ratio.median + more);
        verdict
    });
    Ok(!verdicts.contains(&"missed"))
}

/// A process that is stopped and goes on again, until this is dropped.
struct Pauses {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pauses {
    fn of(process: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let signal = move |name: &str| {
            // Where it cannot be sent nothing is lost, which is said.
            let _ =
                std::process::Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
        };
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                signal("STOP");
                std::thread::sleep(PAUSE);
                signal("CONT");
                std::thread::sleep(PAUSE_INTERVAL - PAUSE);
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Pauses {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn rig(server: &Process, flags: &[&str]) -> Result<Rig, Error> {
    let address = server.tcp.expect("a server with a control plane").to_string();
    let typed = ["books", "run", "--quiet", "--threads", "1", "--server", &address];
    let cli = Cli::parse_from(typed.into_iter().chain(flags.iter().copied()));
    let Command::Run(run) = cli.command else { unreachable!("`run` was typed") };
    let options = Options::resolve(&run.common).map_err(wrong)?;
    let (target, space) = rig::prepare(&options, false, &Progress::new(true)).map_err(wrong)?;
    Rig::new(&options, target, space).map_err(wrong)
}

fn wrong(error: shingle_loadgen::error::Error) -> Error {
    Error::Wrong { server: "the generator".into(), what: error.to_string() }
}

/// Microseconds of CPU a read, stage by stage.
#[derive(Default)]
struct Row {
    bare: Vec<f64>,
    with: Vec<f64>,
    /// Reads lost in the stages with books.
    lost: u64,
    /// Books of the last stage that lost some, and its reads.
    books: Option<(Books, u64)>,
}

impl Row {
    /// Writes it down; gives the ratio.
    fn print(&self, name: &str) -> Interval {
        let ratio = Interval::of_ratios(&self.with, &self.bare);
        println!(
            "{name:<12} {:>9.2} us {:>9.2} us {:>24} {:>10}",
            Interval::of(&self.bare).median,
            Interval::of(&self.with).median,
            format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.low, ratio.high),
            self.lost,
        );
        ratio
    }

    fn measure(rig: &mut Rig, pairs: u64, span: Duration) -> Result<Self, Error> {
        let mut row = Self::default();
        rig.bare_stage(PACE, span / 4).map_err(wrong)?;
        for pair in 0..pairs {
            for turn in 0..2 {
                if (pair + turn) % 2 == 0 { row.bare(rig, span)? } else { row.with(rig, span)? }
            }
        }
        Ok(row)
    }

    fn bare(&mut self, rig: &mut Rig, span: Duration) -> Result<(), Error> {
        let before = process_cpu_time();
        let tally = rig.bare_stage(PACE, span).map_err(wrong)?.tally;
        self.bare.push(us_a_read(before, tally.spun_ns / 1000, tally.scheduled));
        Ok(())
    }

    fn with(&mut self, rig: &mut Rig, span: Duration) -> Result<(), Error> {
        let before = process_cpu_time();
        let result = rig.stage(PACE, span, &Progress::new(true)).map_err(wrong)?;
        let stage = result.stage;
        self.with.push(us_a_read(before, stage.counters["client.spun_time_us"], stage.sent));
        self.lost += stage.first_try_lost;
        self.books = result.books.map(|books| (books, stage.sent)).or(self.books.take());
        Ok(())
    }
}

const PACE: Pace = Pace::PerSecond(TPS);

fn us_a_read(before: Duration, spun_us: u64, reads: u64) -> f64 {
    let used = process_cpu_time() - before;
    used.saturating_sub(Duration::from_micros(spun_us)).as_secs_f64() * 1e6 / reads.max(1) as f64
}
