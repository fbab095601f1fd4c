//! Puts the statistics together from everybody's counters.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use shingle_proto::wire::DropReason;
use shingle_udp::counters::{Snapshot, cpu_counters, device_counters};
use shingle_udp::realtime_ns;

use crate::limits::SIZE_CLASS_BYTES;
use crate::shared::{PortState, Shared};
use crate::stats::{
    ControlReport, PathReport, PortReport, SizeClass, StatsReport, StoreReport, WorkerReport,
};
use crate::worker::{Counter, WorkerState};

/// A port to ask for the path to: nothing is sent, and it plays no part in the route.
const DISCARD_PORT: u16 = 9;

/// The server's statistics as `peer` gets them: with what is known of the path to it.
pub(crate) fn report_to(shared: &Shared, peer: IpAddr) -> StatsReport {
    let peer = peer.to_canonical();
    let path = PathReport {
        interface_mtu: shingle_udp::interface_mtu(peer).ok(),
        path_mtu: shingle_udp::route::path_mtu(SocketAddr::new(peer, DISCARD_PORT)).ok(),
    };
    StatsReport { path: Some(path), ..report(shared) }
}

/// The server's statistics now. Reads the kernel's counters of the calling thread's network namespace.
pub(crate) fn report(shared: &Shared) -> StatsReport {
    let mut missing = Vec::new();
    let mut kernel = match Snapshot::read() {
        Ok(snapshot) => {
            missing.extend_from_slice(&snapshot.missing);
            snapshot.flat()
        }
        Err(error) => {
            missing.push(format!("kernel ({error})"));
            BTreeMap::new()
        }
    };
    kernel.extend(device_counters(&mut missing));
    kernel.extend(cpu_counters(&mut missing));
    let ports: Vec<PortReport> = shared.ports.iter().map(port_report).collect();
    let mut drops = BTreeMap::<String, u64>::new();
    for (reason, count) in ports.iter().flat_map(|port| &port.workers).flat_map(|worker| &worker.drops) {
        *drops.entry(reason.clone()).or_default() += count;
    }
    StatsReport {
        nonce: shared.nonce,
        uptime_s: shared.elapsed_ns() as f64 / 1e9,
        taken_unix_us: realtime_ns() / 1000,
        version: env!("CARGO_PKG_VERSION").into(),
        draining: shared.is_draining(),
        store: store_report(shared),
        ports,
        drops,
        control: ControlReport {
            connections: shared.control.connections.get(),
            accepted: shared.control.accepted.get(),
            evicted: shared.control.evicted.get(),
            malformed: shared.control.malformed.get(),
            messages: shared.control.messages.get(),
            reads: shared.control.reads.get(),
        },
        kernel,
        path: None,
        settings: shingle_udp::settings::read(),
        missing,
    }
}

fn store_report(shared: &Shared) -> StoreReport {
    let stats = shared.store.stats();
    StoreReport {
        items: stats.items as u64,
        used_bytes: stats.bytes_used as u64,
        budget_bytes: stats.budget_bytes as u64,
        value_bytes_max: shared.value_bytes_max as u64,
        evictions: stats.evictions,
        expirations: stats.expirations,
        sets: stats.sets,
        deletes: stats.deletes,
    }
}

fn port_report(port: &PortState) -> PortReport {
    PortReport {
        port: port.port,
        strategy: port.strategy.name().into(),
        datagram_bytes_max: port.datagram_bytes_max(false) as u64,
        workers: port.workers.iter().map(worker_report).collect(),
    }
}

fn worker_report(worker: &WorkerState) -> WorkerReport {
    let counters = &worker.counters;
    let classes = SIZE_CLASS_BYTES.iter().copied().map(Some).chain([None]);
    WorkerReport {
        worker: worker.number,
        cpu: worker.cpu.get().copied(),
        requests: counters.requests.get(),
        gets: counters.gets.get(),
        hits: counters.hits.get(),
        misses: counters.misses.get(),
        refused: counters.refused.get(),
        challenged: counters.challenged.get(),
        answers: counters.answers.get(),
        answer_bytes: counters.answer_bytes.get(),
        send_system_calls: counters.send_system_calls.get(),
        recv_system_calls: counters.recv_system_calls.get(),
        send_failed: counters.send_failed.get(),
        send_retried: counters.send_retried.get(),
        socket_errors: counters.socket_errors.get(),
        drops: drops(&counters.drops),
        socket_drops: worker.socket_drops(),
        recv_buffer_granted_bytes: worker.recv_buffer_granted_bytes,
        allocations: counters.allocations.get(),
        cpu_time_us: counters.cpu_time_us.get(),
        size_classes: classes
            .zip(&counters.size_classes)
            .map(|(bytes_max, answers)| SizeClass { bytes_max, answers: answers.get() })
            .collect(),
        receipts: worker.receipts.as_ref().map_or(0, |ring| ring.written()),
    }
}

fn drops(counters: &[Counter; DropReason::COUNT]) -> BTreeMap<String, u64> {
    DropReason::ALL.iter().zip(counters).map(|(reason, count)| (reason.name().into(), count.get())).collect()
}
