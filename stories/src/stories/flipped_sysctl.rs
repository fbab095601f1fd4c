//! The remedy that makes it worse: switching path-MTU discovery off under a running server, and the two remedies that work.

use std::time::Duration;

use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::load::{Load, Measured};
use crate::scene::Scene;
use crate::story::Story;
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "flipped-sysctl",
    sentence: "below the knee of the fragment limit nothing fails; then somebody sets ip_no_pmtu_disc=1 under the running server",
    expectations: &[&BEFORE, &FLIPPED, &NOT_ALL, &PIECES, &MENDED, &NO_PIECES],
    tell,
};

static BEFORE: Expectation = Expectation {
    what: "failure rate before",
    formula: "max(0, p - N/tps) = 0",
    bound: Bound::Within(0.2),
    unit: Unit::Percent,
    reason: "fewer second fragments than the card lets out; its bucket of 5 loses a few",
    full_only: false,
};

static FLIPPED: Expectation = Expectation {
    what: "failure rate after sysctl ip_no_pmtu_disc=1 under the running server",
    formula: "share of answers above 524 B - N/tps, less the 5 tokens saved up",
    bound: Bound::AtLeast,
    unit: Unit::Percent,
    reason: "open sockets keep sending with DF, and the next ICMP locks the path MTU at min_pmtu, 552: all answers above 524 B are fragmented \
             now, and each that arrives costs the card a token at least",
    full_only: false,
};

static NOT_ALL: Expectation = Expectation {
    what: "failure rate after it, from above",
    formula: "share of answers above 524 B",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "what still fits is not fragmented",
    full_only: false,
};

static PIECES: Expectation = Expectation {
    what: "fragments the server's kernel made after it",
    formula: "the reads drawn, cut into pieces of 528 B",
    bound: Bound::Exactly,
    unit: Unit::Count("fragments"),
    reason: "552 B less the IP header, in steps of 8 B but for the last piece",
    full_only: false,
};

static MENDED: Expectation = Expectation {
    what: "failure rate with a remedy",
    formula: "0.02 %",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "`ip route ... mtu lock` takes DF from what open sockets send; new sockets heed the sysctl: the router fragments, behind the card",
    full_only: false,
};

static NO_PIECES: Expectation = Expectation {
    what: "fragments the server's kernel made with a remedy",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("fragments"),
    reason: "the router makes them, and its card has no limit",
    full_only: false,
};

/// Tokens that the card can save up.
const BURST: f64 = 5.0;
/// For the smallest path MTU that the kernel learns (min_pmtu): UDP payload that is not cut, and what a piece has that is not the last.
const LOCKED_PAYLOAD_BYTES: usize = 552 - 28;
const LOCKED_PIECE_BYTES: usize = (552 - 20) / 8 * 8;
const PAYLOAD_BYTES: usize = 1500 - 28;
const NO_PMTU_DISC: &str = "net.ipv4.ip_no_pmtu_disc";

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let (limit, limit_setting) = form.pick((1000.0, "limit=1000/s"), (100.0, "limit=100/s"));
    let rate = form.pick((20_000, Duration::from_secs(8)), (2_000, Duration::from_millis(1_500)));
    let mut scene = Scene::new("fragment-limit", &[limit_setting], Strategy::KernelPmtud)?;
    let items = form.pick("--items 100k", "--items 10k");
    let mut load = Load::new(&scene, items)?;
    let case = Unit::Count("reads/s").show(rate.0.into());
    let tokens = limit * 100.0 / f64::from(rate.0);

    load.warm_up(rate.0)?;
    let before = phase(telling, &scene, &mut load, rate)?;
    let large = before.percent_above(PAYLOAD_BYTES);
    telling.row(&BEFORE, &case, (large - tokens).max(0.0), before.failures());

    scene.lab().server().set_sysctl(NO_PMTU_DISC, "1")?;
    // As it is after ten minutes anyway: what was learned of the path is forgotten, and learned anew.
    scene.lab().flush_path_mtus()?;
    load.warm_up(rate.0)?;
    let flipped = phase(telling, &scene, &mut load, rate)?;
    let cut = flipped.percent_above(LOCKED_PAYLOAD_BYTES);
    let saved_up = BURST * 100.0 / flipped.stage.sent as f64;
    telling.row(&FLIPPED, &case, cut - tokens - saved_up, flipped.failures());
    telling.row(&NOT_ALL, &case, cut, flipped.failures());
    telling.row(&PIECES, &case, pieces(&flipped.answers), flipped.counted);

    scene.lab().server().set_sysctl(NO_PMTU_DISC, "0")?;
    let route = default_route(&scene);
    locked(&scene, &route, true)?;
    let live = phase(telling, &scene, &mut load, rate)?;
    remedied(telling, "ip route ... mtu lock 9001, live", &live);

    locked(&scene, &route, false)?;
    scene.lab().server().set_sysctl(NO_PMTU_DISC, "1")?;
    drop(load);
    scene.restart_server()?;
    let restarted = phase(telling, &scene, &mut Load::new(&scene, items)?, rate)?;
    remedied(telling, "ip_no_pmtu_disc=1, server restarted", &restarted);
    scene.close(telling)
}

/// A stage around which the fragments are counted that the server's kernel makes.
fn phase(
    telling: &mut Telling,
    scene: &Scene,
    load: &mut Load,
    rate: (u32, Duration),
) -> Result<Measured, StoryError> {
    load.measure(telling, rate, &|| fragments_made(scene))
}

fn remedied(telling: &mut Telling, remedy: &str, measured: &Measured) {
    telling.row(&MENDED, remedy, 0.02, measured.failures());
    telling.row(&NO_PIECES, remedy, 0.0, measured.counted);
}

/// Fragments of these answers, were they all cut for the smallest path MTU.
fn pieces(answers: &[usize]) -> f64 {
    let cut = answers.iter().filter(|answer| **answer > LOCKED_PAYLOAD_BYTES);
    // All but the last are a multiple of 8 B.
    let pieces = |answer: &usize| 1 + (answer - LOCKED_PAYLOAD_BYTES).div_ceil(LOCKED_PIECE_BYTES);
    cut.map(|answer| pieces(answer) as f64).sum()
}

fn fragments_made(scene: &Scene) -> Result<f64, StoryError> {
    let counters = scene.counters(scene.lab().server())?;
    Ok(counters.snmp.get("Ip", "FragCreates").unwrap_or(0) as f64)
}

fn default_route(scene: &Scene) -> String {
    let routes = &scene.lab().plan().hosts[1].routes;
    routes
        .iter()
        .find(|route| route.starts_with("default") && !route.contains(':'))
        .expect("a default route")
        .clone()
}

/// Replaces the server's route by one that takes no lesson on its path MTU, or by the one it had.
fn locked(scene: &Scene, route: &str, lock: bool) -> Result<(), StoryError> {
    let words = ["route", "replace"].into_iter().chain(route.split_whitespace());
    let lock = ["mtu", "lock", "9001"].into_iter().filter(|_| lock);
    let words: Vec<&str> = words.chain(lock).collect();
    scene.lab().server().ip(&words)?;
    Ok(())
}
