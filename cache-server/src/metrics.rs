//! Prometheus text over the least HTTP that scrapers need.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::control::reap;
use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_REQUEST_BYTES_MAX, MESSAGE_TIMEOUT};
use crate::report;
use crate::shared::Shared;
use crate::stats::{StatsReport, WorkerReport};

/// Answers every scrape; never returns.
pub(crate) async fn serve(shared: &Arc<Shared>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut scrapes = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            never = reap(&mut scrapes) => never,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                scrapes.spawn_local(async move {
                    // A scraper that went away needs no answer.
                    let _ = timeout(MESSAGE_TIMEOUT, answer(stream, &shared)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("no scrape accepted: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") && request.len() < HTTP_REQUEST_BYTES_MAX {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let (status, body) = match request.starts_with(b"GET ") {
        true => ("200 OK", text(&report::report(shared))),
        false => ("405 Method Not Allowed", "only GET is answered\n".into()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

type Figure = (&'static str, &'static str, fn(&WorkerReport) -> u64);

/// Name, help and value of each counter a worker has.
const WORKER_COUNTERS: [Figure; 16] = [
    ("requests", "Datagrams received", |w| w.requests),
    ("gets", "Reads in them", |w| w.gets),
    ("hits", "Reads answered with a value", |w| w.hits),
    ("misses", "Reads of keys not stored", |w| w.misses),
    ("refused", "Reads refused", |w| w.refused),
    ("challenged", "Datagrams answered with a challenge", |w| w.challenged),
    ("answers", "Answer datagrams sent", |w| w.answers),
    ("answer_bytes", "Bytes of answer datagrams", |w| w.answer_bytes),
    ("send_system_calls", "System calls that sent", |w| w.send_system_calls),
    ("recv_system_calls", "System calls that received", |w| w.recv_system_calls),
    ("send_failed", "Messages the kernel refused", |w| w.send_failed),
    ("send_retried", "Messages sent again after an error", |w| w.send_retried),
    ("socket_errors", "Entries of the socket's error queue", |w| w.socket_errors),
    ("socket_drops", "Datagrams dropped at the socket", |w| w.socket_drops),
    ("allocations", "Allocations on the read path", |w| w.allocations),
    ("cpu_time_us", "CPU time in microseconds", |w| w.cpu_time_us),
];

/// The statistics in Prometheus' text format 0.0.4.
pub(crate) fn text(report: &StatsReport) -> String {
    let mut out = String::new();
    let store = &report.store;
    for (name, help, value) in [
        ("draining", "1 while the server is leaving", u64::from(report.draining)),
        ("store_items", "Items held", store.items),
        ("store_used_bytes", "Bytes charged to the budget", store.used_bytes),
        ("store_budget_bytes", "The budget", store.budget_bytes),
        ("connections", "TCP connections open", report.control.connections),
    ] {
        let _ = writeln!(
            out,
            "# HELP shingle_{name} {help}.\n# TYPE shingle_{name} gauge\nshingle_{name} {value}"
        );
    }
    for (name, help, value) in [
        ("store_evictions", "Live items removed to make room", store.evictions),
        ("store_expirations", "Expired items removed", store.expirations),
        ("store_sets", "Values stored", store.sets),
        ("store_deletes", "Items deleted", store.deletes),
    ] {
        head(&mut out, name, help);
        let _ = writeln!(out, "shingle_{name}_total {value}");
    }
    for (name, help, value) in WORKER_COUNTERS {
        head(&mut out, name, help);
        each_worker(report, |labels, worker| {
            let _ = writeln!(out, "shingle_{name}_total{{{labels}}} {}", value(worker));
        });
    }
    head(&mut out, "dropped", "Datagrams not answered, by reason");
    each_worker(report, |labels, worker| {
        for (reason, count) in &worker.drops {
            let _ = writeln!(out, "shingle_dropped_total{{{labels},reason=\"{reason}\"}} {count}");
        }
    });
    head(&mut out, "kernel", "Counters of the server's network namespace, and of the CPUs of its host");
    for (counter, value) in &report.kernel {
        let _ = writeln!(out, "shingle_kernel_total{{counter=\"{counter}\"}} {value}");
    }
    out
}

fn head(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP shingle_{name}_total {help}.\n# TYPE shingle_{name}_total counter");
}

fn each_worker(report: &StatsReport, mut line: impl FnMut(&str, &WorkerReport)) {
    for port in &report.ports {
        for worker in &port.workers {
            let labels =
                format!("port=\"{}\",strategy=\"{}\",worker=\"{}\"", port.port, port.strategy, worker.worker);
            line(&labels, worker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::PortReport;

    #[test]
    fn every_sample_has_a_type_and_its_labels() {
        let worker =
            WorkerReport { worker: 3, hits: 7, drops: [("short".into(), 2)].into(), ..Default::default() };
        let port =
            PortReport { port: 7400, strategy: "df-off".into(), workers: vec![worker], ..Default::default() };
        let report = StatsReport {
            ports: vec![port],
            kernel: [("Udp.InErrors".into(), 5)].into(),
            ..Default::default()
        };
        let text = text(&report);
        for line in [
            "shingle_hits_total{port=\"7400\",strategy=\"df-off\",worker=\"3\"} 7",
            "shingle_dropped_total{port=\"7400\",strategy=\"df-off\",worker=\"3\",reason=\"short\"} 2",
            "shingle_kernel_total{counter=\"Udp.InErrors\"} 5",
            "shingle_draining 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
        let typed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        for sample in text.lines().filter(|line| !line.starts_with('#')) {
            let name = sample.split(['{', ' ']).next().unwrap();
            assert!(typed.iter().any(|line| line.split(' ').next() == Some(name)), "{name} has no type");
        }
    }
}
