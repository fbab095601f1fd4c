//! The fragment limit: a network card that lets 1,000 fragments/s out makes reads fail by max(0, p - N/tps).

use std::time::Duration;

use shingle_loadgen::record::Stage;
use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::figure::{Curve, Figure, Marks};
use crate::load::{Load, Measured};
use crate::scene::Scene;
use crate::story::{Form, Story};
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "fragment-limit",
    sentence: "3.5 % of the answers are a little longer than the path carries; the kernel fragments them, and the network card lets only \
               1,000 fragments/s out",
    expectations: &[&LIMITED, &BUCKET, &PASSED, &FLAT, &DROPS, &WORSE],
    tell,
};

static LIMITED: Expectation = Expectation {
    what: "failure rate of kernel-pmtud",
    formula: "max(0, p - N/tps)",
    bound: Bound::Within(0.2),
    unit: Unit::Percent,
    reason: "each large answer is two fragments, the second of which costs one of N tokens a second; p is the share of large answers among the \
             reads drawn. The six rates keep away from the knee, N/p, where the next row has more to say",
    full_only: false,
};

static BUCKET: Expectation = Expectation {
    what: "failure rate of kernel-pmtud",
    formula: "the reads drawn, sent through a bucket of 5 tokens that N a second fill",
    bound: Bound::Within(0.05),
    unit: Unit::Percent,
    reason: "large answers come in random order, and what the bucket does not even out is lost: 0.35 points at N/p itself, where the formula \
             says 0. Stalls of the machine move some answers",
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
const RATES_TPS: [u32; 6] = [20_000, 36_000, 44_000, 52_000, 60_000, 80_000];
/// Rates beside them near the knee, reads/s: 1,000 tokens for 3.5 % of 28,571.
const KNEE_TPS: [u32; 2] = [28_571, 32_000];
/// Rates of the short form, with a limit of a twentieth.
const SHORT_RATES_TPS: [u32; 2] = [1_000, 4_000];
/// From here on the client's memory fills within a stage: more than 500 orphans/s of some 2.3 KiB.
const ORPHANS_MATTER_TPS: u32 = 50_000;
/// UDP payload that a path MTU of 1500 carries over IPv4.
const PAYLOAD_BYTES: usize = 1500 - 28;
/// Tokens that the card can save up.
const BURST: f64 = 5.0;

/// What one strategy did at one rate.
struct Point {
    tps: u32,
    /// Counted: second fragments that the card let out.
    measured: Measured,
}

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let rates = form.pick(&RATES_TPS[..], &SHORT_RATES_TPS[..]);
    let limit = form.pick(1000.0, 50.0);
    let mut curves = Vec::new();
    let limited = run(telling, Strategy::KernelPmtud, &[], &[rates, form.pick(&KNEE_TPS[..], &[])].concat())?;
    for point in &limited {
        let (case, (passed, lost)) = (point.case(), point.through_bucket(limit));
        if rates.contains(&point.tps) {
            telling.row(&LIMITED, &case, point.formula(limit), point.failures());
        }
        if form == Form::Full {
            let reads = point.measured.answers.len() as f64;
            telling.row(&BUCKET, &case, lost * 100.0 / reads, point.failures());
        }
        telling.row(&PASSED, &case, passed, point.measured.counted);
    }
    let in_order = |points: &[Point]| {
        let mut points: Vec<_> = points.iter().map(Point::on_curve).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    curves.push((Strategy::KernelPmtud.name().to_owned(), in_order(&limited)));
    let others = [Strategy::DfOff, Strategy::Chunked, Strategy::Compressed];
    for strategy in form.pick(&others[..], &others[..2]) {
        let points = run(telling, *strategy, &[], form.pick(rates, &rates[1..]))?;
        for point in &points {
            telling.row(&FLAT, format!("{}, {}", strategy.name(), point.case()), 0.02, point.failures());
        }
        curves.push((strategy.name().to_owned(), in_order(&points)));
    }
    if form == Form::Full {
        telling.figure(figure(
            "fragment-limit",
            "Failed reads by rate, network card limited to 1,000 fragments/s",
            limit,
            &curves,
        ));
        small_memory(telling, limit, curves.swap_remove(0).1)?;
    }
    Ok(())
}

/// The second figure: the same with the kernel's default reassembly memory and time at the client.
fn small_memory(telling: &mut Telling, limit: f64, large_memory: Vec<(f64, f64)>) -> Result<(), StoryError> {
    let settings = ["reassembly-memory=4MiB", "reassembly-time=30s"];
    let points = run(telling, Strategy::KernelPmtud, &settings, &RATES_TPS)?;
    for point in points.iter().filter(|point| point.tps >= ORPHANS_MATTER_TPS) {
        telling.row(&WORSE, point.case(), point.formula(limit) + 0.5, point.failures());
    }
    let small = points.iter().map(Point::on_curve).collect();
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
        Strategy::KernelPmtud => form.pick(Duration::from_secs(6), Duration::from_secs(2)),
        _ => form.pick(Duration::from_secs(2), Duration::from_secs(1)),
    };
    let settings = [settings, form.pick(&[][..], &["limit=50/s"])].concat();
    let scene = Scene::new("fragment-limit", &settings, strategy)?;
    let mut load = Load::new(&scene, form.pick("--items 100k", "--items 10k"))?;
    let (mut points, mut dropped) = (Vec::new(), 0.0);
    load.warm_up(rates[0])?;
    for tps in rates {
        let measured = load.measure(telling, (*tps, duration), &|| second_fragments_passed(&scene))?;
        dropped += drops(&measured.stage);
        points.push(Point { tps: *tps, measured });
    }
    telling.row(&DROPS, [&[strategy.name()], &settings[..]].concat().join(", "), 0.0, dropped);
    scene.close(telling)?;
    Ok(points)
}

impl Point {
    fn case(&self) -> String {
        Unit::Count("reads/s").show(self.tps.into())
    }

    /// Percent of the reads.
    fn failures(&self) -> f64 {
        self.measured.failures()
    }

    fn on_curve(&self) -> (f64, f64) {
        (self.tps.into(), self.failures())
    }

    /// max(0, p - N/tps), percent.
    fn formula(&self, limit: f64) -> f64 {
        (self.measured.percent_above(PAYLOAD_BYTES) - limit * 100.0 / f64::from(self.tps)).max(0.0)
    }

    /// Large answers whose second fragment finds a token and none, were they sent when they were due.
    fn through_bucket(&self, limit: f64) -> (f64, f64) {
        // Nothing was sent for a second before.
        let (mut tokens, mut last) = (BURST, 0);
        let (mut passed, mut lost) = (0.0, 0.0);
        let answers = self.measured.answers.iter().enumerate();
        for (index, _) in answers.filter(|(_, answer)| **answer > PAYLOAD_BYTES) {
            tokens = f64::min(tokens + (index - last) as f64 * limit / f64::from(self.tps), BURST);
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
    let rates = (200..=800).step_by(5).map(|hundreds| f64::from(hundreds) * 100.0);
    let formula = rates.map(|tps| (tps, (3.5 - limit * 100.0 / tps).max(0.0))).collect();
    let mut curves =
        vec![Curve { name: "max(0, p - N/tps)".to_owned(), marks: Marks::Dashes, points: formula }];
    let measured = measured.iter().cloned();
    curves.extend(measured.map(|(name, points)| Curve { name, marks: Marks::Dots, points }));
    Figure { name, title: title.to_owned(), x: "offered rate (reads/s)", y: "failed reads (%)", curves }
}
