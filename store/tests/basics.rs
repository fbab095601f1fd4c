//! Set, get, delete, flush, books, and refusals.

use shingle_store::limits::{BUDGET_BYTES_MAX, ITEM_OVERHEAD_BYTES, KEY_BYTES_MAX};
use shingle_store::{Seconds, Store, StoreConfig, StoreError, StoreStats, Ttl, Version};

const NOW: Seconds = Seconds(1);
const CONFIG: StoreConfig = StoreConfig { budget_bytes: 1 << 20, value_bytes_max: 1000, instance_nonce: 9 };

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
fn the_books_follow_every_operation() {
    let store = store();
    let books = |items, bytes_used, sets, deletes| StoreStats {
        items,
        bytes_used,
        budget_bytes: CONFIG.budget_bytes,
        sets,
        deletes,
        ..StoreStats::default()
    };
    assert_eq!(store.stats(), books(0, 0, 0, 0));
    store.set(b"a", &[0; 10], Ttl::NEVER, NOW).unwrap();
    store.set(b"bb", b"", Ttl::NEVER, NOW).unwrap();
    assert_eq!(store.stats(), books(2, 13 + 2 * ITEM_OVERHEAD_BYTES, 2, 0));
    store.set(b"a", &[0; 20], Ttl::NEVER, NOW).unwrap();
    assert_eq!(store.stats(), books(2, 23 + 2 * ITEM_OVERHEAD_BYTES, 3, 0));
    assert!(store.delete(b"a"));
    assert!(!store.delete(b"a"));
    assert_eq!(store.stats(), books(1, 2 + ITEM_OVERHEAD_BYTES, 3, 1));
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
fn the_largest_item_fits_the_smallest_budget_and_nothing_smaller_is_taken() {
    let needed_bytes = KEY_BYTES_MAX + 1000 + ITEM_OVERHEAD_BYTES;
    let smallest = StoreConfig { budget_bytes: needed_bytes, ..CONFIG };
    let store = Store::new(smallest).unwrap();
    for key in [1, 2] {
        store.set(&[key; KEY_BYTES_MAX], &[key; 1000], Ttl::NEVER, NOW).unwrap();
        assert_eq!(store.stats().bytes_used, needed_bytes);
    }
    assert_eq!(store.stats().evictions, 1);

    let budget_bytes = needed_bytes - 1;
    let error = Store::new(StoreConfig { budget_bytes, ..CONFIG }).unwrap_err();
    assert_eq!(error, StoreError::BudgetTooSmall { budget_bytes, needed_bytes });
}

#[test]
fn budgets_beyond_the_limits_are_refused() {
    let error = Store::new(StoreConfig { budget_bytes: BUDGET_BYTES_MAX + 1, ..CONFIG }).unwrap_err();
    assert_eq!(error, StoreError::BudgetTooLarge { budget_bytes: BUDGET_BYTES_MAX + 1 });
    let error = Store::new(StoreConfig { value_bytes_max: usize::MAX, ..CONFIG }).unwrap_err();
    assert!(matches!(error, StoreError::BudgetTooSmall { needed_bytes: usize::MAX, .. }));
}
