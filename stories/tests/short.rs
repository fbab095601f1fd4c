//! All stories in their short form, told by the program itself. Where the rights or tools of a laboratory are missing it is skipped, and says
//! so; with SHINGLE_REQUIRE_LAB=1 it fails then.

use std::process::Command;

use shingle_netlab::skip;

const NOT_HELD: i32 = 1;
const NOT_TOLD: i32 = 2;

/// What errors say where rights, tools or IPv6 are missing.
const MISSING: [&str; 2] = ["the laboratory needs", "this machine's kernel has no IPv6"];

#[test]
fn every_story_holds() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_stories")).args(["--short", "--quiet"]).output().expect("run");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // Only what this machine lacks is no fault of the stories.
    let missing = text.lines().chain(errors.lines()).find(|line| MISSING.iter().any(|it| line.contains(it)));
    match (output.status.code(), missing) {
        (Some(0), _) => println!("{text}"),
        (Some(NOT_TOLD), Some(missing)) => skip::unless_required(skip::REQUIRE_LAB, missing.trim()),
        (Some(NOT_HELD), _) => panic!("some stories did not hold\n{text}"),
        (status, _) => panic!("status {status:?}\n{text}\n{errors}"),
    }
}
