//! What goes when room is needed, what never goes, and what expires.

use std::collections::HashMap;

use shingle_store::{Seconds, Store, StoreConfig, Ttl};

const VALUE: [u8; 100] = [7; 100];
const NOW: Seconds = Seconds(1000);
const BUDGET_BYTES: usize = 1 << 20;

/// What about fits, less a tenth.
const ITEMS: u32 = (BUDGET_BYTES / 160) as u32;

fn store() -> Store {
    Store::new(StoreConfig { budget_bytes: BUDGET_BYTES, value_bytes_max: 4096, instance_nonce: 1 }).unwrap()
}

fn set(store: &Store, n: u32, ttl: Ttl, now: Seconds) {
    store.set(&n.to_be_bytes(), &VALUE, ttl, now).unwrap();
}

fn has(store: &Store, n: u32, now: Seconds) -> bool {
    store.pin().get(&n.to_be_bytes(), now).is_some()
}

#[test]
fn what_was_read_stays_while_new_items_come_and_go() {
    let store = store();
    (0..ITEMS).for_each(|n| set(&store, n, Ttl::NEVER, NOW));
    assert_eq!(store.stats().evictions, 0);
    let read = 0..ITEMS / 10;
    for n in ITEMS..20 * ITEMS {
        if n % 100 == 0 {
            assert_eq!(read.clone().filter(|n| has(&store, *n, NOW)).count(), read.len());
        }
        set(&store, n, Ttl::NEVER, NOW);
    }
    assert!(store.stats().evictions > u64::from(18 * ITEMS));
    let early = (ITEMS..15 * ITEMS).filter(|n| has(&store, *n, NOW)).count();
    assert_eq!(early, 0, "unread items went in the order they came");
}

#[test]
fn when_everything_is_read_all_the_time_updates_still_end_and_find_room() {
    let store = store();
    for n in 0..10 * ITEMS {
        set(&store, n, Ttl::NEVER, NOW);
        assert!(has(&store, n, NOW), "the newest is there");
        if n % 500 == 0 {
            let held = (0..n).filter(|n| has(&store, *n, NOW)).count();
            assert_eq!(held + 1, store.stats().items);
        }
    }
    assert!(store.stats().evictions > 0);
}

#[test]
fn items_that_fit_are_never_evicted_however_often_they_are_replaced() {
    let store = store();
    for round in 0..50u32 {
        for n in 0..ITEMS {
            // Each time in another order.
            set(&store, n.wrapping_mul(2 * round + 1) % ITEMS, Ttl::NEVER, NOW);
        }
    }
    assert_eq!((store.stats().items as u32, store.stats().evictions), (ITEMS, 0));
    assert!((0..ITEMS).all(|n| has(&store, n, NOW)));
}

#[test]
fn a_deleted_item_gives_its_room_back() {
    let store = store();
    for n in 0..20 * ITEMS {
        set(&store, n, Ttl::NEVER, NOW);
        if let Some(old) = n.checked_sub(ITEMS) {
            assert!(store.delete(&old.to_be_bytes()));
        }
    }
    assert_eq!((store.stats().items as u32, store.stats().evictions), (ITEMS, 0));
}

#[test]
fn expired_items_are_misses_and_their_room_is_taken_first() {
    let store = store();
    (0..ITEMS / 2).for_each(|n| set(&store, n, Ttl(10), NOW));
    (ITEMS / 2..ITEMS).for_each(|n| set(&store, n, Ttl::NEVER, NOW));
    let later = Seconds(NOW.0 + 10);
    assert!(has(&store, 0, Seconds(later.0 - 1)) && !has(&store, 0, later));
    assert_eq!(store.stats().items as u32, ITEMS, "a reader removes nothing");

    (ITEMS..ITEMS + ITEMS / 3).for_each(|n| set(&store, n, Ttl::NEVER, later));
    let stats = store.stats();
    assert!(stats.expirations > 0);
    assert_eq!(stats.evictions, 0);
    assert!((ITEMS / 2..ITEMS + ITEMS / 3).all(|n| has(&store, n, later)));
}

#[test]
fn setting_again_renews_the_time_to_live() {
    let store = store();
    set(&store, 1, Ttl(10), NOW);
    set(&store, 1, Ttl(10), Seconds(1005));
    assert!(has(&store, 1, Seconds(1014)));
    set(&store, 1, Ttl::NEVER, Seconds(1014));
    assert!(has(&store, 1, Seconds(u32::MAX)));
}

#[test]
fn an_item_keeps_value_version_and_expiry_wherever_it_is_moved() {
    let store = store();
    let mut last = HashMap::new();
    let mut state = 0x5eed_u64;
    for step in 0..200_000_u32 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let drawn = (state >> 33) as u32;
        let (n, ttl) = (drawn % 3000, Ttl([0, 1, 50, 51][(drawn >> 12) as usize % 4]));
        let value = step.to_be_bytes().repeat(1 + drawn as usize % 50);
        let version = store.set(&n.to_be_bytes(), &value, ttl, NOW).unwrap();
        last.insert(n, (value, version, ttl));
    }
    assert_eq!(store.stats().evictions, 0);
    let reader = store.pin();
    for (n, (value, version, ttl)) in &last {
        let key = n.to_be_bytes();
        let item = reader.get(&key, NOW).unwrap();
        assert_eq!((item.value, item.version), (&value[..], *version));
        for (seconds, ttl_max) in [(1, 1), (49, 49), (50, 50), (51, 51)] {
            let gone = *ttl != Ttl::NEVER && ttl.0 <= ttl_max;
            assert_eq!(
                reader.get(&key, Seconds(NOW.0 + seconds)).is_none(),
                gone,
                "{ttl:?} after {seconds} s"
            );
        }
    }
}
