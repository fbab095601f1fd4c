//! What was found: the table for people, the record for scripts.

use serde::Serialize;

use crate::error::StoryError;
use crate::expectation::Unit;
use crate::figure::Figure;
use crate::story::{Form, Story};
use crate::telling::Telling;

/// A story that was told, or could not be.
#[derive(Debug)]
pub(crate) struct Told {
    /// Which.
    pub story: &'static Story,
    /// What was measured, up to where it went.
    pub telling: Telling,
    /// Why it could not be told to its end.
    pub error: Option<StoryError>,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// How a story ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Every row held.
    Held,
    /// Some did not.
    NotHeld,
    /// It could not be told.
    NotTold,
}

/// The record: everything that was expected and measured.
#[derive(Serialize)]
pub(crate) struct Record<'a> {
    schema: &'static str,
    form: &'static str,
    kernel: String,
    stories: Vec<StoryRecord<'a>>,
}

#[derive(Serialize)]
struct StoryRecord<'a> {
    name: &'static str,
    sentence: &'static str,
    ending: Ending,
    error: Option<String>,
    seconds: f64,
    rows: Vec<RowRecord<'a>>,
    not_measured: Vec<&'static str>,
    notes: &'a [String],
    figures: &'a [Figure],
}

#[derive(Serialize)]
struct RowRecord<'a> {
    what: &'static str,
    case: &'a str,
    formula: &'static str,
    bound: String,
    reason: &'static str,
    expected: f64,
    measured: f64,
    unit: &'static str,
    held: bool,
}

impl Told {
    /// How it ended.
    #[must_use]
    pub(crate) fn ending(&self) -> Ending {
        match (&self.error, self.telling.held()) {
            (Some(_), _) => Ending::NotTold,
            (None, true) => Ending::Held,
            (None, false) => Ending::NotHeld,
        }
    }

    /// Its part of the table.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.story.name, self.story.sentence)];
        for expectation in self.story.expectations {
            let rows = self.telling.rows.iter().filter(|row| std::ptr::eq(row.expectation, *expectation));
            let rows: Vec<_> = rows.collect();
            if rows.is_empty() {
                continue;
            }
            lines.push(format!("  {expectation}"));
            lines.push(format!("    because {}", expectation.reason));
            lines.push(format!("    {:<60}{:>18}{:>18}   held", "", "expected", "measured"));
            for row in rows {
                let [expected, measured] =
                    [row.expected, row.measured].map(|figure| expectation.unit.show(figure));
                let held = if row.held() { "yes" } else { "NO" };
                lines.push(format!("    {:<60}{expected:>18}{measured:>18}   {held}", row.case));
            }
        }
        lines.extend(self.telling.notes.iter().map(|note| format!("  note: {note}")));
        let missing = if self.error.is_none() { self.telling.not_measured() } else { Vec::new() };
        lines.extend(missing.iter().map(|one| format!("  NOT MEASURED: {}", one.what)));
        lines.extend(self.error.iter().map(|error| format!("  NOT TOLD: {error}")));
        let held = self.telling.rows.iter().filter(|row| row.held()).count();
        let rows = self.telling.rows.len();
        lines.push(format!("  {held} of {rows} rows held, {:.0} s\n", self.seconds));
        lines.join("\n")
    }

    fn record(&self) -> StoryRecord<'_> {
        let rows = self.telling.rows.iter().map(|row| RowRecord {
            what: row.expectation.what,
            case: &row.case,
            formula: row.expectation.formula,
            bound: row.expectation.bound.words(row.expectation.unit),
            reason: row.expectation.reason,
            expected: row.expected,
            measured: row.measured,
            unit: unit_name(row.expectation.unit),
            held: row.held(),
        });
        StoryRecord {
            name: self.story.name,
            sentence: self.story.sentence,
            ending: self.ending(),
            error: self.error.as_ref().map(ToString::to_string),
            seconds: self.seconds,
            rows: rows.collect(),
            not_measured: self.telling.not_measured().iter().map(|one| one.what).collect(),
            notes: &self.telling.notes,
            figures: &self.telling.figures,
        }
    }
}

impl<'a> Record<'a> {
    pub(crate) fn new(form: Form, told: &'a [Told]) -> Record<'a> {
        Record {
            schema: "shingle.stories/1",
            form: form.pick("full", "short"),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            stories: told.iter().map(Told::record).collect(),
        }
    }
}

/// The last lines: which held, which did not, which could not be told.
pub(crate) fn summary(told: &[Told]) -> String {
    let list = |ending| {
        let names: Vec<_> =
            told.iter().filter(|one| one.ending() == ending).map(|one| one.story.name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!(
        "held: {}\nnot held: {}\nnot told: {}",
        list(Ending::Held),
        list(Ending::NotHeld),
        list(Ending::NotTold)
    )
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Percent => "percent",
        Unit::Count(name) => name,
        Unit::Bytes => "bytes",
        Unit::Milliseconds => "milliseconds",
    }
}
