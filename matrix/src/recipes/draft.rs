//! What all recipes have in common: a load to begin with, and the bounds that every run must keep.

use std::fmt::Display;

use shingle_loadgen::attribution::Cause;

use crate::dice::Dice;
use crate::limits;
use crate::packets::{Values, answer_packet_bytes, fragments};
use crate::ranges;
use crate::scenario::{Expected, Scenario};

/// A laboratory with a load of object metadata, its cause still to be said.
pub(super) fn draft(dice: &mut Dice, lab: &str) -> Scenario {
    Scenario {
        lab: lab.to_owned(),
        settings: Vec::new(),
        ipv6: dice.below(2) == 1,
        strategy: "kernel-pmtud".to_owned(),
        values: "object-metadata".to_owned(),
        rate: dice.whole(&ranges::READS),
        flows: dice.whole(&ranges::FLOWS),
        arrivals: dice.one(&["poisson", "poisson", "constant"]).to_owned(),
        timeout_ms: dice.whole(&ranges::TIMEOUT),
        seed: dice.below(1 << 32),
        causes: Vec::new(),
    }
}

impl Scenario {
    pub(super) fn set(&mut self, name: &str, value: impl Display) {
        self.settings.push(format!("{name}={value}"));
    }

    pub(super) fn stored(&self) -> Option<Values> {
        Values::of(&self.values, self.seed)
    }

    /// Reads scheduled in the stage.
    pub(super) fn reads(&self) -> f64 {
        self.rate as f64 * limits::STAGE.as_secs_f64()
    }

    /// Sets the rate at which something that a read makes so much of comes so often a second; none where that is out of bounds.
    pub(super) fn rate_for(&mut self, per_second: f64, a_read: f64) -> Option<()> {
        let rate = per_second / a_read;
        self.rate = rate.round() as u64;
        (limits::READS_PER_S_MIN..=limits::READS_PER_S_MAX).contains(&rate).then_some(())
    }

    /// The run with its causes, if each loses enough reads and the packets (answers are cut at `mtu`) are no more than a laboratory carries.
    pub(super) fn losing(mut self, mtu: u32, causes: Vec<Expected>) -> Option<Self> {
        let ipv6 = self.ipv6;
        let pieces = |size| f64::from(fragments(answer_packet_bytes(size, ipv6), mtu, ipv6));
        let packets_per_s = self.rate as f64 * (1.0 + self.stored()?.mean(pieces));
        let enough = causes.iter().all(|cause| cause.lost >= limits::LOST_MIN);
        self.causes = causes;
        (enough && packets_per_s <= limits::PACKETS_PER_S_MAX).then_some(self)
    }
}

/// A share as settings write it.
pub(super) fn percent(of_hundred: f64) -> String {
    format!("{}%", (of_hundred * 100.0).round() / 100.0)
}

/// A cause of one name, with nothing known of it but how many reads it should lose.
pub(super) fn cause(name: Cause, lost: f64) -> Expected {
    Expected { accepted: vec![name], lost, counters: Vec::new(), beside: None, numbers: Vec::new() }
}

/// Values most of which are small, and a share of which are as large as told.
pub(super) fn some_large(dice: &mut Dice, large_bytes: u32) -> String {
    let small = dice.whole(&ranges::SMALL_VALUE).min(u64::from(large_bytes));
    format!("bimodal:{small},{large_bytes},{}", percent(dice.of_range(&ranges::LARGE_SHARE)))
}
