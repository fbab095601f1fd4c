//! `qualify`: search for the knee, and say what broke first, who lost reads, what to do, and how many hosts a load needs.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;

use crate::attribution::Books;
use crate::baseline;
use crate::canary::{self, Canaries};
use crate::cli::Qualify;
use crate::cold::{self, Fresh};
use crate::embedded::Site;
use crate::engine::Pace;
use crate::error::Error;
use crate::hdr;
use crate::interrupt::Interrupt;
use crate::limits;
use crate::options::{self, Options, Output};
use crate::plan::{self, Fleet};
use crate::progress::Progress;
use crate::record::{Canary, KneeInterval, Record};
use crate::rig::Rig;
use crate::search::{Search, SearchSpec};
use crate::slo::Broke;
use crate::stage::StageResult;
use crate::verdict::{self, Findings};
use crate::workload::units::{self, Rate};

/// What `qualify` found.
pub struct Qualified {
    /// Its record.
    pub record: Record,
    output: Output,
    log: hdr::Log,
}

pub(super) fn run(args: &Qualify) -> Result<u8, Error> {
    let interrupt = Interrupt::heed()?;
    let qualified = qualify_until(args, Some(interrupt))?;
    let status = super::finish(&qualified.record, &qualified.output, &qualified.log)?;
    interrupt.end_if_cut();
    Ok(status)
}

/// Does what `qualify` does but for showing and writing what it found.
///
/// # Errors
/// Bad usage or failing set-up.
pub fn qualify(args: &Qualify) -> Result<Qualified, Error> {
    qualify_until(args, None)
}

fn qualify_until(args: &Qualify, interrupt: Option<Interrupt>) -> Result<Qualified, Error> {
    let options = Options::resolve(&args.common)?;
    options::check_load(Rate::PerSecond(args.rate), args.duration)?;
    let earlier = args.baseline.as_deref().map(|path| Record::read(path).map(|record| (path, record)));
    let earlier = earlier.transpose()?;
    if options.protocol.is_memcached() && !args.canary_addr.is_empty() {
        return Err(Error::NotWithProtocol {
            flag: "--canary-addr",
            protocol: options.protocol,
            reason: "canaries read in Shingle's protocol only",
        });
    }
    let progress = Progress::new(options.output.quiet);
    let site = Site::prepare(&options, &progress)?;
    let _at_the_client = site.enter()?;
    canary::check(&args.canary_addr, server_address(&options, &site))?;
    let mut rig = Rig::build(&options, &site, &progress)?;
    let cold = cold::before_search(&mut rig)?;
    let canaries = Canaries::of(&rig, &args.canary_addr)?;
    rig.warm_up(Pace::PerSecond(args.rate as f64), &progress)?;
    rig.start_clock();
    progress.stages_begin();
    let hunt = Hunt { rig, args, progress, canaries, fresh: Fresh::default(), stages: Vec::new(), interrupt };
    let (mut hunt, found) = hunt.run()?;
    if options.experiments {
        hunt.explain(&found)?;
    }
    let mut log = hdr::Log::new(hunt.rig.started());
    hunt.stages.iter().for_each(|result| log.add(result));
    let mut record = record(&hunt, &found, &cold);
    record.cold = Some(cold);
    if let Some((path, earlier)) = earlier {
        compare(&mut record, path, &earlier);
    }
    Ok(Qualified { record, output: options.output, log })
}

fn record(hunt: &Hunt<'_>, found: &Found, cold: &crate::record::ColdPath) -> Record {
    let Hunt { rig, args, stages, .. } = hunt;
    let (best, broken) = (found.best.map(|index| &stages[index]), found.broken.map(|index| &stages[index]));
    let explained = explained(stages, found.broken).map(|index| &stages[index]);
    let (causes, causes_tps) = explained
        .map_or((Vec::new(), None), |result| (result.causes.clone(), Some(result.stage.offered_tps)));
    let fleet = args.fleet_tps.map(|tps| Fleet { tps, spare: args.spare });
    let verdict = verdict::judge(&Findings {
        best: best.map(|result| &result.stage),
        broken: broken.map(|result| &result.stage),
        explained: explained.map(|result| &result.stage),
        causes: &causes,
        knee: found.knee.as_ref().map(|(tps, interval)| (*tps, interval)),
        target_tps: args.target,
        lab: rig.load.lab().map(|lab| lab.facts()),
        cuts_answers: rig.load.path_facts().chunk_datagram_bytes.is_some(),
        ended_by_lab: found.ended_by_lab,
        server_gone: found.server_gone,
        cut_short: rig.is_cut_short(),
        plan: found.knee.zip(fleet).and_then(|((_, interval), fleet)| plan::plan(&fleet, &interval)),
        cold: Some(cold),
        canary: Some(&canary_of_met(stages)),
        ..Findings::of_a_stage(rig.options.slo, rig.load.placement()).searched()
    });
    let command = rig.command("qualify", &load_words(args));
    let stages = stages.iter().map(|result| result.stage.clone()).collect();
    let trials = explained.map_or(Vec::new(), |result| result.trials.clone());
    Record { trials, ..super::record(rig, command, verdict, stages, (causes_tps, causes)) }
}

/// The flags that `qualify` has of its own, as they are typed.
fn load_words(args: &Qualify) -> String {
    let mut words = format!(
        "--rate {} --duration {} --resolution {}",
        args.rate,
        units::format_duration(args.duration),
        units::format_percent(args.resolution)
    );
    let mut add = |flag: &str, value: Option<String>| {
        words.extend(value.map(|value| format!(" {flag} {value}")));
    };
    add("--target", args.target.map(|target| target.to_string()));
    args.canary_addr.iter().for_each(|address| add("--canary-addr", Some(address.to_string())));
    add("--fleet-tps", args.fleet_tps.map(|tps| tps.to_string()));
    add("--spare", args.fleet_tps.map(|_| units::format_percent(args.spare)));
    add("--baseline", args.baseline.as_ref().map(|path| path.display().to_string()));
    words
}

fn compare(record: &mut Record, path: &Path, earlier: &Record) {
    let report = baseline::compare(&path.display().to_string(), earlier, record);
    // Right below the result: it is what was asked for.
    record.verdict.words.insert(1, baseline::words(&report));
    record.baseline = Some(report);
}

/// Where the load will go, as far as it is known before a connection is made.
fn server_address(options: &Options, site: &Site) -> Option<IpAddr> {
    match (&options.server, site.lab()) {
        (Some(server), _) => Some(server.to_socket_addrs().ok()?.next()?.ip().to_canonical()),
        (None, Some(lab)) => Some(lab.server_address()),
        (None, None) => Some([127, 0, 0, 1].into()),
    }
}

/// What the canaries met beside stages that met the service level: elsewhere they lost what all lost.
fn canary_of_met(stages: &[StageResult]) -> Canary {
    let mut all = stages.first().map(|result| result.stage.canary.clone()).unwrap_or_default();
    (all.first, all.first_lost, all.later, all.later_lost, all.refused) = (0, 0, 0, 0, 0);
    let met = stages.iter().filter(|result| result.stage.broke.is_none());
    met.for_each(|result| all.add(&result.stage.canary));
    all
}

/// The stage whose lost reads are worth explaining: the one that broke first, or, where that one was only late, the lowest above it that
/// lost reads.
fn explained(stages: &[StageResult], broken: Option<usize>) -> Option<usize> {
    let first = broken.filter(|index| !stages[*index].causes.is_empty());
    let failing = (0..stages.len()).filter(|index| stages[*index].stage.broke == Some(Broke::FailureRate));
    let tps = |index: &usize| stages[*index].stage.offered_tps;
    first.or_else(|| failing.min_by(|a, b| tps(a).total_cmp(&tps(b))))
}

/// A search under way.
struct Hunt<'a> {
    rig: Rig,
    args: &'a Qualify,
    progress: Progress,
    canaries: Canaries,
    fresh: Fresh,
    stages: Vec<StageResult>,
    interrupt: Option<Interrupt>,
}

/// What a search found: which of its stages are the knee and the first above it.
struct Found {
    knee: Option<(f64, KneeInterval)>,
    best: Option<usize>,
    broken: Option<usize>,
    server_gone: bool,
    ended_by_lab: bool,
}

/// What trying a rate brought.
enum Tried {
    /// So probably the service level was met.
    Judged(f64),
    ServerGone,
    /// The laboratory lost packets of its own, each time.
    LabLimited,
    /// A signal ended the stage early.
    CutShort,
}

impl Hunt<'_> {
    fn run(mut self) -> Result<(Self, Found), Error> {
        let lowest_tps = self.args.rate as f64;
        // Beyond what a laboratory carries the search would find the laboratory.
        let lab_tps = self.rig.lab_tps_max().map_or(f64::INFINITY, |tps| tps.max(lowest_tps));
        let mut search = Search::new(SearchSpec {
            lowest_tps,
            highest_tps: limits::QUALIFY_RATE_MAX_TPS.max(lowest_tps).min(lab_tps),
            resolution: 1.0 + self.args.resolution,
            stages_max: stages_max(self.args.resolution),
        });
        let (mut server_gone, mut ended_by_lab) = (false, false);
        while let Some(tps) =
            search.next_tps().filter(|_| !server_gone && !ended_by_lab && !self.rig.is_cut_short())
        {
            match self.attempt(tps)? {
                Tried::Judged(chance_met) => search.record(tps, chance_met),
                Tried::ServerGone => server_gone = true,
                Tried::LabLimited => ended_by_lab = true,
                Tried::CutShort => {}
            }
        }
        if self.rig.is_cut_short() {
            search.end();
        }
        let knee = search.knee();
        ended_by_lab |= knee.is_some_and(|knee| knee.tps >= lab_tps);
        let interval = knee.map(|knee| KneeInterval {
            lower_tps: knee.lower_tps,
            upper_tps: knee.upper_tps,
            confidence: 0.95,
            scatter: knee.scatter,
            stages: self.stages.len(),
            resolution: self.args.resolution,
            known_to: knee.known_to,
            resolved: knee.resolved,
        });
        let (best, broken) = (self.at(search.met_tps(), false), self.at(search.broken_tps(), true));
        let knee = knee.map(|knee| knee.tps).zip(interval);
        Ok((self, Found { knee, best, broken, server_gone, ended_by_lab }))
    }

    /// The last stage of a rate that broke the service level, or that met it.
    fn at(&self, tps: Option<f64>, broken: bool) -> Option<usize> {
        let of_rate = |result: &StageResult| Some(result.stage.offered_tps) == tps;
        self.stages.iter().rposition(|result| of_rate(result) && result.stage.broke.is_some() == broken)
    }

    /// Tries a rate. A stage that broke the service level while the host stalled is no try, a few times.
    fn attempt(&mut self, tps: f64) -> Result<Tried, Error> {
        for invalid in 0.. {
            let result = self.stage(tps)?;
            if self.rig.is_cut_short() {
                return Ok(Tried::CutShort);
            }
            self.progress.stage_done(&result);
            let (met, valid, gone) = (result.stage.broke.is_none(), result.stage.valid, result.server_gone);
            let lab_lost = result.stage.lab.as_ref().is_some_and(|lab| lab.has_spoiled(result.stage.sent));
            let chance_met = result.stage.chance_met.unwrap_or_default();
            self.stages.push(result);
            self.forget_books();
            // Before there is a stage to tell of, a signal just ends the program.
            if let Some(interrupt) = self.interrupt {
                self.rig.end_early_on(interrupt.measuring());
            }
            if gone {
                return Ok(Tried::ServerGone);
            }
            if lab_lost && !met && invalid == limits::INVALID_REPEATS_MAX {
                return Ok(Tried::LabLimited);
            }
            if met || valid || invalid == limits::INVALID_REPEATS_MAX {
                return Ok(Tried::Judged(chance_met));
            }
        }
        unreachable!("an endless range")
    }

    /// Lets go of the books of stages that will not be explained: with receipts they are large. The lowest rates that broke keep theirs, since
    /// some of them may be met after all: two, and as many more as there is room for.
    fn forget_books(&mut self) {
        let broken = self.stages.iter().filter(|result| result.stage.broke.is_some());
        let mut rates: Vec<_> = broken.map(|result| result.stage.offered_tps).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let mut receipts = 0;
        for (place, tps) in rates.iter().enumerate() {
            let of_rate = self.stages.iter_mut().filter(|result| result.stage.offered_tps == *tps);
            for result in of_rate {
                let held = |books: &Books| books.receipts.as_ref().map_or(0, |receipts| receipts.all.len());
                receipts += result.books.as_ref().map_or(0, held);
                if place >= 2 && receipts > limits::QUALIFY_RECEIPTS_MAX {
                    result.books = None;
                }
            }
        }
        for result in self.stages.iter_mut().filter(|result| result.stage.broke.is_none()) {
            result.books = None;
        }
    }

    /// Makes experiments where the books of the stage that is explained leave open who lost its reads.
    fn explain(&mut self, found: &Found) -> Result<(), Error> {
        match explained(&self.stages, found.broken) {
            Some(index) => self.rig.explain(&mut self.stages[index], &self.progress),
            None => Ok(()),
        }
    }

    /// One stage from a fresh start, with the canaries beside it.
    fn stage(&mut self, tps: f64) -> Result<StageResult, Error> {
        let Self { rig, canaries, progress, .. } = self;
        if rig.load.lab().is_none() {
            // Fragments of the stage before take memory from those that arrive.
            self.fresh.wait_for_reassembly();
        } else if !self.stages.is_empty() {
            rig.warm_up(Pace::PerSecond(self.args.rate as f64), progress)?;
            canaries.forgotten();
        }
        let duration = self.args.duration;
        let (result, canary) = canaries.beside(|| rig.stage(Pace::PerSecond(tps), duration, progress));
        let mut result = result?;
        result.stage.canary = canary;
        Ok(result)
    }
}

/// Stages after the climb: each halving of the resolution below the default's takes half as many more.
fn stages_max(resolution: f64) -> usize {
    let halvings = (limits::QUALIFY_RESOLUTION / resolution).log2().max(0.0);
    (limits::QUALIFY_STAGES_MAX as f64 * (1.0 + 0.5 * halvings)).round() as usize
}
