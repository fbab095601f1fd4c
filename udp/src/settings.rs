//! Settings of this host and namespace that decide what becomes of UDP datagrams: sysctls, module parameters, and what the CPUs keep time
//! and speed by. Texts as the kernel gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Key below /proc/sys, with dots (Documentation/networking/ip-sysctl.rst, admin-guide/sysctl/net.rst, networking/nf_conntrack-sysctl.rst).
const SYSCTLS: [&str; 23] = [
    "net.core.rmem_default",
    "net.core.rmem_max",
    "net.core.wmem_default",
    "net.core.wmem_max",
    "net.core.netdev_max_backlog",
    "net.core.netdev_budget",
    "net.ipv4.udp_mem",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.ipfrag_high_thresh",
    "net.ipv4.ipfrag_time",
    "net.ipv4.ipfrag_max_dist",
    "net.ipv4.route.mtu_expires",
    "net.ipv4.route.min_pmtu",
    "net.ipv6.ip6frag_high_thresh",
    "net.ipv6.ip6frag_time",
    "net.ipv6.route.mtu_expires",
    "net.ipv6.conf.all.disable_ipv6",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
    "net.ipv4.icmp_ratelimit",
];

/// Name and file of what is no sysctl.
const FILES: [(&str, &str); 2] = [
    ("ena.enable_frag_bypass", "/sys/module/ena/parameters/enable_frag_bypass"),
    ("clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
];

/// The settings of the calling thread's namespace by name: sysctls as `net.core.rmem_max`, the parameter of ENA's driver as
/// `ena.enable_frag_bypass`, `clocksource`, and `cpu.governor`, where CPUs differ each of theirs. What is not there, or may not be read, is
/// absent. White space within a value is a single space.
#[must_use]
pub fn read() -> BTreeMap<String, String> {
    let sysctl = |key: &str| Path::new("/proc/sys").join(key.replace('.', "/"));
    let sysctls = SYSCTLS.iter().map(|key| (*key, sysctl(key)));
    let files = FILES.iter().map(|(name, path)| (*name, PathBuf::from(path)));
    let mut settings: BTreeMap<_, _> =
        sysctls.chain(files).filter_map(|(name, path)| Some((name.to_owned(), value(&path)?))).collect();
    if let Some(governor) = governor() {
        settings.insert("cpu.governor".to_owned(), governor);
    }
    settings
}

fn value(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What chooses the CPUs' frequencies; `None` where the host does not let them be chosen.
fn governor() -> Option<String> {
    let policies = fs::read_dir("/sys/devices/system/cpu/cpufreq").ok()?;
    let governors: BTreeSet<_> =
        policies.flatten().filter_map(|policy| value(&policy.path().join("scaling_governor"))).collect();
    Some(governors.into_iter().collect::<Vec<_>>().join(" ")).filter(|governors| !governors.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_kernel_has_is_read() {
        let settings = read();
        let number = |name: &str| settings[name].parse::<u64>().unwrap();
        assert!(number("net.ipv4.ipfrag_high_thresh") > 0 && number("net.ipv4.ip_no_pmtu_disc") <= 3);
        // Only the first namespace has this one.
        assert!(settings.get("net.ipv4.udp_mem").is_none_or(|pages| pages.split(' ').count() == 3));
        assert!(settings.values().all(|value| !value.contains(['\n', '\t'])), "{settings:?}");
    }
}
