//! Workloads from files: what good ones mean, and what is said of bad ones.

use proptest::prelude::*;
use shingle_loadgen::workload::{
    ItemSpace, KeySampler, KeySpec, Sizing, Stream, TraceSummary, ValueSpec, WorkloadError,
};
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

const SIZING: Sizing = Sizing { answer_overhead_bytes: 48, value_bytes_max: 10_000 };

fn fixture(kind: &str, name: &str, items: u32) -> Result<ItemSpace, WorkloadError> {
    let path = format!("{kind}:{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    ItemSpace::new(&path.parse().unwrap(), items, 1, SIZING)
}

/// The space, or error text, that a file of these bytes gives.
fn read(kind: fn(std::path::PathBuf) -> ValueSpec, bytes: &[u8]) -> Result<ItemSpace, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    ItemSpace::new(&kind(file.path().to_owned()), 100, 1, SIZING).map_err(|e| e.to_string())
}

#[test]
fn a_histogram_sets_the_shares_of_sizes() {
    let space = fixture("histogram", "histogram-good.txt", 1_000).unwrap();
    let mut by_size = HashMap::new();
    (0..1_000).for_each(|i| *by_size.entry(space.value_bytes(i)).or_insert(0) += 1);
    assert_eq!((by_size[&100], by_size[&5000]), (500, 100));
    assert!((200..300).all(|size| by_size[&size] == 4), "a range is even: {by_size:?}");
    assert_eq!(space.default_keys(), KeySpec::Uniform);
}

#[test]
fn a_bad_histogram_line_is_shown_with_its_number() {
    let error = fixture("histogram", "histogram-bad-size.txt", 10).unwrap_err().to_string();
    assert!(error.contains("histogram-bad-size.txt:2: size 'x'"), "{error}");
    assert!(error.contains("0 to 10000") && error.ends_with("found '200-x 40'"), "{error}");
    for (text, says) in [
        ("", "the weights sum to 0"),
        ("# nothing\n\n", "the weights sum to 0"),
        ("5 0", "the weights sum to 0"),
        ("5", ":1: expected 'SIZE WEIGHT'"),
        ("5 1 2", ":1: expected 'SIZE WEIGHT'"),
        ("5 1\n10001 1", ":2: size '10001' is not"),
        ("-5 1", ":1: size ''"),
        ("9-5 1", "begins above its end; give 5-9"),
        ("5 -1", "weight '-1'"),
        ("5 inf", "weight 'inf'"),
        ("5 NaN", "weight 'NaN'"),
    ] {
        let error = read(ValueSpec::Histogram, text.as_bytes()).unwrap_err();
        assert!(error.contains(says), "{text:?}: {error}");
    }
    assert!(
        read(ValueSpec::Histogram, b"5 1\n\xff\xfe 1").unwrap_err().contains(":2: the line is not UTF-8")
    );
    assert!(read(ValueSpec::Histogram, &[b'#'; 5_000]).unwrap_err().contains("longer than 4096"));
}

#[test]
fn weights_of_zero_are_never_drawn() {
    let space = read(ValueSpec::Histogram, b"1 0\n2 1\n3 0\n4 1\n5 0\n").unwrap();
    assert_eq!((0..100).filter(|&i| space.value_bytes(i) == 2).count(), 50);
    assert_eq!((0..100).filter(|&i| space.value_bytes(i) == 4).count(), 50);
}

#[test]
fn a_trace_gives_items_and_the_order_of_reads() {
    let space = fixture("trace", "trace-good.csv", 100).unwrap();
    let items: Vec<_> =
        (0..space.items()).map(|i| (space.key_bytes(i), space.value_bytes(i), space.ttl(i))).collect();
    let seconds = |s| Some(Duration::from_secs(s));
    // The last key is 300 bytes long in the trace; keys end at 250.
    assert_eq!(items, [(20, 300, seconds(3600)), (31, 2500, seconds(60)), (12, 10, None), (250, 17, None)]);
    assert_eq!(
        space.trace(),
        Some(TraceSummary { lines: 9, reads: 5, reads_left_out: 0, other_operations: 4 })
    );
    assert_eq!(space.default_keys(), KeySpec::Trace);

    let mut keys = KeySampler::new(&KeySpec::Trace, &space, 1, Stream::WHOLE).unwrap();
    let order: Vec<u32> = (0..7).map(|_| keys.next_item()).collect();
    assert_eq!(order, [0, 1, 0, 1, 3, 0, 1], "from the beginning again after the end");
}

#[test]
fn streams_replay_a_trace_together() {
    let space = fixture("trace", "trace-good.csv", 100).unwrap();
    let mut streams: Vec<KeySampler> =
        (0..2).map(|i| KeySampler::new(&KeySpec::Trace, &space, 1, Stream::new(i, 2)).unwrap()).collect();
    let order: Vec<u32> = (0..10).map(|read| streams[read % 2].next_item()).collect();
    assert_eq!(order, [0, 1, 0, 1, 3, 0, 1, 0, 1, 3]);
}

#[test]
fn a_trace_of_more_keys_than_items_is_cut_and_says_so() {
    let space = fixture("trace", "trace-good.csv", 2).unwrap();
    assert_eq!(space.items(), 2);
    assert_eq!(
        space.trace(),
        Some(TraceSummary { lines: 9, reads: 4, reads_left_out: 1, other_operations: 4 })
    );
}

#[test]
fn a_bad_trace_line_is_shown_with_its_number() {
    let error = fixture("trace", "trace-bad-size.csv", 10).unwrap_err().to_string();
    assert!(error.contains("trace-bad-size.csv:2: value size is not a whole number"), "{error}");
    assert!(error.ends_with("found '0,bbbb,20,much,1,get,0'"), "{error}");
    for (text, says) in [
        ("0,k,1,1,1,get,0\n\n", ":2: too few fields; expected timestamp,anonymized key"),
        ("1,1,1,1,get,0", ":1: too few fields"),
        ("k,20,3,1,get,0", ":1: too few fields"),
        ("0,,1,1,1,get,0", ":1: the key is empty"),
        ("x,k,1,1,1,get,0", ":1: timestamp is not"),
        ("0,k,-1,1,1,get,0", ":1: key size is not"),
        ("0,k,1,1,1,get,9999999999", ":1: TTL is not"),
        ("0,k,1,1,1,peek,0", ":1: unknown operation; expected one of get gets set"),
        ("", "no read (get, gets) of a kept key in 0 lines"),
        ("0,k,1,1,1,set,0", "no read (get, gets) of a kept key in 1 lines"),
        ("\u{1f}\u{8b}", "too few fields"),
    ] {
        let error = read(ValueSpec::Trace, text.as_bytes()).unwrap_err();
        assert!(error.contains(says), "{text:?}: {error}");
    }
    assert!(read(ValueSpec::Trace, b"\x1f\x8b\x08xx").unwrap_err().contains("decompress it first: gunzip"));
    assert!(
        read(ValueSpec::Trace, b"\x28\xb5\x2f\xfdx").unwrap_err().contains("decompress it first: unzstd")
    );
    assert!(read(ValueSpec::Trace, &[b'x'; 9_000]).unwrap_err().contains(":1: the line is longer than 4096"));
    assert!(read(ValueSpec::Trace, b"0,k,1,1,1,get,0\r\n").is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for spec in ["trace:/nonexistent/x", "histogram:/nonexistent/x"] {
        let error = ItemSpace::new(&spec.parse().unwrap(), 10, 1, SIZING).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/x: cannot be read: "), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_makes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(ValueSpec::Trace, &bytes);
        let _ = read(ValueSpec::Histogram, &bytes);
    }

    #[test]
    fn nearly_right_lines_make_no_panic(text in "([0-9]{1,11}[ ,-]|get,|k,|\n){0,40}") {
        let _ = read(ValueSpec::Trace, text.as_bytes());
        let _ = read(ValueSpec::Histogram, text.as_bytes());
    }
}
