//! What a laboratory counted, for people.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use shingle_netlab::lab::{Lab, LabError};

/// Prints to stderr: the command has stdout. Whoever closed it does not want the rest.
pub(super) fn print(lab: &Lab) -> Result<(), LabError> {
    let mut text = section("counters of the network", &lab.counters()?, "none");
    for host in lab.hosts() {
        text += &section(&format!("the kernel in {}", host.name()), &host.kernel_counters()?, "nothing lost");
    }
    text += &section("lost by the laboratory itself", &lab.own_losses()?, "nothing");
    let missed = lab.missed_by_captures();
    if missed > 0 {
        text += &format!(
            "missing in the captures: {missed} packets could not be written, or not as fast as they came\n"
        );
    }
    let _ = io::stderr().lock().write_all(text.as_bytes());
    Ok(())
}

fn section(title: &str, counters: &BTreeMap<String, u64>, nothing: &str) -> String {
    if counters.is_empty() {
        return format!("{title}: {nothing}\n");
    }
    let lines = counters.iter().map(|(name, count)| format!("    {name} {count}\n"));
    std::iter::once(format!("{title}:\n")).chain(lines).collect()
}
