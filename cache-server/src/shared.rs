//! What all threads of a server share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use shingle_proto::limits::datagram_bytes;
use shingle_proto::wire::Strategy;
use shingle_store::{Seconds, Store};
use shingle_udp::{monotonic_ns, realtime_ns};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Pause, Token};
use crate::control::ControlCounters;
use crate::cookies::SharedSecrets;
use crate::failure::Failure;
use crate::strategy;
use crate::worker::WorkerState;

/// One server. Written before any thread starts, but for the store, the counters and the phase.
pub(crate) struct Shared {
    pub(crate) nonce: u32,
    pub(crate) started_ns: u64,
    pub(crate) store: Store,
    pub(crate) value_bytes_max: usize,
    /// Values are compressed when stored, as some port sends them so.
    pub(crate) compress: bool,
    pub(crate) secrets: SharedSecrets,
    pub(crate) token: Option<Token>,
    pub(crate) pause: Option<Pause>,
    /// How long workers look for requests before they sleep.
    pub(crate) busy_poll: Duration,
    pub(crate) drain_for: Duration,
    pub(crate) ports: Vec<PortState>,
    pub(crate) control: ControlCounters,
    /// Workers look at these two once a batch; the phase is where they are decided.
    draining: CachePadded<AtomicBool>,
    stopping: AtomicBool,
    phase: watch::Sender<Phase>,
    /// The first thread that failed.
    failure: OnceLock<Failure>,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Says so in every answer until then.
    Draining(Instant),
    Stopping,
}

/// A UDP port as served.
pub(crate) struct PortState {
    /// The number bound, never 0.
    pub(crate) port: u16,
    pub(crate) strategy: Strategy,
    /// Cap on the path MTU in bytes of an IP packet.
    pub(crate) path_mtu_bytes: usize,
    pub(crate) workers: Vec<WorkerState>,
}

impl PortState {
    /// Largest datagram the capped path carries in this family, in bytes of UDP payload.
    pub(crate) fn datagram_bytes_carried(&self, ipv6: bool) -> usize {
        datagram_bytes(self.path_mtu_bytes, ipv6)
    }

    /// Largest datagram sent to a peer of this family, in bytes of UDP payload.
    pub(crate) fn datagram_bytes_max(&self, ipv6: bool) -> usize {
        let mtu = if strategy::kernel_fragments(self.strategy) { usize::MAX } else { self.path_mtu_bytes };
        datagram_bytes(mtu, ipv6)
    }
}

/// What [`Shared::new`] is given, all resolved.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) nonce: u32,
    pub(crate) value_bytes_max: usize,
    pub(crate) secrets: SharedSecrets,
    pub(crate) token: Option<Token>,
    pub(crate) pause: Option<Pause>,
    /// How long workers look for requests before they sleep.
    pub(crate) busy_poll: Duration,
    pub(crate) drain_for: Duration,
    pub(crate) ports: Vec<PortState>,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        Shared {
            nonce: parts.nonce,
            started_ns: monotonic_ns(),
            store: parts.store,
            value_bytes_max: parts.value_bytes_max,
            compress: parts.ports.iter().any(|port| port.strategy == Strategy::Compressed),
            secrets: parts.secrets,
            token: parts.token,
            pause: parts.pause,
            busy_poll: parts.busy_poll,
            drain_for: parts.drain_for,
            ports: parts.ports,
            control: ControlCounters::default(),
            draining: CachePadded::default(),
            stopping: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Running),
            failure: OnceLock::new(),
        }
    }

    /// The store's time: seconds since the start.
    pub(crate) fn now(&self) -> Seconds {
        Seconds((self.elapsed_ns() / 1_000_000_000) as u32)
    }

    pub(crate) fn elapsed_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.started_ns)
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = &WorkerState> {
        self.ports.iter().flat_map(|port| &port.workers)
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Begins to leave: says so for `span`, then stops. Of several calls the earliest end counts.
    pub(crate) fn drain(&self, span: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        let until = Instant::now() + span;
        self.phase.send_modify(|phase| {
            *phase = match *phase {
                Phase::Running => Phase::Draining(until),
                Phase::Draining(earlier) => Phase::Draining(earlier.min(until)),
                Phase::Stopping => Phase::Stopping,
            }
        });
    }

    /// Keeps why the server ends; of several failures the first.
    pub(crate) fn fail(&self, failure: Failure) {
        let _ = self.failure.set(failure);
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Tells every thread to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::Stopping);
        self.workers().for_each(WorkerState::wake);
    }
}

/// The nonce of an instance started now: tenths of seconds since 1970 (PROTOCOL.md, section 3.3).
pub(crate) fn instance_nonce() -> u32 {
    (realtime_ns() / 100_000_000) as u32
}
