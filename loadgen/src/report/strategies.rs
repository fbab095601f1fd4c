//! Strategies side by side: a line a turn while the comparison goes on, and at the end their tables.

use std::fmt::Write as _;

use super::terminal::{self, latency, percent, rate};
use crate::record::{Cold, Comparison, Record, Stage, StrategyFigures};

/// A table as cells: the first column and the last are words, the others figures.
pub(super) struct Table {
    /// What is over each column.
    pub(super) header: Vec<&'static str>,
    /// A row for each strategy.
    pub(super) rows: Vec<Vec<String>>,
}

/// Header over [`turn_line`]s.
pub fn turn_header() -> String {
    turn([
        "strategy",
        "offered/s",
        "in time/s",
        "lost first",
        "failed",
        "p50",
        "p99",
        "p99.9",
        "service level",
    ])
}

/// One turn as a line.
pub fn turn_line(stage: &Stage) -> String {
    let us = stage.judged_us();
    turn([
        stage.strategy.as_deref().unwrap_or_default(),
        &rate(stage.offered_tps),
        &rate(stage.achieved_tps),
        &percent(stage.first_try_lost as f64 / stage.sent.max(1) as f64),
        &percent(stage.failure_rate),
        &latency(us.p50),
        &latency(us.p99),
        &latency(us.p999),
        &terminal::remark(stage),
    ])
}

fn turn(cells: [&str; 9]) -> String {
    let [strategy, figures @ .., remark] = cells;
    let figures: String = figures.iter().map(|cell| format!("{cell:>11}")).collect();
    format!("{strategy:<14}{figures}  {remark}")
}

/// The tables of a comparison as the terminal shows them; empty for other records.
pub(super) fn text(record: &Record) -> String {
    let Some(comparison) = &record.comparison else { return String::new() };
    let mut text = String::new();
    let _ = writeln!(text, "{}", heading(comparison));
    for table in tables(comparison, &record.strategies) {
        let _ = writeln!(text);
        lines(&mut text, &table);
    }
    let _ = writeln!(text);
    for figures in &record.strategies {
        let _ = writeln!(text, "{:<14}{}", figures.strategy, figures.does);
    }
    text
}

/// What the figures are of.
pub(super) fn heading(comparison: &Comparison) -> String {
    let path = match comparison.path_mtu {
        Some(mtu) => format!("path MTU {mtu} B proved"),
        None => "path MTU not probed".to_owned(),
    };
    format!(
        "Medians of {} rounds of {:.1} s at {} reads/s (least to most); {}, {path}, interface MTU {} B; {} of the answers do not fit one datagram of it; {}",
        comparison.rounds,
        comparison.round_s,
        rate(comparison.offered_tps),
        if comparison.ipv6 { "IPv6" } else { "IPv4" },
        comparison.interface_mtu,
        percent(comparison.answers_above_path),
        if comparison.cold_measured { "each turn began cold" } else { "cold behaviour not measured" },
    )
}

/// What readers saw, and what it cost.
pub(super) fn tables(comparison: &Comparison, strategies: &[StrategyFigures]) -> [Table; 2] {
    let seen = Table {
        header: vec![
            "strategy",
            "lost first",
            "failed",
            "p50",
            "p99",
            "p99.9",
            "goodput",
            "highest rate",
            "cold first/later",
            "service level",
        ],
        rows: strategies.iter().map(|figures| seen(comparison, figures)).collect(),
    };
    let cost = Table {
        header: vec![
            "strategy",
            "requests/read",
            "datagrams/read",
            "IP packets/read",
            "fragments/s sent",
            "arrived",
            "server CPU/read",
            "generator CPU/read",
            "",
        ],
        rows: strategies.iter().map(cost).collect(),
    };
    [seen, cost]
}

fn seen(comparison: &Comparison, figures: &StrategyFigures) -> Vec<String> {
    let us = &figures.latency_us;
    vec![
        figures.strategy.clone(),
        percent(figures.first_try_lost_rate),
        with_range(figures, "failure_rate", figures.failure_rate, percent),
        latency(us.p50),
        with_range(figures, "p99", us.p99, latency),
        latency(us.p999),
        format!("{:.1} MB/s", figures.goodput_bytes_per_s / 1e6),
        highest(figures),
        figures.cold.map_or_else(|| not_cold(comparison), |cold| cold_cell(&cold)),
        remark(figures),
    ]
}

fn cost(figures: &StrategyFigures) -> Vec<String> {
    let cpu = |us: f64| format!("{us:.2} us");
    vec![
        figures.strategy.clone(),
        format!("{:.3}", figures.requests_per_read),
        format!("{:.3}", figures.datagrams_per_read),
        format!("{:.3}", figures.packets_per_read),
        rate(figures.fragments_sent_per_s),
        rate(figures.fragments_received_per_s),
        with_range(figures, "server_cpu_us_per_read", figures.server_cpu_us_per_read, cpu),
        with_range(figures, "generator_cpu_us_per_read", figures.generator_cpu_us_per_read, cpu),
        String::new(),
    ]
}

/// A median with least and most, where they differ as written.
fn with_range(figures: &StrategyFigures, name: &str, median: f64, write: impl Fn(f64) -> String) -> String {
    let [least, most] = figures.spread_of(name).map(&write);
    let median = write(median);
    if least == most { median } else { format!("{median} ({least} to {most})") }
}

fn highest(figures: &StrategyFigures) -> String {
    match (figures.tps_at_slo, figures.broken_at_tps) {
        (None, _) => "not searched".to_owned(),
        (Some(0.0), Some(broken)) => format!("under {}", rate(broken)),
        (Some(0.0), None) => "none".to_owned(),
        (Some(met), _) => rate(met),
    }
}

fn cold_cell(cold: &Cold) -> String {
    format!("{}/{} {}/{} lost", cold.first_lost, cold.first, cold.later_lost, cold.later)
}

fn not_cold(comparison: &Comparison) -> String {
    if comparison.cold_measured { "nothing so large" } else { "not measured" }.to_owned()
}

fn remark(figures: &StrategyFigures) -> String {
    let mut remark = figures.broke.map_or("met", |broke| broke.remark()).to_owned();
    if figures.generator_limited {
        remark.push_str(", generator short of CPU");
    }
    if !figures.valid {
        remark.push_str(", invalid: the host stalled");
    }
    remark
}

/// Writes a table with columns as wide as their cells.
fn lines(text: &mut String, table: &Table) {
    let columns = table.header.len();
    let cells_of = |column: usize| table.rows.iter().map(move |row| row[column].len());
    let width = |column: usize| cells_of(column).chain([table.header[column].len()]).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut line = |cells: Vec<&str>| {
        let mut line = format!("{:<width$}", cells[0], width = widths[0]);
        for column in 1..columns - 1 {
            let _ = write!(line, "  {:>width$}", cells[column], width = widths[column]);
        }
        let _ = write!(line, "  {}", cells[columns - 1]);
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line(table.header.clone());
    for row in &table.rows {
        line(row.iter().map(String::as_str).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_says_why_it_does_not_count() {
        let because = vec!["the laboratory lost packets by itself".to_owned()];
        let stage = Stage { valid: false, invalid_because: because, ..Stage::default() };
        let line = turn_line(&stage);
        assert!(line.ends_with("met, invalid: the laboratory lost packets by itself"), "{line}");
    }
}
