//! Updates a second: new keys, replaced values, and new keys in a full cache.

use std::error::Error;

use super::candidates::KEY_BYTES;
use super::candidates::{BASELINE, Candidate, Capacity, Named, key};
use super::contest::{BATCH, Contestant, Draw, NOW_S, VALUE_BYTES, rate, roomy, round, value};
use super::report::{Cell, Table};
use crate::floors::statistics::Interval;

/// Most new keys of one round.
const NEW_KEYS_MAX: u32 = 400_000;

/// A candidate before a round: filled, and full.
struct Ready<'c> {
    named: &'c Named,
    filled: Contestant,
    full: Option<Box<dyn Candidate>>,
    next_new: u32,
}

/// One table.
pub(super) fn measure(
    candidates: &[&Named],
    items: u32,
    rounds: usize,
) -> Result<Vec<Table>, Box<dyn Error>> {
    let ready: Result<Vec<_>, Box<dyn Error>> =
        candidates.iter().map(|named| make_ready(named, items)).collect();
    let mut ready = ready?;
    let mut rates = vec![[const { Vec::new() }; 3]; ready.len()];
    for number in 0..rounds {
        let mut failed = None;
        round(&mut ready, number, |at, one| match one_round(one, items, number as u64) {
            Ok(new) => (0..3).for_each(|column| rates[at][column].extend(new[column])),
            Err(error) => failed = Some(error),
        });
        failed.map_or(Ok(()), Err)?;
    }
    let title =
        format!("million updates/s of values of 100 B, one thread, {items} items, and ratio to {BASELINE}");
    let columns = [
        "candidate",
        "new keys",
        "ratio",
        "replaced",
        "ratio of replaced",
        "new in a full cache",
        "ratio of full",
    ];
    let mut table = Table::new("sets", title, &columns);
    let baseline = ready.iter().position(|one| one.named.name == BASELINE);
    for (at, one) in ready.iter().enumerate() {
        let mut cells = vec![Cell::from(one.named.name)];
        for (column, found) in rates[at].iter().enumerate() {
            if found.is_empty() {
                cells.extend([Cell::Nothing, Cell::Nothing]);
                continue;
            }
            cells.push(Cell::Number(Interval::of(found).median / 1e6, 2));
            let ratio = |base: usize| Cell::Ratio(Interval::of_ratios(found, &rates[base][column]));
            cells.push(baseline.map_or(Cell::Nothing, ratio));
        }
        table.row(cells);
    }
    Ok(vec![table])
}

fn make_ready<'c>(named: &'c Named, items: u32) -> Result<Ready<'c>, Box<dyn Error>> {
    let capacity = Capacity {
        bytes: items as usize * (KEY_BYTES + VALUE_BYTES + 60),
        overhead_bytes: 60,
        items: items as usize,
        value_bytes_max: 4096,
    };
    let full = if named.evicts { Some((named.make)(capacity)?) } else { None };
    if let Some(full) = &full {
        (0..items * 2).for_each(|item| full.set(&key(item), &value(item), 0, NOW_S));
    }
    Ok(Ready { named, filled: Contestant::filled(named, items)?, full, next_new: items * 2 })
}

/// Updates a second of each kind; none where a candidate does not evict.
fn one_round(one: &mut Ready<'_>, items: u32, number: u64) -> Result<[Option<f64>; 3], Box<dyn Error>> {
    let empty = (one.named.make)(roomy(NEW_KEYS_MAX))?;
    let mut next = 0;
    let new = rate(|| {
        set_each(&*empty, || {
            next += 1;
            next % NEW_KEYS_MAX
        })
    });
    drop(empty);
    let mut draw = Draw::new(items, number);
    let replaced = rate(|| set_each(&*one.filled.cache, || draw.next()));
    let full = one.full.as_ref().map(|full| {
        rate(|| {
            set_each(&**full, || {
                one.next_new += 1;
                one.next_new
            })
        })
    });
    Ok([Some(new), Some(replaced), full])
}

fn set_each(cache: &dyn Candidate, mut next: impl FnMut() -> u32) -> usize {
    for _ in 0..BATCH {
        let item = next();
        cache.set(&key(item), &value(item), 0, NOW_S);
    }
    BATCH
}
