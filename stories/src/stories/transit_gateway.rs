//! The transit gateway: it drops what is longer than 8500 B and says nothing, on one direction of an asymmetric path.

use std::time::Duration;

use shingle_loadgen::load;
use shingle_loadgen::rig::Rig;
use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::load::Load;
use crate::scene::Scene;
use crate::story::Story;
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "transit-gateway",
    sentence: "answers pass a gateway that silently drops what is longer than 8500 B, requests take a way that carries 9001 B; a tenth of the \
               values is longer than the gateway carries",
    expectations: &[&FOR_EVER, &LEARNED, &PROBED, &NONE],
    tell,
};

static FOR_EVER: Expectation = Expectation {
    what: "failure rate of those that trust the interface's MTU",
    formula: "share of answers above 8472 B",
    bound: Bound::Within(0.01),
    unit: Unit::Percent,
    reason: "nobody tells the sender, so it never learns: every large answer is lost, the last as the first. Stalls of the machine may take a \
             read of another size",
    full_only: false,
};

static LEARNED: Expectation = Expectation {
    what: "ICMP messages that told the server of the path MTU",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("messages"),
    reason: "the gateway is silent, so there is nothing for the kernel's discovery to work with",
    full_only: false,
};

static PROBED: Expectation = Expectation {
    what: "datagram size that chunked found by probing",
    formula: "8500 - 28",
    bound: Bound::Exactly,
    unit: Unit::Bytes,
    reason: "the search is exact, and of the direction that answers take: the interface and the way of the requests carry 9001",
    full_only: false,
};

static NONE: Expectation = Expectation {
    what: "failed reads of chunked",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "no datagram is longer than what was proved",
    full_only: false,
};

const GATEWAY_PAYLOAD_BYTES: usize = 8500 - 28;
/// A tenth of the values has 8,700 B: one datagram for the interface, too long for the gateway.
const FLAGS: &str = "--items 2k --values bimodal:400,8700,10%";

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let (tps, duration) = form.pick((5_000, Duration::from_secs(5)), (500, Duration::from_secs(1)));
    for strategy in form.pick(&[Strategy::KernelPmtud, Strategy::DfOff][..], &[Strategy::KernelPmtud]) {
        let scene = Scene::new("asymmetric", &[], *strategy)?;
        let mut load = Load::new(&scene, FLAGS)?;
        for time in ["first", "second"] {
            let measured = load.measure(telling, (tps, duration), &|| Ok(0.0))?;
            let large = measured.percent_above(GATEWAY_PAYLOAD_BYTES);
            let case = format!("{}, {time} {} s", strategy.name(), duration.as_secs());
            telling.row(&FOR_EVER, case, large, measured.failures());
        }
        let counters = scene.counters(scene.lab().server())?;
        let told = counters.snmp.get("Icmp", "InDestUnreachs").unwrap_or(0);
        telling.row(&LEARNED, strategy.name(), 0.0, told as f64);
        scene.close(telling)?;
    }
    let scene = Scene::new("asymmetric", &[], Strategy::Chunked)?;
    let mut load = Load::new(&scene, FLAGS)?;
    telling.row(&PROBED, "answers", GATEWAY_PAYLOAD_BYTES as f64, datagram_max(&load.rig).into());
    let stage = load.measure(telling, (tps, duration * 2), &|| Ok(0.0))?.stage;
    telling.row(&NONE, format!("{} reads", stage.sent), 0.0, stage.failed as f64);
    scene.close(telling)
}

/// Largest datagram that the generator's search proved.
fn datagram_max(rig: &Rig) -> u16 {
    let load::Load::Shingle(target, _) = &rig.load else { unreachable!("the server speaks our protocol") };
    target.datagram_max
}
