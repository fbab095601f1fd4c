//! `histogram:FILE`: value sizes and their weights.

use super::error::WorkloadError;
use super::limits::LINE_BYTES_MAX;
use std::path::Path;

/// Sizes by weight, in the order of the file.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Smallest and largest size, bytes, and the weight of this line and all before it.
    bins: Vec<(u32, u32, f64)>,
}

impl Histogram {
    /// Reads a file of lines `SIZE WEIGHT` or `LO-HI WEIGHT` (sizes in bytes, spread evenly over LO-HI;
    /// weights are any numbers from 0); `#` begins a comment. No size may be above `value_bytes_max`.
    pub(super) fn read(path: &Path, value_bytes_max: u32) -> Result<Self, WorkloadError> {
        WorkloadError::check_regular(path)?;
        let text = std::fs::read(path)
            .map_err(|source| WorkloadError::Unreadable { path: path.to_owned(), source })?;
        let mut bins = Vec::new();
        let mut total = 0.0;
        for (line, number) in text.split(|&b| b == b'\n').zip(1..) {
            let fail = |problem: String| WorkloadError::line(path, number, problem, line);
            if line.len() > LINE_BYTES_MAX {
                return Err(fail(format!(
                    "the line is longer than {LINE_BYTES_MAX} bytes; is this a text file?"
                )));
            }
            let content = std::str::from_utf8(line).map_err(|_| fail("the line is not UTF-8 text".into()))?;
            let content = content.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let (smallest, largest, weight) = parse_line(content, value_bytes_max).map_err(fail)?;
            total += weight;
            bins.push((smallest, largest, total));
        }
        if !(total > 0.0 && total.is_finite()) {
            return Err(WorkloadError::file(
                path,
                format!(
                    "the weights sum to {total}; give at least one line 'SIZE WEIGHT' with a weight above 0"
                ),
            ));
        }
        Ok(Self { bins })
    }

    /// The size below which a share `u` of the weight lies, lines taken in the order of the file.
    pub(super) fn quantile(&self, u: f64) -> f64 {
        let total = self.bins.last().map_or(0.0, |bin| bin.2);
        let target = u * total;
        let found = self.bins.partition_point(|bin| bin.2 <= target).min(self.bins.len() - 1);
        let (smallest, largest, up_to) = self.bins[found];
        let before = if found == 0 { 0.0 } else { self.bins[found - 1].2 };
        let within = ((target - before) / (up_to - before)).clamp(0.0, 1.0);
        (f64::from(smallest) + (within * f64::from(largest - smallest + 1)).floor()).min(f64::from(largest))
    }
}

fn parse_line(line: &str, value_bytes_max: u32) -> Result<(u32, u32, f64), String> {
    let expected = "expected 'SIZE WEIGHT' or 'LO-HI WEIGHT'";
    let [sizes, weight] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(expected.into());
    };
    let (low, high) = sizes.split_once('-').unwrap_or((sizes, sizes));
    let size = |text: &str| match text.parse::<u32>() {
        Ok(bytes) if bytes <= value_bytes_max => Ok(bytes),
        _ => Err(format!(
            "size '{text}' is not a whole number of bytes from 0 to {value_bytes_max}, the value limit; {expected}"
        )),
    };
    let (smallest, largest) = (size(low)?, size(high)?);
    if smallest > largest {
        return Err(format!("the range begins above its end; give {largest}-{smallest}"));
    }
    match weight.parse::<f64>() {
        Ok(weight) if weight.is_finite() && weight >= 0.0 => Ok((smallest, largest, weight)),
        _ => Err(format!("weight '{weight}' is not a number from 0 up; {expected}")),
    }
}
