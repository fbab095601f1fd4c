//! Looks at both hosts' counters while a stage runs.

use std::cell::RefCell;

use shingle_udp::counters::Snapshot;

use super::asker::{Asked, Asker, Look};
use super::kernel::Named;
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
        let host = &mut risen.client.host;
        if let Some(columns) = self.client.into_inner().columns {
            host.series = columns.finish(&mut host.risen, "this host", &mut risen.gaps);
        }
        let Some((asker, asked)) = self.server else { return };
        let looks = asker.end(&asked);
        let Some(before) = &self.before.server else { return };
        let shared = self.placement.shares_counters();
        risen.gaps.extend(unanswered(&looks, start_ns));
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
        let host = &mut server.host;
        host.series = columns.finish(&mut host.risen, "the server's host", &mut risen.gaps);
    }
}

/// Of a reading, what is looked at again.
fn watched(kernel: &Snapshot) -> Named {
    Snapshot { netstat: Default::default(), softnet: Default::default(), ..kernel.clone() }.flat()
}

/// What a server's statistics say of its host and of itself.
fn counters(report: &Report, shared: bool) -> Named {
    let sum =
        |field: fn(&shingle_server::stats::WorkerReport) -> u64| report.stats.workers().map(field).sum();
    let own = [
        ("Server.Requests", sum(|worker| worker.requests)),
        ("Server.Answers", sum(|worker| worker.answers)),
        ("Server.SocketDrops", sum(|worker| worker.socket_drops)),
    ];
    let mut counters = if shared { Named::new() } else { report.stats.kernel.clone() };
    counters.retain(|name, _| !super::kernel::is_of_the_machine(name));
    counters.extend(own.map(|(name, count)| (name.to_owned(), count)));
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
            gaps.push(format!("the server's counters from {from} to {to} of the stage ({error})"));
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

fn seconds(at_ns: u64, start_ns: u64) -> String {
    format!("{:.1} s", at_ns.saturating_sub(start_ns) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use shingle_server::stats::StatsReport;

    use super::*;

    const S: u64 = 1_000_000_000;

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
