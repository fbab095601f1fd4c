//! The short form, for CI: counts instead of times. What it checks holds on any machine, however busy.
//!
//! Requests are sent while the server's process is stopped (SIGSTOP), so that all of a burst is there when it goes on: how many
//! system calls a burst takes is then the server's doing and not the machine's.

use std::time::{Duration, Instant};

use shingle_client::control::Control;
use shingle_server::stats::{StatsReport, WorkerReport};
use shingle_udp::floor::hold;

use super::case::Case;
use super::error::{Error, system};
use super::generator::Generator;
use super::limits::{GETS, READY, TRAIN, VALUE_BYTES_CHUNKED};
use super::rows::Updater;
use super::serve::ShingleArgs;
use super::servers::{Process, stats};
use super::setup::Setup;

/// Bursts of each case.
const BURSTS: u64 = 50;
/// Requests in a burst of single gets: as many as the server receives at once.
const BURST: usize = 64;
/// Requests in a burst of 50 gets each.
const BURST_MANY: usize = 16;
/// System calls that a burst may take, those that receive and those that send: one each, one more to see that there is nothing
/// more, and as many again for a batch cut in two.
const CALLS_PER_BURST_MAX: f64 = 6.0;

/// Requests of many gets are answered in groups of at least this many keys, each a send more.
const KEYS_PER_SEND: usize = 64;

/// Load while allocations are counted.
const LOAD: Duration = Duration::from_millis(300);

/// What is to hold, found to be otherwise.
pub type Violations = Vec<String>;

/// Checks all counts; prints what was counted.
///
/// # Errors
/// What keeps it from being counted, wrong and missing answers among it.
pub fn run(setup: &Setup) -> Result<Violations, Error> {
    let plain = Case { requests: 1 << 12, ..Case::PLAIN };
    let chunked = Case { value_bytes: VALUE_BYTES_CHUNKED, items: 1000, ..plain };
    let many = Case { gets: GETS, ..plain };
    let cases = [
        ("one get a datagram", plain, BURST),
        ("trains of 16", Case { train: TRAIN, ..plain }, BURST),
        ("50 gets, path MTU 1500", many, BURST_MANY),
        ("50 gets, path MTU 9001", Case { path_mtu: 9001, ..many }, BURST_MANY),
        ("4000 B, chunked", chunked, BURST),
        ("4000 B, trains of 16", Case { train: TRAIN, ..chunked }, BURST),
        ("telemetry and receipts", Case { telemetry: true, ..plain }, BURST),
    ];
    println!(
        "{:<26} {:>9} {:>11} {:>12} {:>12}",
        "case", "requests", "datagrams", "calls/burst", "allocations"
    );
    let mut violations = Vec::new();
    for (name, case, burst) in cases {
        bursts(setup, name, &case, burst, &mut violations)?;
    }
    under_load(setup, &plain, &mut violations)?;
    Ok(violations)
}

/// One case, burst by burst.
fn bursts(
    setup: &Setup,
    name: &str,
    case: &Case,
    burst: usize,
    violations: &mut Violations,
) -> Result<(), Error> {
    let args = ShingleArgs { receipts: case.telemetry, ..Setup::shingle_args(case) };
    let process = setup.shingle(case, args, &[setup.server_cpu])?;
    let mut control = process.control()?;
    let mut driver = setup.drive(&process, case, process.udp[0])?;
    driver.look_at_all();
    let before = sums(&stats(&mut control)?);
    let mut datagrams = 0;
    for _ in 0..BURSTS {
        stop(&process)?;
        driver.burst(burst)?;
        hold(process.id(), false).or_else(system("letting the server go on"))?;
        datagrams += driver.collect()?;
    }
    let requests = BURSTS * burst as u64;
    let after = settled(&mut control, before.requests + requests)?;
    let reads = requests * case.gets as u64;
    let calls = (after.recv_system_calls + after.send_system_calls
        - before.recv_system_calls
        - before.send_system_calls) as f64
        / BURSTS as f64;
    let allocations = after.allocations - before.allocations;
    println!("{name:<26} {requests:>9} {datagrams:>11} {calls:>12.1} {allocations:>12}");
    let mut expect = |what: &str, found: u64, expected: u64| {
        if found != expected {
            violations.push(format!("{name}: {found} {what}, expected are {expected}"));
        }
    };
    expect("answer datagrams at the client", datagrams, requests * case.shape().segments() as u64);
    expect("answer datagrams sent", after.answers - before.answers, datagrams);
    expect("hits", after.hits - before.hits, reads);
    expect("gets", after.gets - before.gets, reads);
    expect("allocations on the read path", allocations, 0);
    let allowed =
        CALLS_PER_BURST_MAX + if case.gets > 1 { (burst * case.gets / KEYS_PER_SEND) as f64 } else { 0.0 };
    if calls > allowed {
        violations.push(format!("{name}: {calls:.1} system calls a burst, allowed are {allowed:.1}"));
    }
    Ok(())
}

/// Allocations of server and generator in a closed loop, updates beside.
fn under_load(setup: &Setup, case: &Case, violations: &mut Violations) -> Result<(), Error> {
    let args = Setup::shingle_args(case);
    let process = Process::shingle(args, &[setup.server_cpu, setup.driver_cpu])?;
    let mut control = process.control()?;
    let mut generator = Generator::new(&process, case)?;
    let mut updater = Updater::new(&process, generator.items())?;
    let before = sums(&stats(&mut control)?);
    let ((measured, own), updates_per_s) = updater.beside(|| generator.closed_loop(LOAD))?;
    let after = sums(&stats(&mut control)?);
    let server = after.allocations - before.allocations;
    println!(
        "under load: {} reads beside {updates_per_s:.0} updates/s; allocations of the server's read path {server}, of the generator's {}",
        measured.requests,
        own.map_or("not counted".into(), |own| own.to_string())
    );
    if server > 0 {
        violations
            .push(format!("under load: {server} allocations on the server's read path, expected are 0"));
    }
    if let Some(own @ 1..) = own {
        violations
            .push(format!("under load: {own} allocations on the generator's read path, expected are 0"));
    }
    Ok(())
}

/// Stops the process, all its threads.
fn stop(process: &Process) -> Result<(), Error> {
    hold(process.id(), true).or_else(system("stopping the server"))?;
    let begin = Instant::now();
    while begin.elapsed() < READY {
        if all_stopped(process.id()).or_else(system("looking at the server's threads"))? {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Err(Error::Wrong { server: "the cache server".into(), what: "it does not stop when told to".into() })
}

/// Whether each thread's state is T (proc_pid_stat(5), field 3).
fn all_stopped(process: u32) -> std::io::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
        if state != Some("T") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The sums once all requests are in them: the last batch is counted after its answers have left.
fn settled(control: &mut Control, requests: u64) -> Result<WorkerReport, Error> {
    let begin = Instant::now();
    loop {
        let sums = sums(&stats(control)?);
        if (sums.requests >= requests && sums.gets >= requests) || begin.elapsed() > READY {
            return Ok(sums);
        }
    }
}

/// All workers as one.
fn sums(stats: &StatsReport) -> WorkerReport {
    stats.workers().fold(WorkerReport::default(), |sum, worker| WorkerReport {
        requests: sum.requests + worker.requests,
        gets: sum.gets + worker.gets,
        hits: sum.hits + worker.hits,
        answers: sum.answers + worker.answers,
        send_system_calls: sum.send_system_calls + worker.send_system_calls,
        recv_system_calls: sum.recv_system_calls + worker.recv_system_calls,
        allocations: sum.allocations + worker.allocations,
        ..sum
    })
}
