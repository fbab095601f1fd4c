//! The memory of the Shingle cache: a fixed budget of bytes, an index that readers never wait for, eviction
//! and TTLs.
//!
//! Records (header, key, value) lie one after the other in segments of one mapping that is made at the start;
//! updates append, and a writer cleans the segments that hold least of use. The index is tables of cache
//! lines in the same mapping: a look-up touches one line, seldom two, and then the record. What an item takes
//! beside key and value is 10 B of header (14 B with a TTL), some 9 B of index, and what is kept ready for the
//! next updates: about 21 B in all with values of 100 B and budgets from 64 MiB on.
//!
//! Threads: any number of readers ([`Store::pin`], then [`Reader::get`]) run beside any number of writers
//! ([`Store::set`], [`Store::delete`], [`Store::flush`]). Writers take turns behind one mutex; a read touches
//! neither it nor any other lock, waits for nobody, and allocates nothing. What a reader does leave behind is
//! one bit an item, "read since it was written", and only when the bit is not set already, so hot items stay
//! unwritten in every CPU's cache. A writer waits for readers where no memory is ready that they have left.
//!
//! Eviction is S3-FIFO (Yang et al., SOSP 2023) on the segments of the log: new records go to a small log, those
//! read before their turn comes move to the main log, where they get another turn as long as they are read. The
//! small log's share follows what comes back after eviction, as in ARC (Megiddo and Modha, FAST 2003).
//!
//! The store has no clock: the caller passes the time in whole seconds of an epoch of its own ([`Seconds`]).
//!
//! ```
//! use shingle_store::{Seconds, Store, StoreConfig, Ttl};
//!
//! let store = Store::new(StoreConfig { budget_bytes: 1 << 20, value_bytes_max: 4096, instance_nonce: 7 })?;
//! let version = store.set(b"key", b"value", Ttl::NEVER, Seconds(0))?;
//!
//! let reader = store.pin();
//! let item = reader.get(b"key", Seconds(1)).unwrap();
//! assert_eq!((item.value, item.version), (&b"value"[..], version));
//! # Ok::<(), shingle_store::StoreError>(())
//! ```

mod arena;
pub mod counting;
mod epoch;
mod error;
mod expiry;
mod hash;
mod index;
pub mod limits;
mod memory;
mod plan;
mod policy;
mod prefetch;
mod reader;
mod record;
mod segments;
mod shared;
mod stats;
mod store;
mod version;
mod writer;

pub use error::StoreError;
pub use expiry::{Seconds, Ttl};
pub use hash::KeyHash;
pub use memory::parse_mem_available;
pub use reader::{Item, Lead, Reader};
pub use stats::StoreStats;
pub use store::{Store, StoreConfig};
pub use version::Version;
