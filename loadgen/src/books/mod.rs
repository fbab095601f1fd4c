//! Both hosts' books around a stage: what every counter rose by, and the server's receipts.

mod asker;
mod flows;
mod kernel;
mod receipts;
mod series;
mod server;
mod watch;

use std::collections::BTreeMap;

use shingle_proto::client::ServerState;
use shingle_server::stats::{PathReport, StatsReport};
use shingle_udp::counters::{Snapshot, cpu_counters, device_counters};

pub(crate) use self::asker::Asker;
use self::flows::FlowCounters;
use self::kernel::Named;
pub use self::receipts::ReceiptCursor;
use self::server::Report;
pub use self::watch::Watch;
use crate::attribution::{ClientBooks, ServerBooks};
use crate::engine::Worker;
use crate::hostload::{CpuTimes, HostLoad};
use crate::memcached;
use crate::target::{Placement, Target};

/// Both hosts' counters at one moment.
pub struct Reading {
    kernel: Option<Snapshot>,
    /// Of its devices and CPUs.
    beside: Named,
    flows: FlowCounters,
    server: Option<Report>,
    memcached: Option<memcached::books::Reading>,
    cpu: Option<CpuTimes>,
    draining: bool,
    gaps: Vec<String>,
}

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
    pub fn take(workers: &[Worker], target: &mut Target) -> Self {
        let mut reading = Self::of_this_host(FlowCounters::of_workers(workers));
        reading.draining = workers
            .iter()
            .flat_map(|worker| &worker.flows)
            .any(|flow| flow.core.server_state() == ServerState::Draining);
        let gaps = &mut reading.gaps;
        reading.server =
            ask(target).map_err(|error| gaps.push(format!("statistics of the server: {error}"))).ok();
        let missing = reading.server.iter().flat_map(|report| &report.stats.missing);
        gaps.extend(missing.map(|name| format!("{name} of the server's host")));
        reading
    }

    /// The same where the server is memcached; `flows` are the counters of its flows.
    pub(crate) fn of_memcached(
        flows: impl Iterator<Item = (&'static str, u64)>,
        server: &mut memcached::target::Server,
    ) -> Self {
        let mut reading = Self::of_this_host(FlowCounters::of_names(flows));
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
        let mut missing = Vec::new();
        let mut beside = device_counters(&mut missing);
        beside.extend(cpu_counters(&mut missing));
        gaps.extend(missing.iter().map(|name| format!("{name} of this host")));
        Self {
            kernel,
            beside,
            flows,
            server: None,
            memcached: None,
            cpu: CpuTimes::read(),
            draining: false,
            gaps,
        }
    }

    /// The server's statistics, if they could be had.
    pub fn server(&self) -> Option<&StatsReport> {
        self.server.as_ref().map(|report| &report.stats)
    }

    /// What the server's kernel held of the path to here, as far as it told.
    pub fn path(&self) -> PathReport {
        self.server().and_then(|report| report.path).unwrap_or_default()
    }

    /// What rose since `earlier`. Counters of a namespace that both ends live in cannot be put down to either; only per-socket counters are.
    pub fn since(&self, earlier: &Self, placement: Placement) -> Risen {
        let mut risen = Risen {
            gaps: self.gaps_of_both(earlier),
            server_gone: self.server.is_none() && self.memcached.is_none(),
            server_draining: self.draining,
            ..Risen::default()
        };
        let flows = self.flows.since(&earlier.flows, &mut risen.gaps);
        risen.counters.extend(flows.iter().map(|(name, value)| (format!("client.flow.{name}"), value)));
        self.client_since(earlier, &flows, placement, &mut risen);
        self.server_since(earlier, &flows, placement, &mut risen);
        if placement == Placement::Lab {
            let of_the_machine =
                |name: &str| name.split_once('.').is_some_and(|(_, name)| kernel::is_of_the_machine(name));
            risen.counters.retain(|name, _| !of_the_machine(name));
        }
        if let (Some(now), Some(before)) = (self.cpu, earlier.cpu) {
            // A server inside this process is in its own time already.
            let server_us =
                risen.counters.get("server.cpu_time_us").filter(|_| placement == Placement::SameHost);
            risen.host_load = now.since(before, server_us.copied().unwrap_or(0));
        }
        risen
    }

    /// What could not be had at either end: it takes both to know what rose.
    fn gaps_of_both(&self, earlier: &Self) -> Vec<String> {
        let first = earlier.gaps.iter().filter(|gap| !self.gaps.contains(gap));
        first.map(|gap| format!("{gap} (before the stage)")).chain(self.gaps.iter().cloned()).collect()
    }

    fn client_since(&self, earlier: &Self, flows: &FlowCounters, placement: Placement, risen: &mut Risen) {
        let mut kernel = kernel::risen(&self.beside, &earlier.beside, "this host", &mut risen.gaps);
        if let (Some(now), Some(before)) = (&self.kernel, &earlier.kernel) {
            kernel.extend(kernel::known(now.since(before), "this host", &mut risen.gaps));
        }
        put(&mut risen.counters, "client.", &kernel);
        let (kernel_checksum_drops, socket_drops) =
            kernel::split_drops(flows.get("socket_drops"), &kernel, "this host", &mut risen.gaps);
        risen.client = ClientBooks {
            datagrams_sent: flows.get("datagrams_sent"),
            socket_drops,
            kernel_checksum_drops,
            // Nobody but the server sends to a connected socket: whatever cannot be read was changed on its way.
            checksum_drops: flows.get("checksum_drops") + flows.get("other_drops"),
            reassembly_full: flows.get("reassembly_full"),
            host: kernel::of_one_host(&kernel, placement),
        };
    }

    fn server_since(&self, earlier: &Self, flows: &FlowCounters, placement: Placement, risen: &mut Risen) {
        if let (Some(now), Some(before)) = (&self.server, &earlier.server)
            && let Some(rise) = now.since(before, placement, &mut risen.gaps)
        {
            let own = rise.counters.into_iter().map(|(name, count)| (format!("server.{name}"), count));
            risen.counters.extend(own);
            if !placement.shares_counters() {
                put(&mut risen.counters, "server.", &rise.kernel);
            }
            risen.server = Some(rise.books);
        }
        if let (Some(now), Some(before)) = (&self.memcached, &earlier.memcached) {
            let rise = now.since(before, flows.get("datagrams_sent"), flows.get("keys_sent"));
            risen.server = rise.books;
            risen.gaps.extend(rise.gaps);
            risen
                .counters
                .extend(rise.counters.into_iter().map(|(name, count)| (format!("server.{name}"), count)));
        }
    }
}

/// Asks the server; where it closed the connection, as one that ended did, the one that may be there now.
fn ask(target: &mut Target) -> Result<Report, String> {
    let first = match Report::ask(&mut target.control) {
        Err(unanswered) if unanswered.was_closed => unanswered,
        answer => return answer.map_err(|unanswered| unanswered.words),
    };
    target.redial().map_err(|error| format!("{}; then {error}", first.words))?;
    Report::ask(&mut target.control).map_err(|unanswered| unanswered.words)
}

fn put(counters: &mut BTreeMap<String, u64>, side: &str, risen: &Named) {
    counters.extend(
        risen.iter().filter(|(_, value)| **value > 0).map(|(name, value)| (format!("{side}{name}"), *value)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn blind(gap: &str) -> Reading {
        Reading {
            kernel: None,
            beside: Named::new(),
            flows: FlowCounters::of_names([("datagrams_sent", 7)].into_iter()),
            server: None,
            memcached: None,
            cpu: None,
            draining: false,
            gaps: vec![gap.to_owned()],
        }
    }

    #[test]
    fn where_nothing_can_be_read_nothing_is_guessed() {
        for placement in [Placement::Apart, Placement::SameHost, Placement::Lab] {
            let risen = blind("counters of this host: after").since(&blind("before"), placement);
            assert_eq!(risen.gaps, ["before (before the stage)", "counters of this host: after"]);
            assert!(risen.server.is_none() && risen.server_gone && risen.packets() == 0);
            assert!(risen.client.host.risen.is_empty() && risen.host_load == HostLoad::default());
            assert!(risen.counters.values().all(|count| *count == 0), "{:?}", risen.counters);
        }
    }

    #[test]
    fn what_only_the_first_reading_lacks_is_a_gap_told_once() {
        let mut after = blind("snmp6 of the server's host");
        after.server = Some(Report::default());
        let mut before = blind("snmp6 of the server's host");
        before.gaps.push("statistics of the server: timed out".to_owned());
        let risen = after.since(&before, Placement::Apart);
        assert!(risen.server.is_none() && !risen.server_gone);
        assert_eq!(
            risen.gaps,
            ["statistics of the server: timed out (before the stage)", "snmp6 of the server's host"]
        );
    }

    #[test]
    fn a_file_that_only_one_reading_holds_is_a_gap() {
        let with = |text: &str| {
            let kernel =
                Snapshot::parse(|name| Some(if name == "snmp" { text.to_owned() } else { String::new() }));
            Reading { kernel: Some(kernel), ..blind("same") }
        };
        let risen = with("Udp: InErrors\nUdp: 5\n").since(&with(""), Placement::Apart);
        assert!(risen.client.host.risen.is_empty());
        assert!(risen.gaps[1].contains("IP, ICMP and UDP: there at one end"), "{:?}", risen.gaps);
    }

    #[test]
    fn a_counter_that_went_back_takes_its_neighbours_along() {
        let with = |buffer: u32, checksum: u32| {
            let text = format!("Udp: RcvbufErrors InCsumErrors\nUdp: {buffer} {checksum}\n");
            let kernel =
                Snapshot::parse(|name| Some(if name == "snmp" { text.clone() } else { String::new() }));
            let flows = FlowCounters::of_names([("socket_drops", u64::from(buffer))].into_iter());
            Reading { kernel: Some(kernel), flows, ..blind("same") }
        };
        let risen = with(9, 5).since(&with(2, 1), Placement::Apart);
        assert_eq!((risen.client.socket_drops, risen.counters["client.Udp.RcvbufErrors"]), (7, 7));
        let risen = with(9, 1).since(&with(2, 5), Placement::Apart);
        assert_eq!((risen.client.socket_drops, risen.client.kernel_checksum_drops), (0, 0));
        assert!(risen.client.host.risen.is_empty(), "{:?}", risen.client.host.risen);
        assert!(!risen.counters.contains_key("client.Udp.RcvbufErrors"), "{:?}", risen.counters);
    }
}
