//! Synthetic traces of reads, from fixed seeds.

/// Reads of numbered keys.
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) keys: Vec<u32>,
    /// Everything is so many times as large as described here.
    pub(crate) scale: usize,
}

const READS: usize = 600_000;

/// Keys there are, where the store holds some 15,000: three and fifteen times as many.
const KEYS: [usize; 2] = [45_000, 220_000];

/// xorshift64* (Marsaglia 2003, Vigna 2016).
struct Random(u64);

impl Random {
    fn below_one(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Ranks drawn by Zipf's law.
struct Zipf {
    cumulative: Vec<f64>,
    random: Random,
}

impl Zipf {
    fn new(ranks: usize, exponent: f64) -> Zipf {
        let mut total = 0.0;
        let mut add = |rank: usize| {
            total += (rank as f64).powf(-exponent);
            total
        };
        let mut cumulative: Vec<_> = (1..=ranks).map(&mut add).collect();
        cumulative.iter_mut().for_each(|sum| *sum /= total);
        Zipf { cumulative, random: Random(0x5eed_5eed_5eed) }
    }

    fn draw(&mut self) -> usize {
        let drawn = self.random.below_one();
        self.cumulative.partition_point(|sum| *sum < drawn)
    }
}

fn trace(name: &str, keys: usize, scale: usize, mut next: impl FnMut(usize) -> usize) -> Trace {
    let name = format!("{name}, {keys} keys");
    Trace { name, keys: (0..READS * scale).map(|read| next(read) as u32).collect(), scale }
}

fn key_counts(scale: usize) -> impl Iterator<Item = usize> {
    KEYS.into_iter().map(move |keys| keys * scale)
}

/// Independent draws.
pub(crate) fn zipf(exponent: f64, scale: usize) -> Vec<Trace> {
    let of = |keys| {
        let mut zipf = Zipf::new(keys, exponent);
        trace(&format!("zipf {exponent}"), keys, scale, |_| zipf.draw())
    };
    key_counts(scale).map(of).collect()
}

/// Half of the keys by Zipf's law, with scans and loops over the others.
pub(crate) fn scans(scale: usize) -> Vec<Trace> {
    let scan = |keys| {
        let mut zipf = Zipf::new(keys / 2, 0.99);
        let mut scanned = 0;
        trace("zipf 0.99, scans of a third of the store", keys, scale, |read| {
            if read % (25_000 * scale) < 20_000 * scale {
                return zipf.draw();
            }
            scanned += 1;
            keys / 2 + scanned % (keys / 2)
        })
    };
    let turns = |keys| {
        let mut zipf = Zipf::new(keys / 2, 0.99);
        trace("zipf 0.99, a loop larger than the store", keys, scale, |read| {
            if read % 3 == 0 { keys / 2 + read / 3 % (20_000 * scale) } else { zipf.draw() }
        })
    };
    key_counts(scale).flat_map(|keys| [scan(keys), turns(keys)]).collect()
}

/// All popularity is dealt anew now and then.
pub(crate) fn jumps(scale: usize) -> Vec<Trace> {
    let of = |keys| {
        let mut zipf = Zipf::new(keys, 0.9);
        trace("zipf 0.9, dealt anew five times", keys, scale, |read| {
            (zipf.draw() + read / (100_000 * scale) * 30_011 * scale) % keys
        })
    };
    key_counts(scale).map(of).collect()
}

/// Popularity that moves from key to key, and new keys that are read most while they are new.
pub(crate) fn drifts(scale: usize) -> Vec<Trace> {
    let drift = |keys, reads_a_step| {
        let mut zipf = Zipf::new(keys, 0.99);
        trace(&format!("zipf 0.99, a step every {reads_a_step} reads"), keys, scale, move |read| {
            (zipf.draw() + read / reads_a_step) % keys
        })
    };
    let news = |keys: usize| {
        let mut random = Random(0x5eed);
        let mut newest = 0;
        trace("every fifth new, read less as they age", keys, scale, move |read| {
            if read % 5 == 0 {
                newest += 1;
                return newest % keys;
            }
            let age = (-random.below_one().max(1e-9).ln() * 5_000.0 * scale as f64) as usize;
            (newest + keys - age % keys) % keys
        })
    };
    key_counts(scale)
        .flat_map(|keys| [drift(keys, 10), drift(keys, 100), drift(keys, 1000), news(keys)])
        .collect()
}
