//! CPUs that are not there when they are needed: other work, time stolen by the hypervisor, clocks that cost, frequencies that follow late.

use super::super::facts::Host;
use super::{Finding, Severity, Sureness};
use crate::limits::CPU_OTHERS_MAX;

/// The 99th percentile is the service level's: time taken from more than one in a hundred moments reaches it.
const P99: f64 = 0.01;
/// Clocks that user space reads without a system call (vDSO) on x86_64, aarch64 and under KVM and Hyper-V.
const FAST_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "hyperv_clocksource"];

pub(super) fn find(place: &str, host: &Host, findings: &mut Vec<Finding>) {
    if let Some(cpu) = host.cpu {
        if cpu.stolen > P99 {
            findings.push(stolen(place, cpu.stolen));
        }
        if cpu.others > CPU_OTHERS_MAX {
            findings.push(busy(place, cpu.others));
        }
    }
    findings.extend(clock(place, host));
    findings.extend(governor(place, host));
}

fn stolen(place: &str, share: f64) -> Finding {
    Finding {
        name: "steal",
        severity: Severity::MayHurt,
        place: place.to_owned(),
        what: format!("the hypervisor gave {:.1} % of the CPUs' time to other machines while it was watched", 100.0 * share),
        why: "whoever should have run then was late by milliseconds: more than one moment in a hundred reaches the 99th percentile".to_owned(),
        fix: vec!["vmstat 1   # watch `st`; then a larger or a dedicated instance: nothing on this host helps".to_owned()],
        risk: "cost".to_owned(),
        sureness: Sureness::Likely,
    }
}

fn busy(place: &str, share: f64) -> Finding {
    Finding {
        name: "busy_cpu",
        severity: Severity::MayHurt,
        place: place.to_owned(),
        what: format!("other processes used {:.0} % of the CPUs' time while it was watched", 100.0 * share),
        why: "threads that read or answer wait for their turn on a CPU, and datagrams wait in their sockets meanwhile".to_owned(),
        fix: vec!["top   # see which; stop it, or keep it off these CPUs with `taskset -pc CPUS PID`".to_owned()],
        risk: "what is moved gets slower".to_owned(),
        sureness: Sureness::Sure,
    }
}

fn clock(place: &str, host: &Host) -> Option<Finding> {
    let source = host.settings.get("clocksource").filter(|source| !FAST_CLOCKS.contains(&source.as_str()))?;
    Some(Finding {
        name: "slow_clock",
        severity: Severity::MayHurt,
        place: place.to_owned(),
        what: format!("the clock source is {source}"),
        why: "each look at the clock is a system call or a slow device; server and generator look at it several times a read".to_owned(),
        fix: vec!["echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource   # if available_clocksource beside it lists tsc".to_owned()],
        risk: "on hosts whose TSCs drift apart time jumps; the kernel marks those it distrusts in dmesg".to_owned(),
        sureness: Sureness::Likely,
    })
}

fn governor(place: &str, host: &Host) -> Option<Finding> {
    let governor = host.settings.get("cpu.governor").filter(|governor| governor.as_str() != "performance")?;
    Some(Finding {
        name: "cpu_governor",
        severity: Severity::MayHurt,
        place: place.to_owned(),
        what: format!("the CPUs' governor is {governor}"),
        why: "after a quiet moment a CPU answers slowly until its frequency is raised: tens of microseconds to milliseconds on a read, and figures that differ from run to run".to_owned(),
        fix: vec!["cpupower frequency-set -g performance   # or: echo performance | tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor".to_owned()],
        risk: "power and heat; with intel_pstate `powersave` is less slow than it sounds".to_owned(),
        sureness: Sureness::Likely,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, found};
    use super::*;
    use crate::doctor::facts::Cpu;

    #[test]
    fn time_that_others_take_is_told_from_where_it_matters_on() {
        let mut facts = facts();
        facts.here.cpu = Some(Cpu { others: 0.05, stolen: 0.005 });
        assert_eq!(found(&facts), []);
        facts.here.cpu = Some(Cpu { others: 0.5, stolen: 0.03 });
        assert_eq!(found(&facts), [("steal", Severity::MayHurt), ("busy_cpu", Severity::MayHurt)]);
    }

    #[test]
    fn clocks_and_governors_are_judged_on_both_hosts() {
        let mut facts = facts();
        let settings = &mut facts.server.as_mut().unwrap().host.as_mut().unwrap().settings;
        settings.insert("clocksource".to_owned(), "xen".to_owned());
        settings.insert("cpu.governor".to_owned(), "performance powersave".to_owned());
        assert_eq!(found(&facts), [("slow_clock", Severity::MayHurt), ("cpu_governor", Severity::MayHurt)]);
    }
}
