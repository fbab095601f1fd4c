//! The remedy that makes it worse: switching path-MTU discovery off under a running server, and the two remedies that work.

use std::time::Duration;

use shingle_loadgen::record::Stage;
use shingle_loadgen::rig::Rig;
use shingle_proto::wire::Strategy;

use crate::draws::{Draws, percent_above};
use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::scene::{self, Scene};
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
    bound: Bound::WithinShare(0.002),
    unit: Unit::Count("fragments"),
    reason: "552 B less the IP header, in steps of 8 B; heartbeats of the machine aside, every answer is cut so",
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
/// UDP payload and fragment payload of the smallest path MTU that the kernel learns (min_pmtu).
const LOCKED_PAYLOAD_BYTES: usize = 552 - 28;
const LOCKED_PIECE_BYTES: usize = (552 - 20) / 8 * 8;
const PAYLOAD_BYTES: usize = 1500 - 28;
const UDP_HEADER_BYTES: usize = 8;
const NO_PMTU_DISC: &str = "net.ipv4.ip_no_pmtu_disc";

/// A generator with what it will draw.
struct Load {
    rig: Rig,
    draws: Draws,
    tps: u32,
    duration: Duration,
}

/// A phase of the story.
struct Phase {
    stage: Stage,
    answers: Vec<usize>,
    fragments: f64,
}

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let (limit, limit_setting) = form.pick((1000.0, "limit=1000/s"), (100.0, "limit=100/s"));
    let mut scene = Scene::new("fragment-limit", &[limit_setting], Strategy::KernelPmtud)?;
    let mut load = Load::new(&scene, telling)?;

    load.warm_up()?;
    let before = load.phase(&scene)?;
    let large = percent_above(&before.answers, PAYLOAD_BYTES);
    let tokens = limit * 100.0 / f64::from(load.tps);
    telling.row(&BEFORE, load.case(), (large - tokens).max(0.0), before.failures());

    scene.lab().server().set_sysctl(NO_PMTU_DISC, "1")?;
    // As it is after ten minutes anyway: what was learned of the path is forgotten, and learned anew.
    scene.lab().flush_path_mtus()?;
    load.warm_up()?;
    let flipped = load.phase(&scene)?;
    let cut = percent_above(&flipped.answers, LOCKED_PAYLOAD_BYTES);
    let saved_up = BURST * 100.0 / flipped.stage.sent as f64;
    telling.row(&FLIPPED, load.case(), cut - tokens - saved_up, flipped.failures());
    telling.row(&NOT_ALL, load.case(), cut, flipped.failures());
    telling.row(&PIECES, load.case(), flipped.pieces(), flipped.fragments);

    scene.lab().server().set_sysctl(NO_PMTU_DISC, "0")?;
    let route = default_route(&scene);
    locked(&scene, &route, true)?;
    let live = load.phase(&scene)?;
    telling.row(&MENDED, "ip route ... mtu lock 9001, live", 0.02, live.failures());
    telling.row(&NO_PIECES, "ip route ... mtu lock 9001, live", 0.0, live.fragments);

    locked(&scene, &route, false)?;
    scene.lab().server().set_sysctl(NO_PMTU_DISC, "1")?;
    drop(load);
    scene.restart_server()?;
    let restarted = Load::new(&scene, telling)?.phase(&scene)?;
    telling.row(&MENDED, "ip_no_pmtu_disc=1, server restarted", 0.02, restarted.failures());
    telling.row(&NO_PIECES, "ip_no_pmtu_disc=1, server restarted", 0.0, restarted.fragments);
    scene.close(telling)
}

impl Load {
    fn new(scene: &Scene, telling: &Telling) -> Result<Load, StoryError> {
        let form = telling.form();
        let rig =
            scene.rig(form.pick("--arrivals constant --items 100k", "--arrivals constant --items 10k"))?;
        let draws = Draws::of(&rig)?;
        let seconds = form.pick(8, 2);
        Ok(Load { rig, draws, tps: form.pick(20_000, 2_000), duration: Duration::from_secs(seconds) })
    }

    /// Half a second in which path MTUs are learned.
    fn warm_up(&mut self) -> Result<(), StoryError> {
        let sent = scene::stage(&mut self.rig, self.tps, Duration::from_millis(500))?.sent;
        self.draws.next(sent);
        Ok(())
    }

    fn phase(&mut self, scene: &Scene) -> Result<Phase, StoryError> {
        let made = fragments_made(scene)?;
        let stage = scene::stage(&mut self.rig, self.tps, self.duration)?;
        let answers = self.draws.next(stage.sent);
        Ok(Phase { stage, answers, fragments: fragments_made(scene)? - made })
    }

    fn case(&self) -> String {
        format!("{} reads/s", self.tps)
    }
}

impl Phase {
    /// Percent of the reads.
    fn failures(&self) -> f64 {
        self.stage.failure_rate * 100.0
    }

    /// Fragments of the answers, were they all cut for the smallest path MTU.
    fn pieces(&self) -> f64 {
        let cut = self.answers.iter().filter(|answer| **answer > LOCKED_PAYLOAD_BYTES);
        cut.map(|answer| (answer + UDP_HEADER_BYTES).div_ceil(LOCKED_PIECE_BYTES) as f64).sum()
    }
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
