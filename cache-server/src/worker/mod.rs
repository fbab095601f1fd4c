//! Workers: the data plane, one pinned thread for each socket.

mod answer;
mod counters;
mod decode;
mod departures;
mod group;
mod proofs;
mod queued;
mod receipts;
mod serve;
mod stamps;

use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;
use mio::Waker;
use shingle_udp::{MemInfo, Socket};

pub(crate) use counters::{Counter, Counters};
pub(crate) use receipts::ReceiptRing;
pub(crate) use serve::{WAKER, Worker};

/// What other threads may see of a worker.
pub(crate) struct WorkerState {
    /// Its number among all workers.
    pub(crate) number: u8,
    /// The CPU it was pinned to; empty where the kernel did not allow it.
    pub(crate) cpu: OnceLock<u32>,
    /// On cache lines of its own: nobody else's writes slow the worker down.
    pub(crate) counters: CachePadded<Counters>,
    pub(crate) receipts: Option<ReceiptRing>,
    pub(crate) recv_buffer_granted_bytes: u64,
    /// Ends the worker's sleep.
    pub(crate) waker: Waker,
    /// The worker's socket, whose books the control plane reads even while the worker stands still.
    pub(crate) socket: Arc<Socket>,
}

impl WorkerState {
    /// Datagrams the kernel dropped at the socket until now: what the worker counted, and what it has not heard of yet.
    pub(crate) fn socket_drops(&self) -> u64 {
        let counted = self.counters.socket_drops.get();
        let unheard = |info: MemInfo| growth(counted, info.drops);
        counted + self.socket.mem_info().ok().map_or(0, unheard)
    }

    pub(crate) fn wake(&self) {
        // It fails only where the eventfd is gone, and then so is the sleeper.
        let _ = self.waker.wake();
    }
}

/// By how much the kernel's 32-bit count of drops, which never goes back but wraps, is beyond what was counted.
pub(crate) fn growth(counted: u64, kernel: u32) -> u64 {
    let growth = kernel.wrapping_sub(counted as u32);
    // A count from before the last one looks like growth by almost 2^32.
    if growth < u32::MAX / 2 { growth.into() } else { 0 }
}
