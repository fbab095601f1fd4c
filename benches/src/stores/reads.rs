//! Reads a second: hits of small and large stores, uniform and Zipf, one and two threads.

use std::error::Error;
use std::thread;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Zipf};

use super::candidates::{BASELINE, Candidate, Named};
use super::contest::{BATCH, Contestant, NOW_S, keys, rate, round};
use super::report::{Cell, Table};
use crate::floors::statistics::Interval;

/// Items drawn beforehand; as many reads pass before they repeat.
const DRAWN: usize = 1 << 21;
const SEED: u64 = 42;

/// One table for each number of items and order of reads.
pub(super) fn measure(
    candidates: &[&Named],
    items: &[u32],
    rounds: usize,
) -> Result<Vec<Table>, Box<dyn Error>> {
    let mut tables = Vec::new();
    for items in items.iter().copied() {
        let filled: Result<Vec<_>, _> =
            candidates.iter().map(|named| Contestant::filled(named, items)).collect();
        let mut contestants = filled?;
        for (name, exponent) in [("uniform", 0.0), ("zipf 0.99", 0.99)] {
            let order = draw(items, exponent)?;
            let title = format!(
                "hits of {items} items of 100 B, {name}, in batches of {BATCH}: million reads/s and ratio to {BASELINE}"
            );
            tables.push(contest(&mut contestants, &order, rounds, title));
        }
    }
    Ok(tables)
}

fn contest(contestants: &mut [Contestant], order: &[u32], rounds: usize, title: String) -> Table {
    const THREADS: [usize; 2] = [1, 2];
    let mut rates = vec![[const { Vec::new() }; THREADS.len()]; contestants.len()];
    for number in 0..rounds {
        for (column, threads) in THREADS.into_iter().enumerate() {
            round(contestants, number, |at, contestant| {
                rates[at][column].push(read(
                    &*contestant.cache,
                    order,
                    threads,
                    number * order.len() / rounds,
                ));
            });
        }
    }
    let baseline = contestants.iter().position(|contestant| contestant.name == BASELINE);
    let mut table =
        Table::new("reads", title, &["candidate", "1 thread", "ratio", "2 threads", "ratio of 2"]);
    for (at, contestant) in contestants.iter().enumerate() {
        let mut cells = vec![Cell::from(contestant.name)];
        for (column, found) in rates[at].iter().enumerate() {
            cells.push(Cell::Number(Interval::of(found).median / 1e6, 2));
            let ratio = |base: usize| Cell::Ratio(Interval::of_ratios(found, &rates[base][column]));
            cells.push(baseline.map_or(Cell::Nothing, ratio));
        }
        table.row(cells);
    }
    table
}

/// Reads a second of all threads together; the first begins at `from` in the order, each other one elsewhere.
pub(super) fn read(cache: &dyn Candidate, order: &[u32], threads: usize, from: usize) -> f64 {
    let one = |from: usize| {
        let mut reads = order.iter().copied().cycle().skip(from % order.len());
        rate(|| {
            let keys = keys(|| reads.next().expect("endless"));
            let touched = cache.get_many(&keys, NOW_S);
            touched.hits as usize
        })
    };
    if threads == 1 {
        return one(from);
    }
    thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || one(from + thread * order.len() / threads)))
            .collect();
        readers.into_iter().map(|reader| reader.join().expect("readers do not panic")).sum()
    })
}

/// Items in the order they are read; exponent 0 is uniform.
pub(super) fn draw(items: u32, exponent: f64) -> Result<Vec<u32>, Box<dyn Error>> {
    let ranks = Zipf::new(f64::from(items), exponent)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
    // Neighbours in rank are not neighbours in the order of filling: 0x9e3779b1 is odd and a prime.
    let scattered = |rank: f64| (rank as u64 * 0x9e37_79b1 % u64::from(items)) as u32;
    Ok((0..DRAWN).map(|_| scattered(ranks.sample(&mut rng))).collect())
}
