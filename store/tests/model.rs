//! Random histories beside a plain map.

use std::collections::HashMap;

use proptest::prelude::*;
use shingle_store::limits::KEY_BYTES_MAX;
use shingle_store::{Seconds, Store, StoreConfig, StoreError, Ttl, Version};

const VALUE_BYTES_MAX: usize = 2000;

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
        || (0..60u8, prop_oneof![Just(1), Just(9), Just(KEY_BYTES_MAX)]).prop_map(|(k, len)| vec![k; len]);
    prop_oneof![
        24 => (key(), 0..=VALUE_BYTES_MAX + 20, 0..4u32)
            .prop_map(|(key, value_bytes, ttl)| Step::Set { key, value_bytes, ttl }),
        12 => key().prop_map(|key| Step::Get { key }),
        4 => key().prop_map(|key| Step::Delete { key }),
        2 => (1..3u32).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Flush),
    ]
}

/// What was set last under each key: value, version, expiry (0: never).
type Model = HashMap<Vec<u8>, (Vec<u8>, Version, u32)>;

/// Takes a step on both. `may_evict`: the store may know less than the model, but nothing else.
fn take(
    step: &Step,
    store: &Store,
    model: &mut Model,
    now: &mut u32,
    may_evict: bool,
) -> Result<(), TestCaseError> {
    let before = store.stats();
    match step {
        Step::Set { key, value_bytes, ttl } => {
            let newest = model.values().map(|(_, version, _)| *version).max();
            let value = vec![newest.map_or(0, |version| version.0 as u8); *value_bytes];
            match store.set(key, &value, Ttl(*ttl), Seconds(*now)) {
                Ok(version) => {
                    prop_assert!(*value_bytes <= VALUE_BYTES_MAX && newest < Some(version));
                    let expiry = if *ttl == 0 { 0 } else { *now + *ttl };
                    model.insert(key.clone(), (value, version, expiry));
                }
                Err(error) => {
                    let expected = StoreError::ValueTooLarge {
                        value_bytes: *value_bytes,
                        value_bytes_max: VALUE_BYTES_MAX,
                    };
                    prop_assert_eq!(error, expected);
                    prop_assert_eq!(store.stats(), before);
                }
            }
        }
        Step::Get { key } => check_key(store, model, key, *now, may_evict)?,
        Step::Delete { key } => {
            prop_assert_eq!(usize::from(store.delete(key)), before.items - store.stats().items);
            model.remove(key);
            prop_assert!(store.pin().get(key, Seconds(*now)).is_none());
        }
        Step::Flush => {
            prop_assert_eq!(store.flush(), before.items);
            model.clear();
        }
        Step::Wait { seconds } => *now += seconds,
    }
    prop_assert!(store.stats().bytes_used <= store.stats().budget_bytes);
    Ok(())
}

fn check_key(
    store: &Store,
    model: &Model,
    key: &[u8],
    now: u32,
    may_evict: bool,
) -> Result<(), TestCaseError> {
    let reader = store.pin();
    let found = reader.get(key, Seconds(now)).map(|item| (item.value, item.version));
    let live = model.get(key).filter(|(_, _, expiry)| *expiry == 0 || now < *expiry);
    let expected = live.map(|(value, version, _)| (&value[..], *version));
    if found.is_some() || !may_evict {
        prop_assert_eq!(found, expected);
    }
    Ok(())
}

fn config(budget_bytes: usize) -> StoreConfig {
    StoreConfig { budget_bytes, value_bytes_max: VALUE_BYTES_MAX, instance_nonce: 3 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// With room for all, the store is a map.
    #[test]
    fn with_room_it_is_a_map(steps in prop::collection::vec(step(), 1..2000)) {
        let store = Store::new(config(2 << 20)).unwrap();
        let (mut model, mut now) = (Model::new(), 1);
        for step in &steps {
            take(step, &store, &mut model, &mut now, false)?;
        }
        for key in model.keys() {
            check_key(&store, &model, key, now, false)?;
        }
        prop_assert_eq!(store.stats().evictions, 0);
    }

    /// With room for a part, what is found is what was set last, and taking everything apart in the end leaves
    /// the books as they began.
    #[test]
    fn with_little_room_it_only_forgets(steps in prop::collection::vec(step(), 1..2000)) {
        let store = Store::new(config(96 << 10)).unwrap();
        let (mut model, mut now) = (Model::new(), 1);
        for step in &steps {
            take(step, &store, &mut model, &mut now, true)?;
        }
        let items = store.stats().items;
        let held = model.keys().filter(|key| store.delete(key)).count();
        prop_assert_eq!(held, items);
        let after = store.stats();
        prop_assert_eq!(after.items, 0);
        prop_assert_eq!(store.flush(), 0);
        prop_assert_eq!(store.stats().bytes_used, after.bytes_used);
    }
}
