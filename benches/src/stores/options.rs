//! The command line of `stores`.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;

use super::candidates::{BASELINE, CANDIDATES, Named};
use super::limits::{BYTES_AN_ITEM, ITEMS_MAX, ROUNDS_MAX};

/// What can be measured, and in which order.
pub const SECTIONS: [(&str, &str); 8] = [
    ("memory", "bytes an item costs beside key and value; allocations of updates and reads"),
    ("flood", "whether a budget holds while new keys pour in"),
    ("reads", "hits a second: small and large stores, uniform and Zipf, one and two threads"),
    ("updates", "one reader beside one writer: rate, and the tail of single reads"),
    ("sets", "new keys, replaced values, new keys in a full cache"),
    ("torn", "values that prove themselves, read while they are replaced"),
    ("policies", "hit ratios of eviction policies, simulated"),
    ("quality", "hit ratios of the candidates"),
];

/// Compares candidates for the cache's store, side by side in one run.
#[derive(Debug, Parser)]
#[command(name = "stores")]
pub struct Options {
    /// Print sections and candidates, measure nothing.
    #[arg(long)]
    pub list: bool,
    /// Sections to measure, by commas; all unless given.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Candidates to measure, by commas; all unless given. The baseline always takes part.
    #[arg(long, value_delimiter = ',')]
    pub candidates: Vec<String>,
    /// Items of the large stores: some 400 B of memory each, for each candidate.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=i64::from(ITEMS_MAX)))]
    pub items: u32,
    /// Rounds of timed sections.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=i64::from(ROUNDS_MAX)))]
    pub rounds: u32,
    /// Write everything as JSON, too.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// What a child process measures: cost or flood, candidate, items, overhead.
    #[arg(long, num_args = 4, hide = true)]
    pub child: Option<Vec<String>>,
}

impl Options {
    /// Whether a section is to be measured.
    #[must_use]
    pub fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == section)
    }

    /// The candidates that take part.
    ///
    /// # Errors
    /// If a section or candidate is unknown.
    pub fn chosen(&self) -> Result<Vec<&'static Named>, Box<dyn Error>> {
        let sections = SECTIONS.map(|(name, _)| name);
        for only in &self.only {
            if !sections.contains(&&**only) {
                return Err(format!("--only {only}: no such section; give some of {}", sections.join(",")))
                    .map_err(Into::into);
            }
        }
        let names: Vec<_> = CANDIDATES.iter().map(|named| named.name).collect();
        for candidate in &self.candidates {
            if !names.contains(&&**candidate) {
                return Err(format!(
                    "--candidates {candidate}: no such candidate; give some of {}",
                    names.join(",")
                )
                .into());
            }
        }
        let chosen =
            |named: &&Named| named.name == BASELINE || self.candidates.iter().any(|name| name == named.name);
        Ok(CANDIDATES.iter().filter(|named| self.candidates.is_empty() || chosen(named)).collect())
    }

    /// Refuses what does not fit into memory: timed sections hold all candidates at once.
    ///
    /// # Errors
    /// If the memory available is less than needed.
    pub fn check_memory(
        &self,
        candidates: usize,
        available_bytes: Option<u64>,
    ) -> Result<u64, Box<dyn Error>> {
        let needed = u64::from(self.items) * BYTES_AN_ITEM * candidates as u64;
        match available_bytes {
            Some(available) if available < needed => Err(format!(
                "{candidates} candidates with --items {} need about {} MiB and {} MiB are available; give fewer items or choose --candidates",
                self.items, needed >> 20, available >> 20
            ).into()),
            _ => Ok(needed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["stores"], arguments].concat()).unwrap()
    }

    #[test]
    fn unknown_names_are_refused_with_those_there_are() {
        let refused = |arguments| parse(arguments).chosen().err().unwrap().to_string();
        assert!(
            refused(&["--only", "reads,wrong"])
                .contains("--only wrong: no such section; give some of memory,")
        );
        assert!(refused(&["--candidates", "redis"]).contains("--candidates redis"));
        assert!(Options::try_parse_from(["stores", "--rounds", "0"]).is_err());
        assert!(Options::try_parse_from(["stores", "--items", "9999"]).is_err());
    }

    #[test]
    fn the_baseline_always_takes_part() {
        let names =
            |arguments| parse(arguments).chosen().unwrap().iter().map(|named| named.name).collect::<Vec<_>>();
        assert_eq!(names(&["--candidates", "moka"]), [BASELINE, "moka"]);
        assert_eq!(names(&[]).len(), CANDIDATES.len());
    }

    #[test]
    fn too_little_memory_is_named_with_what_is_needed() {
        let error = parse(&["--items", "1000000"]).check_memory(8, Some(1 << 30)).err().unwrap().to_string();
        assert!(error.contains("1024 MiB are available"), "{error}");
        assert!(parse(&[]).check_memory(8, None).is_ok());
    }
}
