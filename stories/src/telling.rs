//! What the telling of a story brings: measured rows beside what was expected, figures, notes.

use crate::expectation::Expectation;
use crate::figure::Figure;
use crate::story::{Form, Story};

/// A story being told.
#[derive(Debug)]
pub struct Telling {
    story: &'static Story,
    form: Form,
    quiet: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) notes: Vec<String>,
}

/// A measured figure beside the expected one.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is judged by.
    pub expectation: &'static Expectation,
    /// The case: a rate, a strategy.
    pub case: String,
    /// The figure expected in this case.
    pub expected: f64,
    /// The figure measured.
    pub measured: f64,
}

impl Telling {
    /// One in which nothing is measured yet. Progress goes to stderr unless `quiet`.
    #[must_use]
    pub fn new(story: &'static Story, form: Form, quiet: bool) -> Telling {
        Telling { story, form, quiet, rows: Vec::new(), figures: Vec::new(), notes: Vec::new() }
    }

    /// The form to be told.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Books a measured figure beside the one that `expectation` comes to in this case, both in its unit.
    ///
    /// # Panics
    /// If the story does not list the expectation: the figure would be judged and never shown.
    pub fn row(
        &mut self,
        expectation: &'static Expectation,
        case: impl Into<String>,
        expected: f64,
        measured: f64,
    ) {
        let listed = self.story.expectations.iter().any(|one| std::ptr::eq(*one, expectation));
        assert!(listed, "{} does not list the expectation {:?}", self.story.name, expectation.what);
        let row = Row { expectation, case: case.into(), expected, measured };
        let Row { case, .. } = &row;
        let [wanted, found] = [expected, measured].map(|figure| expectation.unit.show(figure));
        self.progress(&format!("{}, {case}: {found} (expected {wanted})", expectation.what));
        self.rows.push(row);
    }

    /// Adds a figure for `--plots`.
    pub fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds a sentence that a reader of the rows should know.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// Says on stderr what goes on.
    pub fn progress(&self, line: &str) {
        if !self.quiet {
            eprintln!("  {line}");
        }
    }

    /// Whether every row held and nothing was left unmeasured.
    #[must_use]
    pub fn held(&self) -> bool {
        self.rows.iter().all(Row::held) && self.not_measured().is_empty()
    }

    /// Expectations that nothing was measured for, though this form should have.
    pub(crate) fn not_measured(&self) -> Vec<&'static Expectation> {
        let due = |expectation: &&&'static Expectation| self.form == Form::Full || !expectation.full_only;
        let measured = |expectation: &'static Expectation| {
            self.rows.iter().any(|row| std::ptr::eq(row.expectation, expectation))
        };
        self.story.expectations.iter().filter(due).filter(|one| !measured(one)).copied().collect()
    }
}

impl Row {
    /// Whether the measured figure is what was expected.
    #[must_use]
    pub fn held(&self) -> bool {
        self.expectation.bound.holds(self.expected, self.measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectation::{Bound, Unit};

    static COUNTED: Expectation = expectation(false);
    static TIMED: Expectation = expectation(true);
    static STORY: Story = Story {
        name: "twice-two",
        sentence: "Two and two.",
        expectations: &[&COUNTED, &TIMED],
        tell: |_| Ok(()),
    };

    const fn expectation(full_only: bool) -> Expectation {
        Expectation {
            what: "twice two",
            formula: "2 x 2",
            bound: Bound::Exactly,
            unit: Unit::Count(""),
            reason: "arithmetic",
            full_only,
        }
    }

    #[test]
    fn a_story_holds_when_all_that_is_due_was_measured_and_held() {
        let mut telling = Telling::new(&STORY, Form::Short, true);
        assert!(!telling.held(), "nothing was measured");
        telling.row(&COUNTED, "on paper", 4.0, 4.0);
        assert!(telling.held());
        telling.row(&COUNTED, "by heart", 4.0, 5.0);
        assert!(!telling.held());
        let mut telling = Telling::new(&STORY, Form::Full, true);
        telling.row(&COUNTED, "on paper", 4.0, 4.0);
        assert!(!telling.held(), "the full form measures all");
        telling.row(&TIMED, "on paper", 4.0, 4.0);
        assert!(telling.held());
    }

    #[test]
    #[should_panic(expected = "does not list")]
    fn a_row_for_an_expectation_of_another_story_is_refused() {
        static FOREIGN: Expectation = expectation(false);
        Telling::new(&STORY, Form::Full, true).row(&FOREIGN, "", 4.0, 4.0);
    }
}
