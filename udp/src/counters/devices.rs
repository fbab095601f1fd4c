//! What devices, their drivers and queueing disciplines say went wrong, by flat names like those of the protocols' counters.

use std::collections::BTreeMap;
use std::io;

use crate::{device, nic, qdisc};

/// Words in the names of drivers' counters of trouble. They have hundreds of others, some of them gauges, and each driver its own names.
const TROUBLE: [&str; 9] =
    ["drop", "err", "discard", "miss", "fail", "exceeded", "overrun", "timeout", "no_buf"];

/// The counters of the calling thread's namespace: `Qdisc.DEVICE.Drops` (all that leaves the device), `Qdisc.DEVICE.IngressDrops`, and of
/// drivers' own counters those of trouble, `Nic.DEVICE.NAME`. The names of what could not be read go to `missing`; a driver without counters is
/// not among it.
pub fn device_counters(missing: &mut Vec<String>) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    match qdisc::list() {
        Ok(list) => qdiscs(&list, &mut counters),
        Err(error) => missing.push(format!("qdisc ({error})")),
    }
    match device::devices() {
        Ok(devices) => {
            for device in devices.iter().filter(|device| !device.is_loopback) {
                match nic::statistics(&device.name) {
                    Ok(found) => counters.extend(trouble(&device.name, found)),
                    Err(error) => missing.extend(missed(&device.name, &error)),
                }
            }
        }
        Err(error) => missing.push(format!("network devices ({error})")),
    }
    counters
}

fn qdiscs(list: &[qdisc::Qdisc], counters: &mut BTreeMap<String, u64>) {
    for qdisc in list.iter().filter(|qdisc| !qdisc.device.is_empty()) {
        let name = match (qdisc.is_root(), qdisc.is_ingress()) {
            (true, _) => "Drops",
            (_, true) => "IngressDrops",
            _ => continue,
        };
        counters.insert(format!("Qdisc.{}.{name}", qdisc.device), qdisc.drops.into());
    }
}

/// A driver without counters, and a device that went away meanwhile, are no gaps.
fn missed(device: &str, error: &io::Error) -> Option<String> {
    let is_gap = !matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENODEV));
    is_gap.then(|| format!("counters of the driver of {device} ({error})"))
}

fn trouble(device: &str, statistics: BTreeMap<String, u64>) -> impl Iterator<Item = (String, u64)> {
    let tells = |name: &str| {
        let name = name.to_ascii_lowercase();
        TROUBLE.iter().any(|word| name.contains(word))
    };
    statistics
        .into_iter()
        .filter(move |(name, _)| tells(name))
        .map(move |(name, count)| (format!("Nic.{device}.{name}"), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_ingress_are_told_and_classes_below_them_are_not() {
        let one = |parent, drops| qdisc::Qdisc {
            device: "eth0".to_owned(),
            parent,
            drops,
            ..qdisc::Qdisc::default()
        };
        let mut counters = BTreeMap::new();
        qdiscs(&[one(u32::MAX, 3), one(0x1_0001, 2), one(0xffff_fff1, 1)], &mut counters);
        let named = [("Qdisc.eth0.Drops", 3), ("Qdisc.eth0.IngressDrops", 1)];
        assert_eq!(counters, named.map(|(name, count)| (name.to_owned(), count)).into());
    }

    #[test]
    fn of_a_drivers_counters_those_of_trouble_are_told() {
        let statistics =
            ["pps_allowance_exceeded", "conntrack_allowance_available", "queue_0_rx_bytes", "rx_Discards"]
                .map(|name| (name.to_owned(), 7));
        let names: Vec<_> = trouble("eth0", statistics.into()).map(|(name, _)| name).collect();
        assert_eq!(names, ["Nic.eth0.pps_allowance_exceeded", "Nic.eth0.rx_Discards"]);
    }

    #[test]
    fn counters_that_could_not_be_read_are_missing_and_those_a_driver_has_not_are_not() {
        let missed = |number| missed("eth0", &io::Error::from_raw_os_error(number));
        assert_eq!((missed(libc::EOPNOTSUPP), missed(libc::ENODEV)), (None, None));
        assert!(missed(libc::EIO).is_some_and(|gap| gap.starts_with("counters of the driver of eth0 (")));
    }

    /// Whatever devices this machine has.
    #[test]
    fn this_machine_answers() {
        let mut missing = Vec::new();
        let counters = device_counters(&mut missing);
        assert!(missing.is_empty() || counters.is_empty(), "{missing:?} {counters:?}");
    }
}
