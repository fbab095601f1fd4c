//! `qualify`: climb and bisect to the knee, a drain between the rates, and say what broke first.

use std::time::Duration;

use crate::cli::Qualify;
use crate::engine::Pace;
use crate::error::Error;
use crate::hdr;
use crate::limits;
use crate::options::{self, Options};
use crate::progress::Progress;
use crate::rig::{self, Rig};
use crate::search::{Search, SearchSpec};
use crate::stage::StageResult;
use crate::verdict::{self, Findings};
use crate::workload::units::{self, Rate};

pub(super) fn run(args: &Qualify) -> Result<u8, Error> {
    let options = Options::resolve(&args.common)?;
    options::check_load(Rate::PerSecond(args.rate), args.duration)?;
    let progress = Progress::new(options.output.quiet);
    let (target, space) = rig::prepare(&options, false, &progress)?;
    let mut rig = Rig::new(&options, target, space)?;
    rig.stage(Pace::PerSecond(args.rate as f64), limits::WARM_UP, &Progress::new(true))?;
    progress.stages_begin();
    let results = search(&mut rig, args, &progress)?;
    let mut log = hdr::Log::default();
    for result in &results.stages {
        log.add(result);
    }
    let best = results.best.map(|index| &results.stages[index].stage);
    let broken = results.broken.map(|index| &results.stages[index]);
    let causes = broken.map_or(Vec::new(), |result| result.causes.clone());
    let verdict = verdict::judge(&Findings {
        slo: options.slo,
        best,
        broken: broken.and_then(|result| Some((&result.stage, result.broke?))),
        causes: &causes,
        target_tps: args.target,
        shared_namespace: rig.target.placement.is_shared(),
        single: false,
    });
    let load = format!("--rate {} --duration {}", args.rate, units::format_duration(args.duration));
    let target = args.target.map_or(String::new(), |target| format!(" --target {target}"));
    let command = rig.command("qualify", &(load + &target));
    let stages = results.stages.into_iter().map(|result| result.stage).collect();
    let record = super::record(&rig, command, verdict, stages, causes);
    super::finish(&record, &options.output, &log)
}

/// All stages of a search, and which of them are the knee and the first above it.
struct Searched {
    stages: Vec<StageResult>,
    best: Option<usize>,
    broken: Option<usize>,
}

fn search(rig: &mut Rig, args: &Qualify, progress: &Progress) -> Result<Searched, Error> {
    let spec = SearchSpec {
        lowest_tps: args.rate as f64,
        highest_tps: limits::QUALIFY_RATE_MAX_TPS,
        resolution: limits::QUALIFY_RESOLUTION,
    };
    let (mut search, mut stages) = (Search::new(spec), Vec::new());
    let mut confirmed = None;
    loop {
        while let Some(tps) = search.next_tps() {
            let met = stage(rig, tps, args.duration, progress, &mut stages)?;
            search.record(tps, met);
        }
        // The knee was met once, which near a limit may be luck: a knee is a rate that is met again.
        let knee = search.knee_tps().filter(|knee| confirmed.is_none_or(|tps: f64| tps > *knee));
        let Some(tps) = knee else { break };
        let met = stage(rig, tps, args.duration, progress, &mut stages)?;
        search.record(tps, met);
        if met {
            break;
        }
        confirmed = Some(tps);
    }
    let knee = search.knee_tps();
    let best = stages
        .iter()
        .rposition(|result: &StageResult| result.broke.is_none() && Some(result.stage.offered_tps) == knee);
    let broken = search.lowest_failed_tps();
    let broken =
        stages.iter().rposition(|result| result.broke.is_some() && Some(result.stage.offered_tps) == broken);
    Ok(Searched { stages, best, broken })
}

/// Runs a stage and tells whether it met the service level. One that did not is run once more, since on a host shared with others a
/// single bad moment says little; one that the host stalled in does not count as a try.
fn stage(
    rig: &mut Rig,
    tps: f64,
    duration: Duration,
    progress: &Progress,
    stages: &mut Vec<StageResult>,
) -> Result<bool, Error> {
    let (mut invalid, mut broken) = (0, 0);
    loop {
        let result = rig.stage(Pace::PerSecond(tps), duration, progress)?;
        progress.stage_done(&result);
        let (met, valid) = (result.broke.is_none(), result.stage.valid);
        stages.push(result);
        if met {
            return Ok(true);
        }
        if valid || invalid == limits::INVALID_REPEATS_MAX {
            broken += 1;
        } else {
            invalid += 1;
        }
        if broken == limits::TRIES_A_RATE {
            return Ok(false);
        }
    }
}
