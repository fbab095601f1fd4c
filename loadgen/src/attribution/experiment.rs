//! Controlled experiments that decide between causes which the books alone leave open: what is asked, and what came of it. Plain data.

use serde::{Deserialize, Serialize};

use super::books::{Counts, FlowCounts};
use super::charging::Charging;
use super::starved::Starving;
use super::{Direction, Estimate};

/// A question to the network that reads can answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Experiment {
    /// The same reads at this share of the rate: what depends on rate goes away, what depends on chance stays.
    Rate {
        /// Of the stage's rate, 0 to 1.
        share: f64,
    },
    /// Reads at this share of the rate whose answers all have this UDP payload, of values made for it: what depends on packets a second stays, what
    /// depends on bits a second or on fragments changes.
    AnswersOf {
        /// UDP payload.
        bytes: u32,
        /// Of the stage's rate, 0 to 1.
        share: f64,
    },
    /// Single reads of values made for it: the largest answer that passes, by bisection between two sizes of UDP payload.
    LargestAnswer {
        /// Passed before.
        passed_bytes: u32,
        /// Lost before.
        lost_bytes: u32,
    },
    /// Probe datagrams with DF set, of just this UDP payload, from a port that serves them: does the network say that it is too big?
    DontFragment {
        /// UDP payload.
        bytes: u32,
    },
    /// Reads on flows that were not there before, and right after them on the stage's own: does it depend on the source port?
    OtherFlows {
        /// How many.
        flows: u32,
    },
}

impl Experiment {
    /// Whether the other asks the same question, maybe in other numbers: nobody needs the answer twice.
    pub(super) fn asks_as(&self, other: &Self) -> bool {
        match (self, other) {
            // At the same rate they tell packets from bits, at a lower one how many fragments pass.
            (Self::AnswersOf { share: one, .. }, Self::AnswersOf { share: another, .. }) => {
                (*one < 1.0) == (*another < 1.0)
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// An experiment, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// What was asked.
    pub experiment: Experiment,
    /// Why, in words.
    pub because: String,
    /// How its reads ended.
    pub counts: Counts,
    /// Of those lost on the first try, the ones whose requests never arrived; none where directions are not told.
    #[serde(default)]
    pub lost_up: Option<u64>,
    /// How long it took.
    pub duration_ns: u64,
    /// Of [`Experiment::LargestAnswer`]: largest UDP payload that came, and smallest that did not.
    pub bounds_bytes: Option<(u32, u32)>,
    /// ICMP (`destination unreachable`, `packet too big`) that either host received meanwhile; none where nobody could look.
    pub icmp: Option<u64>,
    /// Of [`Experiment::OtherFlows`]: how reads on the stage's own flows ended right after.
    #[serde(default)]
    pub control: Option<Counts>,
    /// Of [`Experiment::AnswersOf`]: the limit that its reads alone show.
    #[serde(default)]
    pub limit: Option<Estimate>,
    /// The same for each way in which a device may charge fragments.
    #[serde(default)]
    pub limits: Vec<(Charging, Estimate)>,
    /// Where hardly any of its answers came whole: the buckets of fragments that may have done that.
    #[serde(default)]
    pub starved: Vec<Starving>,
    /// By flow (of the other ones), where that was the question.
    pub flows: Vec<FlowCounts>,
    /// It could not be made, and why.
    pub failed: Option<String>,
}

impl Trial {
    /// Reads lost, and all of them; none where it could not be made.
    pub(super) fn outcome(&self) -> Option<(u64, u64)> {
        let told = self.failed.is_none() && self.counts.reads > 0;
        told.then_some((self.counts.first_try_lost, self.counts.reads))
    }

    /// The same of what came so far that it could be lost in this direction, where that is told.
    pub(super) fn outcome_towards(&self, direction: Direction) -> Option<(u64, u64)> {
        let (lost, reads) = self.outcome()?;
        let up = self.lost_up.map(|up| up.min(lost));
        Some(match (direction, up) {
            (Direction::Up, Some(up)) => (up, reads),
            (Direction::Down, Some(up)) => (lost - up, (reads - up).max(1)),
            _ => (lost, reads),
        })
    }
}
