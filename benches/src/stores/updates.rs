//! Reads while another thread updates: does a reader wait for a writer?

use std::error::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::candidates::{Candidate, Named, key};
use super::contest::{Beside, Contestant, Draw, NOW_S, SLICE, beside, round};
use super::reads::{draw, read};
use super::report::{Cell, Table};
use crate::floors::statistics::Interval;

/// Time between two updates at 100,000/s.
const GAP: Duration = Duration::from_micros(10);
/// Name of the control: the same loop without a read.
const CONTROL: &str = "(no read)";

/// What the rounds of a candidate brought.
struct Found {
    paced: Vec<f64>,
    flat_out: Vec<f64>,
    writer: Vec<f64>,
    times_ns: Histogram<u64>,
}

/// One table.
pub(super) fn measure(
    candidates: &[&Named],
    items: u32,
    rounds: usize,
) -> Result<Vec<Table>, Box<dyn Error>> {
    let filled: Result<Vec<_>, _> = candidates.iter().map(|named| Contestant::filled(named, items)).collect();
    let mut contestants = filled?;
    let order = draw(items, 0.0)?;
    let mut found = Vec::new();
    for _ in 0..=contestants.len() {
        let times_ns = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
        found.push(Found { paced: Vec::new(), flat_out: Vec::new(), writer: Vec::new(), times_ns });
    }
    for number in 0..rounds {
        round(&mut contestants, number, |at, contestant| {
            one_round(&*contestant.cache, items, &order, number, &mut found[at]);
        });
        let control = found.last_mut().expect("one more than contestants");
        let writer = || time_each(items, &mut control.times_ns, |_| ());
        beside(&*contestants[0].cache, items, Beside::Paced(GAP), writer);
    }
    Ok(vec![table(&contestants, &found, items)])
}

fn one_round(cache: &dyn Candidate, items: u32, order: &[u32], number: usize, found: &mut Found) {
    // Each slice reads items that none has read lately, and they take turns at being first.
    let mut slices =
        [(Beside::Spinning, 0.0, 0.0), (Beside::Paced(GAP), 0.0, 0.0), (Beside::FlatOut, 0.0, 0.0)];
    for turn in 0..3 {
        let (what, rate, writes) = &mut slices[(turn + number) % 3];
        let from = (3 * number + turn) * order.len() / 17;
        (*rate, *writes) = beside(cache, items, *what, || read(cache, order, 1, from));
    }
    let [(_, alone, _), (_, paced, _), (_, flat_out, writes)] = slices;
    found.paced.push(paced / alone);
    found.flat_out.push(flat_out / alone);
    found.writer.push(writes);
    let time = || {
        time_each(items, &mut found.times_ns, |item| {
            cache.get(&key(item), NOW_S, &mut |_| ());
        });
    };
    beside(cache, items, Beside::Paced(GAP), time);
}

/// Times single reads for three slices; what reading the clock takes (some 20 to 40 ns) is in each.
fn time_each(items: u32, times_ns: &mut Histogram<u64>, mut read: impl FnMut(u32)) {
    let mut draw = Draw::new(items, 7);
    let start = Instant::now();
    let mut before = start;
    while before - start < 3 * SLICE {
        read(draw.next());
        let now = Instant::now();
        times_ns.saturating_record((now - before).as_nanos() as u64);
        before = now;
    }
}

fn table(contestants: &[Contestant], found: &[Found], items: u32) -> Table {
    let title = format!(
        "one reader of {items} items, uniform, beside one writer: reads/s over those beside a thread that spins; time of a single read beside 100k updates/s"
    );
    let columns = [
        "candidate",
        "beside 100k/s",
        "beside a writer flat out",
        "its million updates/s",
        "p50 ns",
        "p99.9 ns",
        "p99.99 ns",
        "max us",
    ];
    let mut table = Table::new("updates", title, &columns);
    let names = contestants.iter().map(|contestant| contestant.name).chain([CONTROL]);
    for (name, found) in names.zip(found) {
        let ratio = |values: &[f64]| match values {
            [] => Cell::Nothing,
            values => Cell::Ratio(Interval::of(values)),
        };
        let writer = match &found.writer[..] {
            [] => Cell::Nothing,
            rates => Cell::Number(Interval::of(rates).median / 1e6, 2),
        };
        let at = |quantile: f64| Cell::Number(found.times_ns.value_at_quantile(quantile) as f64, 0);
        table.row(vec![
            Cell::from(name),
            ratio(&found.paced),
            ratio(&found.flat_out),
            writer,
            at(0.5),
            at(0.999),
            at(0.9999),
            Cell::Number(found.times_ns.max() as f64 / 1e3, 0),
        ]);
    }
    table
}
