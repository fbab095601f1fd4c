//! Specs and units as text: every value comes back as it was, every error says what to type instead.

use proptest::prelude::*;
use shingle_loadgen::workload::units::{
    Rate, format_bytes, format_count, format_duration, format_percent, parse_bytes, parse_count,
    parse_duration, parse_percent,
};
use shingle_loadgen::workload::{Arrivals, KeySpec, ValueSpec};
use std::time::Duration;

#[test]
fn units_mean_what_people_expect() {
    assert_eq!(parse_count("100k"), Ok(100_000));
    assert_eq!(parse_count("2M"), Ok(2_000_000));
    assert_eq!(parse_count("1.5k"), Ok(1_500));
    assert_eq!("50k".parse(), Ok(Rate::PerSecond(50_000)));
    assert_eq!("max".parse(), Ok(Rate::Max));
    assert_eq!(parse_bytes("256MiB"), Ok(256 << 20));
    assert_eq!(parse_bytes("1MB"), Ok(1_000_000));
    assert_eq!(parse_bytes("4096"), Ok(4096));
    assert_eq!(parse_bytes("0"), Ok(0));
    assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(parse_duration("100ms"), Ok(Duration::from_millis(100)));
    assert_eq!(parse_duration("1m"), Ok(Duration::from_secs(60)));
    assert_eq!(parse_duration("0.5s"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_percent("0.5%"), Ok(0.005));
    assert_eq!(parse_percent("3.5%").map(format_percent), Ok("3.5%".into()));
    assert_eq!((format_bytes(256 << 20), format_bytes(0)), ("256MiB".into(), "0".into()));
    assert_eq!(format_duration(Duration::from_millis(90_000)), "90s");
}

#[test]
fn bad_units_are_answered_with_what_is_expected() {
    for text in [
        "",
        "0",
        "k",
        "-1",
        "1.5",
        "1e3",
        "100K",
        " 5",
        "1.",
        ".5k",
        "2G",
        "99999999999999999999",
        "1.0005k",
        "五",
    ] {
        let error = parse_count(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("'{text}' is not a count from 1 to 1G; give")), "{error}");
    }
    for text in ["", "0", "Max", "200M", "-5"] {
        assert!(text.parse::<Rate>().unwrap_err().to_string().contains("from 1 to 100M reads per second"));
    }
    for text in ["1mb", "1.5", "MiB", "16777216TiB", "18446744073709551615"] {
        assert!(parse_bytes(text).unwrap_err().to_string().contains(&format!("'{text}' is not")));
    }
    for text in ["10", "0s", "1d", "s", "-1s", "600000000000000h", "0.1ns"] {
        assert!(parse_duration(text).unwrap_err().to_string().contains("unit of ns us ms s m h"), "{text}");
    }
    for text in ["5", "%", "-1%", "101%", "NaN%", "inf%", "1e1%", "1.2.3%"] {
        assert!(parse_percent(text).unwrap_err().to_string().contains("from 0% to 100%"), "{text}");
    }
}

#[test]
fn value_specs_come_back_as_typed() {
    for text in [
        "object-metadata",
        "etc",
        "usr",
        "fixed:0",
        "fixed:16777216",
        "bimodal:400,4000,3.5%",
        "histogram:sizes.txt",
        "trace:/tmp/a:b,c.csv",
        "twitter:cluster52",
    ] {
        assert_eq!(text.parse::<ValueSpec>().unwrap().to_string(), text);
    }
    assert_eq!("fixed:64KiB".parse::<ValueSpec>().unwrap(), ValueSpec::Fixed(65_536));
    assert_eq!(ValueSpec::default().to_string(), "object-metadata");
}

#[test]
fn bad_value_specs_say_what_to_type_instead() {
    for (text, says) in [
        ("", "give object-metadata, etc, usr"),
        ("large", "give object-metadata, etc, usr"),
        ("etc:5", "give object-metadata, etc, usr"),
        ("fixed", "fixed:BYTES"),
        ("fixed:", "'' is not a whole number of bytes"),
        ("fixed:-1", "'-1' is not a whole number of bytes"),
        ("fixed:17MiB", "give 0 to 16777216 bytes"),
        ("bimodal:1,2", "bimodal:400,4000,3.5%"),
        ("bimodal:4000,400,1%", "give the smaller size first"),
        ("bimodal:400,4000,3.5", "a percentage from 0% to 100%"),
        ("histogram:", "give histogram:FILE"),
        ("trace:", "give trace:FILE"),
        ("twitter:cluster5", "one of 1 2 3 4 6"),
        ("twitter:cluster99", "one of 1 2 3 4 6"),
    ] {
        let error = text.parse::<ValueSpec>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("--values '{text}'")) && error.contains(says), "{text}: {error}");
    }
}

#[test]
fn key_and_arrival_specs_come_back_as_typed_or_say_what_to_type() {
    for text in ["uniform", "zipf:0", "zipf:0.99", "zipf:1", "zipf:10", "trace"] {
        assert_eq!(text.parse::<KeySpec>().unwrap().to_string(), text);
    }
    for text in ["zipf", "zipf:", "zipf:-0.1", "zipf:10.1", "zipf:NaN", "zipf:x", "Uniform", "uniform:1", ""]
    {
        let error = text.parse::<KeySpec>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("--keys '{text}'")) && error.contains("zipf:"), "{error}");
    }
    for text in ["poisson", "constant"] {
        assert_eq!(text.parse::<Arrivals>().unwrap().to_string(), text);
    }
    assert!("uniform".parse::<Arrivals>().unwrap_err().to_string().contains("give poisson or constant"));
}

proptest! {
    #[test]
    fn formatted_units_come_back(
        count in 1..=1_000_000_000_u64,
        rate in 1..=100_000_000_u64,
        bytes in 0..=1_u64 << 63,
        ns in 1..u64::MAX,
    ) {
        prop_assert_eq!(parse_count(&format_count(count)), Ok(count));
        prop_assert_eq!(Rate::PerSecond(rate).to_string().parse(), Ok(Rate::PerSecond(rate)));
        prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        let duration = Duration::from_nanos(ns);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn round_numbers_come_back(count in 1..1_000_u64, zeros in 0..6_u32) {
        let count = count * 10_u64.pow(zeros);
        prop_assert_eq!(parse_count(&format_count(count)), Ok(count));
        prop_assert_eq!(parse_bytes(&format_bytes(count)), Ok(count));
    }

    #[test]
    fn percentages_come_back_as_short_as_typed(thousandths in 0..=100_000_u32) {
        let text = format!("{}%", f64::from(thousandths) / 1000.0);
        prop_assert_eq!(format_percent(parse_percent(&text).unwrap()), text);
    }

    #[test]
    fn bimodal_comes_back(small in 0..1_000_u32, more in 0..10_000_u32, tenths in 0..=1_000_u32) {
        let text = format!("bimodal:{small},{},{}%", small + more, f64::from(tenths) / 10.0);
        prop_assert_eq!(text.parse::<ValueSpec>().unwrap().to_string(), text);
    }

    #[test]
    fn no_text_makes_a_panic(
        text in ".{0,40}",
        near in "(fixed:|bimodal:|twitter:cluster|zipf:|)[0-9.,%kMGiB-]{0,30}",
    ) {
        for text in [&text, &near] {
            let _ = (text.parse::<ValueSpec>(), text.parse::<KeySpec>());
            let _ = (text.parse::<Arrivals>(), text.parse::<Rate>());
            let _ = (parse_count(text), parse_bytes(text), parse_duration(text), parse_percent(text));
        }
    }
}
