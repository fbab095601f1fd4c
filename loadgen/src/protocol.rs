//! Which protocol the server speaks.

use std::fmt;
use std::str::FromStr;

/// The protocols that reads can be sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Shingle's own, over UDP.
    #[default]
    Shingle,
    /// memcached's text protocol over UDP.
    MemcachedUdp,
    /// The same over TCP.
    MemcachedTcp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Shingle, Self::MemcachedUdp, Self::MemcachedTcp];

    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shingle => "shingle",
            Self::MemcachedUdp => "memcached-udp",
            Self::MemcachedTcp => "memcached-tcp",
        }
    }

    /// The server is memcached.
    pub fn is_memcached(self) -> bool {
        self != Self::Shingle
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(|| format!("choose one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}
