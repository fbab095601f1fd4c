//! Instructions that each scenario takes, counted by callgrind: `cargo run --release -p shingle-benches --bin instructions`.
//!
//! Runs itself under valgrind. Only what `measured` calls is counted, and the runs of 2 and of 12 rounds are subtracted, so that
//! neither set-up nor the first round's work (finding out what the CPU can do) is in the figures. Valgrind shows programs
//! a CPU without AVX-512: checksums take the SSE 4.2 and PCLMULQDQ way. It counts `rep movsb`, by which glibc makes long copies, once
//! for each byte: a copy of 64 KiB looks dearer than 46 copies of its pieces. Compare counts of one scenario before and after a
//! change, not scenarios with each other.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::Command;

use shingle_benches::{SCENARIOS, Scenario, scenario};

/// Rounds of the two runs whose difference is taken.
const ROUNDS: [u64; 2] = [2, 12];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, rounds] = arguments.as_slice() {
        run(name, rounds.parse()?);
        return Ok(());
    }
    println!("{:>12}  scenario", "instructions");
    for (name, _) in SCENARIOS {
        let [few, many] = [count(name, ROUNDS[0])?, count(name, ROUNDS[1])?];
        println!("{:>12}  {name}", (many - few) / (ROUNDS[1] - ROUNDS[0]));
    }
    Ok(())
}

fn run(name: &str, rounds: u64) {
    let mut scenario = scenario(name);
    for _ in 0..rounds {
        scenario.prepare();
        measured(&mut *scenario);
    }
}

/// What callgrind counts.
#[inline(never)]
fn measured(scenario: &mut dyn Scenario) {
    scenario.run();
}

/// Instructions of that many rounds.
fn count(name: &str, rounds: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*instructions::measured*",
        ])
        .arg(std::env::current_exe()?)
        .args([name, &rounds.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not run ({error}): install it"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    match collected {
        Some((_, count)) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("{name}: valgrind ended with {} and said:\n{report}", output.status).into()),
    }
}
