//! `net/snmp` and `net/netstat`: a line of names and a line of values for each protocol (net/ipv4/proc.c).

use std::collections::BTreeMap;

/// Counters by protocol and name, such as `Udp` and `RcvbufErrors`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snmp(BTreeMap<String, BTreeMap<String, u64>>);

impl Snmp {
    /// Reads the text of `net/snmp` or `net/netstat`. Protocols and names the kernel does not have are absent;
    /// values that are not counters (`Tcp: MaxConn` is -1) are left out, as are lines without their partner.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut protocols: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        let mut names: Option<(&str, &str)> = None;
        for line in super::lines(text) {
            let Some((protocol, fields)) = line.split_once(':') else { continue };
            match names.take() {
                Some((named, list)) if named == protocol => {
                    let values = fields.split_whitespace().map(|value| value.parse().ok());
                    let pairs = list.split_whitespace().zip(values);
                    let counters = protocols.entry(protocol.to_owned()).or_default();
                    counters.extend(pairs.filter_map(|(name, value)| Some((name.to_owned(), value?))));
                }
                _ => names = Some((protocol, fields)),
            }
        }
        Snmp(protocols)
    }

    /// The counter `name` of `protocol`, if this kernel has it.
    #[must_use]
    pub fn get(&self, protocol: &str, name: &str) -> Option<u64> {
        self.0.get(protocol)?.get(name).copied()
    }

    /// Every counter as protocol, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().flat_map(|(protocol, counters)| {
            counters.iter().map(move |(name, value)| (protocol.as_str(), name.as_str(), *value))
        })
    }
}
