//! What a flow takes of memory is what it says, and all of it is taken by `new`.

use shingle_proto::client::{Client, ClientConfig};
use shingle_store::counting::{CountingAllocator, process_allocated_bytes};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_flow_takes_the_memory_it_says() {
    for in_flight_max in [1, 100, 1024, 20_000] {
        for value_bytes_max in [0, 1000, 1 << 20] {
            for reassembly_bytes in [4 << 20, 16 << 20] {
                let config = ClientConfig {
                    in_flight_max,
                    value_bytes_max,
                    reassembly_bytes,
                    partial_max: in_flight_max.min(500),
                    ..ClientConfig::default()
                };
                let before = process_allocated_bytes();
                let client = Client::new(config).expect("in range");
                let taken = process_allocated_bytes() - before;
                assert_eq!(taken, config.memory_bytes(), "{config:?}");
                drop(client);
                assert_eq!(process_allocated_bytes(), before, "all of it comes back");
            }
        }
    }
}
