//! Sizes and durations as people type them: `256MiB`, `100ms`.

use std::str::FromStr;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) usize);

const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let scale = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, scale)| scale);
        let bytes =
            number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(*scale));
        bytes.and_then(|bytes| usize::try_from(bytes).ok()).map(ByteSize).ok_or_else(|| {
            format!(
                "`{text}` is not a size: give bytes, or a whole number with KiB, MiB or GiB, such as 256MiB"
            )
        })
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let scale = match unit {
            "us" => Some(1),
            "ms" => Some(1000),
            "s" => Some(1_000_000),
            "m" | "min" => Some(60_000_000),
            _ => None,
        };
        let us = number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
        us.map(|us| Span(Duration::from_micros(us))).ok_or_else(|| {
            format!("`{text}` is not a duration: give a whole number with us, ms, s or m, such as 100ms")
        })
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("7", 7), ("1KiB", 1024), ("256MiB", 256 << 20), ("2gib", 2 << 30), ("3KB", 3000)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "-1", "1 MiB", "1TiB", "99999999999999999999", "99999999999GiB"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains("256MiB"), "{error}");
        }
    }

    #[test]
    fn durations() {
        for (text, us) in [("1us", 1), ("100ms", 100_000), ("2s", 2_000_000), ("1m", 60_000_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_micros(us))), "{text}");
        }
        for text in ["", "5", "s", "1h", "1.5s", "99999999999999999999s"] {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains("100ms"), "{error}");
        }
    }
}
