//! A device that flips bits: the UDP checksum catches what it can, our CRC-32C the rest, and no wrong byte is ever delivered.

use std::time::Duration;

use shingle_loadgen::load::Load;
use shingle_loadgen::rig::Rig;
use shingle_proto::limits::{ANSWER_HEADER_BYTES, CHUNK_BYTES, SEAL_BYTES, TELEMETRY_BYTES};
use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::scene::{self, Scene};
use crate::story::Story;
use crate::telling::Telling;
use crate::watch::{End, Watch};

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "corrupting",
    sentence: "a device on the path flips bits in 2 % of the packets each way; with some the UDP checksum is wrong after it, with others right",
    expectations: &[&CORRUPTED, &WRONG, &KERNEL, &OURS, &FAILED, &REPAIRED, &AGAIN],
    tell,
};

static CORRUPTED: Expectation = Expectation {
    what: "packets corrupted each way, of short values",
    formula: "1 % of the reads",
    bound: Bound::AtLeast,
    unit: Unit::Count("packets"),
    reason: "the device corrupts 2 %, give or take chance: had it none, there would be nothing to find",
    full_only: false,
};

static WRONG: Expectation = Expectation {
    what: "values delivered with wrong bytes",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("values"),
    reason: "a CRC-32C over each datagram and one over each value; the generator compares every byte with what was stored",
    full_only: false,
};

static KERNEL: Expectation = Expectation {
    what: "InCsumErrors of the kernel",
    formula: "packets corrupted on the way to that host, where the UDP checksum tells; else 0",
    bound: Bound::Exactly,
    unit: Unit::Count("datagrams"),
    reason: "a single flipped bit always shows in a sum of 16 bits; two flipped the other way round in bits of equal weight never do",
    full_only: false,
};

static OURS: Expectation = Expectation {
    what: "datagrams that failed our CRC-32C",
    formula: "packets corrupted on the way to that host, where the UDP checksum does not tell; else 0",
    bound: Bound::Exactly,
    unit: Unit::Count("datagrams"),
    reason: "CRC-32C finds every two flipped bits in datagrams of this length",
    full_only: false,
};

static FAILED: Expectation = Expectation {
    what: "failed reads, answers of one datagram",
    formula: "corrupted requests + corrupted answers",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "a datagram that a checksum drops is as good as lost, and nothing is tried again",
    full_only: false,
};

static REPAIRED: Expectation = Expectation {
    what: "failed reads of long values, answers corrupted",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "each chunk has its own checksum: what is missing is asked for again",
    full_only: false,
};

static AGAIN: Expectation = Expectation {
    what: "datagrams sent again for long values",
    formula: "corrupted chunks + chunks that came twice",
    bound: Bound::WithinShare(0.1),
    unit: Unit::Count("datagrams"),
    reason: "only what is missing is sent again, not the values. What is late by 4 ms, on a machine that stalls, is taken for missing; a chunk \
             that is corrupted twice, one in fifty, is asked for in the base size the next time, as two datagrams",
    full_only: false,
};

const SHORT_VALUES: &str = "--arrivals constant --items 1k --values fixed:300 --timeout 500ms";
const LONG_VALUE_BYTES: u64 = 20_000;

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    for family in telling.form().pick(&["4", "6"][..], &["4"]) {
        for checksum in ["wrong", "right"] {
            short_values(telling, family, checksum)?;
            long_values(telling, family, checksum)?;
        }
    }
    Ok(())
}

fn settings(family: &str, checksum: &str, direction: &str) -> [String; 5] {
    [
        "rate=2%".to_owned(),
        "mtu=1500".to_owned(),
        format!("checksum={checksum}"),
        format!("family={family}"),
        format!("direction={direction}"),
    ]
}

fn short_values(telling: &mut Telling, family: &str, checksum: &str) -> Result<(), StoryError> {
    let (tps, duration) =
        telling.form().pick((10_000, Duration::from_secs(4)), (5_000, Duration::from_secs(1)));
    let settings = settings(family, checksum, "both");
    let scene = Scene::new("corrupting", &settings.each_ref().map(String::as_str), Strategy::Chunked)?;
    let mut rig = scene.rig(SHORT_VALUES)?;
    let watch = Watch::begin(&scene)?;
    let stage = scene::stage(&mut rig, tps, duration)?;
    let risen = watch.end(&scene)?;
    let case = format!("IPv{family}, UDP checksum {checksum}");
    telling.row(&WRONG, format!("{case}, {} reads", stage.sent), 0.0, stage.wrong as f64);
    let [up, down] = ["router.corrupted_up", "router.corrupted_down"].map(|name| risen.lab(name));
    let ours = |name: &str| stage.counters.get(name).copied().unwrap_or(0);
    for (end, corrupted, ours) in [
        (End::Server, up, ours("server.drops.checksum")),
        (End::Client, down, ours("client.flow.checksum_drops")),
    ] {
        let by_kernel = if checksum == "wrong" { corrupted } else { 0 };
        let case = format!("{case}, {}", end.name());
        telling.row(&CORRUPTED, &case, stage.sent as f64 * 0.01, corrupted as f64);
        telling.row(&KERNEL, &case, by_kernel as f64, risen.udp(end, "InCsumErrors") as f64);
        telling.row(&OURS, &case, (corrupted - by_kernel) as f64, ours as f64);
    }
    telling.row(&FAILED, &case, (up + down) as f64, stage.failed as f64);
    scene.close(telling)
}

fn long_values(telling: &mut Telling, family: &str, checksum: &str) -> Result<(), StoryError> {
    let (tps, duration) = telling.form().pick((1_000, Duration::from_secs(4)), (500, Duration::from_secs(1)));
    let settings = settings(family, checksum, "down");
    let scene = Scene::new("corrupting", &settings.each_ref().map(String::as_str), Strategy::Chunked)?;
    let flags = format!("--arrivals constant --items 200 --values fixed:{LONG_VALUE_BYTES} --timeout 500ms");
    let mut rig = scene.rig(&flags)?;
    let watch = Watch::begin(&scene)?;
    let stage = scene::stage(&mut rig, tps, duration)?;
    let risen = watch.end(&scene)?;
    let case = format!("IPv{family}, UDP checksum {checksum}, {} reads", stage.sent);
    telling.row(&WRONG, format!("{case} of {LONG_VALUE_BYTES} B"), 0.0, stage.wrong as f64);
    telling.row(&REPAIRED, &case, 0.0, stage.failed as f64);
    let again = risen.lab("router.down_seen").saturating_sub(stage.sent * chunks_of_value(&rig));
    let missing = risen.lab("router.corrupted_down");
    let case = format!("{case}, {missing} corrupted");
    telling.row(&AGAIN, case, (missing + stage.duplicates) as f64, again as f64);
    scene.close(telling)
}

/// Datagrams that carry a long value with its seal, beside the headers of each.
fn chunks_of_value(rig: &Rig) -> u64 {
    let Load::Shingle(target, _) = &rig.load else { unreachable!("the server speaks our protocol") };
    let beside = ANSWER_HEADER_BYTES + TELEMETRY_BYTES + CHUNK_BYTES;
    (LONG_VALUE_BYTES + SEAL_BYTES as u64).div_ceil(u64::from(target.datagram_max) - beside as u64)
}
