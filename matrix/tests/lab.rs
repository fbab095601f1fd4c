//! One run from end to end, by the program itself: made, kept, and attributed again from the file. Where the rights or tools of a laboratory are
//! missing it is skipped, and says so; with SHINGLE_REQUIRE_LAB=1 it fails then.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use shingle_matrix::kept::Kept;
use shingle_matrix::outcome::Named;
use shingle_netlab::skip;

const RUN: &str = "1:path_corruption:0";

/// What errors say where rights, tools or IPv6 are missing.
const MISSING: [&str; 2] = ["the laboratory needs", "this machine's kernel has no IPv6"];

fn matrix(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_matrix")).args(arguments).output().expect("run")
}

#[test]
fn a_run_can_be_kept_and_attributed_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let keep = directory.path().join("kept");
    let output = matrix(&["--rerun", RUN, "--keep", &keep.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr);
    if let Some(missing) = said.lines().find(|line| MISSING.iter().any(|it| line.contains(it))) {
        return skip::unless_required(skip::REQUIRE_LAB, missing.trim());
    }
    let file = only_file(&keep);
    let kept = Kept::read(&file).expect("a kept run");
    let outcome = &kept.outcome;
    assert_eq!(outcome.id, RUN);
    assert!(outcome.lost > 0 && outcome.reads > outcome.lost, "{said}");
    let named: u64 = outcome.named.iter().map(|named| named.reads).sum();
    assert_eq!(named, outcome.lost, "the sum over causes is what was lost\n{said}");
    let share = outcome.truth[0].numbers.iter().map(|number| number.value).fold(0.0, f64::max);
    assert!((0.02..0.15).contains(&share), "the laboratory counted what was set, 5.57 %: {share}\n{said}");
    let reads = |named: &[Named]| {
        named.iter().map(|named| (named.cause, named.direction, named.reads)).collect::<Vec<_>>()
    };
    assert_eq!(
        reads(&kept.explained().named),
        reads(&outcome.named),
        "attribution is a function of the books"
    );
    let explained = matrix(&["explain", &file.display().to_string()]);
    assert!(String::from_utf8_lossy(&explained.stdout).contains(RUN));
    assert!(matches!(explained.status.code(), Some(0 | 1)));
}

fn only_file(directory: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(directory).expect("kept").map(|entry| entry.expect("an entry").path());
    let file = files.next().expect("a file");
    assert_eq!(files.next(), None);
    file
}

#[test]
fn bad_usage_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = directory.path().join("other.json");
    fs::write(&other, "{}").expect("written");
    let other = other.display().to_string();
    for (arguments, words) in [
        (&["--only", "bad_luck"][..], &["bad_luck", "path_loss"][..]),
        (&["--rerun", "1:path_loss"], &["1:path_loss", "SEED:RECIPE:NUMBER"]),
        (&["explain", "/nowhere/run.json"], &["/nowhere/run.json"]),
        (&["explain", &other], &["--rerun", "other.json"]),
        (&["--sample", "--seed", "3"], &["--sample", "--seed"]),
    ] {
        let output = matrix(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }
}
