//! What is asked of host and path: a rate, a pause to absorb, and the sizes of the values read.

use std::collections::BTreeMap;
use std::time::Duration;

use shingle_proto::limits::VALUE_BYTES_MAX_DEFAULT;

use super::Demand;
use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES, SIZE_BIN_BYTES};
use crate::workload::{ItemSpace, Sizing, ValueSpec};

/// Sizes of values are those of so many items.
const SAMPLE_ITEMS: u32 = 20_000;

/// The demand of so many reads a second of these values.
///
/// # Errors
/// A file of values that cannot be read.
pub fn of(rate_per_s: u64, pause: Duration, values: &ValueSpec) -> Result<Demand, Error> {
    let sizing = Sizing {
        answer_overhead_bytes: ANSWER_OVERHEAD_BYTES,
        value_bytes_max: VALUE_BYTES_MAX_DEFAULT as u32,
    };
    let space = ItemSpace::new(values, SAMPLE_ITEMS, 1, sizing)?;
    let mut answers = BTreeMap::new();
    for item in 0..space.items() {
        let bytes = space.value_bytes(item) as u32 + ANSWER_OVERHEAD_BYTES;
        *answers.entry(bytes.next_multiple_of(SIZE_BIN_BYTES)).or_default() += 1.0 / f64::from(space.items());
    }
    let cpus = shingle_udp::allowed_cpus().map_or(1, |cpus| cpus.len());
    Ok(Demand {
        rate_per_s: rate_per_s as f64,
        pause_s: pause.as_secs_f64(),
        sockets: (cpus - 1).max(1) * limits::FLOWS_DEFAULT,
        answers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_answers_add_up() {
        let demand = of(1000, Duration::from_millis(50), &"object-metadata".parse().unwrap()).unwrap();
        assert!((demand.answers.values().sum::<f64>() - 1.0).abs() < 1e-9);
        let large = demand.share_above(1472);
        assert!((0.02..0.05).contains(&large), "{large}");
        assert_eq!(demand.share_above(demand.longest_bytes()), 0.0);
    }
}
