//! The interval log: the latency of each interval of each stage as HdrHistogram V2, as its tools read it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::error::Error;
use crate::stage::StageResult;

/// Intervals gathered for the log.
pub struct Log {
    started: SystemTime,
    intervals: Vec<Entry>,
    elapsed: Duration,
}

struct Entry {
    start: Duration,
    length: Duration,
    offered_tps: f64,
    latency: Histogram<u64>,
}

impl Log {
    /// An empty log of a run that began at this time.
    pub fn new(started: SystemTime) -> Self {
        Self { started, intervals: Vec::new(), elapsed: Duration::ZERO }
    }

    /// Adds the intervals of a stage; stages follow each other without the drains between them.
    pub fn add(&mut self, result: &StageResult) {
        for (interval, latency) in result.stage.intervals.iter().zip(&result.latencies) {
            self.intervals.push(Entry {
                start: self.elapsed + Duration::from_secs_f64(interval.start_s),
                length: Duration::from_secs_f64(interval.length_s),
                offered_tps: result.stage.offered_tps,
                latency: latency.clone(),
            });
        }
        self.elapsed += Duration::from_secs_f64(result.stage.duration_s);
    }

    /// Writes the log: values in nanoseconds, the maximum column in milliseconds, the tag is the offered rate.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let fail = |error| Error::file("write", path, error);
        let mut file = BufWriter::new(File::create(path).map_err(fail)?);
        let mut serializer = V2Serializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment(
            "Shingle loadgen: latency from the intended time, nanoseconds; tag: offered reads/s",
        );
        builder.with_start_time(self.started).with_max_value_divisor(1e6);
        let other = |error: String| fail(std::io::Error::other(error));
        {
            let mut log = builder.begin_log_with(&mut file, &mut serializer).map_err(fail)?;
            for entry in &self.intervals {
                let tag = format!("{:.0}", entry.offered_tps);
                log.write_histogram(&entry.latency, entry.start, entry.length, Tag::new(&tag))
                    .map_err(|error| other(format!("{error:?}")))?;
            }
        }
        file.flush().map_err(fail)
    }
}
