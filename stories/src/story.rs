//! A story: what happened, what is expected when it happens again, and how it is made to happen.

use crate::error::StoryError;
use crate::expectation::Expectation;
use crate::telling::Telling;

/// A scenario with its expectations.
#[derive(Debug)]
pub struct Story {
    /// As it is chosen on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub sentence: &'static str,
    /// What is expected. Each is measured at least once, or the story did not hold.
    pub expectations: &'static [&'static Expectation],
    /// Makes it happen, and measures.
    pub tell: fn(&mut Telling) -> Result<(), StoryError>,
}

/// How long it takes and what it measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All rates and strategies, for people.
    Full,
    /// Counts rather than times, all stories together within two minutes, for CI.
    Short,
}

impl Form {
    /// One of two values: the first in the full form, the second in the short one.
    pub fn pick<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}
