//! What a laboratory counts: the named counters of its rules, and the packets it lost by itself.

use std::collections::BTreeMap;

use super::{Host, LabError};

/// Named counters of all rules of a host, in packets, each added to `counters` as HOST.COUNTER. Of one name in several tables: the sum.
pub(super) fn named(host: &Host, counters: &mut BTreeMap<String, u64>) -> Result<(), LabError> {
    let listing = host.tool("nft", &["-j", "list", "counters"], "")?;
    let unreadable = |_| LabError::Tool {
        command: "nft -j list counters".to_owned(),
        host: Some(host.name().to_owned()),
        output: "its answer is not the JSON that is expected of it".to_owned(),
    };
    let listing: serde_json::Value = serde_json::from_str(&listing).map_err(unreadable)?;
    let entries = listing["nftables"].as_array().into_iter().flatten();
    for counter in entries.filter_map(|entry| entry.get("counter")) {
        if let (Some(name), Some(packets)) = (counter["name"].as_str(), counter["packets"].as_u64()) {
            *counters.entry(format!("{}.{name}", host.name())).or_default() += packets;
        }
    }
    Ok(())
}

/// Drops at the ends of the wires of a host, as HOST.DEVICE.rx_dropped and .tx_dropped.
pub(super) fn device_drops(host: &Host, losses: &mut BTreeMap<String, u64>) -> Result<(), LabError> {
    for line in host.proc_net("dev")?.lines().skip(2) {
        let Some((device, figures)) = line.split_once(':') else { continue };
        let figures: Vec<u64> =
            figures.split_whitespace().map(|figure| figure.parse().unwrap_or(0)).collect();
        // Columns of the kernel's dev_seq_printf_stats: receive bytes packets errs drop ..., transmit the same from the ninth on.
        for (column, name) in [(3, "rx_dropped"), (11, "tx_dropped")] {
            let drops = figures.get(column).copied().unwrap_or(0);
            losses.insert(format!("{}.{}.{name}", host.name(), device.trim()), drops);
        }
    }
    Ok(())
}

/// Packets this machine's CPUs dropped because the backlog between two ends of a wire was full. Of the whole machine: the kernel keeps no
/// figures of one namespace.
pub(super) fn backlog_drops() -> Result<u64, LabError> {
    let file = "/proc/net/softnet_stat";
    let text = std::fs::read_to_string(file).map_err(LabError::system(format!("read {file}")))?;
    let dropped =
        |line: &str| line.split_whitespace().nth(1).and_then(|word| u64::from_str_radix(word, 16).ok());
    Ok(text.lines().filter_map(dropped).sum())
}
