//! How a topology is written out: every setting, so that a printed network can be rebuilt by hand.

use std::fmt::{Display, Formatter, Result};

use crate::topology::{
    Change, Charge, Direction, Drain, Excess, Limit, Link, Path, ReceiveBuffer, Step, Topology, Trigger,
};

impl Display for Topology {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "up:   {}\ndown: {}", self.up, self.down)
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for link in &self.links {
            write!(f, "{link} | ")?;
        }
        write!(f, "reassembly memory={} time={:?}", self.reassembly.memory, self.reassembly.time)?;
        self.receive_buffer.as_ref().map_or(Ok(()), |buffer| write!(f, " | {buffer}"))
    }
}

impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

impl Display for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.name())?;
        match self {
            Self::Mtu { mtu, icmp } => write!(f, " mtu={mtu} icmp={icmp}"),
            Self::Loss { rate } => write!(f, " rate={rate}"),
            Self::SizeLoss { above, rate } => write!(f, " above={above} rate={rate}"),
            Self::BurstLoss { enter, leave, rate } => write!(f, " enter={enter} leave={leave} rate={rate}"),
            Self::Delay { delay, jitter } => write!(f, " delay={delay:?} jitter={jitter:?}"),
            Self::Reorder { rate, delay } | Self::Duplicate { rate, delay } => {
                write!(f, " rate={rate} delay={delay:?}")
            }
            Self::Corrupt { rate, bits } => write!(f, " rate={rate} bits={bits}"),
            Self::RateLimit { limit, excess } => write!(f, " limit={limit} {excess}"),
            Self::FragmentLimit { limit, charge, burst } => {
                write!(f, " limit={limit} charge={charge} burst={burst}")
            }
            Self::FragmentLoss { rate, charge } => write!(f, " rate={rate} charge={charge}"),
            Self::BadPath { paths, rate } => write!(f, " paths={paths} rate={rate}"),
            Self::Silence { from, until } => write!(f, " from={from:?} until={until:?}"),
            Self::Balancer { servers, from, timeout } => {
                write!(f, " servers={servers} from={from:?} timeout={timeout:?}")
            }
            Self::AddressChange { trigger, change, keeps } => {
                write!(f, " {trigger} change={change} keeps={keeps}")
            }
            Self::Schedule(steps) => steps.iter().try_for_each(|step| write!(f, " [{step}]")),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "from={:?} ", self.from)?;
        match &self.link {
            Some(link) => link.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Packets(limit) => write!(f, "{limit}packets/s"),
            Self::Bits(limit) => write!(f, "{limit}bits/s"),
        }
    }
}

impl Display for Excess {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Police { burst } => write!(f, "burst={burst}"),
            Self::Queue { size } => write!(f, "queue={size}"),
        }
    }
}

impl Display for Charge {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Rest => "rest",
            Self::All => "all",
        })
    }
}

impl Display for Trigger {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::At(time) => write!(f, "at={time:?}"),
            Self::Every(packets) => write!(f, "every={packets}"),
        }
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Port => "port",
            Self::Address => "address",
        })
    }
}

impl Display for ReceiveBuffer {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "receive_buffer size={} truesize=", self.size)?;
        for (i, step) in self.truesize.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", step.payload_bytes_max, step.charged_bytes)?;
        }
        match self.drain {
            Drain::Rate(rate) => write!(f, " drain={rate}/s"),
            Drain::Endpoint => write!(f, " drain=endpoint"),
        }
    }
}
