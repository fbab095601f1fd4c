//! Times the read path asks for memory, in server and generator, with and without updates.

use std::time::Duration;

use crate::floors::case::Case;
use crate::floors::error::Error;
use crate::floors::generator::Generator;
use crate::floors::report::RowReport;
use crate::floors::rows::updates::{Updater, updates_of};
use crate::floors::servers::{Process, stats};
use crate::floors::setup::Setup;
use crate::floors::statistics::Interval;

/// How long each is loaded.
const SPAN: Duration = Duration::from_secs(1);

pub(super) fn run(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let case = Case::PLAIN;
    let process = setup.shingle(&case, Setup::shingle_args(&case), &[setup.server_cpu, setup.driver_cpu])?;
    let mut control = process.control()?;
    let mut driver = setup.drive(&process, &case, process.udp[0])?;
    let mut updater = Updater::new(&process, updates_of(&case))?;
    let mut server_allocations = || -> Result<(u64, u64), Error> {
        let stats = stats(&mut control)?;
        Ok((
            stats.workers().map(|worker| worker.allocations).sum(),
            stats.workers().map(|worker| worker.gets).sum(),
        ))
    };
    let (before, gets) = server_allocations()?;
    driver.closed_loop(SPAN)?;
    let (quiet, quiet_gets) = server_allocations()?;
    let (_, updates_per_s) = updater.beside(|| driver.closed_loop(SPAN))?;
    let (updated, all_gets) = server_allocations()?;
    line(&mut report, "server, allocations in all its reads", quiet - before);
    line(&mut report, "server, the same while updates run", updated - quiet);
    report.notes.push(format!(
        "server: {} reads without and {} with {updates_per_s:.0} updates/s",
        quiet_gets - gets,
        all_gets - quiet_gets
    ));
    // Its items have names of their own choice: nothing but it and its updates may use this server.
    let process = Process::shingle(Setup::shingle_args(&case), &[setup.server_cpu, setup.driver_cpu])?;
    let mut generator = Generator::new(&process, &case)?;
    let mut updater = Updater::new(&process, generator.items())?;
    let (measured, alone) = generator.closed_loop(SPAN)?;
    let ((_, beside), _) = updater.beside(|| generator.closed_loop(SPAN))?;
    match (alone, beside) {
        (Some(alone), Some(beside)) => {
            line(&mut report, "generator, allocations in all its reads", alone);
            line(&mut report, "generator, the same while updates run", beside);
            report.notes.push(format!("generator: {} reads without updates", measured.requests));
        }
        _ => report.notes.push("the generator counts no allocations: nothing is known of it".into()),
    }
    Ok(report)
}

fn line(report: &mut RowReport, what: &str, count: u64) {
    let count = count as f64;
    report.at_most(what, Interval { low: count, median: count, high: count }, "", Some(0.0));
}
