//! Readers beside writers: values prove themselves, and a reader's thread allocates nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use shingle_store::counting::{CountingAllocator, thread_allocated_bytes, thread_allocations};
use shingle_store::{Seconds, Store, StoreConfig, StoreError, Ttl, Version};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const KEYS: u64 = 512;
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
        _ => drop(set(store, &key, &proven_value(&key, step), Ttl((step % 3) as u32))),
    }
}

/// None where readers did not get a CPU for a second to leave on: the busiest of machines is no failure.
fn set(store: &Store, key: &[u8], value: &[u8], ttl: Ttl) -> Option<Version> {
    match store.set(key, value, ttl, NOW) {
        Ok(version) => Some(version),
        Err(StoreError::HeldByReaders { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Room for about half of the keys, so that eviction goes on as well.
fn store() -> Store {
    Store::new(StoreConfig { budget_bytes: 160 << 10, value_bytes_max: 1000, instance_nonce: 5 }).unwrap()
}

#[test]
fn no_reader_ever_sees_a_torn_foreign_or_older_value() {
    const READS: u64 = 100_000;
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
    const BATCH: u64 = 64;
    let mut newest = [None; KEYS as usize];
    let mut found = 0;
    for round in 0..reads / BATCH {
        let reader = store.pin();
        let first = round * BATCH % KEYS;
        let keys = (first..first + BATCH).map(|n| (n as usize, n.to_be_bytes()));
        let hashed: Vec<_> = keys.map(|(n, key)| (n, key, reader.hash(&key))).collect();
        hashed.iter().for_each(|(.., hash)| reader.prefetch(*hash));
        let led: Vec<_> =
            hashed.into_iter().map(|(n, key, hash)| (n, key, reader.prefetch_item(hash))).collect();
        let batch: Vec<_> =
            led.into_iter().map(|(n, key, lead)| (n, key, reader.get_led(&key, lead, NOW))).collect();
        for (n, key, item) in &batch {
            let (n, Some(item)) = (*n, item) else { continue };
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
        // Some stay for long: what they read must stay as well.
        if round % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(batch.iter().all(|(_, key, item)| item.is_none_or(|item| proves_itself(key, item.value))));
    }
    found
}

/// What is always there is always found: while it is replaced, while cleaning moves it, while others push it to
/// its second bucket and while its table is replaced by larger ones.
#[test]
fn no_item_is_missing_for_a_moment() {
    const STAYING: u64 = 2000;
    let config = StoreConfig { budget_bytes: 64 << 20, value_bytes_max: 1000, instance_nonce: 5 };
    let store = Store::new(config).unwrap();
    let (value, done) = ([7; 20], AtomicBool::new(false));
    for n in 0..STAYING {
        store.set(&n.to_be_bytes(), &value, Ttl::NEVER, NOW).unwrap();
    }
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !done.load(Ordering::Relaxed) {
                        let reader = store.pin();
                        for n in 0..STAYING {
                            let found = reader.get(&n.to_be_bytes(), NOW);
                            assert!(found.is_some_and(|item| item.value == value), "{n}");
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        // The index grows to four times its first size, then shrinks to few items among much garbage.
        for round in 0..6 {
            for n in STAYING..150_000 {
                store.set(&n.to_be_bytes(), &value, Ttl::NEVER, NOW).unwrap();
                if n % 16 == 0 {
                    store.set(&(n / 16 % STAYING).to_be_bytes(), &value, Ttl::NEVER, NOW).unwrap();
                }
                if readers.iter().any(|reader| reader.is_finished()) {
                    break;
                }
            }
            for n in STAYING + round..150_000 {
                store.delete(&n.to_be_bytes());
            }
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().expect("the reader's own assertions hold") > 0);
        }
    });
    assert_eq!(store.stats().evictions, 0);
}

/// A flood of new keys on a full store: each is there when its set returns, and the budget holds.
#[test]
fn a_full_store_takes_a_flood() {
    const SETS: u64 = 20_000;
    let store = store();
    let (done, found) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for n in (0..5000_u64).cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                let (key, reader) = (n.to_be_bytes(), store.pin());
                if let Some(item) = reader.get(&key, NOW) {
                    assert!(proves_itself(&key, item.value));
                    found.fetch_add(1, Ordering::Relaxed);
                }
                drop(reader);
                thread::yield_now();
            }
        });
        // On a busy machine the flood might be over before the reader begins.
        let goes_on = |n: &u64| *n < SETS || found.load(Ordering::Relaxed) == 0 && !reader.is_finished();
        for n in (0..).take_while(goes_on) {
            let key = (n % 5000).to_be_bytes();
            if let Some(version) = set(&store, &key, &proven_value(&key, n), Ttl::NEVER) {
                assert_eq!(store.pin().get(&key, NOW).map(|item| item.version), Some(version));
            }
            assert!(store.stats().bytes_used <= store.stats().budget_bytes);
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader's own assertions hold");
    });
    assert!(store.stats().evictions > SETS / 2);
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
