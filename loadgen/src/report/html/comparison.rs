//! The part of the page that compares strategies: their tables, what each does, and their curves over the rates tried.

use std::fmt::Write as _;

use plotters::style::RGBColor;
use shingle_proto::wire::Strategy;

use super::{Axis, both, escape, share};
use crate::record::{Comparison, Record, Stage};
use crate::report::plot::{self, Curve};
use crate::report::strategies::{self, Table};
use crate::report::terminal::rate;

/// Writes the section.
pub(super) fn section(html: &mut String, record: &Record, comparison: &Comparison) {
    let _ = write!(
        html,
        "<h2>Strategies</h2><p class=\"facts\">{}</p>",
        escape(&strategies::heading(comparison))
    );
    for table in strategies::tables(comparison, &record.strategies) {
        write_table(html, &table);
    }
    html.push_str("<h2>What each does with an answer above the path MTU</h2><table>");
    for figures in &record.strategies {
        let _ = write!(
            html,
            "<tr><td class=\"words\">{}</td><td class=\"words\">{}</td></tr>",
            escape(&figures.strategy),
            escape(&figures.does)
        );
    }
    html.push_str("</table>");
    curves(html, record);
    for figures in record.strategies.iter().filter(|figures| !figures.causes.is_empty()) {
        let causes = figures.causes.iter().map(|cause| {
            format!(
                "{} ({} reads, {}): {}. {}",
                cause.cause,
                cause.reads,
                cause.place,
                cause.evidence.join("; "),
                cause.remedy
            )
        });
        let _ = write!(
            html,
            "<h2>Who lost reads of {}</h2><p>{}</p>",
            escape(&figures.strategy),
            escape(&causes.collect::<Vec<_>>().join(" "))
        );
    }
}

fn write_table(html: &mut String, table: &Table) {
    html.push_str("<div class=\"scroll\"><table><tr>");
    let last = table.header.len() - 1;
    let class = |column| if column == 0 || column == last { " class=\"words\"" } else { "" };
    for (column, title) in table.header.iter().enumerate() {
        let _ = write!(html, "<th{}>{title}</th>", class(column));
    }
    html.push_str("</tr>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            // Least and most go under the median: side by side they would push other columns off the page.
            let cell = escape(cell).replacen(" (", "<br>(", 1);
            let _ = write!(html, "<td{}>{cell}</td>", class(column));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
}

/// A curve for each strategy over all rates it was tried at, rounds and search alike.
fn curves(html: &mut String, record: &Record) {
    let of_all = |of: fn(&Stage) -> f64| -> Vec<Curve> {
        Strategy::ALL.iter().filter_map(|strategy| curve(record, *strategy, of)).collect()
    };
    let axis = Axis { title: "offered reads/s", log: true, label: rate, band: None };
    let failures = of_all(|stage| share(stage.failed, stage.sent));
    let (failures, latencies) = both(record, &axis, failures, of_all(|stage| stage.judged_us().p99));
    let _ = write!(
        html,
        "<h2>Failure rate</h2>{}<h2>p99</h2>{}",
        plot::figure(&failures),
        plot::figure(&latencies)
    );
}

fn curve(record: &Record, strategy: Strategy, of: fn(&Stage) -> f64) -> Option<Curve> {
    let name = strategy.name();
    let stages = record.stages.iter().filter(|stage| stage.strategy.as_deref() == Some(name));
    let mut points: Vec<_> = stages.map(|stage| (stage.offered_tps, of(stage))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    (!points.is_empty()).then(|| Curve { name, colour: colour(strategy), points })
}

fn colour(strategy: Strategy) -> RGBColor {
    match strategy {
        Strategy::Chunked => RGBColor(30, 90, 170),
        Strategy::KernelPmtud => RGBColor(215, 120, 20),
        Strategy::DfOff => RGBColor(40, 130, 90),
        Strategy::DfStrict => RGBColor(120, 70, 150),
        Strategy::Interface => RGBColor(110, 110, 110),
        Strategy::Compressed => RGBColor(0, 150, 180),
    }
}
