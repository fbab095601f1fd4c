//! What a story expects, as data: a formula or bound, how far from it a measured figure may lie, and why.

use std::fmt;

/// One thing that a story expects and measures, often in several cases (rates, strategies).
#[derive(Debug)]
pub struct Expectation {
    /// What is measured.
    pub what: &'static str,
    /// Where the expected figure comes from: a formula, or words.
    pub formula: &'static str,
    /// How a measured figure is judged by the expected one.
    pub bound: Bound,
    /// Unit of both.
    pub unit: Unit,
    /// Why the figure is expected, and why the tolerance is what it is.
    pub reason: &'static str,
    /// The short form does not measure it.
    pub full_only: bool,
}

/// How a measured figure is judged by the expected one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Equal.
    Exactly,
    /// No farther from it than this, in the unit of both.
    Within(f64),
    /// No farther from it than this share of it, 0 to 1.
    WithinShare(f64),
    /// Not above it.
    AtMost,
    /// Not below it.
    AtLeast,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Percent; differences of percents are called points.
    Percent,
    /// Whole things of this name.
    Count(&'static str),
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

impl Bound {
    /// Whether `measured` holds where `expected` was. What is no number does not.
    #[must_use]
    pub fn holds(self, expected: f64, measured: f64) -> bool {
        // A hair for figures that are sums of rounded ones.
        const ROUNDING: f64 = 1e-9;
        let distance = (measured - expected).abs();
        match self {
            Self::Exactly => distance <= ROUNDING,
            Self::Within(tolerance) => distance <= tolerance + ROUNDING,
            Self::WithinShare(share) => distance <= share * expected.abs() + ROUNDING,
            Self::AtMost => measured <= expected + ROUNDING,
            Self::AtLeast => measured >= expected - ROUNDING,
        }
    }

    /// The bound in words, after the formula.
    #[must_use]
    pub fn words(self, unit: Unit) -> String {
        match (self, unit) {
            (Self::Exactly, _) => "exactly".to_owned(),
            (Self::Within(tolerance), Unit::Percent) => format!("within {tolerance} points"),
            (Self::Within(tolerance), _) => format!("within {}", unit.show(tolerance)),
            (Self::WithinShare(share), _) => format!("within {} % of it", share * 100.0),
            (Self::AtMost, _) => "at most".to_owned(),
            (Self::AtLeast, _) => "at least".to_owned(),
        }
    }
}

impl Unit {
    /// A figure with its unit.
    #[must_use]
    pub fn show(self, figure: f64) -> String {
        match self {
            Self::Percent => format!("{figure:.3} %"),
            Self::Count("") => grouped(figure),
            Self::Count(name) => format!("{} {name}", grouped(figure)),
            Self::Bytes => format!("{} B", grouped(figure)),
            Self::Milliseconds => format!("{figure:.1} ms"),
        }
    }
}

/// Digits in groups of three; a tenth where the figure is not whole.
fn grouped(figure: f64) -> String {
    let whole = (figure - figure.round()).abs() < 1e-9;
    let text = if whole { format!("{figure:.0}") } else { format!("{figure:.1}") };
    let (integer, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (index, digit) in integer.char_indices() {
        let left = integer.len() - index;
        if index > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, formula, bound, unit, .. } = self;
        let words = bound.words(*unit);
        match bound {
            Bound::Within(_) | Bound::WithinShare(_) => write!(f, "{what}: {formula}, {words}"),
            Bound::Exactly | Bound::AtMost | Bound::AtLeast => write!(f, "{what}: {words} {formula}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_can_be_broken_and_no_number_holds() {
        for (bound, held, broken) in [
            (Bound::Exactly, [100.0, 100.0], [99.0, 101.0]),
            (Bound::Within(0.2), [99.8, 100.2], [99.79, 100.21]),
            (Bound::WithinShare(0.1), [90.0, 110.0], [89.9, 110.1]),
            (Bound::AtMost, [100.0, -5.0], [100.1, 1e9]),
            (Bound::AtLeast, [100.0, 1e9], [99.9, -5.0]),
        ] {
            assert!(held.iter().all(|measured| bound.holds(100.0, *measured)), "{bound:?}");
            assert!(!broken.iter().any(|measured| bound.holds(100.0, *measured)), "{bound:?}");
            assert!(!bound.holds(100.0, f64::NAN) && !bound.holds(f64::NAN, 100.0), "{bound:?}");
        }
    }

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!(Unit::Count("reads").show(1_234_567.0), "1,234,567 reads");
        assert_eq!(Unit::Count("reads").show(-1234.56), "-1,234.6 reads");
        assert_eq!(Unit::Count("").show(999.0), "999");
        assert_eq!(Unit::Percent.show(0.9971), "0.997 %");
        assert_eq!(Unit::Bytes.show(8472.0), "8,472 B");
    }
}
