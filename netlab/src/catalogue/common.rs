//! Parameters that several topologies share.

use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{DELAY_NS_MAX, LAB_MTU_BYTES_MAX, LAB_MTU_BYTES_MIN, MTU_BYTES_DEFAULT};
use crate::part::{Mtus, Part};
use crate::topology::{Link, Topology};

pub(super) const DELAY: Parameter = Parameter {
    name: "delay",
    sentence: "how long each packet is on its way, each way",
    kind: Kind::Duration,
    default: 0,
    range: (0, DELAY_NS_MAX),
};

pub(super) const FAMILY: Parameter = Parameter {
    name: "family",
    sentence: "the IP version the two ends talk in",
    kind: Kind::Choice(&["4", "6"]),
    default: 0,
    range: (0, 1),
};

pub(super) const MTU: Parameter = Parameter {
    name: "mtu",
    sentence: "MTU of every link",
    kind: Kind::Bytes,
    default: MTU_BYTES_DEFAULT,
    range: (LAB_MTU_BYTES_MIN, LAB_MTU_BYTES_MAX),
};

/// Both ways, unless told otherwise.
pub(super) const DIRECTION: Parameter = Parameter {
    name: "direction",
    sentence: "which way is troubled: down is from the server to the client",
    kind: Kind::Choice(&["both", "up", "down"]),
    default: 0,
    range: (0, 2),
};

/// Down, unless told otherwise: answers are what is large and many.
pub(super) const DIRECTION_DOWN: Parameter = Parameter { default: 2, ..DIRECTION };

/// A share of packets.
pub(super) const RATE: Parameter = Parameter {
    name: "rate",
    sentence: "share of packets it happens to",
    kind: Kind::Share,
    default: 0,
    range: (0, WHOLE_PPM),
};

/// Anything goes with anything.
pub(super) fn all_go_together(_: &Part<'_>) -> Result<(), String> {
    Ok(())
}

/// A perfect network with the MTUs of this part's, whose router says so unless it is told not to.
pub(crate) fn wide(part: &Part<'_>) -> Topology {
    let Mtus { server, client } = part.mtus();
    let topology =
        Topology::new().up(Link::Mtu { mtu: client, icmp: true }).down(Link::Mtu { mtu: server, icmp: true });
    if client == server {
        return topology;
    }
    // Hosts of simulated networks do not fragment, so the narrow link comes before all trouble: it cuts what real servers cut once they learned
    // the path MTU.
    topology.down(Link::Mtu { mtu: client, icmp: part.hears_of_mtus() })
}

/// It with one more node on each of the ways named.
pub(super) fn troubled(part: &Part<'_>, topology: Topology, link: &Link) -> Topology {
    part.ways().iter().fold(topology, |topology, way| match way {
        crate::topology::Direction::Up => topology.up(link.clone()),
        crate::topology::Direction::Down => topology.down(link.clone()),
    })
}
