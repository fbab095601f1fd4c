//! The terminal: a line a stage while the run goes on, and at the end the table, the causes and the verdict.

use std::fmt::Write as _;

use super::{causes, strategies};
use crate::chance;
use crate::record::{GeneratorCheck, Record, Stage};

/// A rate to three digits: `950`, `40.0k`, `1.25M`.
pub fn rate(tps: f64) -> String {
    match tps {
        ..999.5 => format!("{tps:.0}"),
        ..9_995.0 => format!("{:.2}k", tps / 1e3),
        ..99_950.0 => format!("{:.1}k", tps / 1e3),
        ..999_500.0 => format!("{:.0}k", tps / 1e3),
        _ => format!("{:.2}M", tps / 1e6),
    }
}

/// What a laboratory can do by itself at so many packets a second, 0 where a busy machine showed no rate at which it can.
pub fn lab_range(packets_per_s: f64) -> String {
    if packets_per_s > 0.0 {
        return format!("carries {} packets/s without losing or delaying any by itself", rate(packets_per_s));
    }
    "loses or delays packets by itself at any rate that was tried, since this machine is too busy".to_owned()
}

/// A latency given in microseconds, to three digits: `87 us`, `1.24 ms`, `2.00 s`.
pub fn latency(us: f64) -> String {
    match us {
        ..99.95 => format!("{us:.1} us"),
        ..999.5 => format!("{us:.0} us"),
        ..9_995.0 => format!("{:.2} ms", us / 1e3),
        ..999_500.0 => format!("{:.1} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// A share as a percentage: `0 %`, `0.0012 %`, `3.5 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        tiny @ ..0.01 => format!("{tiny:.4} %"),
        percent => format!("{percent:.2} %"),
    }
}

const WIDTHS: [usize; 9] = [9, 11, 12, 10, 10, 10, 10, 10, 0];

fn row(cells: [&str; 9]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        // The last column is words.
        let _ = if width == 0 { write!(line, "  {cell}") } else { write!(line, "{cell:>width$}") };
    }
    line.trim_end().to_owned()
}

/// Header over [`stage_line`]s.
pub fn stage_header() -> String {
    row(["offered/s", "in time/s", "lost first", "failed", "p50", "p99", "p99.9", "max", "service level"])
}

/// One stage as a line.
pub fn stage_line(stage: &Stage) -> String {
    let offered = if stage.offered_tps > 0.0 { rate(stage.offered_tps) } else { "max".to_owned() };
    let us = stage.judged_us();
    row([
        &offered,
        &rate(stage.achieved_tps),
        &percent(stage.first_try_lost as f64 / stage.sent.max(1) as f64),
        &percent(stage.failure_rate),
        &latency(us.p50),
        &latency(us.p99),
        &latency(us.p999),
        &latency(us.max),
        &remark(stage),
    ])
}

/// Whether a stage met the service level, and what is to be said of it beside.
pub(super) fn remark(stage: &Stage) -> String {
    let mut remark = stage.broke.map_or("met", |broke| broke.remark()).to_owned();
    if stage.chance_met.is_some_and(chance::is_close) {
        remark.push_str(", closely");
    }
    if stage.generator_limited {
        remark.push_str(", generator short of CPU");
    }
    if !stage.valid {
        let _ = write!(remark, ", invalid: {}", stage.invalid_because.join("; "));
    }
    remark
}

/// The final table with causes and verdict.
pub fn table(record: &Record) -> String {
    let mut text = strategies::text(record);
    if record.comparison.is_none() {
        let _ = writeln!(text, "{}", stage_header());
        for stage in by_rate(&record.stages) {
            let _ = writeln!(text, "{}", stage_line(stage));
        }
        text.push_str(&generator(record));
    }
    text.push_str(&who_lost(record));
    text.push_str(&experiments(record));
    let wrong: u64 = record.stages.iter().map(|stage| stage.wrong).sum();
    if wrong > 0 {
        let _ =
            writeln!(text, "\n{wrong} answers brought other bytes than were stored; each counts as failed.");
    }
    let (reads, misses) =
        record.stages.iter().fold((0, 0), |sum, stage| (sum.0 + stage.sent, sum.1 + stage.misses));
    if misses > 0 {
        let _ = writeln!(
            text,
            "\n{misses} of {reads} reads found nothing stored: does the server's memory hold all {} items?",
            record.workload.items
        );
    }
    text.push_str(&how_sent(record));
    let _ = writeln!(text);
    for words in &record.verdict.words {
        let _ = writeln!(text, "{words}");
    }
    text
}

/// The causes: their figures, and then each in words.
fn who_lost(record: &Record) -> String {
    let mut text = at_rate(record, "\nAt ", " reads/s:");
    if record.causes.is_empty() {
        return String::new();
    }
    let _ = writeln!(
        text,
        "\n{:<36}{:>12}{:>10}{:>9}{:>12}",
        "who lost reads", "lost first", "failed", "share", "confidence"
    );
    for cause in &record.causes {
        let _ = writeln!(
            text,
            "{:<36}{:>12}{:>10}{:>9}{:>12.2}",
            causes::named(cause.cause, cause.direction),
            cause.reads,
            cause.failed,
            format!("{:.1} %", cause.share * 100.0),
            cause.confidence,
        );
    }
    let _ = writeln!(text, "{}", causes::balance(record));
    for cause in &record.causes {
        let _ = writeln!(text, "\n{}", causes::named(cause.cause, cause.direction));
        // The verdict below says these of the worst cause; nobody wants to read them twice.
        let is_said = |words: &str| record.verdict.words.iter().any(|said| said.contains(words));
        for (part, words) in causes::parts(cause, record).iter().filter(|(_, words)| !is_said(words)) {
            text.push_str(&block(part, words));
        }
    }
    text
}

/// The experiments made, and what each decided.
fn experiments(record: &Record) -> String {
    let mut text = String::new();
    for (index, report) in record.trials.iter().enumerate() {
        let _ = writeln!(text, "\nexperiment {}: {}", index + 1, report.done);
        for (part, words) in
            [("why", &report.trial.because), ("outcome", &report.outcome), ("so", &report.decided)]
        {
            text.push_str(&block(part, words));
        }
    }
    text
}

/// Words beside a heading, broken into lines that fit most terminals.
fn block(heading: &str, words: &str) -> String {
    const COLUMNS: usize = 120;
    const INDENT: usize = 16;
    let (mut text, mut line) = (String::new(), format!("  {heading:<width$}", width = INDENT - 2));
    for word in words.split_whitespace() {
        if line.len() > INDENT && line.len() + 1 + word.len() > COLUMNS {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(INDENT);
        }
        if line.len() > INDENT {
            line.push(' ');
        }
        line.push_str(word);
    }
    text + line.trim_end() + "\n"
}

/// What the generator says of itself at the knee and above.
fn generator(record: &Record) -> String {
    let mut text = String::new();
    for (stage, check) in around_the_knee(record) {
        if text.is_empty() {
            let _ = writeln!(
                text,
                "\n{:<22}{:>13}{:>13}{:>11}{:>11}{:>11}{:>13}",
                "the generator itself",
                "sent in time",
                "achieved",
                "p99 late",
                "own drops",
                "not sent",
                "busiest CPU"
            );
        }
        let cells = generator_cells(check);
        let _ = writeln!(
            text,
            "{:<22}{:>13}{:>13}{:>11}{:>11}{:>11}{:>13}",
            format!("at {} reads/s", rate(stage.tps())),
            cells[0],
            cells[1],
            cells[2],
            cells[3],
            cells[4],
            cells[5]
        );
    }
    text
}

/// The stages that say whether the generator set the limit: the highest that met the level, not above the knee, and the lowest above that
/// did not; of a single stage that one.
fn around_the_knee(record: &Record) -> impl Iterator<Item = (&Stage, &GeneratorCheck)> {
    let knee = record.verdict.tps_at_slo as f64;
    let stages = || record.stages.iter();
    let met = stages().filter(|stage| stage.broke.is_none() && stage.tps() <= knee * 1.001);
    let broken = stages().filter(|stage| stage.broke.is_some() && stage.tps() >= knee);
    let met = met.max_by(|a, b| a.tps().total_cmp(&b.tps()));
    let broken = broken.min_by(|a, b| a.tps().total_cmp(&b.tps()));
    met.into_iter().chain(broken).filter_map(|stage| Some((stage, stage.generator.as_ref()?)))
}

/// Requests sent in time, rate achieved over rate offered, lateness, own drops, requests not sent, and the busiest thread's CPU.
pub(super) fn generator_cells(check: &GeneratorCheck) -> [String; 6] {
    [
        percent(check.offered_in_time),
        if check.achieved_over_offered > 0.0 { percent(check.achieved_over_offered) } else { "-".to_owned() },
        latency(check.slip_p99_us),
        check.own_drops.to_string(),
        check.sends_refused.to_string(),
        format!("{:.0} %", check.busiest_thread * 100.0),
    ]
}

/// How requests left, where they left in trains.
fn how_sent(record: &Record) -> String {
    let counters = record.stages.iter().map(|stage| &stage.counters);
    let sum = |name: &str| counters.clone().filter_map(|all| all.get(name)).sum::<u64>() as f64;
    let requests = sum("client.flow.datagrams_sent");
    if record.workload.train < 2 || requests == 0.0 {
        return String::new();
    }
    format!(
        "\nRequests left in trains of up to {} (UDP_SEGMENT): {:.1} a train, {:.1} a system call.\n",
        record.workload.train,
        requests / sum("client.flow.trains_sent").max(1.0),
        requests / sum("client.flow.send_calls").max(1.0),
    )
}

/// Which of several stages the causes speak of.
pub(super) fn at_rate(record: &Record, before: &str, after: &str) -> String {
    let several = record.causes_tps.filter(|_| record.stages.len() > 1);
    several.map_or(String::new(), |tps| format!("{before}{}{after}", rate(tps)))
}

/// Stages by rising rate; those of a closed loop as they came.
pub(super) fn by_rate(stages: &[Stage]) -> Vec<&Stage> {
    let mut sorted: Vec<_> = stages.iter().collect();
    sorted.sort_by(|a, b| a.offered_tps.total_cmp(&b.offered_tps));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([rate(0.0), rate(999.4), rate(40_000.0), rate(151_300.0)], ["0", "999", "40.0k", "151k"]);
        assert_eq!([rate(9_994.0), rate(999_600.0)], ["9.99k", "1.00M"]);
        assert_eq!(
            [latency(12.34), latency(999.6), latency(99_000.0), latency(2e6)],
            ["12.3 us", "1.00 ms", "99.0 ms", "2.00 s"]
        );
        assert_eq!([percent(0.0), percent(0.00001), percent(0.035)], ["0 %", "0.0010 %", "3.50 %"]);
        let wrapped = block("evidence", &"word ".repeat(60));
        assert!(wrapped.lines().all(|line| line.len() <= 120), "{wrapped}");
        assert!(
            wrapped.starts_with("  evidence      word word")
                && wrapped.lines().nth(1).unwrap().starts_with("                word")
        );
        assert!(lab_range(2e5).contains("200k packets/s") && lab_range(0.0).contains("too busy"));
    }
}
