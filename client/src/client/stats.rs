//! What the client knows and counted, as callers see it.

use std::time::Instant;

use shingle_proto::client::{ClientCounters, PathReport, ReceiveBuffer};

use super::reads::Reads;
use crate::flow::Flow;

/// What is known of the server (PROTOCOL.md section 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerState {
    /// Nothing came over UDP yet; the TCP hello was answered.
    #[default]
    Unheard,
    /// It answers.
    Answering,
    /// It answers, and says that it is about to leave: it is time to read elsewhere. Reads go on.
    Draining,
    /// Four heartbeats in a row brought no answer. Reads fail at once until one does.
    Silent {
        /// When the last valid answer came, or heartbeats began.
        since: Instant,
    },
    /// Its host says that nothing listens on the port (ICMP port unreachable). Reads fail at once until a heartbeat is
    /// answered.
    Unreachable,
}

impl ServerState {
    /// Whether reads are worth beginning: neither silent nor unreachable.
    #[must_use]
    pub fn answers(&self) -> bool {
        !matches!(self, ServerState::Silent { .. } | ServerState::Unreachable)
    }
}

/// How reads ended. Those under way are in none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// With the value, over UDP.
    pub values: u64,
    /// The key was not stored.
    pub misses: u64,
    /// Passed on to TCP, because UDP does not serve them.
    pub over_tcp: u64,
    /// Declined by the server.
    pub refused: u64,
    /// No whole answer in time.
    pub timed_out: u64,
    /// The kernel refused the request.
    pub not_sent: u64,
    /// Ended at once, because the server was silent or unreachable. Reads that were turned away without asking the driver
    /// are not among them.
    pub not_answering: u64,
    /// Ended by a failure of the socket.
    pub socket_failed: u64,
    /// Nobody waited for them any more.
    pub cancelled: u64,
}

/// A picture of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// What is known of the server.
    pub state: ServerState,
    /// Reads under way.
    pub under_way: usize,
    /// How reads ended.
    pub outcomes: Outcomes,
    /// What the protocol counted: datagrams, retries, re-requests, duplicates, drops by reason.
    pub counters: ClientCounters,
    /// The datagram sizes that reads use, and the state of the search for larger ones, each way.
    pub path: PathReport,
    /// What the socket's receive buffer holds, by what the kernel granted and charges (PROTOCOL.md section 4.3).
    pub receive_buffer: ReceiveBuffer,
    /// Datagrams that the socket dropped, as of the last one received (SO_RXQ_OVFL).
    pub socket_drops: u32,
}

impl Stats {
    pub(super) fn of(state: ServerState, reads: &Reads, flow: &Flow) -> Stats {
        Stats {
            state,
            under_way: reads.under_way(),
            outcomes: *reads.outcomes(),
            counters: *flow.core.counters(),
            path: flow.core.path(),
            receive_buffer: flow.window().buffer(),
            socket_drops: flow.socket_drops(),
        }
    }
}
