//! How all reads of a stage ended, by size, time and flow: what attribution compares the lost ones with. In memory taken before the stage.

use crate::attribution::{Counts, FlowCounts, Loss, Population, Window};
use crate::limits::{SIZE_BIN_BYTES, SIZE_BINS, WINDOW_NS_MIN, WINDOWS_MAX};

/// Takes the memory for a stage of this length.
pub(super) fn empty(duration_ns: u64, flows: usize) -> Population {
    let window_ns = duration_ns.div_ceil(WINDOWS_MAX).max(WINDOW_NS_MIN);
    Population {
        by_size: vec![Counts::default(); SIZE_BINS],
        size_bin_bytes: SIZE_BIN_BYTES,
        windows: vec![Window::default(); duration_ns.div_ceil(window_ns).max(1) as usize],
        window_ns,
        flows: vec![FlowCounts::default(); flows],
        stalls_ns: Vec::new(),
    }
}

impl Population {
    /// Books the end of a read; allocates nothing.
    pub(super) fn end(
        &mut self,
        flow_index: usize,
        intended_ns: u64,
        value_bytes: usize,
        latency_ns: u64,
        loss: Option<&Loss>,
    ) {
        let bin = (value_bytes / self.size_bin_bytes as usize).min(self.by_size.len() - 1);
        self.by_size[bin].add(loss);
        let last = self.windows.len() - 1;
        let window = &mut self.windows[last.min((intended_ns / self.window_ns) as usize)];
        window.reads += 1;
        window.bytes += value_bytes as u64;
        if loss.is_some() {
            window.first_try_lost += 1;
            window.bytes_lost += value_bytes as u64;
        } else {
            let latency_us = latency_ns / 1000;
            window.latency_us += latency_us;
            let latency_us = latency_us.clamp(1, u32::MAX.into()) as u32;
            window.latency_max_us = window.latency_max_us.max(latency_us);
            window.latency_min_us = shorter(window.latency_min_us, latency_us);
        }
        let flow = &mut self.flows[flow_index];
        flow.counts.add(loss);
        if loss.is_none() {
            flow.last_whole_ns = flow.last_whole_ns.max(Some(intended_ns));
        }
    }

    /// Adds another worker's of the same stage; its flows follow this one's.
    pub(super) fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.by_size.iter_mut().zip(&other.by_size) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.windows.iter_mut().zip(&other.windows) {
            mine.reads += theirs.reads;
            mine.first_try_lost += theirs.first_try_lost;
            mine.bytes += theirs.bytes;
            mine.bytes_lost += theirs.bytes_lost;
            mine.latency_us += theirs.latency_us;
            mine.latency_max_us = mine.latency_max_us.max(theirs.latency_max_us);
            mine.latency_min_us = shorter(mine.latency_min_us, theirs.latency_min_us);
        }
        self.flows.extend(other.flows);
    }

    /// Ends after this time, ns.
    pub(super) fn cut_short(&mut self, after_ns: u64) {
        self.windows.truncate(after_ns.div_ceil(self.window_ns).max(1) as usize);
    }

    /// Gives the flows their names, in the ledger's order: number, source port, server port.
    pub(crate) fn name_flows(&mut self, names: &[(u32, u16, u16)]) {
        for (flow, (number, source_port, server_port)) in self.flows.iter_mut().zip(names) {
            (flow.flow, flow.source_port, flow.server_port) = (*number, *source_port, *server_port);
        }
    }
}

/// The shorter of two latencies, of which 0 is none.
fn shorter(a: u32, b: u32) -> u32 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

impl Counts {
    /// Adds a read.
    pub(super) fn add(&mut self, loss: Option<&Loss>) {
        self.reads += 1;
        self.first_try_lost += u64::from(loss.is_some());
        self.failed += u64::from(loss.is_some_and(|loss| loss.failed));
    }
}
