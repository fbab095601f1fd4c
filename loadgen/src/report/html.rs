//! The page: one self-contained file with the verdict, the curves, the stages and the causes of a record.

mod comparison;

use std::fmt::Write as _;

use plotters::style::RGBColor;

use super::causes as words;
use super::plot::{self, Chart, Curve};
use super::terminal::{at_rate, by_rate, generator_cells, latency, percent, rate, remark};
use crate::record::{Interval, Outcome, Percentiles, Record, Stage};

const BLUE: RGBColor = RGBColor(30, 90, 170);
const GREEN: RGBColor = RGBColor(40, 130, 90);
const ORANGE: RGBColor = RGBColor(215, 120, 20);
const PURPLE: RGBColor = RGBColor(120, 70, 150);

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:960px;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;font-size:.92em}\
th,td{padding:.25em .45em;text-align:right;border-bottom:1px solid #ddd}th{background:#f4f4f4}td{white-space:nowrap}.words,td.words{text-align:left;white-space:normal;min-width:7em}.legend span{margin-right:1.6em;font-size:.92em}.legend i{display:inline-block;width:1.8em;margin-right:.5em;vertical-align:middle}\
.pass{border-left:6px solid #28825a}.fail{border-left:6px solid #be1e2d}.generator_limited{border-left:6px solid #d77814}\
.verdict{background:#f7f7f7;padding:.6em 1em}.verdict p{margin:.3em 0}.facts{color:#555;font-size:.92em}svg{max-width:100%;height:auto}\
h3{font-size:1em;margin:1.4em 0 .3em}dl{display:grid;grid-template-columns:8em 1fr;gap:.15em 1em;margin:0}dt{color:#555}dd{margin:0}.scroll{overflow-x:auto}code{background:#f4f4f4;padding:.1em .3em;overflow-wrap:anywhere}";

/// Longest beginning of a sentence that is taken for its label.
const LABEL_BYTES_MAX: usize = 28;

/// The whole page.
pub fn page(record: &Record) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Shingle: {} reads/s</title><style>{STYLE}</style></head><body><h1>Shingle load report</h1>",
        rate(record.verdict.tps_at_slo as f64)
    );
    facts(&mut html, record);
    verdict(&mut html, record);
    if let Some(comparison) = &record.comparison {
        comparison::section(&mut html, record, comparison);
    } else {
        charts(&mut html, record);
        stages(&mut html, record);
    }
    causes(&mut html, record);
    experiments(&mut html, record);
    html.push_str("</body></html>\n");
    html
}

/// Text that came from outside (hosts, files, flags) must not become markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn facts(html: &mut String, record: &Record) {
    let workload = &record.workload;
    let _ = write!(
        html,
        "<p class=\"facts\">Server {} ({}), {} worker(s). Generator: {} thread(s) with {} flows each on {}, Linux {}. {} items, values {}, keys {}, {} arrivals, \
         timeout {}. Latency counts from the intended time; a failed read counts as its timeout.</p><p class=\"facts\"><code>{}</code></p>",
        escape(&record.server.address),
        escape(&record.server.ports.join(", ")),
        record.server.workers,
        record.host.threads,
        record.host.flows_per_thread,
        escape(&record.host.cpu_model),
        escape(&record.host.kernel),
        workload.items,
        escape(&workload.values),
        escape(&workload.keys),
        escape(&workload.arrivals),
        latency(workload.timeout_us as f64),
        escape(&record.command),
    );
}

fn verdict(html: &mut String, record: &Record) {
    let class = match record.verdict.outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::GeneratorLimited | Outcome::CutShort => "generator_limited",
    };
    let _ = write!(html, "<div class=\"verdict {class}\">");
    for words in &record.verdict.words {
        let _ = write!(html, "<p>{}</p>", labelled(words));
    }
    html.push_str("</div>");
}

/// A sentence whose first words say what it is about has them in bold.
fn labelled(words: &str) -> String {
    match words.split_once(": ") {
        Some((label, rest)) if label.len() <= LABEL_BYTES_MAX && !label.contains('.') => {
            format!("<b>{}:</b> {}", escape(label), escape(rest))
        }
        _ => escape(words),
    }
}

fn charts(html: &mut String, record: &Record) {
    let stages = by_rate(&record.stages);
    let (failures, latencies) =
        if stages.len() > 1 { over_rate(record, &stages) } else { over_time(record, &stages) };
    let _ = write!(
        html,
        "<h2>Failure rate</h2>{}<h2>Latency</h2>{}",
        plot::figure(&failures),
        plot::figure(&latencies)
    );
}

/// The x axis of both charts.
struct Axis {
    title: &'static str,
    log: bool,
    label: fn(f64) -> String,
    band: Option<(f64, f64, String)>,
}

/// The charts of losses and latencies over one axis, each with its bound.
fn both(record: &Record, axis: &Axis, losses: Vec<Curve>, latencies: Vec<Curve>) -> (Chart, Chart) {
    let chart = |y, curves, bound, log_y, y_label| Chart {
        x: axis.title,
        y,
        curves,
        bound: Some(bound),
        band: axis.band.clone(),
        log_x: axis.log,
        log_y,
        x_label: axis.label,
        y_label,
    };
    let (failures, p99) = (record.slo.failure_rate * 100.0, record.slo.p99_us as f64);
    (
        chart("reads, %", losses, (failures, format!("bound {failures} %")), false, |value| {
            format!("{value:.2}")
        }),
        chart("latency", latencies, (p99, format!("p99 bound {}", latency(p99))), true, latency),
    )
}

/// Part of a whole in percent.
fn share(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// A search: every stage is a point.
fn over_rate(record: &Record, stages: &[&Stage]) -> (Chart, Chart) {
    let curve = |name, colour, of: fn(&Stage) -> f64| Curve {
        name,
        colour,
        points: stages.iter().map(|stage| (stage.offered_tps, of(stage))).collect(),
    };
    let losses = vec![
        curve("lost on the first try", ORANGE, |stage| share(stage.first_try_lost, stage.sent)),
        curve("failed", BLUE, |stage| share(stage.failed, stage.sent)),
    ];
    let latencies = vec![
        curve("p50", GREEN, |stage| stage.judged_us().p50),
        curve("p99", BLUE, |stage| stage.judged_us().p99),
        curve("p99.9", PURPLE, |stage| stage.judged_us().p999),
    ];
    let interval = record.verdict.tps_interval.as_ref();
    let band = interval.and_then(|interval| Some((interval.lower_tps, interval.upper_tps?)));
    let words = |(lower, upper)| {
        (lower, upper, format!("the limit, {} to {} reads/s in 95 of 100 stages", rate(lower), rate(upper)))
    };
    let axis = Axis { title: "offered reads/s", log: true, label: rate, band: band.map(words) };
    both(record, &axis, losses, latencies)
}

/// A single stage: every interval is a point.
fn over_time(record: &Record, stages: &[&Stage]) -> (Chart, Chart) {
    let curve = |name, colour, of: fn(&Interval) -> f64| {
        let intervals = stages.iter().flat_map(|stage| &stage.intervals);
        let point = |interval: &Interval| (interval.start_s + interval.length_s / 2.0, of(interval));
        Curve { name, colour, points: intervals.map(point).collect() }
    };
    let losses = vec![
        curve("lost on the first try", ORANGE, |interval| share(interval.first_try_lost, interval.reads)),
        curve("failed", BLUE, |interval| share(interval.failed, interval.reads)),
    ];
    let latencies =
        vec![curve("p50", GREEN, |interval| interval.p50_us), curve("p99", BLUE, |interval| interval.p99_us)];
    both(
        record,
        &Axis { title: "seconds", log: false, label: |value| format!("{value:.1}"), band: None },
        losses,
        latencies,
    )
}

fn stages(html: &mut String, record: &Record) {
    html.push_str(
        "<h2>Stages</h2><div class=\"scroll\"><table><tr><th>offered/s</th><th>in time/s</th><th>lost first</th><th>failed</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th>\
         <th>max</th><th>in server p99</th><th>goodput</th><th class=\"words\">service level</th></tr>",
    );
    for stage in by_rate(&record.stages) {
        let Percentiles { p50, p90, p99, p999, max } = *stage.judged_us();
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1} MB/s</td><td class=\"words\">{}</td></tr>",
            if stage.offered_tps > 0.0 { rate(stage.offered_tps) } else { "max".to_owned() },
            rate(stage.achieved_tps),
            percent(stage.first_try_lost as f64 / stage.sent.max(1) as f64),
            percent(stage.failure_rate),
            latency(p50),
            latency(p90),
            latency(p99),
            latency(p999),
            latency(max),
            latency(stage.residence_us.p99),
            stage.goodput_bytes_per_s / 1e6,
            escape(&remark(stage)),
        );
    }
    html.push_str("</table></div>");
    generator(html, record);
}

/// What the generator says of itself, stage by stage.
fn generator(html: &mut String, record: &Record) {
    let checked =
        by_rate(&record.stages).into_iter().filter_map(|stage| Some((stage, stage.generator.as_ref()?)));
    let rows: String = checked
        .map(|(stage, check)| {
            let cells = generator_cells(check).map(|cell| format!("<td>{cell}</td>")).concat();
            let because = escape(&stage.generator_limited_because.join("; "));
            format!("<tr><td>{}</td>{cells}<td class=\"words\">{because}</td></tr>", rate(stage.tps()))
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(
            html,
            "<h2>The generator itself</h2><div class=\"scroll\"><table><tr><th>reads/s</th><th>sent in time</th><th>achieved</th><th>p99 late</th>\
             <th>own drops</th><th>not sent</th><th>busiest CPU</th><th class=\"words\">was the limit, because</th></tr>{rows}</table></div>"
        );
    }
}

fn causes(html: &mut String, record: &Record) {
    if record.causes.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h2>Who lost reads{}</h2><div class=\"scroll\"><table><tr><th class=\"words\">cause</th><th>lost on the first try</th><th>failed for good</th>\
         <th>share</th><th>confidence</th></tr>",
        at_rate(record, " at ", " reads/s")
    );
    for cause in &record.causes {
        let _ = write!(
            html,
            "<tr><td class=\"words\">{}</td><td>{}</td><td>{}</td><td>{:.1} %</td><td>{:.2}</td></tr>",
            words::named(cause.cause, cause.direction),
            cause.reads,
            cause.failed,
            cause.share * 100.0,
            cause.confidence,
        );
    }
    let _ = write!(html, "</table></div><p class=\"facts\">{}</p>", words::balance(record));
    for cause in &record.causes {
        let _ = write!(html, "<h3>{}</h3>", words::named(cause.cause, cause.direction));
        list(html, words::parts(cause, record).iter().map(|(part, words)| (*part, words.as_str())));
    }
}

/// The experiments made, and what each decided.
fn experiments(html: &mut String, record: &Record) {
    if record.trials.is_empty() {
        return;
    }
    html.push_str("<h2>Experiments</h2>");
    for (index, report) in record.trials.iter().enumerate() {
        let _ = write!(html, "<h3>{}: {}</h3>", index + 1, escape(&report.done));
        let parts = [
            ("why", report.trial.because.as_str()),
            ("outcome", report.outcome.as_str()),
            ("so", report.decided.as_str()),
        ];
        list(html, parts.into_iter());
    }
}

/// Headings with words beside them.
fn list<'w>(html: &mut String, parts: impl Iterator<Item = (&'w str, &'w str)>) {
    html.push_str("<dl>");
    for (heading, words) in parts {
        let _ = write!(html, "<dt>{heading}</dt><dd>{}</dd>", escape(words));
    }
    html.push_str("</dl>");
}
