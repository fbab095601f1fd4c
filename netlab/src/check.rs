//! Whether a description can be built.

use crate::error::TopologyError;
use crate::limits::{MTU_BYTES_MAX, MTU_BYTES_MIN};
use crate::topology::{Drain, Excess, Limit, Link, Path, ReceiveBuffer, Step, Topology, Trigger};

impl Topology {
    /// Checks every setting, as [`Network::new`](crate::Network::new) does.
    ///
    /// # Errors
    /// The first setting that cannot be, with what is allowed.
    pub fn check(&self) -> Result<(), TopologyError> {
        if self.down.links.iter().any(|link| matches!(link, Link::AddressChange { .. })) {
            return Err(TopologyError::AddressChangeDown);
        }
        [&self.up, &self.down].into_iter().try_for_each(Path::check)
    }
}

impl Path {
    fn check(&self) -> Result<(), TopologyError> {
        self.links.iter().try_for_each(Link::check)?;
        self.receive_buffer.as_ref().map_or(Ok(()), ReceiveBuffer::check)
    }
}

impl Link {
    fn check(&self) -> Result<(), TopologyError> {
        let rate = |name, value| probability(self.name(), name, value);
        let number = |name, value, min, max| range(self.name(), name, value, min, max);
        match *self {
            Self::Mtu { mtu, .. } => number("mtu", mtu.into(), MTU_BYTES_MIN.into(), MTU_BYTES_MAX.into()),
            Self::Loss { rate: value }
            | Self::SizeLoss { rate: value, .. }
            | Self::Reorder { rate: value, .. }
            | Self::Duplicate { rate: value, .. }
            | Self::FragmentLoss { rate: value, .. }
            | Self::Corrupt { rate: value, .. } => rate("rate", value),
            Self::BurstLoss { enter, leave, rate: value } => {
                rate("enter", enter).and(rate("leave", leave)).and(rate("rate", value))
            }
            Self::BadPath { paths, rate: value } => {
                rate("rate", value).and(number("paths", paths.into(), 1, u32::MAX.into()))
            }
            Self::RateLimit { limit: Limit::Packets(limit) | Limit::Bits(limit), excess } => match excess {
                Excess::Queue { .. } => number("limit", limit, 1, u64::MAX),
                Excess::Police { .. } => Ok(()),
            },
            Self::Balancer { servers, .. } => number("servers", servers, 1, u64::MAX),
            Self::AddressChange { trigger: Trigger::Every(packets), .. } => {
                number("every", packets, 1, u64::MAX)
            }
            Self::Schedule(ref steps) => check_steps(steps),
            Self::Delay { .. }
            | Self::FragmentLimit { .. }
            | Self::Silence { .. }
            | Self::AddressChange { .. } => Ok(()),
        }
    }
}

fn check_steps(steps: &[Step]) -> Result<(), TopologyError> {
    if let Some(pair) = steps.windows(2).find(|pair| pair[0].from > pair[1].from) {
        return Err(TopologyError::StepsUnsorted { earlier: pair[0].from, later: pair[1].from });
    }
    steps.iter().filter_map(|step| step.link.as_ref()).try_for_each(|link| match link {
        Link::AddressChange { .. } => Err(TopologyError::Scheduled { link: link.name() }),
        _ => link.check(),
    })
}

impl ReceiveBuffer {
    fn check(&self) -> Result<(), TopologyError> {
        let steps = &self.truesize;
        if steps.is_empty() {
            return Err(TopologyError::Truesize { before: 0, found: 0 });
        }
        if let Some(pair) =
            steps.windows(2).find(|pair| pair[0].payload_bytes_max >= pair[1].payload_bytes_max)
        {
            let (before, found) = (pair[0].payload_bytes_max, pair[1].payload_bytes_max);
            return Err(TopologyError::Truesize { before, found });
        }
        match self.drain {
            Drain::Rate(rate) => range("receive_buffer", "drain", rate, 1, 1_000_000_000),
            Drain::Endpoint => Ok(()),
        }
    }
}

fn probability(link: &'static str, name: &'static str, value: f64) -> Result<(), TopologyError> {
    // Not a number is outside, too.
    let inside = (0.0..=1.0).contains(&value);
    if inside { Ok(()) } else { Err(TopologyError::Probability { link, name, value }) }
}

fn range(
    link: &'static str,
    name: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<(), TopologyError> {
    let range = min..=max;
    if range.contains(&value) { Ok(()) } else { Err(TopologyError::Range { link, name, value, range }) }
}
