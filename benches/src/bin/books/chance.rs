//! What attribution takes where losses prove nothing by themselves: the books of a real stage, with other reads marked as lost by chance.

use std::time::Duration;

use shingle_benches::floors::statistics::Interval;
use shingle_loadgen::attribution::{self, Books, Counts, Loss, Receipt, ReceiptOutcome, Symptom};
use shingle_udp::process_cpu_time;

/// CPU time that attribution takes more, of so many tries in the median, where one read in so many is lost by chance instead of what was lost; as
/// a share of what a stage of so many reads takes without books, at so much a read.
pub(super) fn share_of_cpu(
    (books, reads): &(Books, u64),
    us_a_read: f64,
    one_in: usize,
    tries: usize,
) -> f64 {
    let by_chance = marked(books.clone(), one_in);
    let more = || time(&by_chance).as_secs_f64() - time(books).as_secs_f64();
    let more_us: Vec<_> = (0..tries).map(|_| more() * 1e6).collect();
    Interval::of(&more_us).median / (us_a_read * *reads as f64)
}

fn time(books: &Books) -> Duration {
    let before = process_cpu_time();
    std::hint::black_box(attribution::attribute(std::hint::black_box(books)));
    process_cpu_time() - before
}

/// These books, had one read in so many been lost on its way back, and no other.
fn marked(mut books: Books, one_in: usize) -> Books {
    let overhead = books.stage.answer_overhead_bytes;
    let population = &mut books.population;
    population.by_size.iter_mut().for_each(whole);
    population.flows.iter_mut().for_each(|flow| whole(&mut flow.counts));
    population.windows.iter_mut().for_each(|window| (window.first_try_lost, window.bytes_lost) = (0, 0));
    (books.losses, books.unlisted) = (Vec::new(), (0, 0));
    let Some(receipts) = &mut books.receipts else { return books };
    let begin_us = receipts.all.iter().map(|receipt| receipt.arrival_unix_us).min().unwrap_or(0);
    for receipt in &mut receipts.all {
        // Where the server stood still it was slow: that would prove something.
        receipt.outcome = ReceiptOutcome::Answered { residence_us: 20 };
    }
    let chosen = |receipt: &&Receipt| mixed(receipt.flow, receipt.sequence).is_multiple_of(one_in as u64);
    for receipt in receipts.all.iter().filter(chosen) {
        let value_bytes = receipt.bytes.saturating_sub(overhead);
        let intended_ns = (receipt.arrival_unix_us - begin_us) * 1000;
        let bin = (value_bytes / population.size_bin_bytes.max(1)) as usize;
        let window = (intended_ns / population.window_ns.max(1)) as usize;
        let flow = population.flows.iter_mut().find(|flow| flow.flow == receipt.flow);
        let counts = [population.by_size.get_mut(bin), flow.map(|flow| &mut flow.counts)];
        counts.into_iter().flatten().for_each(|counts| counts.first_try_lost += 1);
        if let Some(window) = population.windows.get_mut(window) {
            window.first_try_lost += 1;
        }
        books.losses.push(Loss {
            flow: receipt.flow,
            sequence: receipt.sequence,
            intended_ns,
            value_bytes,
            failed: true,
            symptom: Symptom::Silent { part_arrived: false },
        });
    }
    books
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): as good as drawn at random, and the same each time.
fn mixed(flow: u32, sequence: u32) -> u64 {
    let name = u64::from(flow) << 32 | u64::from(sequence);
    let first = (name ^ name >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ first >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ second >> 31
}

fn whole(counts: &mut Counts) {
    (counts.first_try_lost, counts.failed) = (0, 0);
}
