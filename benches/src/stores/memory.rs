//! Memory: what an item costs beside key and value, allocations of an update, and whether a budget holds under a flood. Each candidate in a
//! process of its own, so that none disturbs another.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use shingle_store::counting::{process_allocated_bytes, thread_allocated_bytes, thread_allocations};

use super::candidates::{Candidate, Capacity, KEY_BYTES, Named, key};
use super::contest::{BATCH, Draw, NOW_S, VALUE_BYTES, keys, roomy, value};
use super::report::{Cell, Table};

/// Budget of the flood, bytes.
const FLOOD_BUDGET_BYTES: usize = 64 << 20;
/// Updates of the flood, of values of 16 B to 4 KiB: sixteen times the budget.
const FLOOD_SETS: u32 = 500_000;
/// What is allowed for an item where the budget is a candidate's own affair: enough that it holds about as many items as asked for.
const OWN_ITEM_BYTES: usize = KEY_BYTES + VALUE_BYTES + 32;

/// What an item costs beside key and value in resident memory, by candidate, bytes.
pub(super) type Overheads = HashMap<&'static str, usize>;

/// The table of costs, and the overheads that it found.
pub(super) fn measure(candidates: &[&Named], items: u32) -> Result<(Table, Overheads), Box<dyn Error>> {
    let title = format!(
        "{items} items of {KEY_BYTES} B keys and {VALUE_BYTES} B values: bytes an item beside key and value, allocations"
    );
    let columns = [
        "candidate",
        "items held",
        "resident B/item",
        "allocated B/item",
        "resident after all replaced",
        "allocations/update",
        "allocated B/update",
        "allocations/read",
    ];
    let mut table = Table::new("memory", title, &columns);
    let mut overheads = Overheads::new();
    for named in candidates {
        let found = child("cost", named, items, 0)?;
        let number =
            |name: &str, decimals| found[name].as_f64().map_or(Cell::Nothing, |n| Cell::Number(n, decimals));
        overheads.insert(named.name, found["resident"].as_f64().unwrap_or(0.0).max(0.0) as usize);
        table.row(vec![
            Cell::from(named.name),
            number("items", 0),
            number("resident", 1),
            // What a store maps by itself, the allocator never sees.
            if named.own_budget && found["allocated"].as_f64() < Some(0.0) {
                Cell::Nothing
            } else {
                number("allocated", 1)
            },
            number("resident_replaced", 1),
            number("allocations_per_update", 2),
            number("allocated_per_update", 0),
            number("allocations_per_read", 2),
        ]);
    }
    Ok((table, overheads))
}

/// The table of floods.
pub(super) fn flood(candidates: &[&Named], overheads: &Overheads) -> Result<Table, Box<dyn Error>> {
    let title = format!(
        "budget of {} MiB, {FLOOD_SETS} new keys with values of 16 to 4096 B; candidates without a budget of their own charge what an item was found to cost",
        FLOOD_BUDGET_BYTES >> 20
    );
    let columns = ["candidate", "items held", "peak MiB", "over the budget MiB", "used for keys and values"];
    let mut table = Table::new("flood", title, &columns);
    for named in candidates.iter().filter(|named| named.evicts) {
        let overhead = overheads.get(named.name).copied().unwrap_or(0);
        let found = child("flood", named, FLOOD_SETS, overhead)?;
        let number =
            |name: &str, decimals| found[name].as_f64().map_or(Cell::Nothing, |n| Cell::Number(n, decimals));
        table.row(vec![
            Cell::from(named.name),
            number("items", 0),
            number("peak", 1),
            number("over", 1),
            number("used", 3),
        ]);
    }
    Ok(table)
}

/// Runs this program again for one candidate.
fn child(what: &str, named: &Named, items: u32, overhead_bytes: usize) -> Result<Value, Box<dyn Error>> {
    let arguments = ["--child", what, named.name, &items.to_string(), &overhead_bytes.to_string()];
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(
            format!("{}: measuring its memory ended with {}: {said}", named.name, output.status).into()
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What the child does: prints one JSON object.
pub(super) fn run_child(
    what: &str,
    named: &Named,
    items: u32,
    overhead_bytes: usize,
) -> Result<(), Box<dyn Error>> {
    let found = match what {
        "cost" => cost(named, items)?,
        _ => one_flood(named, items, overhead_bytes)?,
    };
    println!("{found}");
    Ok(())
}

fn cost(named: &Named, items: u32) -> Result<Value, Box<dyn Error>> {
    let (resident_before, allocated_before) = (resident_bytes()?, process_allocated_bytes());
    let (mut capacity, mut stored) = (roomy(items), items);
    if named.evicts {
        // Filled until it evicts: what a full store needs is what counts.
        let item_bytes = if named.own_budget { OWN_ITEM_BYTES } else { KEY_BYTES + VALUE_BYTES };
        (capacity.bytes, capacity.items) = (items as usize * item_bytes, items as usize);
        stored = items / 10 * 12;
    }
    let cache = (named.make)(capacity)?;
    (0..stored).for_each(|item| cache.set(&key(item), &value(item), 0, NOW_S));
    let held = cache.items();
    let beside = |bytes: usize, before: usize, held: usize| {
        (bytes as f64 - before as f64) / held as f64 - (KEY_BYTES + VALUE_BYTES) as f64
    };
    let resident = beside(resident_bytes()?, resident_before, held);
    let allocated = beside(process_allocated_bytes(), allocated_before, held);
    let (allocations_per_update, allocated_per_update) = replace_all(&*cache, stored);
    let allocations_per_read = read_all(&*cache, stored);
    let resident_replaced = beside(resident_bytes()?, resident_before, cache.items());
    Ok(json!({
        "items": held, "resident": resident, "allocated": allocated, "resident_replaced": resident_replaced,
        "allocations_per_update": allocations_per_update, "allocated_per_update": allocated_per_update,
        "allocations_per_read": allocations_per_read,
    }))
}

/// Replaces values in random order, as many as there are items; allocations and bytes for each.
fn replace_all(cache: &dyn Candidate, items: u32) -> (f64, f64) {
    let (times, bytes) = (thread_allocations(), thread_allocated_bytes());
    let mut draw = Draw::new(items, 3);
    for _ in 0..items {
        let item = draw.next();
        cache.set(&key(item), &value(item), 0, NOW_S);
    }
    let per_update = |count: u64| count as f64 / f64::from(items);
    (per_update(thread_allocations() - times), per_update(thread_allocated_bytes() - bytes))
}

fn read_all(cache: &dyn Candidate, items: u32) -> f64 {
    let mut draw = Draw::new(items, 4);
    let mut batch = || cache.get_many(&keys(|| draw.next()), NOW_S).hits;
    // A thread's first read may set something up.
    batch();
    let before = thread_allocations();
    let batches = items as usize / BATCH;
    let hits: u64 = (0..batches).map(|_| batch()).sum();
    assert!(hits > 0, "something is found");
    (thread_allocations() - before) as f64 / (batches * BATCH) as f64
}

fn one_flood(named: &Named, sets: u32, overhead_bytes: usize) -> Result<Value, Box<dyn Error>> {
    const MEAN_BYTES: usize = KEY_BYTES + 2056;
    let before = resident_bytes()?;
    let capacity = Capacity {
        bytes: FLOOD_BUDGET_BYTES,
        overhead_bytes,
        items: FLOOD_BUDGET_BYTES / (MEAN_BYTES + overhead_bytes),
        value_bytes_max: 4096,
    };
    let cache = (named.make)(capacity)?;
    let bytes = [7; 4096];
    let value_bytes = |item: u32| 16 + (item.wrapping_mul(0x9e37_79b1) % 4081) as usize;
    let mut peak = 0;
    for item in 0..sets {
        cache.set(&key(item), &bytes[..value_bytes(item)], 0, NOW_S);
        if item % 1000 == 0 {
            peak = peak.max(resident_bytes()?);
        }
    }
    let mut used = 0;
    for item in 0..sets {
        cache.get(&key(item), NOW_S, &mut |value| used += KEY_BYTES + value.len());
    }
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let grown = (peak.max(resident_bytes()?) - before) as f64;
    Ok(json!({
        "items": cache.items(), "peak": mib(grown), "over": mib(grown - FLOOD_BUDGET_BYTES as f64),
        "used": used as f64 / FLOOD_BUDGET_BYTES as f64,
    }))
}

/// Resident memory of this process (proc_pid_status(5)), bytes.
fn resident_bytes() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib =
        line.and_then(|rest| rest.trim().strip_suffix("kB")).ok_or("/proc/self/status has no VmRSS in kB")?;
    Ok(kib.trim().parse::<usize>()? * 1024)
}
