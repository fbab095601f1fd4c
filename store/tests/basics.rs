//! Set, get, delete, flush, books, and refusals.

use shingle_store::limits::{BUDGET_BYTES_MAX, KEY_BYTES_MAX};
use shingle_store::{Seconds, Store, StoreConfig, StoreError, StoreStats, Ttl, Version};

const NOW: Seconds = Seconds(1);
const CONFIG: StoreConfig = StoreConfig { budget_bytes: 1 << 20, value_bytes_max: 1000, instance_nonce: 9 };

/// A record's header, without a TTL and with one.
const HEADER_BYTES: usize = 10;
const HEADER_TTL_BYTES: usize = 14;

fn store() -> Store {
    Store::new(CONFIG).unwrap()
}

#[test]
fn a_reader_keeps_the_value_it_found_through_replacement_and_removal() {
    let store = store();
    assert_eq!(store.set(b"key", b"old", Ttl::NEVER, NOW), Ok(Version::pack(9, 1)));
    let reader = store.pin();
    let old = reader.get(b"key", NOW).unwrap();

    assert_eq!(store.set(b"key", b"newer", Ttl::NEVER, NOW), Ok(Version::pack(9, 2)));
    let new = reader.get(b"key", NOW).unwrap();
    assert!(store.delete(b"key"));
    assert!(reader.get(b"key", NOW).is_none());

    assert_eq!((old.value, old.version), (&b"old"[..], Version::pack(9, 1)));
    assert_eq!((new.value, new.version), (&b"newer"[..], Version::pack(9, 2)));
}

#[test]
fn a_batch_finds_what_single_reads_find() {
    let store = store();
    let keys: Vec<[u8; 4]> = (0..1000u32).map(u32::to_be_bytes).collect();
    for key in keys.iter().step_by(3) {
        store.set(key, key, Ttl::NEVER, NOW).unwrap();
    }
    let reader = store.pin();
    let hashes: Vec<_> = keys.iter().map(|key| store.hash(key)).collect();
    hashes.iter().for_each(|hash| reader.prefetch(*hash));
    let leads: Vec<_> = hashes.iter().map(|hash| reader.prefetch_item(*hash)).collect();
    for (n, (key, lead)) in keys.iter().zip(leads).enumerate() {
        assert_eq!(hashes[n], reader.hash(key));
        let found = reader.get_led(key, lead, NOW);
        assert_eq!(found, reader.get(key, NOW));
        assert_eq!(found.map(|item| item.value), (n % 3 == 0).then_some(&key[..]));
    }
}

#[test]
fn the_books_follow_every_operation() {
    let store = store();
    let empty = store.stats().bytes_used;
    assert!(empty < CONFIG.budget_bytes / 10, "{empty} B of index and books");
    let books = |items, record_bytes, sets, deletes| StoreStats {
        items,
        bytes_used: empty + record_bytes,
        budget_bytes: CONFIG.budget_bytes,
        sets,
        deletes,
        ..StoreStats::default()
    };
    assert_eq!(store.stats(), books(0, 0, 0, 0));
    store.set(b"a", &[0; 10], Ttl::NEVER, NOW).unwrap();
    store.set(b"bb", b"", Ttl(5), NOW).unwrap();
    assert_eq!(store.stats(), books(2, 11 + HEADER_BYTES + 2 + HEADER_TTL_BYTES, 2, 0));
    store.set(b"a", &[0; 20], Ttl::NEVER, NOW).unwrap();
    assert_eq!(store.stats(), books(2, 21 + HEADER_BYTES + 2 + HEADER_TTL_BYTES, 3, 0));
    assert!(store.delete(b"a"));
    assert!(!store.delete(b"a"));
    assert_eq!(store.stats(), books(1, 2 + HEADER_TTL_BYTES, 3, 1));
    store.set(b"c", b"", Ttl::NEVER, NOW).unwrap();
    assert_eq!((store.flush(), store.flush()), (2, 0));
    assert_eq!(store.stats(), books(0, 0, 4, 1));
    assert!(store.pin().get(b"c", NOW).is_none());
    store.set(b"c", b"again", Ttl::NEVER, NOW).unwrap();
    assert_eq!(store.pin().get(b"c", NOW).unwrap().value, b"again");
}

#[test]
fn a_refused_update_changes_nothing() {
    let store = store();
    store.set(b"key", b"kept", Ttl::NEVER, NOW).unwrap();
    let before = store.stats();

    let set = |key: &[u8], value: &[u8]| store.set(key, value, Ttl::NEVER, NOW).unwrap_err();
    assert_eq!(set(b"", b"v"), StoreError::KeyEmpty);
    assert_eq!(set(&[1; KEY_BYTES_MAX + 1], b"v"), StoreError::KeyTooLong { key_bytes: 256 });
    let refused = set(b"key", &[0; 1001]);
    assert_eq!(refused, StoreError::ValueTooLarge { value_bytes: 1001, value_bytes_max: 1000 });
    assert!(refused.to_string().contains("1001 B") && refused.to_string().contains("1000 B"));

    assert_eq!(store.stats(), before);
    assert_eq!(store.pin().get(b"key", NOW).unwrap().value, b"kept");
    assert!(store.pin().get(b"", NOW).is_none());
    assert!(store.pin().get(&[1; 300], NOW).is_none());
}

#[test]
fn the_smallest_budget_works_and_nothing_smaller_is_taken() {
    for value_bytes_max in [0, 1000, 70_000, 1 << 20] {
        let refused = StoreConfig { budget_bytes: 0, value_bytes_max, ..CONFIG };
        let Err(StoreError::BudgetTooSmall { needed_bytes, .. }) = Store::new(refused) else {
            panic!("a budget of nothing was taken");
        };
        let budget_bytes = needed_bytes - 1;
        let error = Store::new(StoreConfig { budget_bytes, value_bytes_max, ..CONFIG }).unwrap_err();
        assert_eq!(error, StoreError::BudgetTooSmall { budget_bytes, needed_bytes });

        let smallest = StoreConfig { budget_bytes: needed_bytes, value_bytes_max, ..CONFIG };
        let store = Store::new(smallest).unwrap();
        let value = vec![7; value_bytes_max];
        for n in 0..1000u32 {
            let mut key = [0; KEY_BYTES_MAX];
            key[..4].copy_from_slice(&n.to_be_bytes());
            store.set(&key, &value, Ttl::NEVER, NOW).unwrap();
            assert_eq!(store.pin().get(&key, NOW).unwrap().value, value);
            assert!(store.stats().bytes_used <= needed_bytes);
        }
        assert!(store.stats().evictions > 0 && store.stats().items > 1);
    }
}

#[test]
fn budgets_beyond_the_limits_are_refused() {
    let error = Store::new(StoreConfig { budget_bytes: BUDGET_BYTES_MAX + 1, ..CONFIG }).unwrap_err();
    assert_eq!(error, StoreError::BudgetTooLarge { budget_bytes: BUDGET_BYTES_MAX + 1 });
    let error = Store::new(StoreConfig { value_bytes_max: usize::MAX, ..CONFIG }).unwrap_err();
    assert_eq!(error, StoreError::ValueLimitTooLarge { value_bytes_max: usize::MAX });
}

#[test]
fn a_writer_does_not_wait_for_ever_for_a_reader_that_stays() {
    let store = store();
    let value = [7; 1000];
    store.set(b"first", &value, Ttl::NEVER, NOW).unwrap();
    let reader = store.pin();
    let first = reader.get(b"first", NOW).unwrap();
    let mut refused =
        (0..10_000u32).filter_map(|n| store.set(&n.to_be_bytes(), &value, Ttl::NEVER, NOW).err());
    let error = refused.next().expect("ten times the budget while nothing is given back");
    assert!(matches!(error, StoreError::HeldByReaders { .. }), "{error}");
    assert_eq!(first.value, value);

    drop(reader);
    let kept = store.stats();
    store.set(b"next", &value, Ttl::NEVER, NOW).unwrap();
    assert_eq!(store.pin().get(b"next", NOW).unwrap().value, value);
    assert!(kept.items > 500, "what was not held was not thrown away: {} items", kept.items);
}
