#![doc = include_str!("../README.md")]
//! # Where to begin
//!
//! [`Topology`] describes a network, [`Network`] runs it between two [`Endpoint`]s, [`Report`] says what each node did.
//! [`Ranges`] bounds what [`Topology::random`] may draw.
//!
//! [`catalogue()`] lists the topologies that go by a name; [`Spec`] is one of them with its settings, and gives the [`Plan`] that a
//! laboratory is built of, or the simulated [`Topology`].
#![forbid(unsafe_code)]

mod catalogue;
mod check;
mod endpoint;
mod ends;
mod error;
#[cfg(feature = "lab")]
pub mod lab;
mod limits;
mod network;
mod node;
mod packet;
mod part;
mod plan;
mod queue;
mod random;
mod ranges;
mod rate;
mod report;
mod route;
mod rules;
mod seeds;
pub mod skip;
mod spec;
mod spec_error;
mod topology;
mod trace;
mod words;

pub use catalogue::{Entry, Parameter, catalogue};
pub use endpoint::{Endpoint, PacketTooBig};
pub use ends::{Echo, Sender};
pub use error::TopologyError;
pub use network::{Ending, Network};
pub use packet::{Fragment, Packet};
pub use plan::{Family, Hold, HostPlan, Later, Pauses, Plan, Wire, WireEnd};
pub use ranges::Ranges;
pub use report::{Counts, DropReason, NodeReport, PathReport, Report};
pub use seeds::seeds;
pub use spec::Spec;
pub use spec_error::SpecError;
pub use topology::{
    Change, Charge, Direction, Drain, Excess, Limit, Link, Path, Reassembly, ReceiveBuffer, Step, Topology,
    Trigger, Truesize,
};
pub use trace::{TraceEvent, What};
