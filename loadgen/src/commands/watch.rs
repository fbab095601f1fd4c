//! `watch`: reads at a low rate for hours, a line when something was lost, and a summary at the end or on a signal.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::attribution::Attribution;
use crate::cli;
use crate::embedded::Site;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::limits;
use crate::options::{self, Options};
use crate::progress::Progress;
use crate::watch::serve::Metrics;
use crate::watch::{Watch, metrics, words};
use crate::workload::units;

pub(super) fn run(args: &cli::Watch) -> Result<u8, Error> {
    let options = resolve(args)?;
    // Before anything can be ended by one: its own items are taken away first.
    let cut = Interrupt::heed()?.measuring();
    let progress = Progress::new(options.output.quiet);
    // Where scrapers are, which is not in a laboratory.
    let scraped = args.metrics.map(Metrics::listen).transpose()?;
    if let Some(metrics) = &scraped {
        progress.note(&format!("metrics on http://{}/metrics", metrics.address()));
    }
    let site = Site::prepare(&options, &progress)?;
    let at_the_client = site.enter()?;
    let mut watch = Watch::begin(&options, &site, args.rate as f64, cut, &progress)?;
    if let Some(scraped) = &scraped {
        // Every series is there before the first loss, which may fall into the first interval.
        scraped.put(metrics::text(&watch.history, None, &Attribution::new(), args.rate as f64));
    }
    let mut teller = Teller {
        args,
        options: &options,
        progress,
        scraped,
        json: json_lines(&options)?,
        told: Instant::now(),
    };
    if let Some(network) = site.lab() {
        network.start_clock();
    }
    let begin = Instant::now();
    while !cut.load(Ordering::Relaxed) {
        let left = args.duration.map_or(Duration::MAX, |all| all.saturating_sub(begin.elapsed()));
        // What is left of the last interval is too short to say anything.
        if left < limits::WATCH_INTERVAL_MIN {
            break;
        }
        let interval = watch.interval(args.interval.min(left))?;
        teller.tell(&watch, &interval)?;
    }
    let total = watch.sliding.total();
    let summary = words::summary(&watch.history, &total, options.slo, watch.rig().load.keeps_receipts());
    let printed = super::print_out(&summary);
    let broke = watch.history.reads == 0 || watch.history.broke(options.slo).is_some();
    watch.end();
    drop(at_the_client);
    printed?;
    Ok(u8::from(broke))
}

/// Checks what was typed.
fn resolve(args: &cli::Watch) -> Result<Options, Error> {
    let options = Options::resolve(&args.common)?;
    let not = |flag, way_out| Err(Error::NotWithWatch { flag, way_out });
    if options.protocol.is_memcached() {
        return not("--protocol", "it asks a Shingle server for what it counted; leave it out");
    }
    if options.output.html.is_some() {
        return not("--html", "use --json, one object an interval, or --metrics");
    }
    if options.output.hdr.is_some() {
        return not("--hdr", "use --metrics, which has the latency's histogram");
    }
    options::check_range("--rate", args.rate as usize, 1, limits::WATCH_RATE_MAX_TPS)?;
    let (low, high) = (limits::WATCH_INTERVAL_MIN, limits::WATCH_INTERVAL_MAX);
    if !(low..=high).contains(&args.interval) {
        return Err(out_of_range(
            "--interval",
            args.interval,
            &format!("1s to {}", units::format_duration(high)),
        ));
    }
    if let Some(all) = args.duration.filter(|all| *all < low) {
        return Err(out_of_range("--for", all, "1s and more"));
    }
    Ok(options)
}

fn out_of_range(flag: &str, value: Duration, range: &str) -> Error {
    Error::OutOfRange { flag: flag.into(), value: units::format_duration(value), range: range.into() }
}

/// The file of `--json`: lines are added to what is there, so that a watch that was started again goes on in it.
fn json_lines(options: &Options) -> Result<Option<File>, Error> {
    let Some(path) = &options.output.json else { return Ok(None) };
    let file = OpenOptions::new().append(true).create(true).open(path);
    Ok(Some(file.map_err(|error| Error::file("write", path, error))?))
}

/// Tells people, files and scrapers of each interval.
struct Teller<'a> {
    args: &'a cli::Watch,
    options: &'a Options,
    progress: Progress,
    scraped: Option<Metrics>,
    json: Option<File>,
    told: Instant,
}

impl Teller<'_> {
    fn tell(&mut self, watch: &Watch, interval: &crate::watch::Interval) -> Result<(), Error> {
        let window = watch.sliding.window();
        if words::is_worth_a_line(interval, self.options.slo) {
            self.progress.note(&words::line(interval, &window));
            self.told = Instant::now();
        } else if self.told.elapsed() >= limits::WATCH_HEARTBEAT {
            self.progress.note(&words::heartbeat(&watch.history, &interval.server));
            self.told = Instant::now();
        }
        if let (Some(file), Some(path)) = (&mut self.json, &self.options.output.json) {
            let written = file.write_all((words::json(interval, &window) + "\n").as_bytes());
            written.map_err(|error| Error::file("write", path, error))?;
        }
        if let Some(scraped) = &self.scraped {
            scraped.put(metrics::text(&watch.history, Some(interval), &window, self.args.rate as f64));
        }
        Ok(())
    }
}
