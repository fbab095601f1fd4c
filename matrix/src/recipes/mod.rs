//! The recipes that runs are drawn by: one for each cause that a laboratory of the catalogue makes, one for healthy networks, one for pairs.

mod chance;
mod draft;
mod flows;
mod fragments;
mod healthy;
mod hosts;
mod pairs;
mod rates;
mod silence;
mod sizes;

use crate::dice::Dice;
use crate::limits;
use crate::ranges::Range;
use crate::scenario::Scenario;

/// How runs of one kind are drawn.
pub struct Recipe {
    /// Its name: the cause's, `none` or `pair`.
    pub name: &'static str,
    /// The topologies it takes.
    pub topologies: &'static [&'static str],
    /// What its runs are made of, in words.
    pub sentence: &'static str,
    /// What it draws from, beside what all do.
    pub ranges: &'static [&'static Range],
    draw: fn(&mut Dice) -> Option<Scenario>,
}

/// Name of the recipe of healthy networks.
pub const HEALTHY: &str = "none";

/// Name of the recipe of two causes at once.
pub const PAIR: &str = "pair";

/// All recipes, the healthy one first.
pub fn all() -> &'static [Recipe] {
    RECIPES
}

static RECIPES: &[Recipe] = &[
    healthy::HEALTHY_NETWORK,
    fragments::FRAGMENT_RATE_LIMIT,
    fragments::FRAGMENTS_BLOCKED,
    fragments::REASSEMBLY_OVERFLOW,
    sizes::PMTU_DISCOVERY,
    sizes::MTU_BLACK_HOLE,
    chance::PATH_LOSS,
    chance::PATH_CORRUPTION,
    rates::PACKET_RATE_LIMIT,
    rates::BANDWIDTH_LIMIT,
    rates::CLIENT_SEND_QUEUE,
    rates::SERVER_SEND_QUEUE,
    flows::FLOW_BLACK_HOLE,
    flows::BALANCER,
    silence::SERVER_SILENT,
    hosts::CLIENT_SOCKET_BUFFER,
    hosts::SERVER_SOCKET_BUFFER,
    hosts::SERVER_OVERLOAD,
    hosts::TIMEOUT_TOO_SHORT,
    pairs::TWO_CAUSES,
];

impl Recipe {
    /// The recipe of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.name == name)
    }

    /// The run of this number: always the same of one seed.
    ///
    /// # Panics
    /// If none of many draws fits the bounds: the recipe's ranges contradict each other.
    pub fn draw(&self, seed: u64, number: u32) -> Scenario {
        let mut dice = Dice::of(seed, self.name, number);
        let drawn = (0..limits::DRAWS_MAX).find_map(|_| (self.draw)(&mut dice));
        drawn.unwrap_or_else(|| panic!("no run of {} fits its bounds", self.name))
    }
}
