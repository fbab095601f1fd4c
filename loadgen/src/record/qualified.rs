//! The part of a record that qualifying adds: the interval of the knee, the generator's own check, cold destinations and canaries, the
//! capacity plan, and the comparison with an earlier record.

use serde::{Deserialize, Serialize};

use super::Cold;

/// Where the highest rate that meets the service level lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KneeInterval {
    /// The limit of 95 of 100 stages of this kind lies between these rates, reads/s.
    pub lower_tps: f64,
    /// See `lower_tps`; absent where no rate tried broke the level.
    pub upper_tps: Option<f64>,
    /// Probability that the limit of a stage lies within, 0 to 1.
    pub confidence: f64,
    /// Scatter of the limit from stage to stage: one standard deviation as a share of the rate.
    pub scatter: f64,
    /// Stages it was found by.
    pub stages: usize,
    /// The resolution asked for, as a share (0.05 = 5 %).
    pub resolution: f64,
    /// The best estimate itself lies within a range this wide with 95 % probability, as a share of it; none where no rate tried broke the level.
    #[serde(default)]
    pub known_to: Option<f64>,
    /// That is the resolution asked for, or less; otherwise the search ended first.
    pub resolved: bool,
}

/// What the generator says of itself in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCheck {
    /// Requests sent by the end of the stage's time over those scheduled, 0 to 1.
    pub offered_in_time: f64,
    /// Rate achieved over rate offered; 0 for a closed loop.
    pub achieved_over_offered: f64,
    /// 99th percentile of how late requests left, microseconds.
    pub slip_p99_us: f64,
    /// Datagrams that its own sockets dropped for want of room.
    pub own_drops: u64,
    /// Requests that its own kernel refused to send.
    pub sends_refused: u64,
    /// CPU time of its busiest thread as a share of a CPU, 0 to 1.
    pub busiest_thread: f64,
}

/// The first and the later large answers to a destination whose path MTU nobody knows, before the search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColdPath {
    /// Whether path MTUs could be forgotten, and it was measured.
    pub measured: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What was lost.
    #[serde(flatten)]
    pub figures: Cold,
}

impl ColdPath {
    /// Not measured, for this reason.
    pub fn not_measured(because: &str) -> Self {
        Self { because: Some(because.to_owned()), ..Self::default() }
    }
}

/// Low-volume clients from addresses of their own, which see what a warm path hides. Their reads are in no other figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// Whether there were any.
    pub measured: bool,
    /// Why not, or what kept one of them from going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Their source addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Bytes of the value they read.
    #[serde(default)]
    pub value_bytes: usize,
    /// Large answers while the server's host could not know the path MTU: the first of an address, and those after what was learned has
    /// expired.
    #[serde(default)]
    pub first: u32,
    /// Of them, those that did not come whole on the first try.
    #[serde(default)]
    pub first_lost: u32,
    /// Large answers after those.
    #[serde(default)]
    pub later: u32,
    /// Of them, those that did not come whole on the first try.
    #[serde(default)]
    pub later_lost: u32,
    /// Answers of both kinds that the server refused instead.
    #[serde(default)]
    pub refused: u32,
}

impl Canary {
    /// Adds the reads of another stage.
    pub fn add(&mut self, other: &Self) {
        self.measured |= other.measured;
        self.first += other.first;
        self.first_lost += other.first_lost;
        self.later += other.later;
        self.later_lost += other.later_lost;
        self.refused += other.refused;
        self.value_bytes = self.value_bytes.max(other.value_bytes);
        if self.addresses.is_empty() {
            self.addresses.clone_from(&other.addresses);
        }
        if self.because.is_none() {
            self.because.clone_from(&other.because);
        }
    }
}

/// How many hosts a fleet's load needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityPlan {
    /// Load of the fleet, reads/s.
    pub fleet_tps: u64,
    /// Share of each host's limit left unused.
    pub spare: f64,
    /// What one host carries within the service level: the lower end of the interval, reads/s.
    pub limit_tps: f64,
    /// What it is planned to carry, reads/s.
    pub planned_tps: f64,
    /// Hosts.
    pub hosts_needed: u64,
    /// Load of each of them, reads/s.
    pub tps_a_host: f64,
    /// Load of each when one has failed; absent where there is one only.
    pub tps_after_loss: Option<f64>,
    /// Whether that is within the limit.
    pub holds_after_loss: bool,
}

/// How a run compares with an earlier one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BaselineReport {
    /// The file of the earlier record.
    pub file: String,
    /// When that run began, seconds since 1970.
    pub started_unix_s: u64,
    /// What was found.
    pub outcome: BaselineOutcome,
    /// Probability that two runs of the same system are called different.
    pub error_rate: f64,
    /// Conditions that differ and make figures incomparable.
    pub incomparable: Vec<String>,
    /// Conditions that differ, and which the difference may be due to.
    pub differs: Vec<String>,
    /// The tests made.
    pub tests: Vec<BaselineTest>,
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaselineOutcome {
    /// Better in something, worse in nothing.
    Better,
    /// Worse in something, better in nothing.
    Worse,
    /// Better in one thing, worse in another.
    Mixed,
    /// What differs may be chance.
    WithinNoise,
    /// Another question was asked.
    NotComparable,
}

/// One figure compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BaselineTest {
    /// What was compared, in words.
    pub what: String,
    /// The earlier value.
    pub before: f64,
    /// This run's.
    pub now: f64,
    /// Probability of such a difference, or a larger one, by chance.
    pub p_value: f64,
    /// Better, worse, or within noise.
    pub outcome: BaselineOutcome,
}
