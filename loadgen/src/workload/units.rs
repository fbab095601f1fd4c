//! Counts, rates, sizes, durations and percentages as people type them.
//!
//! Each `parse_` has a `format_` that gives back a text of the same value. Errors name the text found, the
//! range and an example. Numbers may have decimals as long as the value is whole (`1.5k` is 1500).

use super::error::shorten;
use super::limits::{ITEMS_MAX, RATE_PER_S_MAX};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text that is no such number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not {expected}")]
pub struct UnitError {
    found: String,
    expected: String,
}

impl UnitError {
    fn new(found: &str, expected: impl Into<String>) -> Self {
        Self { found: shorten(found.as_bytes()), expected: expected.into() }
    }
}

/// How many reads per second to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// This many, by a schedule (open loop).
    PerSecond(u64),
    /// As many as go with a bounded number outstanding (closed loop): `max`.
    Max,
}

const COUNTS: [(&str, u64); 4] = [("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

const BYTES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

const NANOSECONDS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A number of items: `100000`, `100k`, `2M`; from 1 to 1 G.
///
/// # Errors
/// If `text` is no such number.
pub fn parse_count(text: &str) -> Result<u64, UnitError> {
    scaled(text, &COUNTS).filter(|n| (1..=ITEMS_MAX).contains(n)).ok_or_else(|| {
        UnitError::new(
            text,
            format!("a count from 1 to {}; give one such as 5000, 100k or 2M", format_count(ITEMS_MAX)),
        )
    })
}

/// A count in the largest unit that leaves it whole.
pub fn format_count(count: u64) -> String {
    largest_unit(count, &COUNTS)
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let rate = scaled(text, &COUNTS).filter(|n| (1..=RATE_PER_S_MAX).contains(n));
        rate.map(Self::PerSecond).ok_or_else(|| {
            let most = format_count(RATE_PER_S_MAX);
            UnitError::new(
                text,
                format!("a rate from 1 to {most} reads per second; give one such as 500 or 50k, or max"),
            )
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(rate) => f.write_str(&format_count(*rate)),
            Self::Max => f.write_str("max"),
        }
    }
}

/// A number of bytes: `4096`, `1MB` (decimal), `256MiB` (binary).
///
/// # Errors
/// If `text` is no such number or above 2^63.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    scaled(text, &BYTES).filter(|n| *n <= 1 << 63).ok_or_else(|| {
        UnitError::new(text, "a whole number of bytes; give one such as 4096, 64KiB, 256MiB or 1GB (units: B kB MB GB KiB MiB GiB)")
    })
}

/// A number of bytes in the largest unit that leaves it whole.
pub fn format_bytes(bytes: u64) -> String {
    largest_unit(bytes, &BYTES)
}

/// A duration: `100ms`, `10s`, `1m`, `1.5h`; from 1 ns to about 584 years.
///
/// # Errors
/// If `text` is no such duration.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    scaled(text, &NANOSECONDS).filter(|n| *n > 0).map(Duration::from_nanos).ok_or_else(|| {
        UnitError::new(
            text,
            "a duration; give a number above 0 and a unit of ns us ms s m h, such as 100ms, 10s or 1m",
        )
    })
}

/// A duration in the largest unit that leaves it whole.
pub fn format_duration(duration: Duration) -> String {
    largest_unit(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), &NANOSECONDS)
}

/// A percentage such as `0.5%` as a share from 0 to 1.
///
/// # Errors
/// If `text` is no number from 0 to 100 with a percent sign.
pub fn parse_percent(text: &str) -> Result<f64, UnitError> {
    let number = text.strip_suffix('%').filter(|n| n.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    number
        .and_then(|n| n.parse::<f64>().ok())
        .filter(|n| (0.0..=100.0).contains(n))
        .map(|n| n / 100.0)
        .ok_or_else(|| {
            UnitError::new(
                text,
                "a percentage from 0% to 100%; give a number and a percent sign, such as 0.5%",
            )
        })
}

/// A share from 0 to 1 as the shortest percentage that means it.
pub fn format_percent(share: f64) -> String {
    let percent = share * 100.0;
    // Multiplying rounds: 0.035 * 100 is 3.5000000000000004. The fewest decimals that lead back are what was
    // typed.
    let short = (0..=20).map(|decimals| format!("{percent:.decimals$}"));
    let same = |text: &String| text.parse::<f64>().is_ok_and(|p| p / 100.0 == share);
    format!("{}%", short.into_iter().find(same).unwrap_or_else(|| percent.to_string()))
}

/// A number with decimals and the name of a unit, as a whole multiple of the smallest unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, decimals) = number.split_once('.').map_or((number, None), |(w, d)| (w, Some(d)));
    let whole = whole.parse::<u64>().ok()?.checked_mul(*factor)?;
    let Some(decimals) = decimals else { return Some(whole) };
    let denominator = 10_u128.checked_pow(decimals.len() as u32)?;
    let numerator = u128::from(decimals.parse::<u64>().ok()?) * u128::from(*factor);
    let part = (numerator % denominator == 0).then_some(numerator / denominator)?;
    whole.checked_add(part as u64)
}

fn largest_unit(number: u64, units: &[(&str, u64)]) -> String {
    let usable = |(_, factor): &&(&str, u64)| number.is_multiple_of(*factor) && number >= *factor;
    let (name, factor) = units.iter().rev().find(usable).unwrap_or(&units[0]);
    format!("{}{name}", number / factor)
}
