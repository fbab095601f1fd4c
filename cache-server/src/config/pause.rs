//! Pauses injected on purpose, `DURATION/INTERVAL`: what garbage collection did to the cache's ancestor.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::ConfigError;
use super::units::Span;
use crate::limits::PAUSE_INTERVAL_MIN;

/// All threads stop for `duration` at the end of each `interval` since the start, all at the same time, as a collector that stops the
/// world does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// How long they stand still; shorter than the interval.
    pub duration: Duration,
    /// From the end of one pause to the end of the next.
    pub interval: Duration,
}

impl Pause {
    /// Checks that it leaves time to work.
    ///
    /// # Errors
    /// [`ConfigError::Pause`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let Pause { duration, interval } = *self;
        if duration.is_zero() || duration >= interval || interval < PAUSE_INTERVAL_MIN {
            return Err(ConfigError::Pause { duration, interval });
        }
        Ok(())
    }

    /// How long who looks `elapsed_ns` after the start has to stand still; `None` between pauses.
    #[must_use]
    pub fn remaining(&self, elapsed_ns: u64) -> Option<Duration> {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let left = nanos(self.interval) - elapsed_ns % nanos(self.interval);
        (left <= nanos(self.duration)).then(|| Duration::from_nanos(left))
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.duration, self.interval)
    }
}

impl FromStr for Pause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (duration, interval) = text.split_once('/').ok_or_else(|| {
            format!("`{text}` is not understood: give DURATION/INTERVAL, such as 200ms/10s")
        })?;
        let (Span(duration), Span(interval)) = (duration.parse()?, interval.parse()?);
        Ok(Pause { duration, interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_at_the_end_of_each_interval() {
        let pause: Pause = "200us/1ms".parse().unwrap();
        let remaining = |us: u64| pause.remaining(us * 1000).map(|left| left.as_micros());
        assert_eq!(
            [0, 799, 800, 999, 1000, 1799].map(remaining),
            [None, None, Some(200), Some(1), None, None]
        );
        assert_eq!(remaining(5_900), Some(100));
    }

    #[test]
    fn errors_name_what_was_wrong() {
        for (text, wrong) in [("200ms", "`200ms`"), ("1s/", "``"), ("fast/1s", "`fast`")] {
            let error = text.parse::<Pause>().unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
