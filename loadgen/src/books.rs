//! Both hosts' books around a stage: what every counter rose by, and the server's receipts.

use std::collections::BTreeMap;

use shingle_client::control::Control;
use shingle_proto::client::ServerState;
use shingle_proto::wire::{DropReason, Outcome};
use shingle_server::stats::{StatsReport, WorkerReport};
use shingle_udp::counters::Snapshot;

use crate::attribution::{ClientBooks, Receipt, ReceiptOutcome, Receipts, ServerBooks};
use crate::engine::Worker;
use crate::hostload::{CpuTimes, HostLoad};
use crate::memcached;
use crate::target::Placement;

/// Both hosts' counters at one moment.
pub struct Reading {
    kernel: Option<Snapshot>,
    flows: FlowCounters,
    server: Option<StatsReport>,
    memcached: Option<memcached::books::Reading>,
    cpu: Option<CpuTimes>,
    draining: bool,
    gaps: Vec<String>,
}

/// What the flows' sockets and cores counted since they were opened, by name.
#[derive(Clone, Debug, Default)]
struct FlowCounters(BTreeMap<&'static str, u64>);

/// What rose between two readings.
#[derive(Clone, Debug, Default)]
pub struct Risen {
    /// The generator's side, for attribution.
    pub client: ClientBooks,
    /// The server's side, if it could be asked at both ends.
    pub server: Option<ServerBooks>,
    /// Everything, for the record.
    pub counters: BTreeMap<String, u64>,
    /// What could not be had.
    pub gaps: Vec<String>,
    /// The server could not be asked when the stage was over.
    pub server_gone: bool,
    /// The server said that it was leaving.
    pub server_draining: bool,
    /// What else this host's CPUs did.
    pub host_load: HostLoad,
}

impl Risen {
    /// IP packets that this host received and sent.
    pub fn packets(&self) -> u64 {
        let names = ["Ip.InReceives", "Ip.OutRequests", "Ip6.InReceives", "Ip6.OutRequests"];
        names.iter().filter_map(|name| self.counters.get(&format!("client.{name}"))).sum()
    }
}

impl Reading {
    /// Reads everything now. Whatever cannot be had is a gap, not an error: the load goes on.
    pub fn take(workers: &[Worker], control: &mut Control) -> Self {
        let mut reading = Self::of_this_host(FlowCounters::sum(workers));
        reading.draining = workers
            .iter()
            .flat_map(|worker| &worker.flows)
            .any(|flow| flow.core.server_state() == ServerState::Draining);
        let gaps = &mut reading.gaps;
        reading.server = control
            .stats()
            .map_err(|error| error.to_string())
            .and_then(|json| serde_json::from_str::<StatsReport>(&json).map_err(|error| error.to_string()))
            .map_err(|error| gaps.push(format!("statistics of the server: {error}")))
            .ok();
        let missing = reading.server.iter().flat_map(|report| &report.missing);
        gaps.extend(missing.map(|name| format!("{name} of the server's host")));
        reading
    }

    /// The same where the server is memcached; `flows` are the counters of its flows.
    pub(crate) fn of_memcached(
        flows: impl Iterator<Item = (&'static str, u64)>,
        server: &mut memcached::target::Server,
    ) -> Self {
        let mut all = FlowCounters::default();
        flows.for_each(|(name, count)| *all.0.entry(name).or_default() += count);
        let mut reading = Self::of_this_host(all);
        let gaps = &mut reading.gaps;
        reading.memcached = memcached::books::Reading::take(server, reading.kernel.as_ref())
            .map_err(|error| gaps.push(format!("statistics of the server: {error}")))
            .ok();
        reading
    }

    fn of_this_host(flows: FlowCounters) -> Self {
        let mut gaps = Vec::new();
        let kernel =
            Snapshot::read().map_err(|error| gaps.push(format!("counters of this host: {error}"))).ok();
        gaps.extend(
            kernel
                .iter()
                .flat_map(|snapshot| &snapshot.missing)
                .map(|file| format!("/proc/net/{file} of this host")),
        );
        Self { kernel, flows, server: None, memcached: None, cpu: CpuTimes::read(), draining: false, gaps }
    }

    /// What rose since `earlier`. Counters of a namespace that both ends live in cannot be put down to either; only per-socket counters are.
    pub fn since(&self, earlier: &Self, placement: Placement) -> Risen {
        let shared = placement.shares_counters();
        let mut risen = Risen {
            gaps: self.gaps.clone(),
            server_gone: self.server.is_none() && self.memcached.is_none(),
            server_draining: self.draining,
            ..Risen::default()
        };
        let flows = self.flows.since(&earlier.flows);
        risen.counters.extend(flows.0.iter().map(|(name, value)| (format!("client.flow.{name}"), *value)));
        if let (Some(now), Some(before)) = (&self.kernel, &earlier.kernel) {
            let delta = now.since(before);
            risen.gaps.extend(delta.reset.iter().map(|name| format!("{name} of this host went back")));
            put(&mut risen.counters, "client.", &delta.counters);
        }
        risen.client = ClientBooks {
            datagrams_sent: flows.get("datagrams_sent"),
            socket_drops: flows.get("socket_drops"),
            // Nobody but the server sends to a connected socket: whatever cannot be read was changed on its way.
            checksum_drops: flows.get("checksum_drops") + flows.get("other_drops"),
            reassembly_full: flows.get("reassembly_full"),
            ..ClientBooks::default()
        };
        if !shared {
            let (corrupted, buffer) = split_drops(risen.client.socket_drops, &risen.counters, "client.");
            (risen.client.kernel_checksum_drops, risen.client.socket_drops) = (corrupted, buffer);
        }
        self.server_since(earlier, shared, &mut risen);
        if let (Some(now), Some(before)) = (&self.memcached, &earlier.memcached) {
            let rise = now.since(before, flows.get("datagrams_sent"), flows.get("keys_sent"));
            risen.server = rise.books;
            risen.gaps.extend(rise.gaps);
            risen
                .counters
                .extend(rise.counters.into_iter().map(|(name, count)| (format!("server.{name}"), count)));
        }
        if placement == Placement::Lab {
            // The kernel keeps these for the whole machine: they are neither host's.
            risen.counters.retain(|name, _| !name.contains(".Softnet."));
        }
        if let (Some(now), Some(before)) = (self.cpu, earlier.cpu) {
            // A server inside this process is in its own time already.
            let server_us =
                risen.counters.get("server.cpu_time_us").filter(|_| placement == Placement::SameHost);
            risen.host_load = now.since(before, server_us.copied().unwrap_or(0));
        }
        risen
    }

    fn server_since(&self, earlier: &Self, shared: bool, risen: &mut Risen) {
        let (Some(now), Some(before)) = (&self.server, &earlier.server) else { return };
        if now.nonce != before.nonce {
            risen
                .gaps
                .push("the server was restarted during the stage: its counters prove nothing".to_owned());
            return;
        }
        let sum = |field: fn(&WorkerReport) -> u64| {
            rise(now.workers().map(field).sum(), before.workers().map(field).sum())
        };
        let drops = |reason: &str| {
            rise(now.drops.get(reason).copied().unwrap_or(0), before.drops.get(reason).copied().unwrap_or(0))
        };
        for (name, field) in WORKER_COUNTERS {
            risen.counters.insert(format!("server.{name}"), sum(*field));
        }
        for reason in now.drops.keys() {
            risen.counters.insert(format!("server.drops.{reason}"), drops(reason));
        }
        risen
            .counters
            .insert("server.store_evictions".to_owned(), rise(now.store.evictions, before.store.evictions));
        let kernel: BTreeMap<_, _> = now
            .kernel
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), rise(*value, *before.kernel.get(name)?))))
            .collect();
        if !shared {
            put(&mut risen.counters, "server.", &kernel);
        }
        let all_drops: u64 = now.drops.keys().map(|reason| drops(reason)).sum();
        let mut books = ServerBooks {
            requests: sum(|worker| worker.requests).saturating_sub(all_drops),
            socket_drops: sum(|worker| worker.socket_drops),
            checksum_drops: corrupted(&drops),
            answers: sum(|worker| worker.answers),
            sends_refused: sum(|worker| worker.send_failed),
            ..ServerBooks::default()
        };
        let cpu_us = now
            .workers()
            .zip(before.workers())
            .map(|(now, before)| rise(now.cpu_time_us, before.cpu_time_us));
        books.busiest_worker_ns = cpu_us.max().unwrap_or(0) * 1000;
        if !shared {
            (books.kernel_checksum_drops, books.socket_drops) =
                split_drops(books.socket_drops, &risen.counters, "server.");
        }
        risen.server = Some(books);
    }
}

/// Name in the record and where it stands in the server's statistics.
type WorkerCounter = (&'static str, fn(&WorkerReport) -> u64);

const WORKER_COUNTERS: &[WorkerCounter] = &[
    ("requests", |worker| worker.requests),
    ("gets", |worker| worker.gets),
    ("hits", |worker| worker.hits),
    ("misses", |worker| worker.misses),
    ("refused", |worker| worker.refused),
    ("challenged", |worker| worker.challenged),
    ("answers", |worker| worker.answers),
    ("answer_bytes", |worker| worker.answer_bytes),
    ("send_system_calls", |worker| worker.send_system_calls),
    ("recv_system_calls", |worker| worker.recv_system_calls),
    ("send_failed", |worker| worker.send_failed),
    ("send_retried", |worker| worker.send_retried),
    ("socket_drops", |worker| worker.socket_drops),
    ("read_path_allocations", |worker| worker.allocations),
    ("cpu_time_us", |worker| worker.cpu_time_us),
];

impl FlowCounters {
    fn sum(workers: &[Worker]) -> Self {
        let mut all = BTreeMap::new();
        for flow in workers.iter().flat_map(|worker| &worker.flows) {
            let core = flow.core.counters();
            let checksum_drops = core.drops[DropReason::Checksum.index()];
            for (name, count) in [
                // 32 bits in the kernel, per socket.
                ("socket_drops", flow.socket.mem_info().map_or(0, |info| u64::from(info.drops))),
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
                *all.entry(name).or_default() += count;
            }
        }
        Self(all)
    }

    fn since(&self, earlier: &Self) -> Self {
        let rise = |(name, now): (&&'static str, &u64)| (*name, rise(*now, earlier.get(name)));
        Self(self.0.iter().map(rise).collect())
    }

    fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// A receipt as attribution reads it.
fn receipt(receipt: &shingle_proto::wire::Receipt) -> Receipt {
    Receipt {
        flow: receipt.flow,
        sequence: receipt.sequence,
        attempt: receipt.attempt,
        outcome: match receipt.outcome {
            Outcome::Answered => ReceiptOutcome::Answered { residence_us: receipt.residence_us },
            Outcome::SendRefused => ReceiptOutcome::SendRefused,
            Outcome::Challenged => ReceiptOutcome::Challenged,
        },
        datagrams: receipt.answer_datagrams,
        bytes: receipt.answer_bytes,
        arrival_unix_us: receipt.arrival_unix_us,
    }
}

/// Where each worker's receipts will go on: taken before a stage, used after it.
#[derive(Clone, Debug)]
pub struct ReceiptCursor {
    next: Vec<(u8, u64)>,
}

impl ReceiptCursor {
    /// Skips all receipts there are so far.
    pub fn at_end(report: Option<&StatsReport>) -> Option<Self> {
        let next: Vec<_> = report?.workers().map(|worker| (worker.worker, worker.receipts)).collect();
        Some(Self { next })
    }

    /// Fetches what came since; a failing fetch is a gap.
    pub fn fetch(&self, control: &mut Control, gaps: &mut Vec<String>) -> Option<Receipts> {
        let mut receipts = Receipts::default();
        for (worker, from) in &self.next {
            let list = control
                .all_receipts(*worker, *from)
                .map_err(|error| gaps.push(format!("receipts of the server: {error}")))
                .ok()?;
            receipts.overwritten += list.overwritten;
            receipts.all.extend(list.receipts.iter().map(receipt));
        }
        Some(receipts)
    }
}

impl Reading {
    /// The server's statistics, if they could be had.
    pub fn server(&self) -> Option<&StatsReport> {
        self.server.as_ref()
    }
}

/// Requests that arrived changed. A flip in magic, version or kind shows under those names; but so does what strangers send, so they
/// are only counted where the checksum shows that something flips bits.
fn corrupted(drops: &impl Fn(&str) -> u64) -> u64 {
    match drops("checksum") {
        0 => 0,
        checksum => checksum + drops("magic") + drops("version") + drops("kind"),
    }
}

/// Of the drops at our own sockets, those for a wrong UDP checksum and those for want of buffer: the kernel counts both in one number
/// a socket. The namespace's counters, which others raise too, only split that number; want of buffer goes first.
fn split_drops(socket_drops: u64, counters: &BTreeMap<String, u64>, side: &str) -> (u64, u64) {
    let beyond_buffer = socket_drops.saturating_sub(both_families(counters, side, "RcvbufErrors"));
    let corrupted = beyond_buffer.min(both_families(counters, side, "InCsumErrors"));
    (corrupted, socket_drops - corrupted)
}

fn both_families(counters: &BTreeMap<String, u64>, side: &str, name: &str) -> u64 {
    ["Udp", "Udp6"].iter().filter_map(|udp| counters.get(&format!("{side}{udp}.{name}"))).sum()
}

fn put(counters: &mut BTreeMap<String, u64>, side: &str, risen: &BTreeMap<String, u64>) {
    counters.extend(
        risen.iter().filter(|(_, value)| **value > 0).map(|(name, value)| (format!("{side}{name}"), *value)),
    );
}

/// How much a counter rose; one that went back was reset, and what it shows now is all that is known.
fn rise(now: u64, before: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(rcvbuf_errors: u64, csum_errors: u64) -> BTreeMap<String, u64> {
        [("server.Udp.RcvbufErrors", rcvbuf_errors), ("server.Udp6.InCsumErrors", csum_errors)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    #[test]
    fn a_namespaces_counters_prove_nothing_that_our_sockets_do_not_show() {
        assert_eq!(split_drops(0, &counters(0, 1665), "server."), (0, 0));
        assert_eq!(split_drops(10, &counters(0, 4), "server."), (4, 6));
        assert_eq!(split_drops(10, &counters(10, 4), "server."), (0, 10));
        assert_eq!(split_drops(10, &counters(7, 1665), "server."), (3, 7));
    }

    #[test]
    fn flips_in_other_fields_count_where_the_checksum_shows_flips() {
        let drops = |reason: &str| match reason {
            "magic" => 5,
            "kind" => 1,
            _ => 0,
        };
        assert_eq!(corrupted(&drops), 0);
        assert_eq!(corrupted(&|reason| if reason == "checksum" { 100 } else { drops(reason) }), 106);
    }

    #[test]
    fn a_shared_namespaces_counters_are_put_down_to_nobody() {
        let reading = |rcvbuf_errors| {
            let kernel = [("Udp.RcvbufErrors".to_owned(), rcvbuf_errors)].into();
            let server = Some(StatsReport { kernel, ..StatsReport::default() });
            Reading {
                kernel: None,
                flows: FlowCounters::default(),
                server,
                memcached: None,
                cpu: None,
                draining: false,
                gaps: Vec::new(),
            }
        };
        let listed = |placement| {
            reading(5).since(&reading(2), placement).counters.contains_key("server.Udp.RcvbufErrors")
        };
        assert!(listed(Placement::Apart) && listed(Placement::Lab));
        assert!(!listed(Placement::SameHost) && !listed(Placement::Embedded));
    }

    #[test]
    fn a_restarted_server_gives_no_books() {
        let report = |nonce| Some(StatsReport { nonce, ports: vec![], ..StatsReport::default() });
        let reading = |nonce| Reading {
            kernel: None,
            flows: FlowCounters::default(),
            server: report(nonce),
            memcached: None,
            cpu: None,
            draining: false,
            gaps: Vec::new(),
        };
        assert!(reading(1).since(&reading(1), Placement::Apart).server.is_some());
        let risen = reading(2).since(&reading(1), Placement::Apart);
        assert!(
            risen.server.is_none() && risen.gaps.iter().any(|gap| gap.contains("restarted")),
            "{:?}",
            risen.gaps
        );
    }
}
