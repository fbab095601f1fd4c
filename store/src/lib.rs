//! The memory of the Shingle cache: a fixed budget of bytes, an index that readers never wait for, eviction
//! and TTLs.
//!
//! Threads: any number of readers ([`Store::pin`], then [`Reader::get`]) run beside any number of writers
//! ([`Store::set`], [`Store::delete`], [`Store::flush`]). Writers take turns behind one mutex; a read touches
//! neither it nor any other lock, and allocates nothing. What a reader does leave behind is one bit an item,
//! "read since the hand last came by", and only when the bit is not set already, so hot items stay unwritten
//! in every CPU's cache.
//!
//! Eviction is CLOCK, that is second-chance FIFO (Corbató, "A Paging Experiment with the Multics System",
//! 1968): the oldest item goes unless it was read since it was last looked at; then it becomes the youngest
//! again. A replaced value counts as a new item.
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

pub mod counting;
mod error;
mod expiry;
pub mod limits;
mod memory;
mod record;
mod second_chance;
mod stats;
mod store;
mod version;

pub use error::StoreError;
pub use expiry::{Seconds, Ttl};
pub use memory::parse_mem_available;
pub use stats::StoreStats;
pub use store::{Item, Reader, Store, StoreConfig};
pub use version::Version;
