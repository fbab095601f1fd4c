//! What a watch says: a line for an interval in which something happened, one JSON object for each, and the table at the end.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::{History, Interval, ServerView};
use crate::attribution::{Attribution, Cause, Direction, Estimate, Share};
use crate::record::Percentiles;
use crate::report::causes::{self, estimated};
use crate::report::terminal::{latency, percent};
use crate::slo::Slo;

/// The schema of the JSON objects.
pub const SCHEMA: &str = "shingle.watch/1";

/// A moment in UTC, to the second: `2026-11-22 13:05:10Z`.
pub fn moment(unix_s: f64) -> String {
    let seconds = unix_s as u64;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Civil from days (H. Hinnant, chrono-compatible low-level date algorithms), for days since 1970.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Whether an interval deserves a line: something was lost, or late by the service level, or happened beside the reads.
pub fn is_worth_a_line(interval: &Interval, slo: Slo) -> bool {
    let p99_us = interval.latency.value_at_quantile(0.99) / 1000;
    interval.stage.first_try_lost > 0 || p99_us > slo.p99_us || !interval.notes.is_empty()
}

/// The line of an interval; `window` is what was judged by the last hour.
pub fn line(interval: &Interval, window: &Attribution) -> String {
    let Interval { begin_unix_s, stage, latency: histogram, causes, .. } = interval;
    let us = |quantile| latency(histogram.value_at_quantile(quantile) as f64 / 1000.0);
    let mut line = format!(
        "{}  {} reads, {} lost first, {} failed, p50 {}, p99 {}",
        moment(*begin_unix_s),
        stage.sent,
        stage.first_try_lost,
        stage.failed,
        us(0.5),
        us(0.99)
    );
    let mut said = Said::default();
    if let Some(why) = &interval.unjudged {
        let _ = write!(line, "; not judged: {why}");
    }
    if !causes.is_empty() {
        let _ = write!(line, "; {}; last hour: {}", named(causes), named(window));
        // What they were judged without.
        if !stage.gaps.is_empty() {
            let gaps: Vec<_> = stage.gaps.iter().map(|gap| said.once(gap)).collect();
            let _ = write!(line, "; could not be had: {}", gaps.join(", "));
        }
    }
    if interval.server.draining {
        line.push_str("; the server says that it is leaving");
    }
    interval.notes.iter().for_each(|note| {
        let _ = write!(line, "; {}", said.once(note));
    });
    line
}

/// Clauses that a line has said already: what several requests failed of, and what to do about it, is told once.
#[derive(Default)]
struct Said(BTreeSet<String>);

impl Said {
    /// The text without what follows its first clause and was said before.
    fn once(&mut self, text: &str) -> String {
        let mut kept = String::new();
        for (sentence, clauses) in text.split("; ").enumerate() {
            for (place, clause) in clauses.split(": ").enumerate() {
                let joint = match (sentence, place) {
                    (0, 0) => "",
                    (_, 0) => "; ",
                    _ => ": ",
                };
                let advice = clause.trim_end_matches(" (before the stage)").trim_end_matches(')');
                let new = self.0.insert(advice.to_owned());
                if new || joint.is_empty() {
                    kept += joint;
                    kept += clause;
                }
            }
        }
        // What closed it may have gone with the end.
        if kept.matches('(').count() > kept.matches(')').count() {
            kept.push(')');
        }
        kept
    }
}

/// That all is well.
pub fn heartbeat(history: &History, server: &ServerView) -> String {
    format!(
        "{}  {} reads so far, {} failed ({}); path MTU {} B{}",
        moment(history.ended_unix_s),
        history.reads,
        history.failed,
        percent(history.failure_rate()),
        server.path_mtu_bytes,
        if server.control { "" } else { "; no control connection" }
    )
}

/// Causes by falling weight, such as `path_loss down 12`.
fn named(causes: &Attribution) -> String {
    let words = by_weight(causes).into_iter().map(|((cause, direction), share)| {
        let number = share.estimates.iter().next();
        let number = number.map_or(String::new(), |(name, it)| format!(" ({})", estimated(name, it)));
        format!("{cause} {} {}{number}", direction.name(), share.reads)
    });
    words.collect::<Vec<_>>().join(", ")
}

fn by_weight(causes: &Attribution) -> Vec<(&(Cause, Direction), &Share)> {
    let mut sorted: Vec<_> = causes.iter().collect();
    sorted.sort_by_key(|(_, share)| std::cmp::Reverse(share.reads));
    sorted
}

/// An interval as one line of JSON Lines.
#[derive(Serialize)]
struct JsonInterval<'a> {
    schema: &'static str,
    begin_unix_s: f64,
    interval_s: f64,
    reads: u64,
    answered: u64,
    misses: u64,
    first_try_lost: u64,
    failed: u64,
    wrong: u64,
    latency_us: Percentiles,
    slip_p99_us: f64,
    disturbed: u64,
    unjudged: &'a Option<String>,
    causes: Vec<JsonCause<'a>>,
    window_causes: Vec<JsonCause<'a>>,
    server_answers: bool,
    server_control: bool,
    server_draining: bool,
    server_restarted: bool,
    server_instance: u32,
    path_mtu_bytes: u32,
    gaps: &'a [String],
    notes: &'a [String],
}

#[derive(Serialize)]
struct JsonCause<'a> {
    cause: Cause,
    direction: Direction,
    reads: u64,
    failed: u64,
    confidence: f64,
    evidence: &'a [String],
    estimate: &'a std::collections::BTreeMap<String, Estimate>,
    flows: &'a [u32],
}

/// An interval as one JSON object, without a line break.
pub fn json(interval: &Interval, window: &Attribution) -> String {
    let Interval { begin_unix_s, stage, server, latency, .. } = interval;
    let us = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
    let max = latency.max() as f64 / 1000.0;
    let object = JsonInterval {
        schema: SCHEMA,
        begin_unix_s: *begin_unix_s,
        interval_s: stage.duration_s,
        reads: stage.sent,
        answered: stage.answered,
        misses: stage.misses,
        first_try_lost: stage.first_try_lost,
        failed: stage.failed,
        wrong: stage.wrong,
        latency_us: Percentiles { p50: us(0.5), p90: us(0.9), p99: us(0.99), p999: us(0.999), max },
        slip_p99_us: stage.slip_us.p99,
        disturbed: stage.disturbed,
        unjudged: &interval.unjudged,
        causes: json_causes(&interval.causes),
        window_causes: json_causes(window),
        server_answers: server.answers,
        server_control: server.control,
        server_draining: server.draining,
        server_restarted: server.restarted,
        server_instance: server.instance,
        path_mtu_bytes: server.path_mtu_bytes,
        gaps: &stage.gaps,
        notes: &interval.notes,
    };
    serde_json::to_string(&object).expect("an interval serialises")
}

fn json_causes(causes: &Attribution) -> Vec<JsonCause<'_>> {
    by_weight(causes)
        .into_iter()
        .map(|((cause, direction), share)| JsonCause {
            cause: *cause,
            direction: *direction,
            reads: share.reads,
            failed: share.failed,
            confidence: share.confidence,
            evidence: &share.evidence,
            estimate: &share.estimates,
            flows: &share.flows,
        })
        .collect()
}

/// The table at the end: the figures of the whole time, who lost what and when, what to do, and whether the service level was met.
pub fn summary(history: &History, total: &Attribution, slo: Slo, receipts: bool) -> String {
    let us = |quantile| latency(history.latency.value_at_quantile(quantile) as f64 / 1000.0);
    let mut text = format!(
        "from {} to {}, {} intervals\n{} reads: {} lost something on the first try, {} failed ({}), {} found nothing stored\nlatency: p50 {}, p99 {}, p99.9 {}, max {}\n",
        moment(history.begun_unix_s),
        moment(history.ended_unix_s),
        history.intervals,
        history.reads,
        history.first_try_lost,
        history.failed,
        percent(history.failure_rate()),
        history.misses,
        us(0.5),
        us(0.99),
        us(0.999),
        latency(history.latency.max() as f64 / 1000.0),
    );
    for (what, count, meaning) in [
        ("answers with other bytes than were stored", history.wrong, "each counts as failed"),
        ("server restarts", history.restarts, "or another server at its address"),
        ("control connections lost", history.control_lost, "what the server counted meanwhile is not known"),
        (
            "intervals not judged",
            history.intervals_unjudged,
            "this host stood still: their losses are put down to it",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{what}: {count} ({meaning})");
        }
    }
    if !total.is_empty() {
        causes(&mut text, history, total, receipts);
    }
    let _ = match history.broke(slo) {
        _ if history.reads == 0 => writeln!(text, "\nNothing was read."),
        None => writeln!(text, "\nThe service level ({slo}) was met over the whole time."),
        Some(broke) => writeln!(
            text,
            "\nThe service level ({slo}) was not met over the whole time: {} was above it.",
            broke.words()
        ),
    };
    text
}

fn causes(text: &mut String, history: &History, total: &Attribution, receipts: bool) {
    let _ = writeln!(
        text,
        "\n{:<22}{:<6}{:>9}{:>9}{:>8}{:>12}  seen; evidence",
        "who lost reads", "way", "lost", "failed", "share", "confidence"
    );
    for ((cause, direction), share) in by_weight(total) {
        let seen = history.by_cause.get(&(*cause, *direction)).map_or(String::new(), |seen| {
            let (first, last) = (moment(seen.first_unix_s), moment(seen.last_unix_s));
            match seen.intervals {
                1 => format!("in 1 interval, {first}; "),
                many => format!("in {many} intervals, {first} to {last}; "),
            }
        });
        let estimates = share.estimates.iter().map(|(name, it)| format!("; {}", estimated(name, it)));
        let _ = writeln!(
            text,
            "{:<22}{:<6}{:>9}{:>9}{:>8}{:>12.2}  {seen}{}{}",
            cause.name(),
            direction.name(),
            share.reads,
            share.failed,
            format!("{:.1} %", 100.0 * share.reads as f64 / history.first_try_lost.max(1) as f64),
            share.confidence,
            share.evidence.join("; "),
            estimates.collect::<String>()
        );
    }
    for ((cause, direction), share) in by_weight(total) {
        let _ = writeln!(
            text,
            "\n{} ({}): {} {}",
            causes::named(*cause, *direction),
            cause.place(*direction),
            causes::meaning(*cause),
            share.remedy.unwrap_or_else(|| cause.remedy(receipts))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_once_in_a_line() {
        let mut said = Said::default();
        let texts = [
            "statistics of the server: x:1 did not answer within 3s: it is down, or blocked; check both",
            "the server's counters from 1.0 s to 2.0 s (x:1 did not answer within 1s: it is down, or blocked; check both)",
            "some counters (Nic: gone)",
            "still no control connection: x:1 did not answer within 3s: it is down, or blocked; check both",
            "what nobody said (yet)",
        ];
        let once = texts.map(|text| said.once(text));
        assert_eq!(
            once,
            [
                texts[0],
                "the server's counters from 1.0 s to 2.0 s (x:1 did not answer within 1s)",
                texts[2],
                "still no control connection",
                texts[4],
            ]
        );
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (unix_s, written) in [
            (0.0, "1970-01-01 00:00:00Z"),
            (951_782_399.9, "2000-02-28 23:59:59Z"),
            (951_782_400.0, "2000-02-29 00:00:00Z"),
            (1_795_352_710.0, "2026-11-22 13:05:10Z"),
            (4_107_542_400.0, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(moment(unix_s), written);
        }
    }
}
