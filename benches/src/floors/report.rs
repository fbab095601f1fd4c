//! What a row found, as lines of the table and as JSON.

use serde::Serialize;

use super::contest::Brought;
use super::host::Beside;
use super::limits::BESIDE_MAX;
use super::statistics::{Interval, Verdict};

/// A row's findings.
#[derive(Debug, Clone, Serialize)]
pub struct RowReport {
    /// As it is chosen on the command line.
    pub id: &'static str,
    /// The workload in words.
    pub title: &'static str,
    /// What was compared.
    pub lines: Vec<Line>,
    /// The floor against itself, in the same rounds.
    pub control: Option<Interval>,
    /// What each contestant reached.
    pub rates: Vec<Rate>,
    /// What one has to know beside.
    pub notes: Vec<String>,
    /// Somebody else used the CPUs meanwhile.
    pub disturbed: bool,
    /// Why it was left out, if it was.
    pub skipped: Option<String>,
}

/// One comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What is compared with what.
    pub what: String,
    /// The target in words; empty where there is none.
    pub target: String,
    /// What was found.
    pub found: Interval,
    /// Unit of it.
    pub unit: &'static str,
    /// What became of the target.
    pub verdict: Verdict,
}

/// One contestant.
#[derive(Debug, Clone, Serialize)]
pub struct Rate {
    /// Who.
    pub name: String,
    /// Reads a second.
    pub reads_per_s: Interval,
    /// Answer datagrams for each request.
    pub datagrams_per_request: f64,
    /// Requests lost.
    pub lost: u64,
    /// Each round's reads a second, in the order of the rounds.
    pub rounds: Vec<f64>,
}

impl RowReport {
    /// One without findings yet.
    #[must_use]
    pub fn new(id: &'static str, title: &'static str) -> RowReport {
        RowReport {
            id,
            title,
            lines: Vec::new(),
            control: None,
            rates: Vec::new(),
            notes: Vec::new(),
            disturbed: false,
            skipped: None,
        }
    }

    /// One that was left out.
    #[must_use]
    pub fn skipped(id: &'static str, title: &'static str, why: String) -> RowReport {
        RowReport { skipped: Some(why), ..RowReport::new(id, title) }
    }

    /// Takes over what the contestants reached.
    pub fn book(&mut self, brought: &[Brought]) {
        self.book_as("", brought);
    }

    /// The same, with a word before each name.
    pub fn book_as(&mut self, label: &str, brought: &[Brought]) {
        self.rates.extend(brought.iter().map(|one| {
            let sum = |of: fn(&super::udp::Measured) -> u64| one.rounds.iter().map(of).sum::<u64>();
            Rate {
                name: format!("{label} {}", one.name).trim().to_owned(),
                reads_per_s: Interval::of(&one.rates()),
                datagrams_per_request: sum(|round| round.datagrams) as f64
                    / sum(|round| round.requests).max(1) as f64,
                lost: one.lost(),
                rounds: one.rates(),
            }
        }));
    }

    /// Adds a ratio with its target: at least so much.
    pub fn ratio(&mut self, what: &str, found: Interval, at_least: Option<f64>) {
        let verdict = at_least.map_or(Verdict::Shown, |target| found.at_least(target, self.control));
        let target = at_least.map_or(String::new(), |target| format!(">= {target}x"));
        self.lines.push(Line { what: what.to_owned(), target, found, unit: "x", verdict });
    }

    /// Adds a figure with its target: at most so much.
    pub fn at_most(&mut self, what: &str, found: Interval, unit: &'static str, at_most: Option<f64>) {
        let verdict = at_most.map_or(Verdict::Shown, |target| found.at_most(target, self.control));
        let target = at_most.map_or(String::new(), |target| format!("<= {target} {unit}"));
        self.lines.push(Line { what: what.to_owned(), target, found, unit, verdict });
    }

    /// Says what else the CPUs did, where it is more than ticks cannot tell from nothing.
    pub fn beside(&mut self, beside: Beside) {
        let Beside { others, stolen } = beside;
        self.disturbed = others.max(stolen) > BESIDE_MAX;
        if self.disturbed {
            self.notes.push(format!(
                "THE MACHINE WAS NOT QUIET: other processes took {:.0} % of its CPU time, the hypervisor {:.0} %",
                others * 100.0,
                stolen * 100.0
            ));
        }
    }

    /// Whether a target was missed.
    #[must_use]
    pub fn missed(&self) -> bool {
        self.lines.iter().any(|line| line.verdict == Verdict::Missed)
    }

    /// Whether a target could be neither met nor missed.
    #[must_use]
    pub fn undecided(&self) -> bool {
        self.lines.iter().any(|line| line.verdict == Verdict::ControlTooWide)
    }

    /// Prints the row as it is done.
    pub fn print(&self) {
        println!("\n{}: {}", self.id, self.title);
        if let Some(why) = &self.skipped {
            println!("  SKIPPED: {why}");
        }
        for line in &self.lines {
            let Line { what, target, found, unit, verdict } = line;
            let interval = format!("[{}, {}]", figure(found.low), figure(found.high));
            let found = format!("{} {unit}", figure(found.median));
            println!("  {what:<44} {target:>12}  {found:>12} {interval:<18} {}", verdict.words());
        }
        if let Some(control) = self.control {
            let interval = format!("[{}, {}]", figure(control.low), figure(control.high));
            println!(
                "  {:<44} {:>12}  {:>10} x {interval}",
                "A/A: floor again / floor",
                "",
                figure(control.median)
            );
        }
        for Rate { name, reads_per_s, lost, datagrams_per_request, .. } in &self.rates {
            let lost = if *lost > 0 { format!(", {lost} requests lost") } else { String::new() };
            let datagrams = if *datagrams_per_request > 0.0 {
                format!(", {datagrams_per_request:.2} datagrams a request")
            } else {
                String::new()
            };
            println!(
                "    {name:<24} {:>11} reads/s [{}, {}]{datagrams}{lost}",
                thousands(reads_per_s.median),
                thousands(reads_per_s.low),
                thousands(reads_per_s.high),
            );
        }
        for note in &self.notes {
            println!("    {note}");
        }
    }
}

/// Three significant digits and no exponent.
fn figure(value: f64) -> String {
    match value.abs() {
        value_abs if value_abs < 10.0 => format!("{value:.2}"),
        value_abs if value_abs < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!((figure(0.954).as_str(), figure(12.34).as_str()), ("0.95", "12.3"));
        assert_eq!((thousands(1_234_567.0).as_str(), thousands(999.0).as_str()), ("1,234,567", "999"));
    }
}
