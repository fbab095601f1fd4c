//! A driver's own counters: ETHTOOL_GSTATS with the names of ETHTOOL_GSTRINGS (`ethtool -S`).

use std::collections::BTreeMap;
use std::io;

use super::command::{Card, GSTATS, Set, long, word};

/// The counters of this device's driver by their names, such as `rx_drops`. Some are gauges; most drivers have some a queue. Of a
/// name that stands there twice the first is taken.
///
/// # Errors
/// EOPNOTSUPP from a driver without counters, ENODEV when there is no such device.
pub fn statistics(device: &str) -> io::Result<BTreeMap<String, u64>> {
    let card = Card::open(device)?;
    let names = card.names(Set::Statistics)?;
    let answer = card.ask(&[GSTATS, names.len() as u32], 8 + 8 * names.len())?;
    Ok(parse(names, &answer))
}

/// Of a driver's counters, those of what a cloud's limits on an instance queued or dropped, such as `pps_allowance_exceeded`; absent
/// ones are not known here. (`ENA_Linux_Best_Practices.rst` of the ENA driver; `conntrack_allowance_available` is a gauge and not
/// among them.)
pub fn allowances_exceeded(statistics: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    let exceeded = statistics.iter().filter(|(name, _)| name.ends_with("_allowance_exceeded"));
    exceeded.map(|(name, count)| (name.as_str(), *count))
}

/// `struct ethtool_stats`: command, number of values, values.
fn parse(names: Vec<String>, answer: &[u8]) -> BTreeMap<String, u64> {
    let count = word(answer, 4).unwrap_or(0) as usize;
    // A number of values that is not that of the names: the driver was set up anew in between, and nothing says which is which.
    if count != names.len() {
        return BTreeMap::new();
    }
    let mut counters = BTreeMap::new();
    for (index, name) in names.into_iter().enumerate() {
        if let Some(value) = long(answer, 8 + 8 * index) {
            counters.entry(name).or_insert(value);
        }
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn answer(values: &[u64]) -> Vec<u8> {
        let mut answer = [GSTATS, values.len() as u32].map(u32::to_ne_bytes).concat();
        answer.extend(values.iter().flat_map(|value| value.to_ne_bytes()));
        answer
    }

    #[test]
    fn values_go_to_their_names() {
        let list =
            names(&["rx_drops", "pps_allowance_exceeded", "rx_drops", "conntrack_allowance_available"]);
        let counters = parse(list, &answer(&[1, u64::MAX, 3, 5]));
        assert_eq!((counters["rx_drops"], counters["pps_allowance_exceeded"]), (1, u64::MAX));
        let exceeded: Vec<_> = allowances_exceeded(&counters).collect();
        assert_eq!(exceeded, [("pps_allowance_exceeded", u64::MAX)]);
    }

    #[test]
    fn values_that_are_not_of_these_names_are_not_believed() {
        assert!(parse(names(&["a"]), &answer(&[1, 2])).is_empty());
        assert!(parse(names(&["a", "b"]), &answer(&[1])).is_empty());
        let cut = answer(&[1, 2]);
        assert_eq!(parse(names(&["a", "b"]), &cut[..cut.len() - 1]).len(), 1);
    }

    /// Whatever devices this machine has, each gives counters or says why not.
    #[test]
    fn every_device_answers_or_says_that_it_does_not() {
        for device in crate::devices().unwrap() {
            match statistics(&device.name) {
                Ok(counters) => assert!(counters.keys().all(|name| !name.is_empty()), "{counters:?}"),
                Err(error) => assert!(crate::nic::is_answer(&error), "{}: {error}", device.name),
            }
        }
        assert_eq!(statistics("no-such").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..8) {
            let list = (0..count).map(|index| index.to_string()).collect();
            prop_assert!(parse(list, &bytes).len() <= count);
        }
    }
}
