//! The topologies that can be had by name: what each stands for, and what may be set.

mod bad_path;
mod balancer;
mod black_hole;
mod common;
mod corrupting;
mod dead_server;
mod direct;
mod draft;
mod duplicating;
mod equal_paths;
mod fragments;
mod hosts;
mod layout;
mod lossy;
mod narrow;
mod pairs;
mod parameter;
mod rate_limits;
mod reordering;

use std::fmt;

pub(crate) use common::wide;
pub(crate) use draft::Draft;
pub(crate) use pairs::clash;
pub use parameter::Parameter;
pub(crate) use parameter::WHOLE_PPM;

use crate::part::Part;
use crate::topology::Topology;

/// A topology of the catalogue.
pub struct Entry {
    /// By which it is asked for.
    pub name: &'static str,
    /// What it does.
    pub sentence: &'static str,
    /// What happened to somebody, that it stands for.
    pub story: &'static str,
    /// The causes it must produce, by the names that records use; none: reads must not be lost in it.
    pub causes: &'static [&'static str],
    /// What may be set.
    pub parameters: &'static [Parameter],
    /// Whether values that are each allowed go together; else what to do.
    pub(crate) check: fn(&Part<'_>) -> Result<(), String>,
    /// Adds its part to a network.
    pub(crate) plan: fn(&Part<'_>, &mut Draft),
    /// Adds its part to a simulated network; none where that has no counterpart.
    pub(crate) simulated: Option<fn(&Part<'_>, Topology) -> Topology>,
}

/// All topologies.
pub fn catalogue() -> &'static [Entry] {
    CATALOGUE
}

static CATALOGUE: &[Entry] = &[
    direct::DIRECT,
    narrow::NARROW,
    fragments::FRAGMENT_LIMIT,
    fragments::FRAGMENTS_BLOCKED,
    fragments::SMALL_REASSEMBLY,
    black_hole::BLACK_HOLE,
    black_hole::ASYMMETRIC,
    lossy::LOSSY,
    corrupting::CORRUPTING,
    duplicating::DUPLICATING,
    reordering::REORDERING,
    rate_limits::PACKET_LIMIT,
    rate_limits::BANDWIDTH_LIMIT,
    bad_path::BAD_PATH,
    dead_server::DEAD_SERVER,
    balancer::BALANCER,
    hosts::SLOW_QUEUE,
    hosts::PAUSE,
    hosts::SLOW_SERVER,
];

impl Entry {
    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

// The names are enough: entries differ by them.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Entry {}
