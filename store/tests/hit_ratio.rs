//! Hit ratios beside those of exact LRU, on named synthetic traces that are the same in every run.
//!
//! Every read that misses is followed by a set, as a cache in front of a store does it. LRU is given as many
//! items as fit the same budget at 32 B beside key and value, with no part of it set aside.

mod lru;
mod traces;

use shingle_store::{Seconds, Store, StoreConfig, Ttl};

use lru::Lru;
use traces::Trace;

const VALUE: [u8; 100] = [7; 100];
const NOW: Seconds = Seconds(1);

/// Budget for traces of scale 1.
const BUDGET_BYTES: usize = 2 << 20;

/// Hits of the store and of LRU.
fn hits(trace: &Trace) -> (u64, u64) {
    let budget_bytes = BUDGET_BYTES * trace.scale;
    let lru_items = budget_bytes / (size_of::<u32>() + VALUE.len() + 32);
    let config = StoreConfig { budget_bytes, value_bytes_max: VALUE.len(), instance_nonce: 1 };
    let (store, mut lru) = (Store::new(config).unwrap(), Lru::new(lru_items));
    let (mut ours, mut its) = (0, 0);
    for key in &trace.keys {
        let bytes = key.to_be_bytes();
        if store.pin().get(&bytes, NOW).is_some() {
            ours += 1;
        } else {
            store.set(&bytes, &VALUE, Ttl::NEVER, NOW).unwrap();
        }
        its += u64::from(lru.read_or_insert(*key));
    }
    (ours, its)
}

/// The hit ratio is at least LRU's, less what is allowed of it (in 1/1000).
fn check(traces: impl IntoIterator<Item = Trace>, allowed: u64) {
    for trace in traces {
        let (ours, its) = hits(&trace);
        let ratio = |hits: u64| hits as f64 / trace.keys.len() as f64;
        println!("{:58} store {:.4}  LRU {:.4}", trace.name, ratio(ours), ratio(its));
        assert!(ours * 1000 >= its * (1000 - allowed), "{}: {ours} hits, LRU has {its}", trace.name);
    }
}

#[test]
fn stable_popularity() {
    check([0.8, 0.99, 1.1].into_iter().flat_map(|exponent| traces::zipf(exponent, 1)), 0);
}

#[test]
fn scans_and_loops() {
    check(traces::scans(1), 0);
}

/// A store as small as this one has a thirtieth fewer items than LRU is given, and a log reacts a segment late.
/// Where what was read last is read next no policy can gain that back.
#[test]
fn popularity_that_moves() {
    check(traces::jumps(1).into_iter().chain(traces::drifts(1)), 15);
}

/// All of them at sixteen times the size: `cargo test --release -p shingle-store --test hit_ratio -- --ignored
/// --nocapture`
#[test]
#[ignore = "takes minutes"]
fn all_at_scale() {
    const SCALE: usize = 16;
    let stable = [0.8, 0.99, 1.1].into_iter().flat_map(|exponent| traces::zipf(exponent, SCALE));
    check(stable.chain(traces::scans(SCALE)).chain(traces::jumps(SCALE)).chain(traces::drifts(SCALE)), 5);
}
