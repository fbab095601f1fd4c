//! From a stage's ledger and books to its figures: pure.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::attribution::{
    self, Attribution, Books, Cause, Counts, Direction, Receipts, ServerBooks, StageFacts,
};
use crate::books::Risen;
use crate::chance;
use crate::engine::{self, IntervalTiming, Pace, StageOutcome, StageSpec, Stall, Tally};
use crate::limits;
use crate::protocol::Protocol;
use crate::record::{
    AbovePath, Canary, CauseReport, FlowFigures, GeneratorCheck, Interval, LabFigures, Percentiles,
    SizeClass, Stage, TrialReport,
};
use crate::report::terminal::latency;
use crate::slo::Slo;

/// Everything known of a stage.
pub struct Facts<'a> {
    /// What was asked for.
    pub spec: &'a StageSpec,
    /// The generator's ledger and the stalls seen.
    pub outcome: StageOutcome,
    /// What both hosts' counters rose by.
    pub risen: Risen,
    /// The server's receipts, where they were kept and needed.
    pub receipts: Option<Receipts>,
    /// The service level.
    pub slo: Slo,
    /// The server keeps receipts, whether they were looked at or not.
    pub receipts_kept: bool,
    /// What the server speaks.
    pub protocol: Protocol,
    /// Items expire, so a read may find nothing.
    pub items_expire: bool,
    /// What the laboratory did meanwhile, where there is one.
    pub lab: Option<LabFigures>,
    /// Flow number, source port and server port of every flow, in the ledger's order.
    pub flows: Vec<(u32, u16, u16)>,
    /// What is known of the path.
    pub path: PathFacts,
    /// Books are wanted also where nothing was lost.
    pub keeps_books: bool,
}

/// What is known of the path between the hosts when a stage is over.
#[derive(Clone, Debug, Default)]
pub struct PathFacts {
    /// Both ends talk in IPv6.
    pub ipv6: bool,
    /// The ports cut answers into datagrams of at most so many bytes of UDP payload; none: an answer is one datagram.
    pub chunk_datagram_bytes: Option<u32>,
    /// MTU of the client's interface towards the server; 0: not known.
    pub client_mtu: u32,
    /// MTU of the server's interface towards the client.
    pub server_mtu: Option<u32>,
    /// Path MTU the server's kernel holds for the client.
    pub path_mtu_down: Option<u32>,
    /// Answers leave without DF, and routers may cut them.
    pub routers_cut: bool,
    /// Both ends count into the same kernel counters.
    pub shared_counters: bool,
}

/// A stage, judged.
pub struct StageResult {
    /// Its figures.
    pub stage: Stage,
    /// Who lost its reads.
    pub causes: Vec<CauseReport>,
    /// The server could not be asked any more when it was over.
    pub server_gone: bool,
    /// Latency of each interval, for the interval log.
    pub latencies: Vec<Histogram<u64>>,
    /// What its causes were judged by; none where it lost nothing, unless they are kept always.
    pub books: Option<Books>,
    /// Experiments made to decide between causes, and what each decided.
    pub trials: Vec<TrialReport>,
    /// When it began, on the monotonic clock.
    pub start_ns: u64,
}

/// Puts figures, causes and judgement of a stage together.
pub fn settle(mut facts: Facts<'_>) -> StageResult {
    let books = books(&mut facts);
    let facts = &facts;
    let tally = &facts.outcome.tally;
    let mut stage = figures(facts);
    let causes = blame(&mut stage, &attribution::attribute(&books), &books, facts.receipts_kept);
    stage.generator_limited_because = generator_limits(facts, &stage);
    stage.generator_limited = !stage.generator_limited_because.is_empty();
    let misses = if facts.items_expire { 0 } else { stage.misses };
    let miss_rate = misses as f64 / stage.sent.max(1) as f64;
    stage.broke = facts.slo.broken_by(stage.failure_rate, miss_rate, stage.judged_us().p99.ceil() as u64);
    let latencies: Vec<_> = tally.timing.intervals.iter().map(|interval| interval.latency.clone()).collect();
    stage.chance_met = Some(chance::chance_met(&stage, &latencies, &facts.slo));
    let server_gone = facts.risen.server_gone;
    let books = (tally.first_try_lost > 0 || facts.keeps_books).then_some(books);
    let start_ns = facts.outcome.start_ns;
    StageResult { stage, causes, server_gone, latencies, books, trials: Vec::new(), start_ns }
}

/// Puts a stage's lost reads down to these causes, and gives the causes for the record. `receipts_kept` says that the server keeps receipts.
pub(crate) fn blame(
    stage: &mut Stage,
    attribution: &Attribution,
    books: &Books,
    receipts_kept: bool,
) -> Vec<CauseReport> {
    (stage.losses, stage.first_try_losses) = Default::default();
    for ((cause, _), share) in attribution {
        *stage.losses.entry(*cause).or_default() += share.failed;
        *stage.first_try_losses.entry(*cause).or_default() += share.reads;
    }
    stage.losses.retain(|_, reads| *reads > 0);
    causes(attribution, stage.first_try_lost, books.stage.foreign, receipts_kept)
}

/// What attribution may use. Moves the lists of losses and receipts, which may be long.
fn books(facts: &mut Facts<'_>) -> Books {
    let Facts { spec, outcome, risen, path, .. } = facts;
    let tally = &mut outcome.tally;
    let server = risen.server.clone().map(|server| ServerBooks {
        keys_not_told_of: server.keys_not_told_of.saturating_sub(tally.misses),
        ..server
    });
    tally.population.name_flows(&facts.flows);
    let start_ns = outcome.start_ns;
    let stalls = outcome.stalls.iter();
    tally.population.stalls_ns =
        stalls.map(|stall| (stall.start_ns.saturating_sub(start_ns), stall.length_ns)).collect();
    Books {
        stage: StageFacts {
            duration_ns: spec.duration_ns,
            timeout_ns: spec.timeout_ns,
            reads_per_datagram: spec.gets_per_datagram as u64,
            ipv6: path.ipv6,
            chunk_datagram_bytes: path.chunk_datagram_bytes,
            answer_overhead_bytes: limits::ANSWER_OVERHEAD_BYTES,
            client_mtu: path.client_mtu,
            server_mtu: path.server_mtu,
            path_mtu_down: path.path_mtu_down,
            generator_late: tally.timing.slip.value_at_quantile(0.99) > spec.timeout_ns / 2,
            routers_cut: path.routers_cut,
            shared_counters: path.shared_counters,
            foreign: facts.protocol.is_memcached(),
        },
        losses: std::mem::take(&mut tally.losses),
        unlisted: tally.unlisted,
        population: tally.population.clone(),
        receipts: facts.receipts.take(),
        client: risen.client.clone(),
        server,
        trials: Vec::new(),
        gaps: risen.gaps.clone(),
    }
}

fn figures(facts: &Facts<'_>) -> Stage {
    let Facts { spec, outcome, risen, .. } = facts;
    let tally = &outcome.tally;
    let duration_s = spec.duration_ns as f64 / 1e9;
    let timing = &tally.timing;
    let disturbed = timing.disturbed();
    let longest_stall_ns = outcome.stalls.iter().map(|stall| stall.length_ns).max().unwrap_or(0);
    let mut invalid_because = Vec::new();
    // A stall that ate most of the timeout makes reads fail, and failed reads are not taken out of the ledger.
    if disturbed as f64 > limits::DISTURBED_SHARE_MAX * tally.scheduled as f64
        || longest_stall_ns >= spec.timeout_ns / 2
        || outcome.stalls_overflowed
    {
        invalid_because.push("the host stalled".to_owned());
    }
    if let Some(lab) = facts.lab.as_ref().filter(|lab| lab.has_spoiled(tally.scheduled)) {
        let places: Vec<_> =
            lab.own_losses.iter().map(|(place, packets)| format!("{packets} {place}")).collect();
        invalid_because
            .push(format!("the laboratory itself lost or held up packets ({})", places.join(", ")));
    }
    let mut counters = risen.counters.clone();
    counters.insert("client.read_path_allocations".to_owned(), tally.allocations);
    counters.insert("client.reads_asked_again_needlessly".to_owned(), tally.asked_needlessly);
    counters.insert("client.cpu_time_us".to_owned(), tally.work_ns / 1000);
    counters.insert("client.spun_time_us".to_owned(), tally.spun_ns / 1000);
    let counter = |name: &str| risen.counters.get(name).copied().unwrap_or(0);
    Stage {
        strategy: None,
        cut_short_of_s: None,
        offered_tps: if let Pace::PerSecond(tps) = spec.pace { tps } else { 0.0 },
        achieved_tps: tally.answered as f64 / duration_s,
        duration_s,
        valid: invalid_because.is_empty(),
        invalid_because,
        broke: None,
        chance_met: None,
        disturbed,
        sent: tally.scheduled,
        answered: tally.answered,
        misses: tally.misses,
        first_try_lost: tally.first_try_lost,
        failed: tally.failed,
        wrong: tally.wrong,
        failure_rate: if tally.scheduled == 0 { 0.0 } else { tally.failed as f64 / tally.scheduled as f64 },
        latency_us: percentiles(&timing.latency()),
        latency_with_stalls_us: percentiles(&timing.with_stalls),
        service_us: percentiles(&timing.service),
        slip_us: percentiles(&timing.slip),
        residence_us: percentiles(&timing.residence),
        losses: BTreeMap::new(),
        first_try_losses: BTreeMap::new(),
        generator_limited: false,
        generator_limited_because: Vec::new(),
        generator: Some(generator_check(facts)),
        rerequests: counter("client.flow.rerequests"),
        reordered: counter("client.flow.reordered"),
        duplicates: counter("client.flow.duplicates"),
        challenges: counter("client.flow.challenges"),
        goodput_bytes_per_s: tally.value_bytes as f64 / duration_s,
        above_path: AbovePath {
            datagram_bytes_max: Some(spec.path_datagram_bytes)
                .filter(|bytes| *bytes < usize::MAX)
                .unwrap_or(0),
            reads: tally.above_path.reads,
            share: tally.above_path.reads as f64 / tally.scheduled.max(1) as f64,
            first_try_lost: tally.above_path.first_try_lost,
            failed: tally.above_path.failed,
        },
        by_size: by_size(tally),
        by_flow: by_flow(tally),
        intervals: intervals(tally, facts),
        server_draining: risen.server_draining,
        cpu_others: risen.host_load.others,
        cpu_stolen: risen.host_load.stolen,
        stalls: outcome.stalls.iter().map(|stall| stall_in_stage(stall, outcome.start_ns)).collect(),
        lab: facts.lab.clone(),
        canary: Canary::default(),
        counters,
        gaps: risen.gaps.clone(),
    }
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    if histogram.is_empty() {
        return Percentiles::default();
    }
    Percentiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max() as f64 / 1000.0,
    }
}

fn by_size(tally: &Tally) -> Vec<SizeClass> {
    let classes = tally.by_size.iter().zip(engine::size_classes());
    let classes = classes.filter(|(class, _)| class.counts.reads > 0).map(|(class, max)| SizeClass {
        value_bytes_max: *max,
        reads: class.counts.reads,
        first_try_lost: class.counts.first_try_lost,
        failed: class.counts.failed,
        p99_us: percentiles(&class.latency).p99,
    });
    classes.collect()
}

fn by_flow(tally: &Tally) -> Vec<FlowFigures> {
    let figures = tally.population.flows.iter().map(|flow| FlowFigures {
        flow: flow.flow,
        source_port: flow.source_port,
        server_port: flow.server_port,
        reads: flow.counts.reads,
        first_try_lost: flow.counts.first_try_lost,
        failed: flow.counts.failed,
    });
    figures.collect()
}

fn intervals(tally: &Tally, facts: &Facts<'_>) -> Vec<Interval> {
    let length_ns = tally.interval_ns;
    let interval = |(index, (counts, timing)): (usize, (&Counts, &IntervalTiming))| {
        let start_ns = index as u64 * length_ns;
        let latency = percentiles(&timing.latency);
        Interval {
            start_s: start_ns as f64 / 1e9,
            length_s: length_ns.min(facts.spec.duration_ns.saturating_sub(start_ns)) as f64 / 1e9,
            reads: counts.reads,
            disturbed: timing.disturbed,
            first_try_lost: counts.first_try_lost,
            failed: counts.failed,
            p50_us: latency.p50,
            p99_us: latency.p99,
            valid: timing.disturbed as f64 <= limits::DISTURBED_SHARE_MAX * counts.reads as f64,
        }
    };
    tally.intervals.iter().zip(&tally.timing.intervals).enumerate().map(interval).collect()
}

fn stall_in_stage(stall: &Stall, start_ns: u64) -> crate::record::Stall {
    crate::record::Stall {
        start_s: (stall.start_ns as f64 - start_ns as f64) / 1e9,
        length_ms: stall.length_ns as f64 / 1e6,
    }
}

fn generator_check(facts: &Facts<'_>) -> GeneratorCheck {
    let Facts { spec, outcome: StageOutcome { tally, .. }, risen, .. } = facts;
    let achieved_tps = tally.answered as f64 / (spec.duration_ns as f64 / 1e9);
    GeneratorCheck {
        offered_in_time: 1.0 - tally.backlog as f64 / tally.scheduled.max(1) as f64,
        achieved_over_offered: if let Pace::PerSecond(tps) = spec.pace { achieved_tps / tps } else { 0.0 },
        slip_p99_us: percentiles(&tally.timing.slip).p99,
        own_drops: risen.client.socket_drops,
        sends_refused: risen.counters.get("client.flow.sends_refused").copied().unwrap_or(0),
        busiest_thread: tally.cpu_ns as f64 / tally.wall_ns.max(1) as f64,
    }
}

/// Why the generator, and not the server or the path, set this stage's limit: empty if it did not.
fn generator_limits(facts: &Facts<'_>, stage: &Stage) -> Vec<String> {
    let tally = &facts.outcome.tally;
    let mut because = Vec::new();
    let slip_max_us = facts.slo.p99_us as f64 / 2.0;
    if stage.slip_us.p99 > slip_max_us {
        because.push(format!(
            "1 % of the requests left more than {} after their time (allowed: half of the p99 bound, {})",
            latency(stage.slip_us.p99),
            latency(slip_max_us),
        ));
    }
    let backlog = tally.backlog as f64 / tally.scheduled.max(1) as f64;
    if backlog > limits::BACKLOG_SHARE_MAX {
        because.push(format!(
            "{:.1} % of the requests were still to be sent when the time was over",
            backlog * 100.0
        ));
    }
    let own = stage.first_try_losses.get(&Cause::GeneratorLimited);
    if let Some(reads) =
        own.filter(|reads| **reads as f64 >= limits::GENERATOR_LOSSES_SHARE_MIN * stage.first_try_lost as f64)
    {
        because.push(format!(
            "{reads} reads left when more than half of their timeout was gone, or found no room because too many were in flight"
        ));
    }
    if !because.is_empty() {
        let busy = tally.cpu_ns as f64 / tally.wall_ns.max(1) as f64;
        because.push(format!("its busiest thread used {:.0} % of a CPU", busy * 100.0));
    }
    because
}

fn causes(attribution: &Attribution, lost: u64, foreign: bool, receipts_kept: bool) -> Vec<CauseReport> {
    let remedy = |cause: Cause| {
        let own = foreign.then(|| cause.remedy_for_memcached()).flatten();
        own.unwrap_or_else(|| cause.remedy(receipts_kept))
    };
    let report = |((cause, direction), share): (&(Cause, Direction), &attribution::Share)| CauseReport {
        cause: *cause,
        direction: *direction,
        place: cause.place(*direction).to_owned(),
        reads: share.reads,
        failed: share.failed,
        share: share.reads as f64 / lost.max(1) as f64,
        confidence: share.confidence,
        evidence: share.evidence.clone(),
        estimate: share.estimates.clone(),
        flows: share.flows.clone(),
        remedy: share.remedy.unwrap_or_else(|| remedy(*cause)).to_owned(),
    };
    let mut causes: Vec<_> = attribution.iter().map(report).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.reads));
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Broke;

    const MS: u64 = 1_000_000;
    const SPEC: StageSpec = engine::PLAIN_STAGE;

    /// A stage of a thousand reads that took 100 us each, changed by `change`.
    fn settled(stalls: Vec<Stall>, items_expire: bool, change: impl FnOnce(&mut Tally)) -> StageResult {
        let mut tally = Tally::new(&SPEC, 1);
        (tally.scheduled, tally.answered) = (1000, 1000);
        for histogram in
            [&mut tally.timing.intervals[0].latency, &mut tally.timing.with_stalls, &mut tally.timing.slip]
        {
            histogram.record_n(MS / 10, 1000).expect("in range");
        }
        change(&mut tally);
        let outcome = StageOutcome { tally, stalls, stalls_overflowed: false, start_ns: 0 };
        settle(Facts {
            spec: &SPEC,
            outcome,
            risen: Risen::default(),
            receipts: None,
            receipts_kept: false,
            protocol: Protocol::Shingle,
            slo: Slo::default(),
            items_expire,
            lab: None,
            flows: vec![(0, 1, 2)],
            path: PathFacts::default(),
            keeps_books: false,
        })
    }

    #[test]
    fn a_plain_stage_is_valid_and_meets_the_level() {
        let result = settled(vec![], false, |_| ());
        assert!(result.stage.valid && result.stage.broke.is_none() && !result.stage.generator_limited);
    }

    #[test]
    fn too_many_disturbed_reads_make_it_invalid_and_all_reads_judge_it() {
        let slow = |tally: &mut Tally| {
            tally.timing.intervals[0].disturbed = 150;
            tally.timing.with_stalls.record_n(9 * MS, 150).expect("in range");
        };
        let result = settled(vec![], false, slow);
        assert!(!result.stage.valid);
        assert_eq!(result.stage.broke, Some(Broke::P99), "{:?}", result.stage.judged_us());
    }

    #[test]
    fn a_stall_of_half_the_timeout_makes_it_invalid() {
        let stall = |length_ms| vec![Stall { start_ns: 0, length_ns: length_ms * MS }];
        assert!(settled(stall(49), false, |_| ()).stage.valid);
        assert!(!settled(stall(50), false, |_| ()).stage.valid);
    }

    #[test]
    fn missing_items_break_the_level_unless_items_expire() {
        let missing = |tally: &mut Tally| tally.misses = 6;
        assert_eq!(settled(vec![], false, missing).stage.broke, Some(Broke::Misses));
        assert_eq!(settled(vec![], true, missing).stage.broke, None);
    }

    #[test]
    fn a_generator_that_is_late_or_left_behind_is_the_limit() {
        let late = |tally: &mut Tally| tally.timing.slip.record_n(MS, 100).expect("in range");
        assert!(settled(vec![], false, late).stage.generator_limited);
        let behind = |tally: &mut Tally| tally.backlog = 11;
        assert!(settled(vec![], false, behind).stage.generator_limited);
        let nearly = |tally: &mut Tally| tally.backlog = 10;
        assert!(!settled(vec![], false, nearly).stage.generator_limited);
    }
}
