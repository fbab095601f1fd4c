//! The seeds a test goes through.

/// Environment variable that picks one seed.
const VARIABLE: &str = "NETLAB_SEED";

/// The seeds 0..`count`; or the one in the environment variable `NETLAB_SEED` alone (decimal, or hexadecimal after `0x`), to repeat a
/// failing run.
///
/// # Panics
/// If the variable is set to something that is no number.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let one = std::env::var(VARIABLE).ok().map(|text| {
        parse(&text).unwrap_or_else(|| {
            panic!("{VARIABLE} is {text:?}; give a number of 0 to 2^64-1, or 0x and 16 hexadecimal digits")
        })
    });
    let seeds = one.map_or_else(|| (0..count).collect(), |seed| vec![seed]);
    seeds.into_iter()
}

fn parse(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn seeds_are_read_in_both_notations() {
        assert_eq!(parse("42"), Some(42));
        assert_eq!(parse("0x2a"), Some(42));
        assert_eq!(parse("forty"), None);
    }
}
