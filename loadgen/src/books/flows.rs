//! What the flows' sockets and cores counted since they were opened.

use std::collections::BTreeMap;

use shingle_proto::wire::DropReason;

use crate::engine::Worker;

/// The counters of all flows at one moment, or what they rose by, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowCounters {
    counts: BTreeMap<&'static str, u64>,
    /// Datagrams dropped at each flow's socket, in the flows' order: 32 bits in the kernel, which wrap. None where it did not tell.
    drops: Vec<Option<u32>>,
}

impl FlowCounters {
    /// Those of Shingle's flows.
    pub(super) fn of_workers(workers: &[Worker]) -> Self {
        let mut all = Self::default();
        for flow in workers.iter().flat_map(|worker| &worker.flows) {
            all.drops.push(flow.socket.mem_info().ok().map(|info| info.drops));
            let core = flow.core.counters();
            let checksum_drops = core.drops[DropReason::Checksum.index()];
            for (name, count) in [
                ("datagrams_sent", flow.datagrams_sent),
                ("sends_refused", flow.sends_refused),
                ("trains_sent", flow.trains_sent),
                ("send_calls", flow.send_calls),
                ("receive_calls", flow.receive_calls),
                ("datagrams_received", core.datagrams_in),
                ("checksum_drops", checksum_drops),
                ("other_drops", core.drops.iter().sum::<u64>() - checksum_drops),
                ("rerequests", core.rerequests),
                ("continuations", core.continuations),
                ("retries", core.retries),
                ("reordered", core.reordered),
                ("duplicates", core.duplicates),
                ("late", core.late),
                ("challenges", core.challenges),
                ("corrupt_values", core.corrupt_values),
                ("version_restarts", core.version_restarts),
                ("reassembly_full", core.reassembly_full),
            ] {
                *all.counts.entry(name).or_default() += count;
            }
        }
        all
    }

    /// Those that flows of another protocol give by name.
    pub(super) fn of_names(counts: impl Iterator<Item = (&'static str, u64)>) -> Self {
        let mut all = Self::default();
        counts.for_each(|(name, count)| *all.counts.entry(name).or_default() += count);
        all
    }

    /// What they rose by since `earlier`; drops at a socket that did not tell at both ends are a gap.
    pub(super) fn since(&self, earlier: &Self, gaps: &mut Vec<String>) -> Self {
        let rise = |(name, now): (&&'static str, &u64)| (*name, now.saturating_sub(earlier.get(name)));
        let mut counts: BTreeMap<_, _> = self.counts.iter().map(rise).collect();
        let sockets = self.drops.iter().zip(&earlier.drops);
        let risen = sockets.map(|(now, before)| Some(now.as_ref()?.wrapping_sub(*before.as_ref()?)));
        let (told, silent): (Vec<_>, Vec<_>) = risen.partition(Option::is_some);
        if !silent.is_empty() {
            gaps.push(format!(
                "drops at {} of the generator's sockets (the kernel gave no SO_MEMINFO)",
                silent.len()
            ));
        }
        if !self.drops.is_empty() {
            counts.insert("socket_drops", told.into_iter().flatten().map(u64::from).sum());
        }
        Self { counts, drops: Vec::new() }
    }

    /// The count of this name; 0 if there is none.
    pub(super) fn get(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// All by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(name, count)| (*name, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_wrap_socket_by_socket_and_silent_sockets_are_a_gap() {
        let drops = |drops: &[Option<u32>]| FlowCounters { drops: drops.to_vec(), ..FlowCounters::default() };
        let mut gaps = Vec::new();
        let risen = drops(&[Some(4), Some(7)]).since(&drops(&[Some(u32::MAX), Some(5)]), &mut gaps);
        assert_eq!((risen.get("socket_drops"), gaps.len()), (7, 0));
        let risen = drops(&[None, Some(7)]).since(&drops(&[Some(1), Some(5)]), &mut gaps);
        assert_eq!((risen.get("socket_drops"), gaps.len()), (2, 1));
    }
}
