//! What a watch knows in Prometheus' text format 0.0.4: base units, counters that only rise, one type and one help a name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{History, Interval};
use crate::attribution::{Attribution, Cause, Direction};

/// Upper bounds of the latency's buckets, seconds.
const BUCKETS_S: [f64; 16] =
    [1e-4, 2e-4, 3e-4, 5e-4, 7e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 5.0];

/// The text after an interval; before the first one there is no last.
pub fn text(history: &History, last: Option<&Interval>, window: &Attribution, offered_tps: f64) -> String {
    let mut out = String::new();
    counters(&mut out, history);
    lost(&mut out, history);
    latency(&mut out, history);
    gauge(&mut out, "offered_reads_per_second", "Rate of reads asked for.", offered_tps);
    if let Some(last) = last {
        gauges(&mut out, last);
    }
    let judged = window.iter().map(|(name, share)| (*name, share.reads)).collect();
    let help = "Reads of the last hour that lost something on the first try, by cause and direction as judged by the whole hour.";
    by_cause(&mut out, "window_lost_reads", "gauge", help, &judged);
    out
}

fn counters(out: &mut String, history: &History) {
    for (name, help, value) in [
        ("reads_total", "Reads scheduled.", history.reads),
        ("answered_reads_total", "Reads answered rightly and in time, misses included.", history.answered),
        ("missed_reads_total", "Reads answered in time whose key was not stored.", history.misses),
        ("wrong_reads_total", "Reads whose answer was not the bytes stored; each failed.", history.wrong),
        ("intervals_total", "Intervals watched.", history.intervals),
        (
            "unjudged_intervals_total",
            "Intervals in which the watching host stood still, so that their losses say nothing of server or path.",
            history.intervals_unjudged,
        ),
        ("server_restarts_total", "Times the server was another instance than before.", history.restarts),
        ("control_losses_total", "Times the control connection was lost.", history.control_lost),
    ] {
        head(out, name, "counter", help);
        let _ = writeln!(out, "shingle_watch_{name} {value}");
    }
}

fn lost(out: &mut String, history: &History) {
    let of = |count: fn(&super::Seen) -> u64| {
        history.by_cause.iter().map(|(name, seen)| (*name, count(seen))).collect()
    };
    let first = "Reads that lost something on the first try, by cause and direction as judged by each interval alone.";
    by_cause(out, "lost_reads_total", "counter", first, &of(|seen| seen.reads));
    let failed =
        "Reads without a right answer in time, by cause and direction as judged by each interval alone.";
    by_cause(out, "failed_reads_total", "counter", failed, &of(|seen| seen.failed));
}

/// One sample for every cause, whether seen or not: a series that appears with its first loss has no rise to alert on.
fn by_cause(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    counts: &BTreeMap<(Cause, Direction), u64>,
) {
    head(out, name, kind, help);
    for cause in Cause::ALL {
        for direction in [Direction::Up, Direction::Down, Direction::Host] {
            let count = counts.get(&(cause, direction)).copied().unwrap_or(0);
            let direction = direction.name();
            let _ =
                writeln!(out, "shingle_watch_{name}{{cause=\"{cause}\",direction=\"{direction}\"}} {count}");
        }
    }
}

fn latency(out: &mut String, history: &History) {
    let name = "read_latency_seconds";
    let help = "Time from a read's intended moment to its answer; failed reads count as their timeout. Reads that a stall of the watching host fell into are left out.";
    head(out, name, "histogram", help);
    let mut counts = [0; BUCKETS_S.len()];
    for value in history.latency.iter_recorded() {
        let seconds = value.value_iterated_to() as f64 / 1e9;
        if let Some(count) = counts.get_mut(BUCKETS_S.partition_point(|bound| *bound < seconds)) {
            *count += value.count_at_value();
        }
    }
    let mut up_to = 0;
    for (bound, count) in BUCKETS_S.iter().zip(counts) {
        up_to += count;
        let _ = writeln!(out, "shingle_watch_{name}_bucket{{le=\"{bound}\"}} {up_to}");
    }
    let all = history.latency.len();
    let _ = writeln!(out, "shingle_watch_{name}_bucket{{le=\"+Inf\"}} {all}");
    let _ = writeln!(out, "shingle_watch_{name}_sum {}", history.latency_sum_ns / 1e9);
    let _ = writeln!(out, "shingle_watch_{name}_count {all}");
}

fn gauges(out: &mut String, last: &Interval) {
    let flag = |is: bool| f64::from(u8::from(is));
    let server = &last.server;
    for (name, help, value) in [
        (
            "server_answers",
            "1 if a read of the last interval was answered, 0 if the server was silent.",
            flag(server.answers),
        ),
        ("server_control_up", "1 while the server can be asked over TCP.", flag(server.control)),
        ("server_draining", "1 while the server says that it is leaving.", flag(server.draining)),
        (
            "path_mtu_bytes",
            "Largest IP packet that a search proved to come from the server.",
            server.path_mtu_bytes.into(),
        ),
        (
            "request_slip_p99_seconds",
            "How late requests of the last interval left against their intended moment, 99th percentile: the watch's own doing.",
            last.stage.slip_us.p99 / 1e6,
        ),
        (
            "disturbed_reads",
            "Reads of the last interval that a stall of the watching host fell into.",
            last.stage.disturbed as f64,
        ),
        (
            "last_interval_timestamp_seconds",
            "When the last interval ended, seconds since 1970.",
            last.begin_unix_s + last.stage.duration_s,
        ),
    ] {
        gauge(out, name, help, value);
    }
}

fn gauge(out: &mut String, name: &str, help: &str, value: f64) {
    head(out, name, "gauge", help);
    let _ = writeln!(out, "shingle_watch_{name} {value}");
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP shingle_watch_{name} {help}\n# TYPE shingle_watch_{name} {kind}");
}
