//! The committed seeds, run without a fuzzer; and any file named in `SHINGLE_FUZZ_INPUT`, to look at a finding: `TARGET=PATH`.

use std::path::Path;

type Run = fn(&[u8]);

const TARGETS: [(&str, Run); 5] = [
    ("parser", shingle_fuzz::parser::run),
    ("server", shingle_fuzz::server::run),
    ("client", shingle_fuzz::client::run),
    ("reassembly", shingle_fuzz::reassembly::run),
    ("search", shingle_fuzz::search::run),
];

#[test]
fn seeds_pass() {
    let mut seeds = 0;
    for (target, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            run(&std::fs::read(entry.expect("an entry").path()).expect("a seed"));
            seeds += 1;
        }
    }
    assert!(seeds > 50, "{seeds} seeds");
}

#[test]
fn a_named_input_passes() {
    let Ok(named) = std::env::var("SHINGLE_FUZZ_INPUT") else { return };
    let (target, path) = named.split_once('=').expect("TARGET=PATH");
    let run = TARGETS.iter().find(|(name, _)| *name == target).expect("a target").1;
    run(&std::fs::read(path).expect("a readable file"));
}
