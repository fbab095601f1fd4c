//! Reads beside 100,000 updates a second over TCP.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shingle_client::control::Control;
use shingle_udp::monotonic_ns;

use crate::floors::case::Case;
use crate::floors::contest::{self, Contestant};
use crate::floors::error::Error;
use crate::floors::items::{draw, key, value};
use crate::floors::limits::{UPDATES_PER_S, UPDATES_SHARE_MIN};
use crate::floors::report::RowReport;
use crate::floors::servers::Process;
use crate::floors::setup::{FLOOR, FLOOR_AGAIN, Setup};
use crate::floors::statistics::{Interval, Verdict};

/// Sends updates at their rate, on a thread of its own.
pub(crate) struct Updater {
    control: Control,
    /// Key and value of each update, round and round.
    updates: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Updates that fall due together: a hundredth of a millisecond's work at a time would be all sleeping.
const TOGETHER: u64 = 100;

pub(super) fn run(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let case = Case::PLAIN;
    // The worker pins itself to the lowest of these; the control plane goes where the scheduler puts it.
    let cpus = [setup.server_cpu, setup.driver_cpu];
    let process = setup.shingle(&case, Setup::shingle_args(&case), &cpus)?;
    let driver = Rc::new(RefCell::new(setup.drive(&process, &case, process.udp[0])?));
    let mut updater = Updater::new(&process, updates_of(&case))?;
    let rates = Rc::new(RefCell::new(Vec::new()));
    let (with, noted) = (Rc::clone(&driver), Rc::clone(&rates));
    let beside = move |span| {
        let (measured, per_s) = updater.beside(|| with.borrow_mut().closed_loop(span))?;
        noted.borrow_mut().push(per_s);
        Ok(measured)
    };
    let mut contestants = [
        setup.floor(FLOOR, &case)?,
        Contestant::new("shingle without updates", move |span| driver.borrow_mut().closed_loop(span)),
        Contestant::new("shingle with updates", beside),
        setup.floor(FLOOR_AGAIN, &case)?,
    ];
    let brought = contest::run(&mut contestants, setup.rounds, setup.span)?;
    report.book(&brought);
    report.control = Some(brought[3].over(&brought[0]));
    report.ratio("reads with / without updates", brought[2].over(&brought[1]), Some(0.9));
    let lost = brought[2].lost() as f64;
    report.at_most(
        "failed reads with updates",
        Interval { low: lost, median: lost, high: lost },
        "",
        Some(0.0),
    );
    let per_s = Interval::of(&rates.borrow());
    report.notes.push(format!(
        "{:.0} updates/s [{:.0}, {:.0}] were made; worker on CPU {}, driver on CPU {}, control plane and updater on either",
        per_s.median, per_s.low, per_s.high, setup.server_cpu, setup.driver_cpu
    ));
    if per_s.median < UPDATES_SHARE_MIN * UPDATES_PER_S as f64 {
        report
            .notes
            .push(format!("too few updates: {UPDATES_PER_S} a second were asked for, so nothing is met"));
        report.lines.iter_mut().for_each(|line| line.verdict = Verdict::Missed);
    }
    Ok(report)
}

/// Updates that draw uniformly from the items of a case.
pub(super) fn updates_of(case: &Case) -> Vec<(Vec<u8>, Vec<u8>)> {
    let items = draw(case.items, 1 << 16);
    items.iter().map(|item| (key(*item).to_vec(), value(*item, case.value_bytes))).collect()
}

impl Updater {
    /// One that stores these keys and values, round and round: the same ones that are stored, so that every answer can be checked.
    pub(crate) fn new(process: &Process, updates: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Updater, Error> {
        Ok(Updater { control: process.control()?, updates })
    }

    /// Calls `measure` while updates are made; what it returns, and the updates a second that the server confirmed.
    pub(crate) fn beside<T>(
        &mut self,
        measure: impl FnOnce() -> Result<T, Error>,
    ) -> Result<(T, f64), Error> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let updating = scope.spawn(|| self.update(&stop));
            let measured = measure();
            stop.store(true, Ordering::Relaxed);
            let per_s = updating.join().expect("updates do not panic")?;
            Ok((measured?, per_s))
        })
    }

    /// Makes updates until told to stop; how many a second.
    fn update(&mut self, stop: &AtomicBool) -> Result<f64, Error> {
        // The thread that started this one is on the driver's CPU alone.
        let _ = shingle_udp::floor::unpin_thread();
        let begin_ns = monotonic_ns();
        let updates = &self.updates;
        let due = (0..).map_while(|number: u64| {
            if number.is_multiple_of(TOGETHER) {
                let due_ns = begin_ns + number * 1_000_000_000 / UPDATES_PER_S;
                std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(monotonic_ns())));
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
            }
            let (key, value) = &updates[number as usize % updates.len()];
            Some((key, value, 0))
        });
        let made = self.control.set_all(due, |_| ())?;
        Ok(made as f64 * 1e9 / (monotonic_ns() - begin_ns) as f64)
    }
}
