//! `net/snmp6`: a name and a value on each line (net/ipv6/proc.c).

use std::collections::BTreeMap;

/// Counters by name, such as `Udp6RcvbufErrors`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snmp6(BTreeMap<String, u64>);

impl Snmp6 {
    /// Reads the text of `net/snmp6`; lines that are not a name and a number are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let counter = |line: &str| {
            let mut fields = line.split_whitespace();
            let (name, value) = (fields.next()?, fields.next()?);
            Some((name.to_owned(), value.parse().ok()?))
        };
        Snmp6(super::lines(text).filter_map(counter).collect())
    }

    /// The counter `name`, if this kernel has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Every counter as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}
