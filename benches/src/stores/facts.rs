//! Torn reads: values that prove themselves, read while they are replaced.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::candidates::{Candidate, Named, key};
use super::contest::{Draw, NOW_S, roomy};
use super::report::{Cell, Table};

/// Few, so that reader and writer meet.
const ITEMS: u32 = 64;
/// How long each candidate is tried.
const TRIED: Duration = Duration::from_millis(250);

/// One table.
pub(super) fn measure(candidates: &[&Named]) -> Result<Vec<Table>, Box<dyn Error>> {
    let title = format!(
        "{ITEMS} values of 8 to 1032 B that prove themselves, read for {TRIED:?} while another thread replaces them"
    );
    let mut table = Table::new("torn", title, &["candidate", "reads", "updates", "torn", "missed"]);
    for named in candidates {
        let cache = (named.make)(roomy(10_000))?;
        let count = try_to_tear(&*cache);
        let counts = count.map(|count| Cell::Number(count as f64, 0));
        table.row([Cell::from(named.name)].into_iter().chain(counts).collect());
    }
    Ok(vec![table])
}

/// Reads, updates, values that were not as any writer made them, and reads that found nothing.
fn try_to_tear(cache: &dyn Candidate) -> [u64; 4] {
    let set = |item: u32, number: u64| {
        let (mut bytes, proof) = ([0; 1032], (u64::from(item) << 40) | number);
        let used = 8 * (1 + number as usize % 129);
        bytes[..used].chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&proof.to_le_bytes()));
        cache.set(&key(item), &bytes[..used], 0, NOW_S);
    };
    (0..ITEMS).for_each(|item| set(item, 0));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut draw, mut number) = (Draw::new(ITEMS, 1), 0);
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                set(draw.next(), number);
            }
            number
        });
        let (start, mut draw, mut reads, mut torn, mut missed) =
            (Instant::now(), Draw::new(ITEMS, 2), 0, 0, 0);
        while start.elapsed() < TRIED {
            for _ in 0..256 {
                let item = draw.next();
                let mut whole = false;
                if cache.get(&key(item), NOW_S, &mut |value| whole = is_whole(item, value)) {
                    torn += u64::from(!whole);
                } else {
                    missed += 1;
                }
                reads += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        [reads, writer.join().expect("the writer does not panic"), torn, missed]
    })
}

/// Whether these are all the bytes of one value of the item, and of no other.
fn is_whole(item: u32, value: &[u8]) -> bool {
    let Some(first) = value.first_chunk::<8>() else { return false };
    let proof = u64::from_le_bytes(*first);
    let number = proof & ((1 << 40) - 1);
    proof >> 40 == u64::from(item)
        && value.len() as u64 == 8 * (1 + number % 129)
        && value.chunks_exact(8).all(|word| word == first)
}
