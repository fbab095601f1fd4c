//! How the cost grows: with values, with reads under way, with workers and with ports. Nothing has to be reached here.

use std::time::Duration;

use crate::floors::case::Case;
use crate::floors::contest::{self, Contestant};
use crate::floors::error::Error;
use crate::floors::report::RowReport;
use crate::floors::serve::ShingleArgs;
use crate::floors::servers::Process;
use crate::floors::setup::{FLOOR, OURS, Setup};
use crate::floors::udp::{Driver, closed_loop};

/// Rounds of each step, at most: these are many steps.
const ROUNDS: usize = 7;
/// Value lengths, bytes.
const VALUES: [usize; 6] = [64, 256, 1024, 4096, 16 << 10, 64 << 10];
/// Items of the steps with long values: 64 MiB of the longest.
const ITEMS: u32 = 1000;
/// Reads under way with long values: what fits the socket buffers.
const IN_FLIGHT: usize = 32;
/// Reads under way.
const WINDOWS: [usize; 5] = [1, 8, 32, 128, 512];
/// Clients that share the reads under way.
const CLIENTS: [usize; 4] = [1, 4, 16, 64];
/// Prebuilt requests of each of several clients.
const REQUESTS: usize = 1 << 12;
/// Source ports of the steps with several workers: enough for SO_REUSEPORT to reach each.
const FLOWS: usize = 16;

pub(super) fn values(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    for value_bytes in VALUES {
        let case = Case { value_bytes, items: ITEMS, in_flight: IN_FLIGHT, ..Case::PLAIN };
        beside_floor(setup, &mut report, &format!("{value_bytes} B"), &case)?;
    }
    Ok(report)
}

pub(super) fn in_flight(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    for in_flight in WINDOWS {
        let case = Case { in_flight, ..Case::PLAIN };
        beside_floor(setup, &mut report, &format!("{in_flight} in flight"), &case)?;
    }
    Ok(report)
}

pub(super) fn clients(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    for clients in CLIENTS {
        let case = Case { in_flight: Case::PLAIN.in_flight / clients, requests: REQUESTS, ..Case::PLAIN };
        let floor = Process::echo(&case, &[setup.server_cpu])?;
        let ours = setup.shingle(&case, Setup::shingle_args(&case), &[setup.server_cpu])?;
        let towards_floor =
            (0..clients).map(|_| setup.drive_floor(&floor, &case)).collect::<Result<_, _>>()?;
        let towards_ours =
            (0..clients).map(|_| setup.drive(&ours, &case, ours.udp[0])).collect::<Result<_, _>>()?;
        let mut contestants = [together(FLOOR, floor, towards_floor), together(OURS, ours, towards_ours)];
        let brought = contest::run(&mut contestants, setup.rounds.min(ROUNDS), span(setup))?;
        let label = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        report.ratio(&format!("{label}: shingle / floor"), brought[1].over(&brought[0]), None);
        report.book_as(&label, &brought);
    }
    report.notes.push("answers to one client share a send in ours and not in the floor: with one client ours gains by it, with many it cannot".into());
    Ok(report)
}

pub(super) fn workers(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let cpus = [setup.server_cpu, setup.driver_cpu];
    alone(setup, &mut report, &[("1 worker", 1, 1), ("2 workers", 1, 2)], &cpus)?;
    report.notes.push(format!(
        "one port, {FLOWS} source ports; the second worker shares CPU {} with the driver",
        setup.driver_cpu
    ));
    Ok(report)
}

pub(super) fn ports(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let steps = [("1 port", 1, 1), ("2 ports", 2, 1), ("4 ports", 4, 1), ("8 ports", 8, 1)];
    alone(setup, &mut report, &steps, &[setup.server_cpu])?;
    report.notes.push(format!("one worker a port, all of them on CPU {}", setup.server_cpu));
    Ok(report)
}

/// Ours and the floor with one case.
fn beside_floor(setup: &Setup, report: &mut RowReport, label: &str, case: &Case) -> Result<(), Error> {
    let mut contestants = [setup.floor(FLOOR, case)?, setup.ours(OURS, case)?];
    let brought = contest::run(&mut contestants, setup.rounds.min(ROUNDS), span(setup))?;
    report.ratio(&format!("{label}: shingle / floor"), brought[1].over(&brought[0]), None);
    report.book_as(label, &brought);
    Ok(())
}

/// Ours with so many ports and workers each; every step beside the first.
fn alone(
    setup: &Setup,
    report: &mut RowReport,
    steps: &[(&'static str, usize, usize)],
    cpus: &[usize],
) -> Result<(), Error> {
    let step = |(name, ports, workers): &(&'static str, usize, usize)| -> Result<Contestant, Error> {
        let case = Case { in_flight: Case::PLAIN.in_flight / FLOWS, ..Case::PLAIN };
        let args = ShingleArgs { ports: *ports, workers: *workers, ..Setup::shingle_args(&case) };
        let process = setup.shingle(&case, args, cpus)?;
        let drivers = (0..FLOWS).map(|flow| setup.drive(&process, &case, process.udp[flow % ports]));
        let drivers = drivers.collect::<Result<_, Error>>()?;
        Ok(together(name, process, drivers))
    };
    let mut contestants = steps.iter().map(step).collect::<Result<Vec<_>, Error>>()?;
    let brought = contest::run(&mut contestants, setup.rounds.min(ROUNDS), span(setup))?;
    for one in &brought[1..] {
        report.ratio(&format!("{} / {}", one.name, brought[0].name), one.over(&brought[0]), None);
    }
    report.book(&brought);
    Ok(())
}

/// Several clients of one server.
fn together(name: &'static str, process: Process, mut drivers: Vec<Driver>) -> Contestant {
    Contestant::new(name, move |span| {
        let _alive = &process;
        closed_loop(&mut drivers, span)
    })
}

/// Time of each contestant in a round: half of that of the rows with targets.
fn span(setup: &Setup) -> Duration {
    setup.span / 2
}
