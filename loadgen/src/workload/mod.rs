//! The work a run offers: what is stored, which item each read asks for, and when.
//!
//! Everything here is a pure function of what was asked for and one seed, so a record that quotes both can be
//! run again: no socket, no thread, no clock. Files (histograms, traces) are read once, when an [`ItemSpace`]
//! is made.
//!
//! - [`ItemSpace`]: keys, sizes, bytes and TTLs of the stored items, from a [`ValueSpec`] (`--values`).
//! - [`KeySampler`]: the item each read asks for, from a [`KeySpec`] (`--keys`).
//! - [`Schedule`]: the intended time of each read, from [`Arrivals`] (`--arrivals`) and a rate.
//! - [`units`]: counts, rates, sizes, durations and percentages as people type them.
//!
//! Random numbers come from xoshiro256++ (see [`Stream`]), whose output never changes; only Zipf draws rely
//! on a library's algorithm (`rand_distr` 0.6), and floating-point functions may round differently on another
//! platform.

mod arrivals;
mod content;
mod distributions;
mod error;
mod histogram;
mod items;
mod keys;
mod limits;
mod random;
mod sizes;
mod trace;
mod twitter;
pub mod units;
mod value_spec;

pub use arrivals::{Arrivals, Schedule};
pub use content::{ContentSpec, ValueMismatch};
pub use error::WorkloadError;
pub use items::{ItemSpace, Sizing};
pub use keys::{KeySampler, KeySpec};
pub use limits::{
    ITEMS_MAX, KEY_BYTES_MAX, RATE_PER_S_MAX, TRACE_READS_MAX, VALUE_BYTES_CEILING, ZIPF_EXPONENT_MAX,
};
pub use random::Stream;
pub use trace::TraceSummary;
pub use twitter::TwitterCluster;
pub use value_spec::ValueSpec;
