//! Readers beside writers: values prove themselves, and a reader's thread allocates nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use shingle_store::counting::{CountingAllocator, thread_allocated_bytes, thread_allocations};
use shingle_store::{Seconds, Store, StoreConfig, Ttl};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const KEYS: u64 = 64;
const NOW: Seconds = Seconds(1);

/// A value that proves whose it is and that all its bytes belong together: a seed, then as many bytes as the
/// seed says, each following from seed and key.
fn proven_value(key: &[u8], seed: u64) -> Vec<u8> {
    seed.to_le_bytes().into_iter().chain(stream(key, seed)).collect()
}

fn proves_itself(key: &[u8], value: &[u8]) -> bool {
    value
        .split_first_chunk()
        .is_some_and(|(seed, rest)| stream(key, u64::from_le_bytes(*seed)).eq(rest.iter().copied()))
}

/// Up to 899 bytes of xorshift64 (Marsaglia 2003), started from key and seed.
fn stream(key: &[u8], seed: u64) -> impl Iterator<Item = u8> {
    let mut state =
        key.iter().fold(!seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take((seed % 900) as usize)
}

/// A writer's endless mix: mostly updates (some with TTLs that are over at once or later), some deletes, a
/// rare flush.
fn write(store: &Store, step: u64) {
    let key = (step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % KEYS;
    let key = key.to_be_bytes();
    match step % 1000 {
        0 => drop(store.flush()),
        n if n % 10 == 1 => drop(store.delete(&key)),
        _ => drop(store.set(&key, &proven_value(&key, step), Ttl((step % 3) as u32), NOW).unwrap()),
    }
}

/// Room for about half of the keys, so that eviction goes on as well.
fn store() -> Store {
    Store::new(StoreConfig { budget_bytes: 20_000, value_bytes_max: 1000, instance_nonce: 5 }).unwrap()
}

#[test]
fn no_reader_ever_sees_a_torn_foreign_or_older_value() {
    const READS: u64 = 20_000;
    let store = store();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                for step in (writer..).step_by(2).take_while(|_| !done.load(Ordering::Relaxed)) {
                    write(store, step);
                }
            });
        }
        // On a busy machine the readers might be done before the writers begin.
        while store.stats().evictions == 0 {
            thread::yield_now();
        }
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read_and_check(&store, READS))).collect();
        let read: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Relaxed);
        for found in read {
            let found = found.expect("the reader's own assertions hold");
            assert!(found > READS / 10, "found only {found}: the test read next to nothing");
        }
    });
    let stats = store.stats();
    assert!(stats.evictions > 0 && stats.deletes > 0 && stats.bytes_used <= stats.budget_bytes);
}

/// Reads batches of keys, each checked twice: when found, and when writers had time to change the key.
/// Returns how many were found.
fn read_and_check(store: &Store, reads: u64) -> u64 {
    let mut newest = [None; KEYS as usize];
    let mut found = 0;
    for _ in 0..reads / KEYS {
        let reader = store.pin();
        let batch: Vec<_> = (0..KEYS).map(|n| (n.to_be_bytes(), reader.get(&n.to_be_bytes(), NOW))).collect();
        for (n, (key, item)) in batch.iter().enumerate() {
            let Some(item) = item else { continue };
            assert!(proves_itself(key, item.value), "key {n}, version {:?}", item.version);
            assert!(
                newest[n] <= Some(item.version),
                "key {n} went back from {:?} to {:?}",
                newest[n],
                item.version
            );
            newest[n] = Some(item.version);
            found += 1;
        }
        thread::yield_now();
        assert!(batch.iter().all(|(key, item)| item.is_none_or(|item| proves_itself(key, item.value))));
    }
    found
}

#[test]
fn a_reader_allocates_nothing_while_a_writer_updates() {
    const READS: u64 = 100_000;
    let store = store();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let steps = (1..).take_while(|_| !done.load(Ordering::Relaxed));
            steps.inspect(|step| write(&store, *step)).count()
        });
        while store.stats().bytes_used == 0 {
            thread::yield_now();
        }
        let reader = scope.spawn(|| {
            drop(store.pin());
            let before = thread_allocations();
            let mut found = 0;
            for batch in 0..READS / 32 {
                let reader = store.pin();
                let hits =
                    (0..32).filter(|n| reader.get(&((batch + n) % (2 * KEYS)).to_be_bytes(), NOW).is_some());
                found += hits.count();
            }
            (found, thread_allocations() - before)
        });
        let read = reader.join();
        done.store(true, Ordering::Relaxed);
        let (found, allocations) = read.unwrap();
        assert_eq!(allocations, 0);
        assert!(found > 0 && writer.join().unwrap() > 0);
    });
}

#[test]
fn the_allocator_counts_per_thread() {
    let before = thread_allocations();
    let other = thread::spawn(|| {
        let before = thread_allocations();
        (0..100).for_each(|n| drop(std::hint::black_box(Box::new(n))));
        thread_allocations() - before
    });
    assert_eq!(other.join().unwrap(), 100);
    let spawning = thread_allocations() - before;
    assert!(spawning < 50, "another thread's allocations are not counted here, {spawning} were");

    let (count, bytes) = (thread_allocations(), thread_allocated_bytes());
    let mut grown = std::hint::black_box(Vec::<u8>::with_capacity(10));
    grown.reserve_exact(1000);
    drop(std::hint::black_box(grown));
    // One allocation and one change of size; freeing does not count.
    assert_eq!((thread_allocations() - count, thread_allocated_bytes() - bytes), (2, 1010));
}
