//! The command line of `stories`, and what it does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use shingle_loadgen::hostload::{CpuTimes, HostLoad};
use shingle_loadgen::limits::CPU_OTHERS_MAX;
use shingle_netlab::lab;

use crate::error::StoryError;
use crate::report::{self, Ending, Record, Told};
use crate::stories::ALL;
use crate::story::{Form, Story};
use crate::telling::Telling;

/// Times a story is told again that did not hold on a machine that others kept busy.
const RETELLINGS_MAX: usize = 2;

/// Tells the stories behind Shingle on real packets, and prints what was expected beside what was measured.
#[derive(Debug, Parser)]
#[command(name = "stories", version)]
#[command(
    after_help = "Exit status: 0 everything expected was found, 1 something was not, 2 a story could not be told (rights or tools are missing: the message says which)."
)]
pub struct Args {
    /// Tell only these stories, separated by commas
    #[arg(long, value_name = "STORY,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Print the stories with what each expects
    #[arg(long)]
    list: bool,
    /// The short form: counts rather than times, all within two minutes
    #[arg(long)]
    short: bool,
    /// Write everything expected and measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures into this folder, as SVG
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// No progress, only the tables
    #[arg(long)]
    quiet: bool,
}

impl Args {
    /// Does what was typed; the exit status says how the stories ended.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        match self.execute() {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                eprintln!("stories: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn execute(&self) -> Result<u8, StoryError> {
        let chosen = self.chosen()?;
        if self.list {
            chosen.iter().for_each(|story| println!("{}", listed(story)));
            return Ok(0);
        }
        lab::prepare_process()?;
        // Minutes of telling must not end on a file that cannot be written.
        let cannot = |path: &Path| {
            let path = path.to_owned();
            move |source| StoryError::File { path, source }
        };
        if let Some(folder) = &self.plots {
            std::fs::create_dir_all(folder).map_err(cannot(folder))?;
        }
        let json = self.json.as_ref().map(|path| File::create(path).map_err(cannot(path))).transpose()?;
        let form = if self.short { Form::Short } else { Form::Full };
        let mut told = Vec::new();
        for story in chosen {
            told.push(tell(story, form, self.quiet));
            println!("{}", told[told.len() - 1].table());
        }
        println!("{}", report::summary(&told));
        if let Some(folder) = &self.plots {
            told.iter().flat_map(|one| &one.telling.figures).try_for_each(|figure| figure.write(folder))?;
        }
        if let (Some(file), Some(path)) = (json, &self.json) {
            let written = serde_json::to_writer_pretty(file, &Record::new(form, &told));
            written.map_err(std::io::Error::from).map_err(cannot(path))?;
        }
        Ok(status(&told))
    }

    fn chosen(&self) -> Result<Vec<&'static Story>, StoryError> {
        let unknown = self.only.iter().find(|name| !ALL.iter().any(|story| story.name == *name));
        if let Some(found) = unknown {
            let names = ALL.iter().map(|story| story.name).collect::<Vec<_>>().join(", ");
            return Err(StoryError::NoStory { found: found.clone(), names });
        }
        let wanted =
            |story: &&&'static Story| self.only.is_empty() || self.only.iter().any(|name| name == story.name);
        Ok(ALL.iter().filter(wanted).copied().collect())
    }
}

/// Tells a story; again where it did not hold while others had the machine's CPUs, so that only what holds on no quiet machine is called not
/// held. What is broken breaks each time.
fn tell(story: &'static Story, form: Form, quiet: bool) -> Told {
    let mut earlier = Vec::new();
    loop {
        let before = CpuTimes::read();
        let mut told = tell_once(story, form, quiet);
        let taken = before.zip(CpuTimes::read()).map_or(0.0, |(before, now)| {
            let HostLoad { others, stolen } = now.since(before, 0);
            others + stolen
        });
        if told.ending() != Ending::NotHeld || taken <= CPU_OTHERS_MAX || earlier.len() == RETELLINGS_MAX {
            earlier.into_iter().for_each(|note| told.telling.note(note));
            return told;
        }
        let broken = told.telling.rows.iter().filter(|row| !row.held());
        let broken: Vec<_> = broken.map(|row| format!("{}, {}", row.expectation.what, row.case)).collect();
        earlier.push(format!(
            "told again: others took {:.0} % of the CPU time, and this did not hold: {}",
            taken * 100.0,
            broken.join("; ")
        ));
    }
}

fn tell_once(story: &'static Story, form: Form, quiet: bool) -> Told {
    let mut telling = Telling::new(story, form, quiet);
    telling.progress(&format!("-- {}", story.name));
    let start = Instant::now();
    let error = (story.tell)(&mut telling).err();
    Told { story, telling, error, seconds: start.elapsed().as_secs_f64() }
}

fn status(told: &[Told]) -> u8 {
    let any = |ending| told.iter().any(|one| one.ending() == ending);
    if any(Ending::NotTold) { 2 } else { u8::from(any(Ending::NotHeld)) }
}

fn listed(story: &Story) -> String {
    let lines = story.expectations.iter().map(|one| format!("\n  {one}\n    because {}", one.reason));
    format!("{}: {}{}\n", story.name, story.sentence, lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Args {
        Args::try_parse_from([&["stories"], words].concat()).expect("parses")
    }

    #[test]
    fn stories_are_chosen_by_name() {
        assert_eq!(parsed(&[]).chosen().expect("all").len(), ALL.len());
        let one = ALL[0].name;
        assert_eq!(parsed(&["--only", one]).chosen().expect("one").len(), 1);
        let error = parsed(&["--only", &format!("{one},nobody")]).execute().expect_err("unknown").to_string();
        assert!(error.contains("`nobody`") && error.contains(one), "{error}");
    }

    #[test]
    fn files_that_cannot_be_written_are_found_before_the_first_story() {
        for flag in ["--json", "--plots"] {
            let error = parsed(&[flag, "/proc/nowhere/x"]).execute().expect_err("not writable").to_string();
            assert!(error.contains("/proc/nowhere/x"), "{error}");
        }
    }
}
