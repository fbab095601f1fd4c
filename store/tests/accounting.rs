//! The overhead charged for an item against the bytes really allocated. One test: it counts the whole
//! process.

use shingle_store::counting::{CountingAllocator, process_allocated_bytes};
use shingle_store::{Seconds, Store, StoreConfig, Ttl};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const ITEMS: usize = 100_000;

#[test]
fn charged_bytes_are_close_to_allocated_bytes() {
    let now = Seconds(1);
    let store =
        Store::new(StoreConfig { budget_bytes: 64 << 20, value_bytes_max: 4096, instance_nonce: 1 }).unwrap();
    let before = process_allocated_bytes();
    let fill = |value: &[u8]| {
        for n in 0..ITEMS {
            store.set(&n.to_be_bytes(), value, Ttl::NEVER, now).unwrap();
        }
    };
    let check = |when: &str| {
        let charged = store.stats().bytes_used as f64;
        let allocated = (process_allocated_bytes() - before) as f64;
        println!("{when}: charged {charged}, allocated {allocated}, ratio {:.3}", allocated / charged);
        assert!(
            (0.75..=1.25).contains(&(allocated / charged)),
            "{when}: {allocated} B for {charged} B charged"
        );
    };
    fill(&[1; 100]);
    check("after filling");
    for _ in 0..3 {
        fill(&[2; 100]);
    }
    check("after replacing every value three times");
    fill(&[3; 400]);
    check("after replacing by larger values");
    assert_eq!(store.stats().evictions, 0);

    drop(store);
    let left = process_allocated_bytes().saturating_sub(before);
    assert!(left < 64 << 10, "{left} B left behind");
}
