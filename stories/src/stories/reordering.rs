//! Paths with different latency: packets overtake each other, and chunks do not mind.

use std::time::Duration;

use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::load::Load;
use crate::scene::Scene;
use crate::story::Story;
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "reordering",
    sentence: "every other packet of the answers takes a slower path, so that chunks and answers overtake each other",
    expectations: &[&SLOWER, &OVERTAKEN, &DELIVERED, &PATIENT, &EARLY, &TWICE],
    tell,
};

static SLOWER: Expectation = Expectation {
    what: "answer packets that took the slower path",
    formula: "50 %",
    bound: Bound::Within(2.0),
    unit: Unit::Percent,
    reason: "the laboratory sprays packets one by one, at random",
    full_only: false,
};

static OVERTAKEN: Expectation = Expectation {
    what: "answer datagrams that one of a later read overtook",
    formula: "40 %",
    bound: Bound::AtLeast,
    unit: Unit::Percent,
    reason: "half are slower, and while they are on their way several later reads are answered; few of those have no packet on the faster path",
    full_only: false,
};

static DELIVERED: Expectation = Expectation {
    what: "failed reads",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "each chunk says where it belongs, so they may come in any order, and nothing that is late is lost",
    full_only: false,
};

static PATIENT: Expectation = Expectation {
    what: "reads that asked again, the slower path being less than the gap of 4 ms behind",
    formula: "0.5 %",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "what is missing is asked for after a silence of the gap; only a stall of the machine is one",
    full_only: false,
};

static EARLY: Expectation = Expectation {
    what: "reads that asked again, the slower path being more than the gap behind",
    formula: "15 %",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "the gap grows with the time that answers take and how it varies, so it follows the slower path, but not at once and not always",
    full_only: false,
};

static TWICE: Expectation = Expectation {
    what: "chunks that came twice",
    formula: "3.5 for each re-request",
    bound: Bound::AtMost,
    unit: Unit::Count("chunks"),
    reason: "only what is missing is asked for again: of the 6 chunks of a long answer 3 on average, the slower ones",
    full_only: false,
};

/// Half of the answers have 6 chunks at this path MTU, the others are one datagram; one flow, so that reads overtake each other.
const FLAGS: &str = "--items 2k --values bimodal:400,8000,50% --flows 1";
/// How much slower the slower path is, ms. The first is less than the gap, the others more.
const EXTRA_MS: [u32; 3] = [3, 10, 40];
/// The generator's gap (its `limits::GAP_NS`), ms.
const GAP_MS: u32 = 4;

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let (tps, duration) = form.pick((3_000, Duration::from_secs(6)), (1_000, Duration::from_secs(1)));
    for extra_ms in &EXTRA_MS[..form.pick(3, 2)] {
        let settings = ["rate=50%", "mtu=1500", &format!("extra={extra_ms}ms")];
        let scene = Scene::new("reordering", &settings, Strategy::Chunked)?;
        let stage = Load::new(&scene, FLAGS)?.measure(telling, (tps, duration), &|| Ok(0.0))?.stage;
        let case = format!("slower by {extra_ms} ms");
        let counters = scene.lab().counters()?;
        let packets = |name: &str| counters.get(name).copied().unwrap_or(0) as f64;
        let slower = packets("router.slower_down") * 100.0 / packets("router.down_seen");
        telling.row(&SLOWER, &case, 50.0, slower);
        let flow =
            |name: &str| stage.counters.get(&format!("client.flow.{name}")).copied().unwrap_or(0) as f64;
        let overtaken = stage.reordered as f64 * 100.0 / flow("datagrams_received");
        telling.row(&OVERTAKEN, &case, 40.0, overtaken);
        telling.row(&DELIVERED, &case, 0.0, stage.failed as f64);
        let asked = stage.first_try_lost as f64 * 100.0 / stage.sent as f64;
        if *extra_ms < GAP_MS {
            telling.row(&PATIENT, &case, 0.5, asked);
        } else {
            telling.row(&EARLY, &case, 15.0, asked);
            telling.row(&TWICE, &case, 3.5 * stage.rerequests as f64, stage.duplicates as f64);
        }
        scene.close(telling)?;
    }
    Ok(())
}
