//! Tests that cannot run on this machine: skipped where everybody sees it, or a failure where they are required.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::thread;

/// Variable of the environment that, set to 1, makes a laboratory that cannot be had a failure.
pub const REQUIRE_LAB: &str = "SHINGLE_REQUIRE_LAB";

/// Says that the test on this thread is skipped, and why, unless this variable of the environment is 1.
///
/// # Panics
/// If it is: what is required is missing.
pub fn unless_required(variable: &str, missing: impl Display) {
    assert!(
        !is_required(env::var_os(variable).as_deref()),
        "{variable}=1 requires what is missing: {missing}"
    );
    say(missing);
}

fn is_required(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "1")
}

/// Says that the test on this thread is skipped, and why.
pub fn say(why: impl Display) {
    // The test's name, where the harness gives each test a thread.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // The harness swallows what passing tests print by `eprintln!`: a skip must be seen.
    let line = format!("skipped: {test}: {}\n", why.to_string().trim());
    // Nobody reads it: then nobody minds.
    let _ = io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_requires() {
        assert!(is_required(Some(OsStr::new("1"))));
        assert!(![None, Some("0"), Some("")].map(|value| value.map(OsStr::new)).into_iter().any(is_required));
    }
}
