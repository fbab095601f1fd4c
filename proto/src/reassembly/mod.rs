//! Reassembly: values that arrive in chunks are put together here, in memory taken once.
//!
//! A [`Parts`] pool holds the values that are partly there. Each has a block of one [`Arena`] and a list of the
//! [`Intervals`] that arrived. Nothing allocates after `new`; when a pool is used up the caller is told so.

mod arena;
mod intervals;
mod list;
mod parts;
mod window;

pub(crate) use intervals::Inserted;
pub(crate) use list::{Links, List, NONE};
pub(crate) use parts::Parts;
pub(crate) use window::{Plan, window_end};
