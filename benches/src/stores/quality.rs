//! Eviction: hit ratios of read-through caches at equal memory and at equal numbers of items, and of policies as simulations.

use std::error::Error;

use shingle_loadgen::workload::ValueSpec;

use super::candidates::{Candidate, Capacity, Named};
use super::memory::Overheads;
use super::policies::{Policy, Simulation};
use super::report::{Cell, Table};
use super::traces::{NAMES, Trace};

/// Items of the orders of reads, and reads of each.
const ITEMS: u32 = 100_000;
const READS: usize = 1_000_000;
/// Sizes of cache, in percent of the bytes of all keys and values that are read.
const PERCENTS: [usize; 4] = [1, 5, 10, 20];
/// Items held where that is what is equal: about a tenth, and a power of two, which one candidate insists on.
const EQUAL_ITEMS: usize = 8192;
/// Items that a loop goes round.
const LOOP_ITEMS: u32 = 20_000;
const LOOP_READS: usize = 300_000;

/// Policies that are simulated. S3-FIFO by: reads remembered, reads that promote, share of newcomers.
const POLICIES: [(&str, Policy); 11] = [
    ("LRU", Policy::Lru),
    ("FIFO", Policy::Fifo),
    ("CLOCK, 1 bit", Policy::Clock { reads_max: 1 }),
    ("CLOCK, 2 bits", Policy::Clock { reads_max: 3 }),
    ("SIEVE", Policy::Sieve),
    ("S3-FIFO 3/2/10 %", s3_fifo(3, 2, 10, true, false)),
    ("... without ghost", s3_fifo(3, 2, 10, false, false)),
    ("S3-FIFO 1/1/10 %", s3_fifo(1, 1, 10, true, false)),
    ("... without ghost ", s3_fifo(1, 1, 10, false, false)),
    ("S3-FIFO 1/1/50 %", s3_fifo(1, 1, 50, true, false)),
    ("S3-FIFO 3/1/adaptive", s3_fifo(3, 1, 50, true, true)),
];

const fn s3_fifo(reads_max: u8, promoted_from: u8, small_percent: u8, ghost: bool, adaptive: bool) -> Policy {
    Policy::S3Fifo { reads_max, promoted_from, small_percent, ghost, adaptive }
}

/// One table a policy for each size: lines are policies, columns orders of reads.
pub(super) fn policies() -> Result<Vec<Table>, Box<dyn Error>> {
    let traces = traces(&ValueSpec::ObjectMetadata)?;
    let looped = Trace::new_loop(&ValueSpec::ObjectMetadata, LOOP_ITEMS, LOOP_READS)?;
    let columns = columns("policy", &[]);
    let mut tables = Vec::new();
    for percent in PERCENTS {
        let title = format!(
            "simulated, hits in percent, budget of {percent} % of the bytes read (the loop: of 1/1.1)"
        );
        let mut table = Table::new("policies", title, &columns);
        for (name, policy) in POLICIES {
            let mut cells = vec![Cell::from(name)];
            for trace in &traces {
                let budget = trace.footprint().1 * percent as u64 / 100;
                cells.push(percent_of_hits(trace, simulated(policy, budget, trace)));
            }
            let budget = looped.footprint().1 * 10 / 11;
            cells.push(percent_of_hits(&looped, simulated(policy, budget, &looped)));
            table.row(cells);
        }
        tables.push(table);
    }
    Ok(tables)
}

/// Reads an item through a simulation.
fn simulated(policy: Policy, budget: u64, trace: &Trace) -> impl FnMut(usize, u32) -> bool {
    let mut simulation = Simulation::new(policy, budget, trace.items.items());
    let shapes: Vec<_> =
        (0..trace.items.items()).map(|item| (trace.item_bytes(item) as u32, trace.ttl_s(item))).collect();
    move |number, item| {
        let (bytes, ttl_s) = shapes[item as usize];
        simulation.read(item, bytes, Trace::second(number), ttl_s)
    }
}

/// The candidates: a table for each size in bytes, and one at an equal number of items.
pub(super) fn candidates(candidates: &[&Named], overheads: &Overheads) -> Result<Vec<Table>, Box<dyn Error>> {
    let evicting: Vec<_> = candidates.iter().filter(|named| named.evicts).collect();
    let mut tables = Vec::new();
    let mut looped = Trace::new_loop(&ValueSpec::ObjectMetadata, LOOP_ITEMS, LOOP_READS)?;
    let metadata = traces(&ValueSpec::ObjectMetadata)?;
    for percent in PERCENTS {
        let title = format!(
            "hits in percent, memory of {percent} % of the bytes of all keys and values read, overhead included (the loop: of 1/1.1)"
        );
        let mut table = Table::new("quality", title, &columns("candidate", &[]));
        for named in &evicting {
            let overhead = overheads.get(named.name).copied().unwrap_or(0);
            let mut cells = vec![Cell::from(named.name)];
            for trace in &metadata {
                let (items, bytes) = trace.footprint();
                let capacity =
                    capacity(trace, bytes as usize * percent / 100, bytes as usize / items, overhead);
                cells.push(hits_of(named, capacity, trace)?.0);
            }
            let (items, bytes) = looped.footprint();
            let bytes = (bytes as usize + items * overhead) * 10 / 11;
            cells.push(hits_of(named, capacity(&looped, bytes, bytes / items, overhead), &looped)?.0);
            table.row(cells);
        }
        tables.push(table);
    }
    looped = Trace::new_loop(&ValueSpec::Fixed(100), EQUAL_ITEMS as u32 / 10 * 11, LOOP_READS)?;
    tables.push(at_equal_items(&evicting, &looped)?);
    Ok(tables)
}

fn at_equal_items(evicting: &[&&Named], looped: &Trace) -> Result<Table, Box<dyn Error>> {
    let title = format!(
        "hits in percent, room for {EQUAL_ITEMS} items of 100 B (a budget of our store's own: the one that holds that many)"
    );
    let mut table = Table::new("quality", title, &columns("candidate", &["items held"]));
    let mut traces = traces(&ValueSpec::Fixed(100))?;
    // Its sizes are its own: at equal numbers of items, items differ.
    traces.retain(|trace| trace.ttl_s(0) == 0);
    for named in evicting {
        let item_bytes = looped.item_bytes(0);
        let mut room = capacity(looped, EQUAL_ITEMS * item_bytes, item_bytes, 0);
        if named.own_budget {
            room.bytes = budget_for(named, room, looped)?;
        }
        let mut cells = vec![Cell::from(named.name)];
        let mut held = 0;
        for trace in &traces {
            let (cell, items) = hits_of(named, room, trace)?;
            held = held.max(items);
            cells.push(cell);
        }
        cells.push(Cell::Nothing);
        cells.push(hits_of(named, room, looped)?.0);
        cells.push(Cell::Number(held as f64, 0));
        table.row(cells);
    }
    Ok(table)
}

/// The budget by which a store of a budget of its own holds as many items as the others.
fn budget_for(named: &Named, mut room: Capacity, trace: &Trace) -> Result<usize, Box<dyn Error>> {
    room.bytes += EQUAL_ITEMS * 64;
    for _ in 0..4 {
        let cache = (named.make)(room)?;
        let mut reads = through(&*cache, trace);
        trace
            .reads
            .iter()
            .enumerate()
            .take(EQUAL_ITEMS * 4)
            .for_each(|(number, item)| _ = reads(number, *item));
        let held = cache.items().max(1);
        room.bytes = (room.bytes as f64 * EQUAL_ITEMS as f64 / held as f64) as usize;
    }
    Ok(room.bytes)
}

fn traces(values: &ValueSpec) -> Result<Vec<Trace>, Box<dyn Error>> {
    NAMES.into_iter().map(|name| Trace::new(name, values, ITEMS, READS)).collect()
}

fn columns(first: &'static str, last: &[&'static str]) -> Vec<&'static str> {
    [&[first][..], &NAMES, &["loop of 1.1 x the cache"], last].concat()
}

fn capacity(trace: &Trace, bytes: usize, mean_bytes: usize, overhead_bytes: usize) -> Capacity {
    let value_bytes_max =
        (0..trace.items.items()).map(|item| trace.items.value_bytes(item)).max().unwrap_or(0);
    Capacity { bytes, overhead_bytes, items: bytes / (mean_bytes + overhead_bytes), value_bytes_max }
}

/// Hits of a candidate in percent, and the items it held at the end.
fn hits_of(named: &Named, capacity: Capacity, trace: &Trace) -> Result<(Cell, usize), Box<dyn Error>> {
    let Ok(cache) = (named.make)(capacity) else { return Ok((Cell::from("too small"), 0)) };
    let cell = percent_of_hits(trace, through(&*cache, trace));
    Ok((cell, cache.items()))
}

/// Reads an item through a candidate.
fn through<'t>(cache: &'t dyn Candidate, trace: &'t Trace) -> impl FnMut(usize, u32) -> bool + 't {
    let mut key = [0; shingle_loadgen::workload::KEY_BYTES_MAX];
    let value =
        vec![7; (0..trace.items.items()).map(|item| trace.items.value_bytes(item)).max().unwrap_or(0)];
    move |number, item| {
        let (key, now_s) = (trace.items.key(item, &mut key), Trace::second(number));
        let hit = cache.get(key, now_s, &mut |_| ());
        if !hit {
            cache.set(key, &value[..trace.items.value_bytes(item)], trace.ttl_s(item), now_s);
        }
        hit
    }
}

/// Hits after the first quarter of the reads, in percent.
fn percent_of_hits(trace: &Trace, mut read: impl FnMut(usize, u32) -> bool) -> Cell {
    let warm = trace.reads.len() / 4;
    let reads = trace.reads.iter().enumerate();
    let hits = reads.filter(|(number, item)| read(*number, **item) && *number >= warm).count();
    Cell::Number(100.0 * hits as f64 / (trace.reads.len() - warm) as f64, 2)
}
