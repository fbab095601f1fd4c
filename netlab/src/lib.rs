#![doc = include_str!("../README.md")]
//! # Where to begin
//!
//! [`Topology`] describes a network, [`Network`] runs it between two [`Endpoint`]s, [`Report`] says what each node did.
//! [`Ranges`] bounds what [`Topology::random`] may draw.
#![forbid(unsafe_code)]

mod check;
mod endpoint;
mod ends;
mod error;
mod limits;
mod network;
mod node;
mod packet;
mod plan;
mod queue;
mod random;
mod ranges;
mod rate;
mod report;
mod route;
mod seeds;
mod topology;
mod trace;
mod words;

pub use endpoint::{Endpoint, PacketTooBig};
pub use ends::{Echo, Sender};
pub use error::TopologyError;
pub use network::{Ending, Network};
pub use packet::{Fragment, Packet};
pub use plan::{Family, Hold, HostPlan, Later, Pauses, Plan, Wire, WireEnd};
pub use ranges::Ranges;
pub use report::{Counts, DropReason, NodeReport, PathReport, Report};
pub use seeds::seeds;
pub use topology::{
    Change, Charge, Direction, Drain, Excess, Limit, Link, Path, Reassembly, ReceiveBuffer, Step, Topology,
    Trigger, Truesize,
};
pub use trace::{TraceEvent, What};
