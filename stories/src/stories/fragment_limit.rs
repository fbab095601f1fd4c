//! The fragment limit: a network card that lets 1,000 fragments/s out makes reads fail by max(0, p - N/tps).

use shingle_loadgen::limits::ANSWER_OVERHEAD_BYTES;
use shingle_loadgen::workload::{ItemSpace, Sizing, ValueSpec};

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::story::Story;
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "fragment-limit",
    sentence: "3.5 % of the answers are a little longer than the path carries; the kernel fragments them, and the network card lets only 1,000 fragments/s out.",
    expectations: &[&LARGE_SHARE],
    tell,
};

static LARGE_SHARE: Expectation = Expectation {
    what: "share p of answers that need more than 1,472 B of UDP payload",
    formula: "3.5 %",
    bound: Bound::Within(0.001),
    unit: Unit::Percent,
    reason: "that is what `object-metadata` promises, and p decides at which rate reads begin to fail",
    full_only: false,
};

/// UDP payload that a path MTU of 1500 carries over IPv4.
const PAYLOAD_BYTES: u32 = 1500 - 28;

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let sizing = Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max: 1 << 20 };
    let space = ItemSpace::new(&ValueSpec::ObjectMetadata, 100_000, 1, sizing)?;
    let large = space.values_above((PAYLOAD_BYTES - ANSWER_OVERHEAD_BYTES) as usize);
    telling.row(&LARGE_SHARE, "100,000 items", 3.5, f64::from(large) * 100.0 / f64::from(space.items()));
    Ok(())
}
