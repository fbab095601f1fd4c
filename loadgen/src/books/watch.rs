//! Looks at both hosts' counters while a stage runs.

use std::cell::RefCell;

use shingle_udp::counters::Snapshot;

use super::asker::{Asked, Asker, Look};
use super::kernel::{self, Back, Named};
use super::series::Columns;
use super::server::Report;
use super::{Reading, Risen};
use crate::limits;
use crate::target::Placement;

/// A stage being watched.
pub struct Watch<'a> {
    client: RefCell<Client>,
    server: Option<(&'a Asker, Asked)>,
    before: &'a Reading,
    placement: Placement,
}

/// This host's looks.
struct Client {
    columns: Option<Columns>,
    every_ns: u64,
    next_ns: u64,
}

/// Files that tell what became of datagrams and fragments, and are read in some 50 us; the others are read at the ends of a stage.
const FILES: [&str; 2] = ["snmp", "snmp6"];

impl<'a> Watch<'a> {
    /// Begins with what was read before the stage, which is to take so long.
    pub(crate) fn begin(
        before: &'a Reading,
        placement: Placement,
        asker: Option<&'a Asker>,
        duration_ns: u64,
    ) -> Self {
        let own = before.kernel.as_ref().filter(|_| !placement.shares_counters());
        let columns = own.map(|kernel| Columns::new(&watched(kernel)));
        let every_ns = (duration_ns / limits::SERIES_ROWS_MAX).max(limits::CLIENT_LOOK_INTERVAL_NS);
        // The first look is due a little early: ticks are not exact.
        let client = RefCell::new(Client { columns, every_ns, next_ns: every_ns / 2 });
        Self { client, server: asker.map(|asker| (asker, asker.begin())), before, placement }
    }

    /// To be called as time goes by; seconds since the stage began.
    pub(crate) fn tick(&self, elapsed_s: f64) {
        let mut client = self.client.borrow_mut();
        let now_ns = (elapsed_s * 1e9) as u64;
        if now_ns < client.next_ns {
            return;
        }
        client.next_ns = now_ns + client.every_ns - limits::CLIENT_LOOK_INTERVAL_NS / 2;
        if let Some(columns) = &mut client.columns
            && let Ok(kernel) = Snapshot::read_files(&FILES)
        {
            columns.look(now_ns, &kernel.flat());
        }
    }

    /// Puts what was seen to what rose. The stage began at `start_ns` on the monotonic clock.
    pub(crate) fn end(self, start_ns: u64, risen: &mut Risen) {
        if let Some(columns) = self.client.into_inner().columns {
            let (series, back) = columns.finish();
            risen.client.host.series = series;
            risen.forget_client(&back);
        }
        let Some((asker, asked)) = self.server else { return };
        let looks = asker.end(&asked);
        risen.gaps.extend(unanswered(&looks, start_ns));
        let Some(before) = &self.before.server else { return };
        let shared = self.placement.shares_counters();
        risen.gaps.extend(restarts(before, &looks, start_ns));
        let Some(server) = &mut risen.server else { return };
        let mut columns = Columns::new(&counters(before, shared));
        for look in &looks {
            if let Ok(report) = &look.answer
                && report.is_complete()
                && report.stats.nonce == before.stats.nonce
            {
                columns.look(look.ended_ns.saturating_sub(start_ns), &counters(report, shared));
            }
        }
        let (series, back) = columns.finish();
        server.host.series = series;
        risen.forget_server(&back);
    }
}

impl Risen {
    /// Takes out what looks in mid-run showed to say nothing, and makes anew what the readings at the ends made of it.
    fn forget_client(&mut self, back: &Back) {
        if back.is_empty() {
            return;
        }
        let Self { client, counters, gaps, .. } = self;
        kernel::forget(&mut client.host.risen, "", back);
        kernel::forget(counters, "client.", back);
        kernel::tell(back, "this host", gaps);
        let drops = counters.get("client.flow.socket_drops").copied().unwrap_or(0);
        (client.kernel_checksum_drops, client.socket_drops) =
            kernel::split_drops(drops, &client.host.risen, "this host", gaps);
    }

    /// The same of the server's side. A server whose own counters went back proves nothing at all.
    fn forget_server(&mut self, back: &Back) {
        let Self { server, counters, gaps, .. } = self;
        if let Some(how) = back.get(OWN) {
            gaps.push(format!("the server's counters ({how}, and it was not restarted)"));
            counters.retain(|name, _| !name.starts_with("server."));
            *server = None;
        }
        let Some(server) = server.as_mut().filter(|_| !back.is_empty()) else { return };
        let host = "the server's host";
        kernel::forget(&mut server.host.risen, "", back);
        kernel::forget(counters, "server.", back);
        kernel::tell(back, host, gaps);
        let drops = counters.get("server.socket_drops").copied().unwrap_or(0);
        (server.kernel_checksum_drops, server.socket_drops) =
            kernel::split_drops(drops, &server.host.risen, host, gaps);
    }
}

/// The family of what a server counts itself.
const OWN: &str = "Server";

/// Of a reading, what is looked at again.
fn watched(kernel: &Snapshot) -> Named {
    Snapshot { netstat: Default::default(), softnet: Default::default(), ..kernel.clone() }.flat()
}

/// What a server's statistics say of its host and of itself.
fn counters(report: &Report, shared: bool) -> Named {
    let sum =
        |field: fn(&shingle_server::stats::WorkerReport) -> u64| report.stats.workers().map(field).sum();
    let own = [
        ("Requests", sum(|worker| worker.requests)),
        ("Answers", sum(|worker| worker.answers)),
        ("SocketDrops", sum(|worker| worker.socket_drops)),
    ];
    let mut counters = if shared { Named::new() } else { report.stats.kernel.clone() };
    counters.retain(|name, _| !kernel::is_of_the_machine(name));
    counters.extend(own.map(|(name, count)| (format!("{OWN}.{name}"), count)));
    counters
}

/// Times in which the server did not tell, in words.
fn unanswered(looks: &[Look], start_ns: u64) -> Vec<String> {
    let mut gaps = Vec::new();
    for silent in looks.chunk_by(|a, b| a.answer.is_err() == b.answer.is_err()) {
        if let ([first, ..], [.., last]) = (silent, silent)
            && let Err(error) = &first.answer
        {
            let (from, to) = (seconds(first.asked_ns, start_ns), seconds(last.ended_ns, start_ns));
            let when = if from == to { format!("at {from}") } else { format!("from {from} to {to}") };
            gaps.push(format!("the server's counters {when} of the stage ({error})"));
        }
    }
    gaps
}

/// Restarts, in words: between which looks they were.
fn restarts(before: &Report, looks: &[Look], start_ns: u64) -> Vec<String> {
    let (mut nonce, mut seen_ns, mut gaps) = (before.stats.nonce, start_ns, Vec::new());
    for (look, report) in looks.iter().filter_map(|look| Some((look, look.answer.as_ref().ok()?))) {
        if report.is_complete() && report.stats.nonce != nonce {
            nonce = report.stats.nonce;
            let (from, to) = (seconds(seen_ns, start_ns), seconds(look.ended_ns, start_ns));
            gaps.push(format!("what the server did around its restart between {from} and {to} of the stage"));
        }
        seen_ns = look.ended_ns;
    }
    gaps
}

/// A time of the stage, in words.
pub(super) fn seconds(at_ns: u64, start_ns: u64) -> String {
    format!("{:.1} s", at_ns.saturating_sub(start_ns) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use shingle_server::stats::{PortReport, StatsReport, WorkerReport};

    use super::*;
    use crate::attribution::{ClientBooks, HostCounters, ServerBooks};
    use crate::books::tests::blind;

    const S: u64 = 1_000_000_000;

    fn named(counters: &[(&str, u64)]) -> Named {
        counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    /// What the readings at the ends made of drops at sockets and of counters that went on rising after they had been reset.
    fn risen_from_end_to_end() -> Risen {
        let host = HostCounters {
            risen: named(&[("Udp.RcvbufErrors", 7), ("Udp.InCsumErrors", 0), ("Nic.eth0.drops", 3)]),
            ..HostCounters::default()
        };
        let counters = named(&[
            ("client.flow.socket_drops", 7),
            ("client.Udp.RcvbufErrors", 7),
            ("client.Nic.eth0.drops", 3),
            ("server.socket_drops", 7),
            ("server.Udp.RcvbufErrors", 7),
        ]);
        Risen {
            client: ClientBooks { socket_drops: 7, host: host.clone(), ..ClientBooks::default() },
            server: Some(ServerBooks { socket_drops: 7, host, ..ServerBooks::default() }),
            counters,
            ..Risen::default()
        }
    }

    #[test]
    fn what_went_back_in_mid_run_is_in_neither_books_nor_record() {
        let reading = blind("nothing");
        let watch = Watch::begin(&reading, Placement::Apart, None, 3 * S);
        let udp = |buffer, checksum| named(&[("Udp.RcvbufErrors", buffer), ("Udp.InCsumErrors", checksum)]);
        let mut columns = Columns::new(&udp(5, 5));
        columns.look(S, &udp(8, 6));
        columns.look(2 * S, &udp(9, 0));
        watch.client.borrow_mut().columns = Some(columns);
        let mut risen = risen_from_end_to_end();
        watch.end(0, &mut risen);
        let client = &risen.client;
        assert_eq!(client.host.risen, named(&[("Nic.eth0.drops", 3)]), "neighbours are not trusted either");
        assert_eq!((client.socket_drops, client.kernel_checksum_drops), (0, 0));
        assert!(!risen.counters.contains_key("client.Udp.RcvbufErrors"), "{:?}", risen.counters);
        assert!(risen.counters.contains_key("client.Nic.eth0.drops") && client.host.series.names.is_empty());
        let [back, drops] = &risen.gaps[..] else { panic!("{:?}", risen.gaps) };
        assert!(
            back.contains("of this host rose by (Udp.InCsumErrors went back between 1.0 s and 2.0 s"),
            "{back}"
        );
        assert!(drops.starts_with("why 7 datagrams"), "{drops}");
    }

    #[test]
    fn a_servers_host_or_itself_that_went_back_in_mid_run_is_not_used() {
        let back = |family: &str| Back::from([(family.to_owned(), "it went back at 1.0 s".to_owned())]);
        let mut risen = risen_from_end_to_end();
        risen.forget_server(&back(kernel::family("Udp.InErrors")));
        let server = risen.server.as_ref().expect("its own counters are sound");
        assert_eq!(
            (server.socket_drops, server.host.risen.len(), risen.gaps.len()),
            (0, 1, 2),
            "{:?}",
            risen.gaps
        );
        assert!(risen.counters.contains_key("server.socket_drops"));
        assert!(!risen.counters.contains_key("server.Udp.RcvbufErrors"), "{:?}", risen.counters);
        let worker = WorkerReport { requests: 1, ..WorkerReport::default() };
        let ports = vec![PortReport { workers: vec![worker], ..PortReport::default() }];
        let report = Report { stats: StatsReport { ports, ..StatsReport::default() }, lacking: Vec::new() };
        let own = counters(&report, true);
        assert!(own.len() == 3 && own.keys().all(|name| kernel::family(name) == OWN), "{own:?}");
        risen.forget_server(&back(OWN));
        assert!(
            risen.server.is_none() && risen.gaps[2].contains("it went back at 1.0 s"),
            "{:?}",
            risen.gaps
        );
        assert!(!risen.counters.keys().any(|name| name.starts_with("server.")), "{:?}", risen.counters);
    }

    fn report(nonce: u32) -> Report {
        Report { stats: StatsReport { nonce, ..StatsReport::default() }, lacking: Vec::new() }
    }

    fn looks(answers: &[Option<u32>]) -> Vec<Look> {
        let look = |(second, answer): (u64, &Option<u32>)| Look {
            asked_ns: second * S,
            ended_ns: second * S + S / 10,
            answer: answer.map(report).ok_or_else(|| format!("closed at {second}")),
        };
        (11..).zip(answers).map(look).collect()
    }

    #[test]
    fn silence_is_told_with_its_times() {
        let gaps = unanswered(&looks(&[Some(1), None, None, Some(1), None]), 10 * S);
        assert_eq!(
            gaps,
            [
                "the server's counters from 2.0 s to 3.1 s of the stage (closed at 12)",
                "the server's counters from 5.0 s to 5.1 s of the stage (closed at 15)",
            ]
        );
        assert!(unanswered(&looks(&[Some(1); 3]), 0).is_empty());
    }

    #[test]
    fn restarts_are_told_with_their_times() {
        let gaps = restarts(&report(1), &looks(&[Some(1), None, Some(2), Some(2), Some(3)]), 10 * S);
        assert_eq!(
            gaps,
            [
                "what the server did around its restart between 1.1 s and 3.1 s of the stage",
                "what the server did around its restart between 4.1 s and 5.1 s of the stage",
            ]
        );
    }
}
