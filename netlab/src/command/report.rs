//! What a laboratory counted, for people.

use std::collections::BTreeMap;

use shingle_netlab::lab::{Lab, LabError};

/// Prints to stderr: the command has stdout.
pub(super) fn print(lab: &Lab) -> Result<(), LabError> {
    section("counters of the network", &lab.counters()?, "none");
    for host in lab.hosts() {
        section(&format!("the kernel in {}", host.name()), &host.kernel_counters()?, "nothing lost");
    }
    section("lost by the laboratory itself", &lab.own_losses()?, "nothing");
    let missed = lab.missed_by_captures();
    if missed > 0 {
        eprintln!(
            "missing in the captures: {missed} packets could not be written, or not as fast as they came"
        );
    }
    Ok(())
}

fn section(title: &str, counters: &BTreeMap<String, u64>, nothing: &str) {
    if counters.is_empty() {
        eprintln!("{title}: {nothing}");
        return;
    }
    eprintln!("{title}:");
    for (name, count) in counters {
        eprintln!("    {name} {count}");
    }
}
