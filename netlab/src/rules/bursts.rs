//! Loss in bursts. Rules remember nothing from packet to packet that could say whether a burst is going on, so it is drawn beforehand which
//! packets of a long row will be lost, and the row begins again when it is over.

use super::Rules;
use crate::catalogue::WHOLE_PPM;
use crate::random::Stream;
use crate::topology::Direction;

/// Bursts of a row: enough to vary, few enough for one rule.
const BURSTS: u64 = 1_000;

/// Longest row: nft counts packets in 32 bits.
const ROW_PACKETS_MAX: u64 = 1 << 31;

/// Loses so many millionths of the packets (neither none nor all), in bursts of so many on average.
pub(crate) fn lossy(rules: &mut Rules, direction: Direction, ppm: u64, mean: u64) {
    let counter = format!("lost_{direction}");
    rules.counter(&counter);
    let row = Row::drawn(ppm, mean, &mut Stream::new(direction as u64));
    let lost: Vec<String> = row.bursts.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    let Row { packets, .. } = row;
    rules.way(
        direction,
        &format!("numgen inc mod {packets} {{ {} }} counter name {counter} drop", lost.join(", ")),
    );
}

/// Which packets of a row are lost.
struct Row {
    packets: u64,
    /// First and last packet of each burst; between two of them at least one packet passes.
    bursts: Vec<(u64, u64)>,
}

impl Row {
    /// Lengths of bursts and of what is between them are geometric, as those of Gilbert and Elliott; the share lost is exact to a packet.
    fn drawn(ppm: u64, mean: u64, random: &mut Stream) -> Self {
        let count = (ROW_PACKETS_MAX * ppm / WHOLE_PPM / (2 * mean)).clamp(1, BURSTS);
        let lengths: Vec<u64> = (0..count).map(|_| geometric(mean, random)).collect();
        let lost: u64 = lengths.iter().sum();
        let kept = (lost * (WHOLE_PPM - ppm) / ppm).max(count);
        // One packet between each two, and the others anywhere.
        let mut before: Vec<u64> = lengths.iter().map(|_| random.below(kept - count + 1)).collect();
        before.sort_unstable();
        let mut end = 0;
        let burst = |(number, (kept_before, length)): (usize, (&u64, &u64))| {
            let from = kept_before + number as u64 + 1 + end;
            end += length;
            (from, from + length - 1)
        };
        let bursts = before.iter().zip(&lengths).enumerate().map(burst).collect();
        Self { packets: lost + kept, bursts }
    }
}

/// At least 1, and this much on average.
fn geometric(mean: u64, random: &mut Stream) -> u64 {
    let goes_on = 1.0 - 1.0 / mean as f64;
    let drawn = (1.0 - random.unit()).ln() / goes_on.ln();
    1 + drawn as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_share_their_mean_and_gaps() {
        for (ppm, mean) in
            [(1, 1_000), (10_000, 5), (50_000, 2), (500_000, 8), (660_000, 2), (990_000, 1_000)]
        {
            let row = Row::drawn(ppm, mean, &mut Stream::new(1));
            let lost: u64 = row.bursts.iter().map(|(from, to)| to - from + 1).sum();
            assert!(row.bursts.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{ppm} {mean}");
            assert!(
                row.bursts.iter().all(|(from, to)| from <= to) && row.bursts.last().unwrap().1 < row.packets
            );
            assert!(row.packets <= u64::from(u32::MAX), "{}", row.packets);
            let (found, count) = (lost as f64 / row.packets as f64 * 1e6, row.bursts.len() as f64);
            assert!((found / ppm as f64 - 1.0).abs() < 0.06, "{found} of {ppm} ppm");
            // Three standard deviations of a geometric mean; rows of rare bursts have few of them.
            let off = (lost as f64 / count / mean as f64 - 1.0).abs();
            assert!(off < 3.0 / count.sqrt(), "{mean}: off by {off} in {count}");
        }
    }
}
