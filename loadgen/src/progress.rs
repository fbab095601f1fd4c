//! What a person sees while work goes on: on stderr, nothing with --quiet, plain lines where stderr is no terminal.

use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::Pace;
use crate::report::terminal;
use crate::stage::StageResult;

/// Where progress goes.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    quiet: bool,
}

/// A running piece of work.
pub struct Bar {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// Progress on stderr unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// A line that stays.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            say(line);
        }
    }

    /// A bar over countable work.
    pub fn bar(&self, what: &str, total: u64) -> Bar {
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}").expect("a constant template");
        self.start(ProgressBar::new(total).with_style(style).with_message(what.to_owned()))
    }

    /// A bar over the time of a stage.
    pub fn stage(&self, pace: Pace, duration: Duration) -> Bar {
        let what = match pace {
            Pace::PerSecond(tps) => format!("{} reads/s", terminal::rate(tps)),
            Pace::InFlight(reads) => format!("{reads} reads in flight a thread"),
        };
        let style = ProgressStyle::with_template("{msg} {bar:30}").expect("a constant template");
        self.start(ProgressBar::new(duration.as_millis() as u64).with_style(style).with_message(what))
    }

    /// The header of the lines of [`stage_done`](Self::stage_done).
    pub fn stages_begin(&self) {
        self.note(&terminal::stage_header());
    }

    /// The line of a stage that is over.
    pub fn stage_done(&self, result: &StageResult) {
        self.note(&terminal::stage_line(&result.stage));
    }

    fn start(&self, bar: ProgressBar) -> Bar {
        if self.quiet {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Bar { bar, quiet: self.quiet }
    }
}

impl Bar {
    /// So much is done.
    pub fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// So many seconds are over.
    pub fn at(&self, elapsed_s: f64) {
        self.bar.set_position((elapsed_s * 1000.0) as u64);
    }

    /// Takes the bar away.
    pub fn finish_quietly(&self) {
        self.bar.finish_and_clear();
    }

    /// Takes the bar away and leaves a line.
    pub fn finish_with(&self, line: &str) {
        self.finish_quietly();
        if !self.quiet {
            say(line);
        }
    }
}

/// Prints to stderr; whoever closed it does not want the rest, and the run goes on.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
