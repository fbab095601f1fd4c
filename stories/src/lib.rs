//! The stories behind Shingle as scenarios: each is told on real packets in a laboratory of namespaces, with the expectation written beside it.
//!
//! A [`Story`] is a name, a sentence, its [`Expectation`]s (a formula or bound, the tolerance, and why it is that) and a function that
//! tells it: it measures, and gives each measured figure to the [`Telling`] with the figure expected. A story held if every row did and every
//! expectation was measured. [`stories::ALL`] is the list.
#![forbid(unsafe_code)]

pub mod args;
mod embedder;
mod error;
mod expectation;
mod figure;
mod load;
mod report;
pub mod scene;
pub mod stories;
mod story;
mod telling;
mod watch;

pub use error::StoryError;
pub use expectation::{Bound, Expectation, Unit};
pub use figure::{Curve, Figure, Marks};
pub use story::{Form, Story};
pub use telling::{Row, Telling};
