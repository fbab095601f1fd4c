//! The fragment limit: a network card that lets 1,000 fragments/s out makes reads fail by max(0, p - N/tps).

use std::time::Duration;

use shingle_loadgen::record::Stage;
use shingle_proto::wire::Strategy;

use crate::draws::{Draws, percent_above};
use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::figure::{Curve, Figure, Marks};
use crate::scene::{self, Scene};
use crate::story::{Form, Story};
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "fragment-limit",
    sentence: "3.5 % of the answers are a little longer than the path carries; the kernel fragments them, and the network card lets only \
               1,000 fragments/s out",
    expectations: &[&LIMITED, &KNEE, &PASSED, &FLAT, &DROPS, &WORSE],
    tell,
};

static LIMITED: Expectation = Expectation {
    what: "failure rate of kernel-pmtud",
    formula: "max(0, p - N/tps)",
    bound: Bound::Within(0.2),
    unit: Unit::Percent,
    reason: "each large answer is two fragments, the second of which costs one of N tokens a second; p is the share of large answers among the \
             reads drawn. The card's bucket of 5 tokens and the random order of large answers add up to 0.17 points near the knee",
    full_only: false,
};

static KNEE: Expectation = Expectation {
    what: "failure rate of kernel-pmtud",
    formula: "the reads drawn, sent through a bucket of 5 tokens that N a second fill",
    bound: Bound::Within(0.05),
    unit: Unit::Percent,
    reason: "at N/p itself the formula says 0, but large answers come in random order: what the bucket does not even out is lost, 0.3 points. \
             Stalls of the machine move some answers",
    full_only: true,
};

static PASSED: Expectation = Expectation {
    what: "second fragments that the card let out",
    formula: "the reads drawn, sent through a bucket of 5 tokens that N a second fill",
    bound: Bound::WithinShare(0.03),
    unit: Unit::Count("fragments"),
    reason: "the failures are the card's doing: it passes its limit and no more. A stall of the machine of more than 5 ms wastes tokens",
    full_only: false,
};

static FLAT: Expectation = Expectation {
    what: "failure rate of those that send no fragments",
    formula: "0.02 %",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "chunked and compressed keep to the path MTU, with df-off the router fragments behind the card: nothing is lost but what a stall \
             of the machine takes beyond the timeout",
    full_only: false,
};

static DROPS: Expectation = Expectation {
    what: "datagrams dropped at receive buffers of both hosts",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("datagrams"),
    reason: "that was the riddle: reads fail, and no host says that it dropped anything",
    full_only: false,
};

static WORSE: Expectation = Expectation {
    what: "failure rate of kernel-pmtud where the client has the kernel's default reassembly memory",
    formula: "the formula and 0.5 points",
    bound: Bound::AtLeast,
    unit: Unit::Percent,
    reason: "first fragments whose second was lost wait for 30 s in 4 MiB; when these are full, large answers die that came whole",
    full_only: true,
};

/// The six rates of the first figure, reads/s.
const RATES_TPS: [u32; 6] = [20_000, 32_000, 40_000, 50_000, 60_000, 80_000];
/// Rates of the short form, with a limit of a tenth.
const SHORT_RATES_TPS: [u32; 2] = [2_000, 8_000];
/// From here on the client's memory fills within a stage: more than 500 orphans/s of some 2.3 KiB.
const ORPHANS_MATTER_TPS: u32 = 50_000;
/// UDP payload that a path MTU of 1500 carries over IPv4.
const PAYLOAD_BYTES: usize = 1500 - 28;
/// Tokens that the card can save up.
const BURST: f64 = 5.0;
const WARM_UP: Duration = Duration::from_millis(500);

/// What one strategy did at one rate.
struct Point {
    tps: f64,
    stage: Stage,
    /// UDP payload of the answers to the reads drawn.
    answers: Vec<usize>,
    /// Second fragments that the card let out.
    passed: f64,
}

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let rates = form.pick(&RATES_TPS[..], &SHORT_RATES_TPS[..]);
    let limit = form.pick(1000.0, 100.0);
    let mut measured = Vec::new();
    let knee = (limit / 0.035) as u32;
    let limited = run(telling, Strategy::KernelPmtud, &[], &[rates, form.pick(&[knee][..], &[])].concat())?;
    for point in &limited {
        let case = point.case();
        if point.tps as u32 == knee {
            let (_, lost) = point.through_bucket(limit);
            telling.row(&KNEE, &case, lost * 100.0 / point.answers.len() as f64, point.failures());
            continue;
        }
        telling.row(&LIMITED, &case, point.formula(limit), point.failures());
        let (passed, _) = point.through_bucket(limit);
        telling.row(&PASSED, &case, passed, point.passed);
    }
    let in_order = |points: &[Point]| {
        let mut points: Vec<_> = points.iter().map(|point| (point.tps, point.failures())).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    measured.push((Strategy::KernelPmtud.name().to_owned(), in_order(&limited)));
    let others = [Strategy::DfOff, Strategy::Chunked, Strategy::Compressed];
    for strategy in form.pick(&others[..], &others[..2]) {
        let points = run(telling, *strategy, &[], form.pick(rates, &rates[1..]))?;
        for point in &points {
            telling.row(&FLAT, format!("{}, {}", strategy.name(), point.case()), 0.02, point.failures());
        }
        measured.push((strategy.name().to_owned(), in_order(&points)));
    }
    if form == Form::Full {
        telling.figure(figure(
            "fragment-limit",
            "Failed reads by rate, network card limited to 1,000 fragments/s",
            limit,
            &measured,
        ));
        small_memory(telling, limit, measured.swap_remove(0).1)?;
    }
    Ok(())
}

/// The second figure: the same with the kernel's default reassembly memory and time at the client.
fn small_memory(telling: &mut Telling, limit: f64, large_memory: Vec<(f64, f64)>) -> Result<(), StoryError> {
    let settings = ["reassembly-memory=4MiB", "reassembly-time=30s"];
    let points = run(telling, Strategy::KernelPmtud, &settings, &RATES_TPS)?;
    for point in points.iter().filter(|point| point.tps >= f64::from(ORPHANS_MATTER_TPS)) {
        telling.row(&WORSE, point.case(), point.formula(limit) + 0.5, point.failures());
    }
    let small = points.iter().map(|point| (point.tps, point.failures())).collect();
    let curves = [("256 MiB, 1 s".to_owned(), large_memory), ("4 MiB, 30 s (default)".to_owned(), small)];
    telling.figure(figure(
        "fragment-limit-memory",
        "kernel-pmtud, by the client's memory for fragments",
        limit,
        &curves,
    ));
    Ok(())
}

/// Measures a strategy at these rates, one after the other in one laboratory.
fn run(
    telling: &mut Telling,
    strategy: Strategy,
    settings: &[&str],
    rates: &[u32],
) -> Result<Vec<Point>, StoryError> {
    let form = telling.form();
    let duration = match strategy {
        Strategy::KernelPmtud => form.pick(Duration::from_secs(8), Duration::from_secs(2)),
        _ => form.pick(Duration::from_secs(4), Duration::from_secs(1)),
    };
    let settings = [settings, form.pick(&[][..], &["limit=100/s"])].concat();
    let scene = Scene::new("fragment-limit", &settings, strategy)?;
    let mut rig =
        scene.rig(form.pick("--arrivals constant --items 100k", "--arrivals constant --items 10k"))?;
    let mut draws = Draws::of(&rig)?;
    let mut points = Vec::new();
    for tps in rates {
        let warm_up = scene::stage(&mut rig, *tps, WARM_UP)?;
        draws.next(warm_up.sent);
        let passed = second_fragments_passed(&scene)?;
        let stage = scene::stage(&mut rig, *tps, duration)?;
        let passed = second_fragments_passed(&scene)? - passed;
        telling.row(&DROPS, format!("{}, {tps} reads/s", strategy.name()), 0.0, drops(&stage));
        let answers = draws.next(stage.sent);
        points.push(Point { tps: f64::from(*tps), stage, answers, passed });
    }
    scene.close(telling)?;
    Ok(points)
}

impl Point {
    fn case(&self) -> String {
        format!("{} reads/s", self.tps)
    }

    /// Percent of the reads.
    fn failures(&self) -> f64 {
        self.stage.failure_rate * 100.0
    }

    /// max(0, p - N/tps), percent.
    fn formula(&self, limit: f64) -> f64 {
        (percent_above(&self.answers, PAYLOAD_BYTES) - limit * 100.0 / self.tps).max(0.0)
    }

    /// Large answers whose second fragment finds a token and none, were they sent when they were due.
    fn through_bucket(&self, limit: f64) -> (f64, f64) {
        let (mut tokens, mut last) = (0.0, 0);
        let (mut passed, mut lost) = (0.0, 0.0);
        for (index, _) in self.answers.iter().enumerate().filter(|(_, answer)| **answer > PAYLOAD_BYTES) {
            tokens = f64::min(tokens + (index - last) as f64 * limit / self.tps, BURST);
            last = index;
            if tokens >= 1.0 {
                tokens -= 1.0;
                passed += 1.0;
            } else {
                lost += 1.0;
            }
        }
        (passed, lost)
    }
}

fn second_fragments_passed(scene: &Scene) -> Result<f64, StoryError> {
    let counters = scene.lab().counters()?;
    let count = |name: &str| counters.get(name).copied().unwrap_or(0) as f64;
    Ok(count("router.fragments_rest") - count("router.fragments_dropped"))
}

/// Datagrams that receive buffers had no room for, on both hosts.
fn drops(stage: &Stage) -> f64 {
    let dropped = |(name, _): &(&String, &u64)| name.ends_with(".RcvbufErrors");
    stage.counters.iter().filter(dropped).map(|(_, count)| *count).sum::<u64>() as f64
}

fn figure(name: &'static str, title: &str, limit: f64, measured: &[(String, Vec<(f64, f64)>)]) -> Figure {
    let rates = (150..=800).map(|hundreds| f64::from(hundreds) * 100.0);
    let formula = rates.map(|tps| (tps, (3.5 - limit * 100.0 / tps).max(0.0))).collect();
    let mut curves =
        vec![Curve { name: "max(0, p - N/tps)".to_owned(), marks: Marks::Dashes, points: formula }];
    let measured = measured.iter().cloned();
    curves.extend(measured.map(|(name, points)| Curve { name, marks: Marks::Dots, points }));
    Figure { name, title: title.to_owned(), x: "offered rate (reads/s)", y: "failed reads (%)", curves }
}
