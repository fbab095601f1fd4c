//! What can be wrong with a description.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Why a [`Topology`](crate::Topology) cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TopologyError {
    /// A probability is not one.
    #[error("{link}: {name} is {value}; give a probability of 0 to 1")]
    Probability {
        /// Name of the node.
        link: &'static str,
        /// Name of the setting.
        name: &'static str,
        /// The value found.
        value: f64,
    },
    /// A number is outside of its range.
    #[error("{link}: {name} is {value}; give {} to {}", range.start(), range.end())]
    Range {
        /// Name of the node.
        link: &'static str,
        /// Name of the setting.
        name: &'static str,
        /// The value found.
        value: u64,
        /// What is allowed.
        range: RangeInclusive<u64>,
    },
    /// A NAT stands before the client: it rewrites what goes up, and translates what comes down by itself.
    #[error(
        "address_change stands in a path down; put it in the path up, answers are translated back by themselves"
    )]
    AddressChangeDown,
    /// These keep state that cannot be exchanged under way.
    #[error("{link} stands in a schedule; it has times of its own, put it in the path itself")]
    Scheduled {
        /// Name of the node.
        link: &'static str,
    },
    /// A schedule's steps go back in time.
    #[error("schedule: a step from {later:?} follows one from {earlier:?}; sort the steps by time")]
    StepsUnsorted {
        /// Time of the step that stands first.
        earlier: Duration,
        /// Time of the step that follows it, which is less.
        later: Duration,
    },
    /// The steps by which a receive buffer charges do not rise.
    #[error(
        "receive_buffer: truesize steps must rise and there must be at least one; found {found} after {before}"
    )]
    Truesize {
        /// Payload bytes of the step before.
        before: u32,
        /// Payload bytes of the step found.
        found: u32,
    },
}
