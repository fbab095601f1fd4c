//! `compare`: strategies side by side over one path.

use std::sync::Arc;

use shingle_proto::wire::Strategy;

use crate::cli::Compare;
use crate::compare::advice::{self, Grounds};
use crate::compare::{self, Contest, Outcome, Spec};
use crate::embedded::{Embedded, Site};
use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::options::{self, Options};
use crate::progress::Progress;
use crate::record::{Record, ServerFacts};
use crate::rig::Rig;
use crate::target::Target;
use crate::workload::units::{self, Rate};
use crate::workload::{ItemSpace, Sizing};

pub(super) fn run(args: &Compare) -> Result<u8, Error> {
    check(args)?;
    let options = Options::resolve(&args.common)?;
    let spec =
        Spec { tps: args.rate as f64, turn: args.duration, rounds: args.rounds, search: !args.no_search };
    let progress = Progress::new(options.output.quiet);
    let site = Site::prepare(&options, &progress)?;
    let _at_the_client = site.enter()?;
    let rigs = match &options.server {
        Some(address) => against(address, &args.strategies, &options, &progress)?,
        None => inside(&site, &args.strategies, &options, &progress)?,
    };
    let facts = facts(&rigs);
    let contest = Contest::new(rigs, spec, &progress);
    progress.note(&compare::announcement(&spec, facts.ports.len(), contest.estimate()));
    let (outcome, rig) = contest.run()?;
    let log_and_record = record(args, &rig, facts, outcome);
    super::finish(&log_and_record.1, &options.output, &log_and_record.0)
}

/// Refuses what cannot be compared, before anything is begun.
fn check(args: &Compare) -> Result<(), Error> {
    if args.common.strategy.is_some() {
        return Err(Error::NotWithCompare { flag: "--strategy", way_out: "use --strategies A,B,..." });
    }
    if args.common.protocol.is_memcached() {
        return Err(Error::NotWithCompare {
            flag: "--protocol",
            way_out: "memcached answers in one way only, so there is nothing to compare; leave it out",
        });
    }
    options::check_load(Rate::PerSecond(args.rate), args.duration)?;
    options::check_range("--rounds", args.rounds, 1, limits::COMPARE_ROUNDS_MAX)?;
    for (index, strategy) in args.strategies.iter().enumerate() {
        if args.strategies[..index].contains(strategy) {
            return Err(Error::StrategyTwice { name: strategy.name() });
        }
    }
    // None given means all there are, which may still be too few of a server's.
    if args.strategies.is_empty() { Ok(()) } else { check_several(&args.strategies) }
}

fn check_several(strategies: &[Strategy]) -> Result<(), Error> {
    match strategies {
        [one] => {
            Err(Error::OneStrategy { name: one.name(), all: Strategy::ALL.map(Strategy::name).join(", ") })
        }
        _ => Ok(()),
    }
}

/// Rigs on servers inside this process. Values are kept compressed where any port of a server wants them so: `compressed` gets a server
/// of its own.
fn inside(
    site: &Site,
    named: &[Strategy],
    options: &Options,
    progress: &Progress,
) -> Result<Vec<(Strategy, Rig)>, Error> {
    let strategies = if named.is_empty() { Strategy::ALL.to_vec() } else { named.to_vec() };
    let sizing = Sizing {
        answer_overhead_bytes: ANSWER_OVERHEAD_BYTES,
        value_bytes_max: shingle_proto::limits::VALUE_BYTES_MAX_DEFAULT as u32,
    };
    let space =
        ItemSpace::new(&options.values, options.items, options.seed, sizing)?.with_content(options.content);
    let start = |compressed: bool| -> Result<Option<Arc<Embedded>>, Error> {
        let ports: Vec<_> = strategies
            .iter()
            .copied()
            .filter(|strategy| (*strategy == Strategy::Compressed) == compressed)
            .collect();
        (!ports.is_empty()).then(|| Embedded::start(site, &ports, options, &space)).transpose()
    };
    let servers = [start(false)?, start(true)?];
    let target = |strategy: Strategy| {
        let server = servers[usize::from(strategy == Strategy::Compressed)].as_ref();
        Target::of_embedded(server.expect("started for it"), strategy, options, &space)
    };
    let targets = strategies.iter().map(|strategy| Ok((*strategy, target(*strategy)?)));
    rigs(targets.collect::<Result<_, Error>>()?, options, &space, progress)
}

/// Rigs on the server at this address.
fn against(
    address: &str,
    named: &[Strategy],
    options: &Options,
    progress: &Progress,
) -> Result<Vec<(Strategy, Rig)>, Error> {
    let connect = |strategy| Target::of_address(address, strategy, options);
    let first = connect(None)?;
    let mut offered = Vec::new();
    for port in first.welcome().ports.iter().map(|port| port.strategy) {
        if !offered.contains(&port) {
            offered.push(port);
        }
    }
    if let Some(wanted) = named.iter().find(|strategy| !offered.contains(strategy)) {
        let offered = offered.iter().map(|strategy| strategy.name()).collect::<Vec<_>>().join(", ");
        return Err(Error::NotOffered { wanted: wanted.name(), offered });
    }
    let strategies = if named.is_empty() { offered } else { named.to_vec() };
    check_several(&strategies)?;
    let sizing = Sizing {
        answer_overhead_bytes: ANSWER_OVERHEAD_BYTES,
        value_bytes_max: first.welcome().value_bytes_max,
    };
    let space =
        ItemSpace::new(&options.values, options.items, options.seed, sizing)?.with_content(options.content);
    let targets = strategies.iter().map(|strategy| {
        let target = connect(Some(*strategy))?;
        target.check_sizes(&space)?;
        Ok((*strategy, target))
    });
    rigs(targets.collect::<Result<_, Error>>()?, options, &space, progress)
}

/// A rig for each target; the items are stored only when all of them could be made.
fn rigs(
    targets: Vec<(Strategy, Target)>,
    options: &Options,
    space: &ItemSpace,
    progress: &Progress,
) -> Result<Vec<(Strategy, Rig)>, Error> {
    let rigs = targets
        .into_iter()
        .map(|(strategy, target)| Ok((strategy, Rig::new(options, target, space.clone())?)));
    let mut rigs = rigs.collect::<Result<Vec<_>, Error>>()?;
    let mut filled = Vec::new();
    for (_, rig) in &mut rigs {
        let address = rig.load.facts().address;
        if !filled.contains(&address) {
            rig.load.fill(space, false, progress)?;
            filled.push(address);
        }
    }
    Ok(rigs)
}

/// The servers of all rigs as one, for the record.
fn facts(rigs: &[(Strategy, Rig)]) -> ServerFacts {
    let mut all = rigs.iter().map(|(_, rig)| rig.load.facts());
    let first = all.next().expect("two strategies or more");
    all.fold(first, |mut sum, facts| {
        sum.ports.extend(facts.ports);
        sum.workers += facts.workers;
        sum
    })
}

fn record(args: &Compare, rig: &Rig, server: ServerFacts, outcome: Outcome) -> (crate::hdr::Log, Record) {
    let Outcome { mut comparison, strategies, stages, log, server_gone, crowded } = outcome;
    let placement = rig.load.placement();
    let names: Vec<_> = strategies.iter().map(|figures| figures.strategy.clone()).collect();
    let remote = rig.options.server.is_some();
    let offers_compressed =
        rig.target().welcome().ports.iter().any(|port| port.strategy == Strategy::Compressed);
    let (recommended, verdict) = advice::judge(&Grounds {
        slo: rig.options.slo,
        comparison: &comparison,
        strategies: &strategies,
        shares_counters: placement.shares_counters(),
        shares_cpus: placement.shares_cpus(),
        all_compressed: remote && offers_compressed,
        server_gone,
        crowded,
    });
    comparison.recommended = recommended.map(|strategy| strategy.name().to_owned());
    let load = format!(
        "--strategies {} --rate {} --duration {} --rounds {}{}",
        names.join(","),
        args.rate,
        units::format_duration(args.duration),
        args.rounds,
        if args.no_search { " --no-search" } else { "" },
    );
    let command = rig.command("compare", &load);
    let record = super::record(rig, command, verdict, stages, (None, Vec::new()));
    (log, Record { server, comparison: Some(comparison), strategies, ..record })
}
