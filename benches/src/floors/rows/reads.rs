//! Rows that compare the rates of floor, ours and memcached.

use crate::floors::case::Case;
use crate::floors::contest::{self, Brought, Contestant};
use crate::floors::error::{Error, system};
use crate::floors::limits::{GETS, IN_FLIGHT_MANY, ITEMS_LARGE, REQUESTS_LARGE, TRAIN, VALUE_BYTES_CHUNKED};
use crate::floors::report::RowReport;
use crate::floors::setup::{FLOOR, FLOOR_AGAIN, MEMCACHED_TCP, MEMCACHED_UDP, OURS, Setup, memory_for};

/// What ours is compared with, and how much of it has to be reached.
#[derive(Clone, Copy, Default)]
struct Targets {
    floor: Option<f64>,
    udp: Option<f64>,
    tcp: Option<f64>,
}

const MANY: Case = Case { gets: GETS, in_flight: IN_FLIGHT_MANY, ..Case::PLAIN };
const CHUNKED: Case = Case { value_bytes: VALUE_BYTES_CHUNKED, ..Case::PLAIN };

pub(super) fn plain(setup: &Setup, report: RowReport) -> Result<RowReport, Error> {
    compare(setup, report, Case::PLAIN, Targets { floor: Some(0.95), udp: Some(1.4), tcp: None })
}

pub(super) fn trains(setup: &Setup, report: RowReport) -> Result<RowReport, Error> {
    let case = Case { train: TRAIN, ..Case::PLAIN };
    compare(setup, report, case, Targets { floor: Some(0.8), udp: Some(6.0), tcp: None })
}

pub(super) fn many(setup: &Setup, report: RowReport) -> Result<RowReport, Error> {
    compare(setup, report, MANY, Targets { floor: None, udp: Some(15.0), tcp: Some(1.8) })
}

pub(super) fn jumbo(setup: &Setup, report: RowReport) -> Result<RowReport, Error> {
    let case = Case { path_mtu: 9001, ..MANY };
    compare(setup, report, case, Targets { floor: None, udp: None, tcp: Some(3.0) })
}

pub(super) fn chunked(setup: &Setup, report: RowReport) -> Result<RowReport, Error> {
    compare(setup, report, CHUNKED, Targets { floor: Some(0.9), udp: Some(2.0), tcp: None })
}

pub(super) fn chunked_trains(setup: &Setup, report: RowReport) -> Result<RowReport, Error> {
    let case = Case { train: TRAIN, ..CHUNKED };
    compare(setup, report, case, Targets { floor: Some(0.8), udp: Some(6.0), tcp: None })
}

pub(super) fn ten_million(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let few = Case { requests: REQUESTS_LARGE, ..Case::PLAIN };
    let large = Case { items: ITEMS_LARGE, ..few };
    let (needed, available) = (memory_for(&large), available_bytes()?);
    if needed > available / 4 * 3 {
        let mib = |bytes: usize| bytes >> 20;
        report.skipped = Some(format!(
            "10 million items may take {} MiB, and {} MiB are available: at most three quarters are used",
            mib(needed),
            mib(available)
        ));
        return Ok(report);
    }
    let mut contestants = vec![
        setup.floor(FLOOR, &few)?,
        setup.ours("shingle, 10 thousand", &few)?,
        setup.ours("shingle, 10 million", &large)?,
        setup.floor(FLOOR_AGAIN, &few)?,
    ];
    let brought = contest::run(&mut contestants, setup.rounds, setup.span)?;
    report.book(&brought);
    report.control = Some(brought[3].over(&brought[0]));
    report.ratio("10 million / 10 thousand items", brought[2].over(&brought[1]), Some(0.8));
    report.ratio("shingle, 10 million / floor", brought[2].over(&brought[0]), None);
    Ok(report)
}

/// Runs whoever has a target, and the floor twice for the control.
fn compare(setup: &Setup, mut report: RowReport, case: Case, targets: Targets) -> Result<RowReport, Error> {
    let mut contestants: Vec<Contestant> = vec![setup.floor(FLOOR, &case)?, setup.ours(OURS, &case)?];
    if targets.udp.is_some() && setup.memcached {
        contestants.push(setup.memcached_udp(&case)?);
    }
    if targets.tcp.is_some() && setup.memcached {
        contestants.push(setup.memcached_tcp(&case)?);
    }
    contestants.push(setup.floor(FLOOR_AGAIN, &case)?);
    let brought = contest::run(&mut contestants, setup.rounds, setup.span)?;
    report.book(&brought);
    let find = |name| brought.iter().find(|one: &&Brought| one.name == name);
    let (floor, ours) = (&brought[0], &brought[1]);
    report.control = find(FLOOR_AGAIN).map(|again| again.over(floor));
    report.ratio("shingle / floor", ours.over(floor), targets.floor);
    for (name, target) in [(MEMCACHED_UDP, targets.udp), (MEMCACHED_TCP, targets.tcp)] {
        if let Some(peer) = find(name) {
            report.ratio(&format!("shingle / {name}"), ours.over(peer), target);
        }
    }
    Ok(report)
}

fn available_bytes() -> Result<usize, Error> {
    let text = std::fs::read_to_string("/proc/meminfo").or_else(system("reading /proc/meminfo"))?;
    Ok(shingle_store::parse_mem_available(&text).map_or(usize::MAX, |bytes| bytes as usize))
}
