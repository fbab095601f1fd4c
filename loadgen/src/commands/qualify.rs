//! `qualify`: climb and bisect to the knee, a drain between the rates, and say what broke first.

use crate::cli::Qualify;
use crate::embedded::Site;
use crate::engine::Pace;
use crate::error::Error;
use crate::hdr;
use crate::limits;
use crate::options::{self, Options};
use crate::progress::Progress;
use crate::rig::Rig;
use crate::search::{Search, SearchSpec};
use crate::slo::Broke;
use crate::stage::StageResult;
use crate::verdict::{self, Findings};
use crate::workload::units::{self, Rate};

pub(super) fn run(args: &Qualify) -> Result<u8, Error> {
    let options = Options::resolve(&args.common)?;
    options::check_load(Rate::PerSecond(args.rate), args.duration)?;
    let progress = Progress::new(options.output.quiet);
    let site = Site::prepare(&options, &progress)?;
    let _at_the_client = site.enter()?;
    let mut rig = Rig::build(&options, &site, &progress)?;
    rig.warm_up(Pace::PerSecond(args.rate as f64), &progress)?;
    rig.start_clock();
    progress.stages_begin();
    let Searched { stages, best, broken, server_gone, ended_by_lab } = search(&mut rig, args, &progress)?;
    let mut log = hdr::Log::new(rig.started());
    stages.iter().for_each(|result| log.add(result));
    let explained = explained(&stages, broken);
    let (causes, causes_tps) = explained
        .map_or((Vec::new(), None), |result| (result.causes.clone(), Some(result.stage.offered_tps)));
    let verdict = verdict::judge(&Findings {
        slo: options.slo,
        best: best.map(|index| &stages[index].stage),
        broken: broken.map(|index| &stages[index].stage),
        causes: &causes,
        target_tps: args.target,
        placement: rig.load.placement(),
        lab: rig.load.lab().map(|lab| lab.facts()),
        ended_by_lab,
        single: false,
        server_gone,
    });
    let load = format!("--rate {} --duration {}", args.rate, units::format_duration(args.duration));
    let target = args.target.map_or(String::new(), |target| format!(" --target {target}"));
    let command = rig.command("qualify", &(load + &target));
    let stages = stages.into_iter().map(|result| result.stage).collect();
    let record = super::record(&rig, command, verdict, stages, (causes_tps, causes));
    super::finish(&record, &options.output, &log)
}

/// The stage whose lost reads are worth explaining: the one that broke first, or, where that one was only late, the lowest above it that
/// lost reads.
fn explained(stages: &[StageResult], broken: Option<usize>) -> Option<&StageResult> {
    let first = broken.map(|index| &stages[index]).filter(|result| !result.causes.is_empty());
    let failing = stages.iter().filter(|result| result.stage.broke == Some(Broke::FailureRate));
    first.or_else(|| failing.min_by(|a, b| a.stage.offered_tps.total_cmp(&b.stage.offered_tps)))
}

/// All stages of a search, and which of them are the knee and the first above it.
struct Searched {
    stages: Vec<StageResult>,
    best: Option<usize>,
    broken: Option<usize>,
    server_gone: bool,
    ended_by_lab: bool,
}

fn search(rig: &mut Rig, args: &Qualify, progress: &Progress) -> Result<Searched, Error> {
    let lowest_tps = args.rate as f64;
    // Beyond what a laboratory carries the search would find the laboratory.
    let lab_tps = rig.lab_tps_max().map_or(f64::INFINITY, |tps| tps.max(lowest_tps));
    let spec = SearchSpec {
        lowest_tps,
        highest_tps: limits::QUALIFY_RATE_MAX_TPS.min(lab_tps),
        resolution: limits::QUALIFY_RESOLUTION,
    };
    let (mut search, mut stages) = (Search::new(spec), Vec::new());
    let (mut server_gone, mut ended_by_lab) = (false, false);
    while let Some(tps) = search.next_tps().filter(|_| !server_gone && !ended_by_lab) {
        match stage(rig, tps, args, progress, &mut stages)? {
            Tried::Met => search.record(tps, true),
            Tried::Broken => search.record(tps, false),
            Tried::ServerGone => server_gone = true,
            Tried::LabLimited => ended_by_lab = true,
        }
    }
    ended_by_lab |= search.knee_tps().is_some_and(|tps| tps >= lab_tps);
    let at = |tps: Option<f64>, broken: bool| {
        let of_rate = |result: &StageResult| Some(result.stage.offered_tps) == tps;
        stages
            .iter()
            .rposition(|result: &StageResult| of_rate(result) && result.stage.broke.is_some() == broken)
    };
    let (best, broken) = (at(search.knee_tps(), false), at(search.lowest_failed_tps(), true));
    Ok(Searched { stages, best, broken, server_gone, ended_by_lab })
}

/// What trying a rate brought.
enum Tried {
    Met,
    Broken,
    ServerGone,
    /// The laboratory lost packets of its own, each time.
    LabLimited,
}

/// Tries a rate. A stage that breaks the service level is run once more, since on a host shared with others a single bad moment says
/// little; one that the host stalled in does not count as a try.
fn stage(
    rig: &mut Rig,
    tps: f64,
    args: &Qualify,
    progress: &Progress,
    stages: &mut Vec<StageResult>,
) -> Result<Tried, Error> {
    let (mut invalid, mut broken) = (0, 0);
    while broken < limits::TRIES_A_RATE {
        if rig.load.lab().is_some() && !stages.is_empty() {
            rig.warm_up(Pace::PerSecond(args.rate as f64), progress)?;
        }
        let result = rig.stage(Pace::PerSecond(tps), args.duration, progress)?;
        progress.stage_done(&result);
        let (met, valid, gone) = (result.stage.broke.is_none(), result.stage.valid, result.server_gone);
        let lab_lost = result.stage.lab.as_ref().is_some_and(|lab| lab.has_spoiled(result.stage.sent));
        stages.push(result);
        if gone {
            return Ok(Tried::ServerGone);
        }
        if met {
            return Ok(Tried::Met);
        }
        if lab_lost && invalid == limits::INVALID_REPEATS_MAX {
            return Ok(Tried::LabLimited);
        }
        if valid || invalid == limits::INVALID_REPEATS_MAX {
            broken += 1;
        } else {
            invalid += 1;
        }
    }
    Ok(Tried::Broken)
}
