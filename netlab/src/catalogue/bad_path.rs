//! Several equal-cost paths between two routers, of which one drops.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, RATE, all_go_together, troubled};
use super::draft::Draft;
use super::equal_paths::EqualPaths;
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{EQUAL_PATHS, EQUAL_PATHS_MAX};
use crate::part::Part;
use crate::topology::Link;

pub(super) const BAD_PATH: Entry = Entry {
    name: "bad-path",
    sentence: "flows are spread over equal-cost paths, and one of them drops packets",
    story: "one bad member among equal-cost paths: some flows lose everything, the others nothing (story g)",
    causes: &["flow_black_hole"],
    parameters: &[
        Parameter {
            name: "paths",
            sentence: "how many paths there are",
            kind: Kind::Count("paths, such as 4"),
            default: EQUAL_PATHS,
            range: (2, EQUAL_PATHS_MAX),
        },
        Parameter { sentence: "share of its packets that the bad path drops", default: WHOLE_PPM, ..RATE },
        DIRECTION_DOWN,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan,
    simulated: Some(|part, topology| {
        let paths = u32::try_from(part.number("paths")).expect("there are at most eight");
        troubled(part, topology, &Link::BadPath { paths, rate: part.share("rate") })
    }),
};

fn plan(part: &Part<'_>, draft: &mut Draft) {
    let count = u8::try_from(part.number("paths")).expect("there are at most eight");
    let dropped_ppm = part.number("rate");
    draft.paths = Some(EqualPaths { count, bad_ways: part.ways(), dropped_ppm });
}
