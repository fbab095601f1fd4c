//! What an item costs beside its key and value, and what the process takes beside its budget.

use crate::floors::error::{Error, system};
use crate::floors::items::{key, value};
use crate::floors::limits::{KEY_BYTES, VALUE_BYTES};
use crate::floors::report::RowReport;
use crate::floors::serve::ShingleArgs;
use crate::floors::servers::{Process, stats};
use crate::floors::setup::Setup;
use crate::floors::statistics::Interval;

/// Budget of the server that is filled.
const BUDGET_BYTES: usize = 256 << 20;
/// Items stored between two looks at the statistics: less than a thousandth of what fits.
const STEP: u32 = 1000;
/// What the process may take beside its budget.
const BESIDE_MIB_MAX: f64 = 64.0;
/// What an item may cost beside its key and value, bytes.
const OVERHEAD_BYTES_MAX: f64 = 32.0;

pub(super) fn run(setup: &Setup, mut report: RowReport) -> Result<RowReport, Error> {
    let args =
        ShingleArgs { memory_bytes: BUDGET_BYTES, path_mtu: 1500, ports: 1, workers: 1, receipts: false };
    let process = Process::shingle(args, &[setup.server_cpu])?;
    let mut control = process.control()?;
    let mut before = stats(&mut control)?.store;
    let mut stored = 0;
    // Until something has to go: the items held before are what fits.
    let most = (BUDGET_BYTES / (KEY_BYTES + VALUE_BYTES)) as u32;
    loop {
        let items = (stored..stored + STEP).map(|item| (key(item), value(item, VALUE_BYTES), 0));
        control.set_all(items, |_| ())?;
        stored += STEP;
        let now = stats(&mut control)?.store;
        if now.evictions > 0 {
            break;
        }
        before = now;
        if stored > most {
            let what = format!("it keeps {stored} items of 120 B in a budget of {BUDGET_BYTES} B");
            return Err(Error::Wrong { server: "the cache server".into(), what });
        }
    }
    let each = BUDGET_BYTES as f64 / before.items as f64 - (KEY_BYTES + VALUE_BYTES) as f64;
    report.at_most("bytes of overhead an item", one(each), "B", Some(OVERHEAD_BYTES_MAX));
    // Filled once more, so that what evictions and replacements leave behind is part of it.
    let items = (0..2 * before.items as u32).map(|item| (key(item), value(item, VALUE_BYTES), 0));
    control.set_all(items, |_| ())?;
    let resident = resident_bytes(process.id())?;
    let beside = (resident as f64 - BUDGET_BYTES as f64) / f64::from(1 << 20);
    report.at_most("resident beside the budget", one(beside), "MiB", Some(BESIDE_MIB_MAX));
    report.notes.push(format!(
        "budget {} MiB, {} items of {KEY_BYTES} B keys and {VALUE_BYTES} B values before the first eviction (budget / items is what each costs), {} B used by the store's own books; {} MiB resident after storing twice as many",
        BUDGET_BYTES >> 20,
        before.items,
        before.used_bytes,
        resident >> 20
    ));
    Ok(report)
}

fn one(value: f64) -> Interval {
    Interval { low: value, median: value, high: value }
}

/// Resident size of a process (proc_pid_status(5), VmRSS).
fn resident_bytes(process: u32) -> Result<u64, Error> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).or_else(system(format!("reading {path}")))?;
    let kib =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib: u64| kib << 10).ok_or_else(|| Error::Wrong {
        server: "the cache server".into(),
        what: format!("{path} tells no resident size"),
    })
}
