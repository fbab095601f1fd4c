//! How often attribution is right: runs drawn at random in laboratories whose causes are known, and what was named for each.
//!
//! [`recipes`] draws a [`scenario`] from documented [`ranges`], [`carry`] runs it as `loadgen run` would, [`truth`] says what the laboratory did
//! by its own counters, and [`score`] compares: all but the running is pure.
#![forbid(unsafe_code)]

pub mod args;
pub mod carry;
pub mod dice;
pub mod kept;
pub mod knee;
pub mod limits;
pub mod outcome;
pub mod packets;
pub mod ranges;
pub mod recipes;
pub mod scenario;
pub mod score;
mod speech;
pub mod truth;
pub mod whole;
