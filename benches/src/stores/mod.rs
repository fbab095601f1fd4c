//! The cache's memory by measurement: candidates for the store, side by side.
//!
//! `docs/store.md` has the question, the figures and the decision.

pub mod candidates;
mod contest;
mod facts;
mod limits;
mod memory;
pub mod options;
pub mod policies;
mod quality;
mod reads;
pub mod report;
mod sets;
pub mod traces;
mod updates;

use std::error::Error;
use std::fs;

use serde_json::json;

use candidates::{CANDIDATES, Named, PREFETCHED};
use limits::SMALL_ITEMS;
use options::{Options, SECTIONS};
use report::Table;

/// Name of the candidate that matters for eviction only: timed, it is the baseline with one shard.
const UNTIMED: &str = "lru-exact";

/// Does what the command line says; tables go to stdout as they are ready.
///
/// # Errors
/// Unknown names, too little memory, a candidate that fails.
pub fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if let Some(child) = &options.child {
        let [what, name, items, overhead] = &child[..] else {
            return Err("--child takes four values".into());
        };
        let named = CANDIDATES.iter().find(|named| named.name == name).ok_or("--child: no such candidate")?;
        return memory::run_child(what, named, items.parse()?, overhead.parse()?);
    }
    let chosen = options.chosen()?;
    if options.list {
        list(&chosen);
        return Ok(());
    }
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let available = meminfo.and_then(|text| shingle_store::parse_mem_available(&text));
    let needed = options.check_memory(chosen.len(), available)?;
    eprintln!("{} candidates, {} rounds, up to {} MiB of memory", chosen.len(), options.rounds, needed >> 20);
    let tables = measure(options, &chosen)?;
    if let Some(path) = &options.json {
        let candidates: Vec<_> = chosen
            .iter()
            .map(|named| json!({ "name": named.name, "source": named.source, "configuration": named.configuration }))
            .collect();
        let tables: Vec<_> = tables.iter().map(Table::json).collect();
        let all = json!({
            "schema": "shingle.stores/1", "items": options.items, "rounds": options.rounds, "candidates": candidates, "tables": tables,
        });
        fs::write(path, serde_json::to_vec_pretty(&all)?)
            .map_err(|error| format!("--json {}: {error}", path.display()))?;
    }
    Ok(())
}

fn list(chosen: &[&Named]) {
    println!("sections:");
    SECTIONS.iter().for_each(|(name, what)| println!("  {name:<12} {what}"));
    println!("candidates:");
    chosen
        .iter()
        .for_each(|named| println!("  {:<12} {}: {}", named.name, named.source, named.configuration));
}

fn measure(options: &Options, chosen: &[&Named]) -> Result<Vec<Table>, Box<dyn Error>> {
    let read: Vec<_> = chosen.iter().copied().filter(|named| named.name != UNTIMED).collect();
    let chosen: Vec<_> = chosen.iter().copied().filter(|named| named.name != PREFETCHED).collect();
    let timed: Vec<_> = chosen.iter().copied().filter(|named| named.name != UNTIMED).collect();
    let rounds = options.rounds as usize;
    let mut tables = Vec::new();
    let mut print = |found: Vec<Table>| {
        found.iter().for_each(|table| println!("{table}"));
        tables.extend(found);
    };
    let mut overheads = memory::Overheads::new();
    if ["memory", "flood", "quality"].iter().any(|section| options.wants(section)) {
        // What an item costs decides what equal memory is, so it is measured in the same run.
        let (table, found) = memory::measure(&chosen, options.items)?;
        overheads = found;
        print(vec![table]);
    }
    if options.wants("flood") {
        print(vec![memory::flood(&timed, &overheads)?]);
    }
    if options.wants("reads") {
        print(reads::measure(&read, &[SMALL_ITEMS, options.items], rounds)?);
    }
    if options.wants("updates") {
        print(updates::measure(&timed, options.items, rounds)?);
    }
    if options.wants("sets") {
        print(sets::measure(&timed, options.items, rounds)?);
    }
    if options.wants("torn") {
        print(facts::measure(&timed)?);
    }
    if options.wants("policies") {
        print(quality::policies()?);
    }
    if options.wants("quality") {
        print(quality::candidates(&chosen, &overheads)?);
    }
    Ok(tables)
}
