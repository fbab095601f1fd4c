//! Latency at half of the knee: echo and ours at the same rate, in turns, beside the host's own stalls.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::floors::case::Case;
use crate::floors::contest::{self, Brought, Contestant};
use crate::floors::error::Error;
use crate::floors::open_loop::{Latencies, empty_histogram};
use crate::floors::report::RowReport;
use crate::floors::servers::Process;
use crate::floors::setup::{FLOOR, FLOOR_AGAIN, OURS, Setup};
use crate::floors::statistics::Interval;
use crate::floors::udp::Driver;

/// Rounds of the closed loop that finds the knee.
const KNEE_ROUNDS: usize = 7;
/// How long the watching thread sleeps at a time: half of the millisecond that matters.
const NAP: Duration = Duration::from_micros(500);

/// One round's latencies, and what the idle thread saw meanwhile.
struct Heard {
    latencies: Latencies,
    /// By how much naps were too long, ns.
    overslept: Histogram<u64>,
}

pub(super) fn run(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let case = Case::PLAIN;
    let echo = |name| setup.floor_driver(&case).map(|(process, driver)| (name, process, shared(driver)));
    let ours = setup.shingle(&case, Setup::shingle_args(&case), &[setup.server_cpu])?;
    let ours_driver = shared(setup.drive(&ours, &case, ours.udp[0])?);
    let servers: Vec<(&'static str, Process, Rc<RefCell<Driver>>)> =
        vec![echo(FLOOR)?, (OURS, ours, ours_driver), echo(FLOOR_AGAIN)?];
    let closed = |driver: &Rc<RefCell<Driver>>, name| {
        let driver = Rc::clone(driver);
        Contestant::new(name, move |span| driver.borrow_mut().closed_loop(span))
    };
    let mut knee: Vec<_> = servers.iter().map(|(name, _, driver)| closed(driver, name)).collect();
    let knee = contest::run(&mut knee, KNEE_ROUNDS, setup.span)?;
    let slower = knee.iter().map(|one| Interval::of(&one.rates()).median).fold(f64::INFINITY, f64::min);
    let per_s = slower / 2.0;
    let open = |driver: &Rc<RefCell<Driver>>, name| {
        let (driver, cpu) = (Rc::clone(driver), setup.server_cpu);
        Contestant::new(name, move |span| listen(&mut driver.borrow_mut(), per_s, span, cpu))
    };
    let mut contestants: Vec<_> = servers.iter().map(|(name, _, driver)| open(driver, name)).collect();
    let brought = contest::run(&mut contestants, setup.rounds, setup.span)?;
    report.control =
        Some(Interval::of_ratios(&quantiles_us(&brought[2], 0.5), &quantiles_us(&brought[0], 0.5)));
    for (quantile, words, target) in [(0.5, "p50", Some(1.15)), (0.99, "p99", None), (0.999, "p99.9", None)] {
        let ratio =
            Interval::of_ratios(&quantiles_us(&brought[1], quantile), &quantiles_us(&brought[0], quantile));
        report.at_most(&format!("{words}: shingle / floor"), ratio, "x", target);
    }
    report.notes.push(format!(
        "open loop of {per_s:.0} reads/s, half of {slower:.0} in the closed loop of the slower"
    ));
    report.notes.extend(brought.iter().map(words));
    Ok(report)
}

fn shared(driver: Driver) -> Rc<RefCell<Driver>> {
    Rc::new(RefCell::new(driver))
}

/// Runs the open loop while an idle thread sleeps on the server's CPU.
fn listen(driver: &mut Driver, per_s: f64, span: Duration, cpu: usize) -> Result<Heard, Error> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let idle = scope.spawn(|| nap(cpu, &stop));
        let latencies = driver.open_loop(per_s, span);
        stop.store(true, Ordering::Relaxed);
        let overslept = idle.join().expect("naps do not panic");
        Ok(Heard { latencies: latencies?, overslept })
    })
}

/// Sleeps until told to stop; by how much each nap was too long.
fn nap(cpu: usize, stop: &AtomicBool) -> Histogram<u64> {
    // Not pinned it still sees what the whole host suffers.
    let _ = shingle_udp::pin_thread_to(cpu);
    shingle_udp::tighten_timer_slack();
    let mut overslept = empty_histogram();
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        thread::sleep(NAP);
        overslept.saturating_record((begin.elapsed().saturating_sub(NAP).as_nanos() as u64).max(1));
    }
    overslept
}

fn quantiles_us(brought: &Brought<Heard>, quantile: f64) -> Vec<f64> {
    let at = |heard: &Heard| heard.latencies.ns.value_at_quantile(quantile) as f64 / 1000.0;
    brought.rounds.iter().map(at).collect()
}

/// Percentiles over all rounds, and what the host did meanwhile.
fn words(brought: &Brought<Heard>) -> String {
    let (mut all, mut overslept) = (empty_histogram(), empty_histogram());
    for heard in &brought.rounds {
        all.add(&heard.latencies.ns).expect("histograms of one kind");
        overslept.add(&heard.overslept).expect("histograms of one kind");
    }
    let us = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    let lost: u64 = brought.rounds.iter().map(|heard| heard.latencies.lost).sum();
    let stall_ns = brought.rounds.iter().map(|heard| heard.latencies.driver_stall_ns).max().unwrap_or(0);
    format!(
        "{:<12} p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, {lost} lost; idle thread beside the server overslept p99 {:.0} us, p99.9 {:.0} us, most {:.0} us; driver's longest stall {:.0} us",
        brought.name,
        us(&all, 0.5),
        us(&all, 0.99),
        us(&all, 0.999),
        us(&overslept, 0.99),
        us(&overslept, 0.999),
        overslept.max() as f64 / 1000.0,
        stall_ns as f64 / 1000.0
    )
}
