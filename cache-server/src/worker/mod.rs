//! Workers: the data plane, one pinned thread for each socket.

mod answer;
mod counters;
mod decode;
mod queued;
mod receipts;
mod serve;

use std::sync::OnceLock;

use crossbeam_utils::CachePadded;
use mio::Waker;

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
}

impl WorkerState {
    pub(crate) fn wake(&self) {
        // It fails only where the eventfd is gone, and then so is the sleeper.
        let _ = self.waker.wake();
    }
}
