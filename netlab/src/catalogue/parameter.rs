//! One parameter of a topology: its unit, range and default, and how its values are read and written.

/// What may be set.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name, left of the `=`.
    pub name: &'static str,
    /// What it means.
    pub sentence: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: u64,
    /// Smallest and largest value; of a choice, the numbers of its first and last word.
    pub(crate) range: (u64, u64),
}

/// The unit of a parameter. Values are whole numbers of it; texts may use any unit of their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a packet.
    Bytes,
    /// Of memory: written in binary multiples.
    Memory,
    /// How many of what.
    Count(&'static str),
    /// Of packets.
    PerSecond,
    /// A second.
    Bits,
    /// Millionths, written as a percentage.
    Share,
    /// Nanoseconds.
    Duration,
    /// Whole seconds, for settings the kernel keeps in seconds.
    Seconds,
    /// One of these words, by its number.
    Choice(&'static [&'static str]),
}

/// A share of everything.
pub(crate) const WHOLE_PPM: u64 = 1_000_000;

impl Parameter {
    /// What may be set, in words: the unit and the range, or the words to choose from.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Choice(_) => format!("one of {}", self.range()),
            _ => format!("{}; {}", self.unit(), self.range()),
        }
    }

    /// The unit in words, with how values are written.
    pub fn unit(&self) -> String {
        match self.kind {
            Kind::Bytes => "bytes, such as 1500".into(),
            Kind::Memory => "bytes of memory, such as 4MiB".into(),
            Kind::Count(what) => what.into(),
            Kind::PerSecond => "packets a second, such as 1000/s".into(),
            Kind::Bits => "bits a second, such as 100mbit".into(),
            Kind::Share => "a share, such as 3.5%".into(),
            Kind::Duration => "a duration, such as 5ms".into(),
            Kind::Seconds => "a duration in whole seconds, such as 10s".into(),
            Kind::Choice(_) => "a word".into(),
        }
    }

    /// The default, as it would be set.
    pub fn default(&self) -> String {
        self.written(self.default)
    }

    /// What is allowed: the ends of the range, or the words to choose from.
    pub fn range(&self) -> String {
        match self.kind {
            Kind::Choice(words) => words.join(", "),
            _ => format!("{} to {}", self.written(self.range.0), self.written(self.range.1)),
        }
    }

    /// Reads a value; none if it is not of this kind. Whether it lies in the range is another question.
    pub(crate) fn read(&self, text: &str) -> Option<u64> {
        let units: &[(&str, u64)] = match self.kind {
            Kind::Bytes | Kind::Memory => {
                &[("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
            }
            Kind::Count(_) => &[("", 1), ("k", 1_000)],
            Kind::PerSecond => {
                &[("", 1), ("/s", 1), ("k", 1_000), ("k/s", 1_000), ("M", 1_000_000), ("M/s", 1_000_000)]
            }
            Kind::Bits => &[("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)],
            Kind::Share => &[("%", WHOLE_PPM / 100)],
            Kind::Duration => {
                &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000)]
            }
            Kind::Seconds => &[("s", 1), ("min", 60)],
            Kind::Choice(words) => return words.iter().position(|word| *word == text).map(|i| i as u64),
        };
        let (number, unit) =
            text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
        if text == "0" {
            return Some(0); // The same in every unit.
        }
        let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
        scaled(number, *scale)
    }

    /// Writes a value so that it can be read again.
    pub(crate) fn written(&self, value: u64) -> String {
        let largest = |units: &[(&str, u64)]| {
            let fits = |(_, scale): &&(&str, u64)| value >= *scale && value.is_multiple_of(*scale);
            let (unit, scale) = units.iter().rfind(fits).unwrap_or(&units[0]);
            format!("{}{unit}", value / scale)
        };
        match self.kind {
            Kind::Bytes | Kind::Count(_) => value.to_string(),
            Kind::Memory => largest(&[("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]),
            Kind::PerSecond => format!("{value}/s"),
            Kind::Bits => {
                largest(&[("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)])
            }
            Kind::Share => {
                let text = format!("{}.{:04}", value / 10_000, value % 10_000);
                format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
            }
            Kind::Duration if value == 0 => "0s".into(),
            Kind::Duration => largest(&[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)]),
            Kind::Seconds => format!("{value}s"),
            Kind::Choice(words) => words[value as usize].into(),
        }
    }
}

/// A decimal number times a scale, if that is a whole number.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let parts = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale);
    let denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let rest = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
    if rest % denominator != 0 {
        return None;
    }
    u64::try_from(parts + rest / denominator).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind) -> Parameter {
        Parameter { name: "x", sentence: "", kind, default: 0, range: (0, u64::MAX) }
    }

    #[test]
    fn values_are_read_in_every_unit_and_written_in_the_largest() {
        for (kind, text, value, written) in [
            (Kind::Bytes, "8500", 8_500, "8500"),
            (Kind::Bytes, "8KiB", 8_192, "8192"),
            (Kind::Memory, "256MiB", 256 << 20, "256MiB"),
            (Kind::Memory, "1.5KiB", 1_536, "1536"),
            (Kind::Count("packets"), "5", 5, "5"),
            (Kind::PerSecond, "1000/s", 1_000, "1000/s"),
            (Kind::PerSecond, "2.5k", 2_500, "2500/s"),
            (Kind::Bits, "100mbit", 100_000_000, "100mbit"),
            (Kind::Bits, "0.5mbit", 500_000, "500kbit"),
            (Kind::Share, "3.5%", 35_000, "3.5%"),
            (Kind::Share, "0.0001%", 1, "0.0001%"),
            (Kind::Share, "100%", 1_000_000, "100%"),
            (Kind::Duration, "1500us", 1_500_000, "1500us"),
            (Kind::Duration, "1.5ms", 1_500_000, "1500us"),
            (Kind::Duration, "0", 0, "0s"),
            (Kind::Duration, "2min", 120_000_000_000, "120s"),
            (Kind::Seconds, "10s", 10, "10s"),
            (Kind::Choice(&["on", "off"]), "off", 1, "off"),
        ] {
            let parameter = of(kind);
            assert_eq!(parameter.read(text), Some(value), "{text} as {kind:?}");
            assert_eq!(parameter.written(value), written);
            assert_eq!(parameter.read(written), Some(value));
        }
    }

    #[test]
    fn what_has_the_wrong_unit_or_none_is_not_read() {
        for (kind, texts) in [
            (Kind::Bytes, &["", "-1", "1.5", "9kB", "9 KiB", "8500bytes", "1e3", "99999999999999999999"][..]),
            (Kind::Count("packets"), &["1/s", "five", "1.2"]),
            (Kind::PerSecond, &["1000pps", "/s", "1000/min"]),
            (Kind::Bits, &["100", "100Mbit", "100mbps", ".mbit"]),
            (Kind::Share, &["0.035", "3.5", "%", "0.00001%", "1..2%"]),
            (Kind::Duration, &["5", "ms", "5 ms", "0.1ns", "1h"]),
            (Kind::Seconds, &["1.5s", "500ms", "1"]),
            (Kind::Choice(&["on", "off"]), &["On", "1", ""]),
        ] {
            for text in texts {
                assert_eq!(of(kind).read(text), None, "{text} as {kind:?}");
            }
        }
    }
}
