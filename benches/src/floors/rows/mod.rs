//! The rows of the table, in its order.

mod allocations;
mod generator;
mod growth;
mod latency;
mod memory;
mod reads;
mod telemetry;
mod updates;

pub(super) use self::updates::Updater;
use super::error::Error;
use super::host::CpuTimes;
use super::report::RowReport;
use super::setup::Setup;

/// One row: how it is chosen, what it is, and how it is found out.
pub struct Row {
    /// As it is chosen on the command line.
    pub id: &'static str,
    /// The workload in words.
    pub title: &'static str,
    run: fn(&Setup, RowReport) -> Result<RowReport, Error>,
}

/// All rows.
pub const ROWS: &[Row] = &[
    Row { id: "plain", title: "one get a datagram, 100 B values, 128 in flight", run: reads::plain },
    Row { id: "trains", title: "the same, requests in UDP_SEGMENT trains of 16", run: reads::trains },
    Row {
        id: "many",
        title: "50 gets in a datagram, 100 B values, path MTU 1500, 32 in flight",
        run: reads::many,
    },
    Row {
        id: "jumbo",
        title: "50 gets in a datagram, 100 B values, path MTU 9001, 32 in flight",
        run: reads::jumbo,
    },
    Row {
        id: "chunked",
        title: "4000 B values at path MTU 1500, chunked, one get a datagram, 128 in flight",
        run: reads::chunked,
    },
    Row { id: "chunked-trains", title: "the same, requests in trains of 16", run: reads::chunked_trains },
    Row {
        id: "ten-million",
        title: "10 million items of 100 B, uniform keys, against 10 thousand, 128 in flight",
        run: reads::ten_million,
    },
    Row {
        id: "updates",
        title: "100,000 updates/s over TCP beside the reads, 128 in flight",
        run: updates::run,
    },
    Row { id: "latency", title: "latency at half of the knee, open loop", run: latency::run },
    Row {
        id: "memory",
        title: "memory: what items cost beside keys and values, the process beside its budget",
        run: memory::run,
    },
    Row {
        id: "allocations",
        title: "allocations of the read path, server and generator",
        run: allocations::run,
    },
    Row {
        id: "generator",
        title: "the load generator beside a bare driver of the same datagrams",
        run: generator::run,
    },
    Row { id: "telemetry", title: "telemetry and receipts on, 128 in flight", run: telemetry::run },
    Row {
        id: "growth-values",
        title: "growth: values of 64 B to 64 KiB, path MTU 1500, 32 in flight",
        run: growth::values,
    },
    Row {
        id: "growth-in-flight",
        title: "growth: 1 to 512 reads in flight, 100 B values",
        run: growth::in_flight,
    },
    Row { id: "growth-clients", title: "growth: 1 to 64 clients, 128 reads in flight", run: growth::clients },
    Row { id: "growth-workers", title: "growth: 1 and 2 workers, 128 in flight", run: growth::workers },
    Row { id: "growth-ports", title: "growth: 1 to 8 ports, 128 in flight", run: growth::ports },
];

impl Row {
    /// Measures it.
    ///
    /// # Errors
    /// Whatever keeps it from being measured.
    pub fn run(&self, setup: &Setup) -> Result<RowReport, Error> {
        let before = CpuTimes::read();
        let mut report = (self.run)(setup, RowReport::new(self.id, self.title))?;
        // All children have been waited for by now: their time is known.
        if let Some((before, after)) = before.zip(CpuTimes::read()) {
            report.beside(after.since(before));
        }
        Ok(report)
    }
}
