//! `--values`: which values are stored, as typed.

use super::error::WorkloadError;
use super::limits::VALUE_BYTES_CEILING;
use super::twitter::TwitterCluster;
use super::units;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What is stored. Parsing checks everything but the contents of files, which [`ItemSpace`](super::ItemSpace)
/// reads.
///
/// A spec sets the sizes of values; some also bring key sizes, TTLs and a default order of reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ValueSpec {
    /// Metadata of stored objects: 3.5 % of answers are a little above 1472 bytes of UDP payload, the rest
    /// have a few hundred bytes. The default.
    #[default]
    ObjectMetadata,
    /// Facebook's general-purpose pool: key and value sizes as modelled in section 5 of Atikoglu et al.,
    /// "Workload Analysis of a Large-Scale Key-Value Store", SIGMETRICS 2012.
    Etc,
    /// Facebook's user-account pool (same paper, section 3): keys of 16 and 21 bytes, values of 2 bytes.
    Usr,
    /// Every value has this many bytes.
    Fixed(u32),
    /// Two sizes.
    Bimodal {
        /// Bytes of most values.
        small_bytes: u32,
        /// Bytes of the others; not less than `small_bytes`.
        large_bytes: u32,
        /// Share of large values, 0 to 1.
        large_share: f64,
    },
    /// Sizes and their weights, from a file of lines `SIZE WEIGHT` or `LO-HI WEIGHT`.
    Histogram(PathBuf),
    /// Items and reads of a Twitter cache trace, from an uncompressed CSV file.
    Trace(PathBuf),
    /// A model around the public means of one Twitter cluster.
    Twitter(TwitterCluster),
}

const WHAT: &str = "--values";
const CHOICES: &str = "give object-metadata, etc, usr, fixed:BYTES, bimodal:SMALL,LARGE,SHARE \
                       (bimodal:400,4000,3.5%), histogram:FILE, trace:FILE or twitter:clusterNN";

impl FromStr for ValueSpec {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let invalid = |way_out: String| WorkloadError::invalid(WHAT, text, way_out);
        let path = |path: &str| {
            if path.is_empty() {
                return Err(invalid(format!("the file is missing; give {name}:FILE")));
            }
            Ok(PathBuf::from(path))
        };
        match (name, argument) {
            ("object-metadata", None) => Ok(Self::ObjectMetadata),
            ("etc", None) => Ok(Self::Etc),
            ("usr", None) => Ok(Self::Usr),
            ("fixed", Some(size)) => value_bytes(size).map(Self::Fixed).map_err(invalid),
            ("bimodal", Some(parts)) => bimodal(parts).map_err(invalid),
            ("histogram", Some(file)) => path(file).map(Self::Histogram),
            ("trace", Some(file)) => path(file).map(Self::Trace),
            ("twitter", Some(cluster)) => TwitterCluster::find(cluster).map(Self::Twitter).map_err(invalid),
            _ => Err(invalid(CHOICES.into())),
        }
    }
}

impl fmt::Display for ValueSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ObjectMetadata => f.write_str("object-metadata"),
            Self::Etc => f.write_str("etc"),
            Self::Usr => f.write_str("usr"),
            Self::Fixed(bytes) => write!(f, "fixed:{bytes}"),
            Self::Bimodal { small_bytes, large_bytes, large_share } => {
                write!(f, "bimodal:{small_bytes},{large_bytes},{}", units::format_percent(*large_share))
            }
            Self::Histogram(path) => write!(f, "histogram:{}", path.display()),
            Self::Trace(path) => write!(f, "trace:{}", path.display()),
            Self::Twitter(cluster) => write!(f, "twitter:{cluster}"),
        }
    }
}

fn bimodal(parts: &str) -> Result<ValueSpec, String> {
    let [small, large, share] = parts.split(',').collect::<Vec<_>>()[..] else {
        return Err(
            "three parts are needed; give bimodal:SMALL,LARGE,SHARE such as bimodal:400,4000,3.5%".into()
        );
    };
    let (small_bytes, large_bytes) = (value_bytes(small)?, value_bytes(large)?);
    if small_bytes > large_bytes {
        return Err(format!("{small} is larger than {large}; give the smaller size first"));
    }
    let large_share = units::parse_percent(share).map_err(|e| e.to_string())?;
    Ok(ValueSpec::Bimodal { small_bytes, large_bytes, large_share })
}

fn value_bytes(text: &str) -> Result<u32, String> {
    let bytes = units::parse_bytes(text).map_err(|e| e.to_string())?;
    u32::try_from(bytes).ok().filter(|&b| b <= VALUE_BYTES_CEILING).ok_or_else(|| {
        format!(
            "{text} is no size of a value; give 0 to {VALUE_BYTES_CEILING} bytes ({})",
            units::format_bytes(VALUE_BYTES_CEILING.into())
        )
    })
}
