//! What goes when room is needed: order, second chance, expiry, and a budget that is never exceeded.

use std::collections::HashMap;

use proptest::prelude::*;
use shingle_store::limits::{CHANCES_PER_UPDATE_MAX, ITEM_OVERHEAD_BYTES, KEY_BYTES_MAX};
use shingle_store::{Seconds, Store, StoreConfig, StoreError, Ttl, Version};

const VALUE_BYTES: usize = 100;
const NOW: Seconds = Seconds(1000);

/// A store with room for exactly `items` items with keys of one byte and values of [`VALUE_BYTES`].
fn store_for(items: usize) -> Store {
    let budget_bytes = items * (1 + VALUE_BYTES + ITEM_OVERHEAD_BYTES);
    Store::new(StoreConfig { budget_bytes, value_bytes_max: VALUE_BYTES, instance_nonce: 1 }).unwrap()
}

fn set(store: &Store, key: u8, ttl: Ttl, now: Seconds) {
    store.set(&[key], &[key; VALUE_BYTES], ttl, now).unwrap();
}

/// The letters held, in order of the alphabet: those a delete finds.
fn held(store: Store) -> String {
    (b'a'..=b'z').filter(|key| store.delete(&[*key])).map(char::from).collect()
}

#[test]
fn the_oldest_goes_first_and_what_was_read_gets_a_second_chance() {
    let store = store_for(4);
    for key in *b"abcd" {
        set(&store, key, Ttl::NEVER, NOW);
    }
    assert!(store.pin().get(b"a", NOW).is_some());
    assert!(store.pin().get(b"c", NOW).is_some());

    // The hand spares a (now the youngest) and takes b; then spares c and takes d.
    set(&store, b'e', Ttl::NEVER, NOW);
    set(&store, b'f', Ttl::NEVER, NOW);
    assert_eq!(store.stats().evictions, 2);
    // Order now: a e c f. The chance is used up: a goes although it was read once.
    set(&store, b'g', Ttl::NEVER, NOW);
    assert_eq!(store.stats().evictions, 3);
    assert_eq!(held(store), "cefg");
}

#[test]
fn when_everything_was_read_the_oldest_goes() {
    let store = store_for(4);
    for key in *b"abcd" {
        set(&store, key, Ttl::NEVER, NOW);
    }
    for key in *b"dcba" {
        assert!(store.pin().get(&[key], NOW).is_some());
    }
    set(&store, b'e', Ttl::NEVER, NOW);
    assert_eq!(store.stats().evictions, 1);
    assert_eq!(held(store), "bcde");
}

#[test]
fn one_update_spares_a_bounded_number_of_items() {
    let cost_bytes = 4 + ITEM_OVERHEAD_BYTES;
    let items = CHANCES_PER_UPDATE_MAX as u32 + 500;
    let budget_bytes = items as usize * cost_bytes;
    let store = Store::new(StoreConfig { budget_bytes, value_bytes_max: 0, instance_nonce: 1 }).unwrap();
    for n in 0..items {
        store.set(&n.to_be_bytes(), b"", Ttl::NEVER, NOW).unwrap();
        assert!(store.pin().get(&n.to_be_bytes(), NOW).is_some());
    }
    store.set(&items.to_be_bytes(), b"", Ttl::NEVER, NOW).unwrap();
    let gone: Vec<_> = (0..=items).filter(|n| store.pin().get(&n.to_be_bytes(), NOW).is_none()).collect();
    assert_eq!(gone, [CHANCES_PER_UPDATE_MAX as u32]);
}

#[test]
fn a_replaced_value_is_a_new_item_and_needs_no_room_but_its_own() {
    let store = store_for(3);
    for key in *b"abca" {
        set(&store, key, Ttl::NEVER, NOW);
    }
    assert_eq!((store.stats().items, store.stats().evictions), (3, 0));
    set(&store, b'd', Ttl::NEVER, NOW);
    assert_eq!(held(store), "acd");
}

#[test]
fn expired_items_are_misses_and_go_before_live_ones() {
    let store = store_for(4);
    set(&store, b'a', Ttl::NEVER, NOW);
    set(&store, b'b', Ttl(10), NOW);
    set(&store, b'c', Ttl(11), NOW);
    set(&store, b'd', Ttl::NEVER, NOW);

    assert!(store.pin().get(b"b", Seconds(1009)).is_some());
    let later = Seconds(1010);
    assert!(store.pin().get(b"b", later).is_none());
    assert!(store.pin().get(b"c", later).is_some());
    assert_eq!(store.stats().items, 4, "a reader removes nothing");

    set(&store, b'e', Ttl::NEVER, later);
    assert_eq!((store.stats().expirations, store.stats().evictions), (1, 0));
    set(&store, b'f', Ttl::NEVER, later);
    assert_eq!((store.stats().expirations, store.stats().evictions), (1, 1));
    assert_eq!(held(store), "cdef");
}

#[test]
fn setting_again_renews_the_time_to_live() {
    let store = store_for(4);
    set(&store, b'a', Ttl(10), NOW);
    set(&store, b'a', Ttl(10), Seconds(1005));
    assert!(store.pin().get(b"a", Seconds(1014)).is_some());
    set(&store, b'a', Ttl::NEVER, Seconds(1014));
    assert!(store.pin().get(b"a", Seconds(u32::MAX)).is_some());
}

/// One step of a random history. Keys are few, so that they are replaced and deleted often.
#[derive(Debug, Clone)]
enum Step {
    Set { key: Vec<u8>, value_bytes: usize, ttl: u32 },
    Get { key: Vec<u8> },
    Delete { key: Vec<u8> },
    Flush,
    Wait { seconds: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let key =
        || (0..40u8, prop_oneof![Just(1), Just(9), Just(KEY_BYTES_MAX)]).prop_map(|(k, len)| vec![k; len]);
    prop_oneof![
        12 => (key(), 0..=600usize, 0..4u32)
            .prop_map(|(key, value_bytes, ttl)| Step::Set { key, value_bytes, ttl }),
        6 => key().prop_map(|key| Step::Get { key }),
        2 => key().prop_map(|key| Step::Delete { key }),
        1 => (1..3u32).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any history: the budget holds, a refusal changes nothing, what is found is what was set last, and
    /// taking everything apart in the end leaves the books at zero.
    #[test]
    fn no_history_breaks_budget_or_books(steps in prop::collection::vec(step(), 1..300)) {
        let config = StoreConfig { budget_bytes: 4096, value_bytes_max: 512, instance_nonce: 3 };
        let store = Store::new(config).unwrap();
        let mut last_set = HashMap::new();
        let mut now = 1;
        let mut newest = None;
        for step in steps {
            let before = store.stats();
            match step {
                Step::Set { key, value_bytes, ttl } => {
                    let value = vec![newest.map_or(0, |version: Version| version.0 as u8); value_bytes];
                    match store.set(&key, &value, Ttl(ttl), Seconds(now)) {
                        Ok(version) => {
                            prop_assert!(value_bytes <= 512 && newest < Some(version));
                            newest = Some(version);
                            last_set.insert(key, (value, version, ttl, now));
                        }
                        Err(error) => {
                            let expected = StoreError::ValueTooLarge { value_bytes, value_bytes_max: 512 };
                            prop_assert_eq!(error, expected);
                            prop_assert_eq!(store.stats(), before);
                        }
                    }
                }
                Step::Get { key } => {
                    if let Some(item) = store.pin().get(&key, Seconds(now)) {
                        let (value, version, ttl, set_at) = &last_set[&key];
                        prop_assert_eq!((item.value, item.version), (&value[..], *version));
                        prop_assert!(*ttl == 0 || now < set_at + ttl);
                    }
                }
                Step::Delete { key } => {
                    prop_assert_eq!(usize::from(store.delete(&key)), before.items - store.stats().items);
                    last_set.remove(&key);
                    prop_assert!(store.pin().get(&key, Seconds(now)).is_none());
                }
                Step::Flush => {
                    prop_assert_eq!(store.flush(), before.items);
                    last_set.clear();
                }
                Step::Wait { seconds } => now += seconds,
            }
            prop_assert!(store.stats().bytes_used <= store.stats().budget_bytes);
        }
        let (items, bytes_used) = (store.stats().items, store.stats().bytes_used);
        let held = last_set.iter().filter(|(key, _)| store.delete(key));
        let charged = held.map(|(key, (value, ..))| key.len() + value.len() + ITEM_OVERHEAD_BYTES);
        let charged: Vec<usize> = charged.collect();
        prop_assert_eq!((charged.len(), charged.iter().sum()), (items, bytes_used));
        prop_assert_eq!((store.stats().items, store.stats().bytes_used), (0, 0));
    }
}
