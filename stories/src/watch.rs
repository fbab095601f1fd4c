//! What the laboratory and the kernels of both ends count while something happens in a scene.

use std::collections::BTreeMap;

use shingle_udp::counters::Snapshot;

use crate::error::StoryError;
use crate::scene::Scene;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

/// Counters as they stood when it began.
pub(crate) struct Watch {
    lab: BTreeMap<String, u64>,
    client: Snapshot,
    server: Snapshot,
}

/// By how much they rose.
pub(crate) struct Risen {
    lab: BTreeMap<String, u64>,
    client: BTreeMap<String, u64>,
    server: BTreeMap<String, u64>,
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl Watch {
    pub(crate) fn begin(scene: &Scene) -> Result<Watch, StoryError> {
        let lab = scene.lab();
        Ok(Watch {
            lab: lab.counters()?,
            client: scene.counters(lab.client())?,
            server: scene.counters(lab.server())?,
        })
    }

    pub(crate) fn end(&self, scene: &Scene) -> Result<Risen, StoryError> {
        let now = Watch::begin(scene)?;
        let rise = |(name, count): (String, u64)| {
            let before = self.lab.get(&name).copied().unwrap_or(0);
            (name, count - before)
        };
        Ok(Risen {
            lab: now.lab.into_iter().map(rise).collect(),
            client: now.client.since(&self.client).counters,
            server: now.server.since(&self.server).counters,
        })
    }
}

impl Risen {
    /// A counter of the laboratory's rules, such as `router.corrupted_up`.
    ///
    /// # Panics
    /// There is no such counter.
    pub(crate) fn lab(&self, name: &str) -> u64 {
        *self.lab.get(name).unwrap_or_else(|| panic!("no counter {name} in {:?}", self.lab.keys()))
    }

    /// A counter of UDP at an end, such as `RcvbufErrors`, of both families: the kernel counts wrong checksums of IPv6 under IPv4 when the
    /// socket is waited for by poll(2).
    pub(crate) fn udp(&self, end: End, name: &str) -> u64 {
        let counters = if end == End::Client { &self.client } else { &self.server };
        ["Udp", "Udp6"].iter().filter_map(|udp| counters.get(&format!("{udp}.{name}"))).sum()
    }
}
