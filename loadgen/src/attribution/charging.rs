//! Which fragments of a datagram a limit of fragments charges, and where: what the books leave to be found out about a device.

use serde::{Deserialize, Serialize};

use super::bucket::Charge;
use super::case::Wire;
use super::traffic::Sent;

/// Which fragments of a datagram take tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// The first of each datagram.
    First,
    /// All but the first.
    Rest,
    /// All of them.
    All,
}

/// A way in which a device may charge fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charging {
    /// Which fragments take tokens.
    pub counted: Counted,
    /// They are counted before a router cuts them again.
    pub before_routers: bool,
}

impl Charging {
    /// All ways there may be: after the last cut, or before routers cut again.
    pub(super) fn ways(wire: &Wire) -> impl Iterator<Item = Self> {
        let places = if wire.cuts_twice() { [Some(false), Some(true)] } else { [Some(false), None] };
        let counted = [Counted::Rest, Counted::First, Counted::All];
        places
            .into_iter()
            .flatten()
            .flat_map(move |before_routers| counted.map(|counted| Self { counted, before_routers }))
    }

    /// What an answer takes of the bucket.
    pub(super) fn charge(self, sent: &Sent, wire: &Wire) -> Charge {
        let (each, last) = if self.before_routers { wire.cut_again(sent.payload) } else { (1, 1) };
        let last = if self.counted == Counted::First { each } else { last };
        let arrive = if sent.astray { (0.0, 0.0) } else { (f64::from(each), f64::from(last)) };
        Charge { at_us: sent.at_us, cost: 1.0, packets: self.packets(sent, wire), arrive, lost: sent.lost }
    }

    /// How many of an answer's fragments take a token.
    pub(super) fn packets(self, sent: &Sent, wire: &Wire) -> u32 {
        let cut = if self.before_routers { Wire::server_fragments } else { Wire::fragments };
        match (self.counted, cut(wire, sent.payload)) {
            (_, 0 | 1) => 0,
            (Counted::First, _) => 1,
            (Counted::Rest, fragments) => fragments - 1,
            (Counted::All, fragments) => fragments,
        }
    }

    /// What it counts, in words.
    pub(super) fn words(self) -> &'static str {
        match self.counted {
            Counted::First => "first fragments",
            Counted::Rest => "fragments after the first",
            Counted::All => "fragments",
        }
    }
}
