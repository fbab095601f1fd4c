//! What each node did, and whether the sums are right.

use std::fmt;

use crate::topology::Direction;

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// By chance, alone.
    Loss,
    /// By chance, in a burst.
    BurstLoss,
    /// Larger than the MTU and not to be fragmented.
    TooBig,
    /// Above a policer's rate.
    RateLimit,
    /// A rate limit's queue was full.
    QueueFull,
    /// Above a fragment limit.
    FragmentLimit,
    /// On the bad one of several paths.
    BadPath,
    /// While the path was silent.
    Silence,
    /// Sent to an address the NAT has given up, or never gave out.
    OldAddress,
    /// Fragment of a new datagram while the memory for fragments was full.
    ReassemblyMemory,
    /// Fragment whose datagram was not complete in time.
    ReassemblyTimeout,
    /// Fragment that covers bytes which were there already.
    FragmentOverlap,
    /// The receive buffer was full.
    ReceiveBuffer,
}

impl DropReason {
    const COUNT: usize = 13;

    /// All reasons.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Loss,
        Self::BurstLoss,
        Self::TooBig,
        Self::RateLimit,
        Self::QueueFull,
        Self::FragmentLimit,
        Self::BadPath,
        Self::Silence,
        Self::OldAddress,
        Self::ReassemblyMemory,
        Self::ReassemblyTimeout,
        Self::FragmentOverlap,
        Self::ReceiveBuffer,
    ];
}

/// What one node did, in packets (fragments are packets).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came in.
    pub taken: u64,
    /// Went on to the next node, or to the endpoint.
    pub passed: u64,
    /// Came into being here: copies, and fragments beyond the packet they were made of.
    pub made: u64,
    /// Went into a datagram put together here, beyond the one that went on.
    pub joined: u64,
    /// Were altered (bits, address) or held back on purpose.
    pub changed: u64,
    /// Are in the node now.
    pub held: u64,
    pub(crate) dropped: [u64; DropReason::COUNT],
}

impl Counts {
    /// Dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// One node of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node's name, as in the topology.
    pub name: &'static str,
    /// What it did.
    pub counts: Counts,
}

/// One direction of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// Datagrams the endpoint sent.
    pub sent: u64,
    /// Datagrams the other endpoint received.
    pub delivered: u64,
    /// Packets on their way at this moment, as the network's queue has them.
    pub(crate) queued: u64,
    /// Packets inside of nodes at this moment, as these have them.
    pub(crate) inside: u64,
    /// The nodes in the order packets meet them; the last are the host's own (`reassembly`, `receive_buffer`).
    pub nodes: Vec<NodeReport>,
}

impl PathReport {
    /// What the first node of this name did.
    pub fn node(&self, name: &str) -> Option<&Counts> {
        self.nodes.iter().find(|node| node.name == name).map(|node| &node.counts)
    }

    /// Packets dropped for this reason by any node.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.nodes.iter().map(|node| node.counts.dropped(reason)).sum()
    }

    fn check(&self, direction: Direction) -> Result<(), String> {
        let mut coming = self.sent;
        for NodeReport { name, counts } in &self.nodes {
            let came = counts.taken + counts.made;
            let went = counts.passed + counts.dropped_total() + counts.joined + counts.held;
            if counts.taken != coming || came != went {
                return Err(format!("{direction} {name}: {coming} came, and it counts {counts:?}"));
            }
            coming = counts.passed;
        }
        let held: u64 = self.nodes.iter().map(|node| node.counts.held).sum();
        if coming != self.delivered || held != self.queued + self.inside {
            let Self { delivered, queued, inside, .. } = self;
            return Err(format!(
                "{direction}: the last node passed {coming} and {delivered} were delivered; nodes hold {held}, and {queued} are queued, {inside} inside"
            ));
        }
        Ok(())
    }
}

/// What a network did so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// From client to server.
    pub up: PathReport,
    /// From server to client.
    pub down: PathReport,
}

impl Report {
    /// Checks that no packet came from nowhere or vanished: sent + made = delivered + dropped + joined + held, node by node.
    ///
    /// # Errors
    /// The first node whose sum is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        self.up.check(Direction::Up)?;
        self.down.check(Direction::Down)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (direction, path) in [(Direction::Up, &self.up), (Direction::Down, &self.down)] {
            writeln!(f, "{direction}: {} sent, {} delivered", path.sent, path.delivered)?;
            path.nodes.iter().try_for_each(|node| writeln!(f, "  {node}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { taken, passed, made, joined, changed, held, .. } = self.counts;
        write!(f, "{:<16} taken={taken} passed={passed}", self.name)?;
        for (name, count) in [("made", made), ("joined", joined), ("changed", changed), ("held", held)] {
            if count > 0 {
                write!(f, " {name}={count}")?;
            }
        }
        for reason in DropReason::ALL {
            let count = self.counts.dropped(reason);
            if count > 0 {
                write!(f, " dropped({reason:?})={count}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_are_wrong_anywhere_are_found() {
        let counts = Counts { taken: 5, passed: 4, held: 1, ..Counts::default() };
        let right = PathReport {
            sent: 5,
            delivered: 4,
            queued: 1,
            inside: 0,
            nodes: vec![NodeReport { name: "delay", counts }],
        };
        assert_eq!(right.check(Direction::Up), Ok(()));
        let wrong: [fn(&mut PathReport); 6] = [
            |path| path.sent += 1,
            |path| path.delivered -= 1,
            |path| path.queued -= 1,
            |path| path.inside += 1,
            |path| path.nodes[0].counts.made += 1,
            |path| path.nodes[0].counts.dropped[0] += 1,
        ];
        for change in wrong {
            let mut path = right.clone();
            change(&mut path);
            assert!(path.check(Direction::Up).is_err(), "{path:?}");
        }
    }
}
