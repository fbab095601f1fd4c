//! Memory: what an item costs, what the process really takes, and that updates allocate nothing.
//! One test: it counts the whole process.

use std::fs;

use shingle_store::counting::{CountingAllocator, process_allocated_bytes, thread_allocations};
use shingle_store::{Seconds, Store, StoreConfig, Ttl};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const NOW: Seconds = Seconds(1);
const BUDGET_BYTES: usize = 64 << 20;

fn store(value_bytes_max: usize) -> Store {
    Store::new(StoreConfig { budget_bytes: BUDGET_BYTES, value_bytes_max, instance_nonce: 1 }).unwrap()
}

/// Resident memory of the process in bytes (proc_pid_status(5)).
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() * 1024
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// With values of 100 B, keys of 16 B and no TTL: budget by items at the first eviction.
fn overhead_of_an_item() {
    const KEY_AND_VALUE_BYTES: usize = 116;
    let store = store(4096);
    let mut items = 0u64;
    while store.stats().evictions == 0 {
        let key = u128::from(items).to_be_bytes();
        store.set(&key, &[7; 100], Ttl::NEVER, NOW).unwrap();
        items += 1;
    }
    let overhead = BUDGET_BYTES as f64 / (items - 1) as f64 - KEY_AND_VALUE_BYTES as f64;
    println!("{overhead:.2} B an item beside key and value");
    assert!(overhead <= 24.0, "{overhead:.2} B an item");
    assert!(overhead > 10.0, "less than a header: the measurement is wrong");
}

/// Sets of all sizes, deletes and flushes; what the process takes more than before is never above the budget.
fn the_budget_holds_whatever_is_stored() {
    let (resident, allocated) = (resident_bytes(), process_allocated_bytes());
    let store = store(100_000);
    let value = vec![7; 100_000];
    let mut state = 0x5eed;
    let (mut most_resident, mut most_heap) = (0, 0);
    // Phases of items of like size: the index grows far, then the records.
    for (phase, value_bytes) in [0, 30, 1000, 100_000, 5, 300].into_iter().enumerate() {
        for n in 0..600_000_u64.min((BUDGET_BYTES * 8 / (value_bytes + 25)) as u64) {
            let drawn = random(&mut state);
            let key = drawn.to_be_bytes();
            let length = (drawn >> 20) as usize % (value_bytes + 1);
            store.set(&key[..3 + phase % 6], &value[..length], Ttl((drawn % 3) as u32), NOW).unwrap();
            if n % 7 == 0 {
                store.delete(&key[..3]);
            }
            assert!(store.stats().bytes_used <= BUDGET_BYTES);
            if n % 5000 == 0 {
                most_resident = most_resident.max(resident_bytes().saturating_sub(resident));
                most_heap = most_heap.max(process_allocated_bytes() - allocated - value.capacity());
            }
        }
        if phase == 3 {
            store.flush();
        }
    }
    println!("resident {most_resident}, of which on the heap {most_heap}, of {BUDGET_BYTES} B");
    // What runs this test takes a little as well.
    assert!(most_resident <= BUDGET_BYTES + (256 << 10), "{most_resident} B resident");
    assert!(most_resident > BUDGET_BYTES * 9 / 10, "{most_resident} B resident: the test did not fill it");
    assert!(most_heap < BUDGET_BYTES / 64, "{most_heap} B on the heap");
    drop(store);
    drop(value);
    let left = process_allocated_bytes().saturating_sub(allocated);
    assert!(left < 64 << 10, "{left} B left behind");
}

/// Values replaced by values of other sizes, and cleaning: nothing is allocated. New keys beside deletes and
/// evictions may still make a shard's table grow, once each.
fn updates_allocate_nothing() {
    const FIT: u64 = 200_000;
    const TOO_MANY: u64 = 1_000_000;
    let store = store(4096);
    let mut state = 0x5eed;
    let mut update = |keys: u64| {
        let drawn = random(&mut state);
        let (key, ttl) = ((drawn % keys).to_be_bytes(), Ttl((drawn >> 60) as u32 / 8));
        store.set(&key, &[7; 200][..(drawn >> 50) as usize % 200], ttl, NOW).unwrap();
        if keys > FIT && drawn >> 60 == 0 {
            store.delete(&key);
        }
    };
    (0..20 * FIT).for_each(|_| update(FIT));
    let before = thread_allocations();
    (0..5 * FIT).for_each(|_| update(FIT));
    assert_eq!((thread_allocations() - before, store.stats().evictions), (0, 0));

    (0..2 * TOO_MANY).for_each(|_| update(TOO_MANY));
    let (before, evictions) = (thread_allocations(), store.stats().evictions);
    (0..TOO_MANY).for_each(|_| update(TOO_MANY));
    let allocations = thread_allocations() - before;
    assert!(store.stats().evictions > evictions + 10_000);
    assert!(
        allocations <= 3 * 16,
        "{allocations}: more than one growth, which is three, for each of 16 shards"
    );
}

#[test]
fn memory_is_as_promised() {
    overhead_of_an_item();
    the_budget_holds_whatever_is_stored();
    updates_allocate_nothing();
}
