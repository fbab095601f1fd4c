//! `run`: one rate for one time; also for callers that want its result as data.

use crate::cli::Run;
use crate::embedded::Site;
use crate::engine::Pace;
use crate::error::Error;
use crate::hdr;
use crate::interrupt::Interrupt;
use crate::limits;
use crate::options::{self, Options, Output};
use crate::progress::Progress;
use crate::record::Record;
use crate::report::terminal;
use crate::rig::Rig;
use crate::stage::StageResult;
use crate::verdict::{self, Findings};
use crate::workload::units::{self, Rate};

/// What `run` found.
pub struct Measured {
    /// Its record, with the stage and its causes.
    pub record: Record,
    /// The stage, with the books that its causes were judged by.
    pub result: StageResult,
    output: Output,
    log: hdr::Log,
}

pub(super) fn run(args: &Run) -> Result<u8, Error> {
    let interrupt = Interrupt::heed()?;
    let measured = measure_until(args, Some(interrupt))?;
    let status = super::finish(&measured.record, &measured.output, &measured.log)?;
    interrupt.end_if_cut();
    Ok(status)
}

/// Does what `run` does but for showing and writing what it found.
///
/// # Errors
/// Bad usage or failing set-up.
pub fn measure(args: &Run) -> Result<Measured, Error> {
    measure_until(args, None)
}

fn measure_until(args: &Run, interrupt: Option<Interrupt>) -> Result<Measured, Error> {
    let options = Options::resolve(&args.common)?;
    options::check_load(args.rate, args.duration)?;
    options::check_range("--in-flight", args.in_flight, 1, limits::READS_PER_THREAD_MAX)?;
    let progress = Progress::new(options.output.quiet);
    let site = Site::prepare(&options, &progress)?;
    let _at_the_client = site.enter()?;
    let mut rig = Rig::build(&options, &site, &progress)?;
    let threads = options.generator_cpus.len();
    let (pace, load) = match args.rate {
        Rate::PerSecond(tps) => (Pace::PerSecond(tps as f64), format!("--rate {tps}")),
        Rate::Max => (
            Pace::InFlight(args.in_flight.div_ceil(threads)),
            format!("--rate max --in-flight {}", args.in_flight),
        ),
    };
    rig.warm_up(pace, &progress)?;
    if let (Rate::PerSecond(tps), Some(most)) = (args.rate, rig.lab_tps_max())
        && tps as f64 > most
        && most > 0.0
    {
        progress.note(&format!(
            "this laboratory carries about {} reads/s of this kind without losing or delaying packets by itself; what is lost or late beyond may be its own doing",
            terminal::rate(most)
        ));
    }
    rig.start_clock();
    if let Some(interrupt) = interrupt {
        rig.end_early_on(interrupt.measuring());
    }
    let mut result = rig.stage(pace, args.duration, &progress)?;
    if options.experiments {
        rig.explain(&mut result, &progress)?;
    }
    let mut log = hdr::Log::new(rig.started());
    log.add(&result);
    let verdict = verdict::judge(&Findings {
        best: result.stage.broke.is_none().then_some(&result.stage),
        broken: result.stage.broke.is_some().then_some(&result.stage),
        causes: &result.causes,
        lab: rig.load.lab().map(|lab| lab.facts()),
        cuts_answers: rig.load.path_facts().chunk_datagram_bytes.is_some(),
        server_gone: result.server_gone,
        cut_short: rig.is_cut_short(),
        ..Findings::of_a_stage(options.slo, rig.load.placement())
    });
    let tps = result.stage.offered_tps;
    let command = rig.command("run", &format!("{load} --duration {}", units::format_duration(args.duration)));
    let record =
        super::record(&rig, command, verdict, vec![result.stage.clone()], (Some(tps), result.causes.clone()));
    let record = Record { trials: result.trials.clone(), ..record };
    Ok(Measured { record, result, output: options.output, log })
}
