//! The public means of Twitter's cache clusters (data/twitter-2020Mar.csv names source and licence).
//!
//! Only means are public, so a preset is a *model around them*: every key has the mean length, value sizes
//! are one byte plus a log-normal with the mean left over and sigma 1, TTLs follow the published shares, and
//! popularity is Zipf with the published exponent.

use std::fmt;

/// One cluster's means of March 2020, from Yang, Yue and Vinayak, "A large scale analysis of hundreds of
/// in-memory cache clusters at Twitter", OSDI 2020 (CC BY 4.0).
#[derive(Clone, Debug, PartialEq)]
pub struct TwitterCluster {
    /// Number of the cluster, from 1.
    pub number: u32,
    /// Mean key size, bytes.
    pub key_bytes_mean: u32,
    /// Mean value size, bytes.
    pub value_bytes_mean: u32,
    /// Zipf exponent of popularity.
    pub zipf_alpha: f64,
    /// Common TTLs, seconds, with the share of writes that use each; the shares may sum to less than 1.
    pub ttl_seconds: Vec<(u32, f64)>,
}

const DATA: &str = include_str!("../../data/twitter-2020Mar.csv");

impl TwitterCluster {
    /// The cluster named `clusterNN`, or what to type instead.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        // As the option's help writes it, cluster01, and as the table does, cluster1.
        let plain =
            name.strip_prefix("cluster").map(|number| format!("cluster{}", number.trim_start_matches('0')));
        rows().find(|row| row.split(',').next() == plain.as_deref()).and_then(parse).ok_or_else(|| {
            let known: Vec<String> = all().map(|c| c.number.to_string()).collect();
            format!(
                "{name} is unknown or its means were not published; give clusterNN, NN one of {}",
                known.join(" ")
            )
        })
    }
}

impl fmt::Display for TwitterCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster{}", self.number)
    }
}

/// Every cluster whose means were all published.
pub(super) fn all() -> impl Iterator<Item = TwitterCluster> {
    rows().filter_map(parse)
}

fn rows() -> impl Iterator<Item = &'static str> {
    DATA.lines().filter(|line| line.starts_with("cluster") && line.as_bytes()[7].is_ascii_digit())
}

/// One row, or nothing when a field it needs is empty.
fn parse(row: &str) -> Option<TwitterCluster> {
    let mut fields = row.split(',');
    Some(TwitterCluster {
        number: fields.next()?.strip_prefix("cluster")?.parse().ok()?,
        key_bytes_mean: fields.next()?.parse().ok()?,
        value_bytes_mean: fields.next()?.parse().ok()?,
        zipf_alpha: fields.next()?.parse().ok()?,
        ttl_seconds: fields.next()?.split_ascii_whitespace().map(ttl).collect::<Option<_>>()?,
    })
}

fn ttl(pair: &str) -> Option<(u32, f64)> {
    let (seconds, share) = pair.split_once(':')?;
    Some((seconds.parse().ok()?, share.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_but_the_three_with_unpublished_means() {
        assert_eq!(rows().count(), 54);
        let missing: Vec<u32> = (1..=54).filter(|n| !all().any(|c| c.number == *n)).collect();
        assert_eq!(missing, [5, 43, 46]);
    }

    #[test]
    fn a_cluster_has_the_published_numbers() {
        let cluster = TwitterCluster::find("cluster52").unwrap();
        assert_eq!((cluster.key_bytes_mean, cluster.value_bytes_mean, cluster.zipf_alpha), (20, 273, 1.2117));
        assert_eq!(cluster.ttl_seconds, [(86_400, 0.65), (1_209_600, 0.27), (43_200, 0.07)]);
    }

    #[test]
    fn a_number_may_have_a_leading_zero() {
        assert_eq!(TwitterCluster::find("cluster01"), TwitterCluster::find("cluster1"));
    }

    #[test]
    fn unknown_clusters_are_told_which_ones_work() {
        for name in ["cluster5", "cluster05", "cluster0", "cluster55", "cluster", "", "5"] {
            let error = TwitterCluster::find(name).unwrap_err();
            assert!(error.contains(" 1 2 3 4 6 ") && error.ends_with(" 54"), "{name}: {error}");
        }
    }
}
