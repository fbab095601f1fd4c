//! The server's own books: its statistics, and what they rose by.

use shingle_client::control::{Control, ControlError};
use shingle_server::stats::{PortReport, StatsReport, WorkerReport};

use super::kernel::{self, Named};
use crate::attribution::ServerBooks;
use crate::target::Placement;

/// The server's statistics at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// As it gave them.
    pub(super) stats: StatsReport,
    /// Fields that nothing can be said without, and that are not in them: serde takes them as 0.
    pub(super) lacking: Vec<&'static str>,
}

/// Why there are no statistics.
#[derive(Clone, Debug)]
pub(super) struct Unanswered {
    /// In words.
    pub(super) words: String,
    /// The connection was closed, as by a server that ended: another one may be there. One that is silent is not asked twice.
    pub(super) was_closed: bool,
}

/// What rose between two reports of the same instance.
pub(super) struct Rise {
    /// For attribution.
    pub(super) books: ServerBooks,
    /// By name, without `server.`.
    pub(super) counters: Named,
    /// What its kernel counted, whoever's doing it is.
    pub(super) kernel: Named,
}

/// Fields of a worker's statistics that the books are made of.
const NEEDED: [&str; 6] = ["requests", "answers", "socket_drops", "send_failed", "drops", "cpu_time_us"];

impl Report {
    /// Asks the server.
    ///
    /// # Errors
    /// It could not be asked, or what it said is no statistics.
    pub(super) fn ask(control: &mut Control) -> Result<Self, Unanswered> {
        let json = control.stats().map_err(|error| Unanswered {
            words: error.to_string(),
            was_closed: error.connection_lost() && !matches!(error, ControlError::TimedOut { .. }),
        })?;
        Self::parse(&json).map_err(|words| Unanswered { words, was_closed: false })
    }

    /// Whether it holds all that the books are made of.
    pub(super) fn is_complete(&self) -> bool {
        self.lacking.is_empty()
    }

    fn parse(json: &str) -> Result<Self, String> {
        let document: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let list = |value: &serde_json::Value, name| value[name].as_array().cloned().unwrap_or_default();
        let workers: Vec<_> =
            list(&document, "ports").iter().flat_map(|port| list(port, "workers")).collect();
        let told = |name: &str| !workers.is_empty() && workers.iter().all(|worker| !worker[name].is_null());
        let mut lacking: Vec<_> = NEEDED.into_iter().filter(|name| !told(name)).collect();
        lacking.extend(Some("nonce").filter(|name| document[*name].is_null()));
        let stats = serde_json::from_value(document).map_err(|error| error.to_string())?;
        Ok(Self { stats, lacking })
    }

    /// What rose since `earlier`; none, and a gap, where it says nothing.
    pub(super) fn since(&self, earlier: &Self, placement: Placement, gaps: &mut Vec<String>) -> Option<Rise> {
        let (now, before) = (&self.stats, &earlier.stats);
        if !self.lacking.is_empty() {
            let names = self.lacking.join(", ");
            gaps.push(format!("the server's counters (its statistics have no {names}: another version?)"));
            return None;
        }
        if now.nonce != before.nonce {
            gaps.push("the server was restarted during the stage: its counters prove nothing".to_owned());
            return None;
        }
        let total = |report: &StatsReport, field: fn(&WorkerReport) -> u64| {
            report.workers().map(field).fold(0, u64::saturating_add)
        };
        let back: Vec<_> =
            WORKER_COUNTERS.iter().filter(|(_, field)| total(now, *field) < total(before, *field)).collect();
        if !back.is_empty() {
            let names: Vec<_> = back.iter().map(|(name, _)| *name).collect();
            gaps.push(format!(
                "the server's counters ({} went back, and it was not restarted)",
                names.join(", ")
            ));
            return None;
        }
        let sum = |field: fn(&WorkerReport) -> u64| total(now, field) - total(before, field);
        let drops = |reason: &str| {
            let of = |report: &StatsReport| report.drops.get(reason).copied().unwrap_or(0);
            of(now).saturating_sub(of(before))
        };
        let mut counters: Named =
            WORKER_COUNTERS.iter().map(|(name, field)| ((*name).to_owned(), sum(*field))).collect();
        counters.extend(now.drops.keys().map(|reason| (format!("drops.{reason}"), drops(reason))));
        let evictions = now.store.evictions.saturating_sub(before.store.evictions);
        counters.insert("store_evictions".to_owned(), evictions);
        for (now, before) in
            now.ports.iter().zip(&before.ports).filter(|(now, before)| now.port == before.port)
        {
            counters.extend(port_since(now, before));
        }
        let kernel = kernel::risen(&now.kernel, &before.kernel, "the server's host", gaps);
        let all_drops: u64 = now.drops.keys().map(|reason| drops(reason)).sum();
        let cpu_us = now
            .workers()
            .zip(before.workers())
            .map(|(now, before)| now.cpu_time_us.saturating_sub(before.cpu_time_us));
        let socket_drops = sum(|worker| worker.socket_drops);
        let (kernel_checksum_drops, socket_drops) =
            kernel::split_drops(socket_drops, &kernel, "the server's host", gaps);
        let books = ServerBooks {
            requests: sum(|worker| worker.requests).saturating_sub(all_drops),
            socket_drops,
            kernel_checksum_drops,
            checksum_drops: corrupted(&drops),
            answers: sum(|worker| worker.answers),
            sends_refused: sum(|worker| worker.send_failed),
            busiest_worker_ns: cpu_us.max().unwrap_or(0) * 1000,
            host: kernel::of_one_host(&kernel, placement),
            ..ServerBooks::default()
        };
        Some(Rise { books, counters, kernel })
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

/// What rose at one port, and its answers by size: `port.7400.answers`, `port.7400.answers_to_1472_bytes`.
fn port_since(now: &PortReport, before: &PortReport) -> Named {
    let sums = |port: &PortReport| {
        let sum = |field: fn(&WorkerReport) -> u64| port.workers.iter().map(field).sum();
        let mut sums: Named = [
            ("requests", sum(|worker| worker.requests)),
            ("answers", sum(|worker| worker.answers)),
            ("answer_bytes", sum(|worker| worker.answer_bytes)),
            ("socket_drops", sum(|worker| worker.socket_drops)),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into();
        for class in port.workers.iter().flat_map(|worker| &worker.size_classes) {
            let name = match class.bytes_max {
                Some(bytes) => format!("answers_to_{bytes}_bytes"),
                None => "answers_longer".to_owned(),
            };
            *sums.entry(name).or_default() += class.answers;
        }
        sums
    };
    let before = sums(before);
    let risen = |(name, count): (String, u64)| {
        let risen = count.saturating_sub(before.get(&name).copied().unwrap_or(0));
        (format!("port.{}.{name}", now.port), risen)
    };
    sums(now).into_iter().map(risen).collect()
}

/// Requests that arrived changed. A flip in magic, version or kind shows under those names; but so does what strangers send, so they
/// are only counted where the checksum shows that something flips bits.
fn corrupted(drops: &impl Fn(&str) -> u64) -> u64 {
    match drops("checksum") {
        0 => 0,
        checksum => checksum + drops("magic") + drops("version") + drops("kind"),
    }
}

#[cfg(test)]
mod tests {
    use shingle_server::stats::SizeClass;

    use super::*;

    const PLACEMENT: Placement = Placement::Apart;

    fn report(nonce: u32, requests: u64) -> StatsReport {
        let worker = WorkerReport { requests, ..WorkerReport::default() };
        let port = PortReport { workers: vec![worker], ..Default::default() };
        StatsReport { nonce, ports: vec![port], ..StatsReport::default() }
    }

    fn parsed(report: &StatsReport, change: impl FnOnce(&mut serde_json::Value)) -> Report {
        let mut json = serde_json::to_value(report).expect("plain figures");
        change(&mut json);
        Report::parse(&json.to_string()).expect("it is JSON")
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
    fn a_restarted_server_gives_no_books() {
        let mut gaps = Vec::new();
        let now = parsed(&report(1, 30), |_| ());
        let rise = now.since(&parsed(&report(1, 10), |_| ()), PLACEMENT, &mut gaps);
        assert_eq!((rise.expect("the same instance").books.requests, gaps.len()), (20, 0));
        assert!(now.since(&parsed(&report(2, 10), |_| ()), PLACEMENT, &mut gaps).is_none());
        assert!(gaps[0].contains("restarted"), "{gaps:?}");
    }

    #[test]
    fn answers_are_told_by_port_and_size() {
        let with = |small, large| {
            let class = |bytes_max, answers| SizeClass { bytes_max, answers };
            let size_classes = vec![class(Some(1472), small), class(None, large)];
            let worker = WorkerReport { answers: small + large, size_classes, ..WorkerReport::default() };
            PortReport { port: 7400, workers: vec![worker.clone(), worker], ..PortReport::default() }
        };
        let risen = port_since(&with(5, 3), &with(1, 2));
        let figures = ["answers", "answers_to_1472_bytes", "answers_longer"]
            .map(|name| risen[&format!("port.7400.{name}")]);
        assert_eq!(figures, [10, 8, 2]);
    }

    #[test]
    fn statistics_that_lack_a_field_say_so_and_are_not_taken_as_nought() {
        let without = |name: &str| {
            parsed(&report(1, 30), |json| {
                json["ports"][0]["workers"][0].as_object_mut().expect("a worker").remove(name);
            })
        };
        for name in NEEDED {
            let mut gaps = Vec::new();
            let rise = without(name).since(&parsed(&report(1, 10), |_| ()), PLACEMENT, &mut gaps);
            assert!(rise.is_none() && gaps[0].contains(name), "{gaps:?}");
        }
        let mut gaps = Vec::new();
        let nameless =
            parsed(&report(0, 30), |json| drop(json.as_object_mut().expect("one").remove("nonce")));
        assert!(nameless.since(&nameless, PLACEMENT, &mut gaps).is_none() && gaps[0].contains("nonce"));
        assert!(
            Report::parse("[]").is_ok_and(|report| !report.lacking.is_empty())
                || Report::parse("[]").is_err()
        );
        assert!(Report::parse("{").is_err());
    }

    #[test]
    fn counters_of_its_host_that_went_back_are_a_gap() {
        let with = |fails| {
            let kernel =
                [("Ip.ReasmFails".to_owned(), fails), ("Udp.InErrors".to_owned(), 20 - fails)].into();
            parsed(&StatsReport { kernel, ..report(1, 0) }, |_| ())
        };
        let mut gaps = Vec::new();
        let rise = with(9).since(&with(9), PLACEMENT, &mut gaps).expect("the same instance");
        assert_eq!((rise.books.host.both("Ip", "ReasmFails"), gaps.len()), (Some(0), 0));
        let rise = with(2).since(&with(9), PLACEMENT, &mut gaps).expect("the same instance");
        assert!(rise.books.host.risen.is_empty() && rise.kernel.is_empty(), "{:?}", rise.kernel);
        assert!(gaps.len() == 1 && gaps[0].contains("Ip.ReasmFails went back"), "{gaps:?}");
    }
}
