//! Tables of figures, for people and as JSON.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::floors::statistics::Interval;

/// One figure of a table.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number and the decimals it is shown with.
    Number(f64, usize),
    /// A ratio: median and interval.
    Ratio(Interval),
    /// Not measured, or not applicable.
    Nothing,
}

/// A table: one line a candidate.
#[derive(Debug)]
pub struct Table {
    section: &'static str,
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(section: &'static str, title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(ToString::to_string).collect();
        Self { section, title: title.into(), columns, rows: Vec::new() }
    }

    /// Adds a line.
    ///
    /// # Panics
    /// If it has not one cell a column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "{}: a cell a column", self.title);
        self.rows.push(cells);
    }

    /// As JSON: one object a line, by names of columns.
    #[must_use]
    pub fn json(&self) -> Value {
        let object = |cells: &Vec<Cell>| -> Map<String, Value> {
            self.columns.iter().zip(cells).map(|(column, cell)| (column.clone(), cell.json())).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(object).collect();
        json!({ "section": self.section, "title": self.title, "columns": self.columns, "rows": rows })
    }
}

impl fmt::Display for Table {
    /// In Markdown, aligned.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<Vec<String>> =
            self.rows.iter().map(|cells| cells.iter().map(ToString::to_string).collect()).collect();
        let width = |at: usize| {
            let cells = lines.iter().map(|line| line[at].chars().count());
            cells.chain([self.columns[at].chars().count(), 3]).max().unwrap_or(3)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            let cells = cells.iter().zip(&widths).enumerate();
            let cells = cells.map(|(at, (cell, width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(f, "| {} |", cells.collect::<Vec<_>>().join(" | "))
        };
        writeln!(f, "{}: {}\n", self.section, self.title)?;
        line(f, &self.columns)?;
        let rule = |(at, width): (usize, &usize)| {
            if at == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
        };
        line(f, &widths.iter().enumerate().map(rule).collect::<Vec<_>>())?;
        lines.iter().try_for_each(|cells| line(f, cells))
    }
}

impl Cell {
    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Number(number, _) => json!(number),
            Cell::Ratio(interval) => {
                json!({ "low": interval.low, "median": interval.median, "high": interval.high })
            }
            Cell::Nothing => Value::Null,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(text),
            Cell::Number(number, decimals) => write!(f, "{number:.decimals$}"),
            Cell::Ratio(Interval { low, median, high }) => write!(f, "{median:.2} ({low:.2}..{high:.2})"),
            Cell::Nothing => f.write_str("-"),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}
