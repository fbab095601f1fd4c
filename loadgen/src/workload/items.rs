//! What is stored: keys, sizes, bytes and TTLs of every item, the same for the same spec, count and seed.

use super::content::{Content, ContentSpec, ValueMismatch};
use super::error::WorkloadError;
use super::histogram::Histogram;
use super::keys::KeySpec;
use super::limits::{ANSWER_OVERHEAD_BYTES_MAX, ITEMS_MAX, KEY_BYTES_MAX, VALUE_BYTES_CEILING};
use super::random::{Permutation, Purpose};
use super::sizes::{KeySizes, LARGE_DATAGRAM_BYTES_MAX, ValueSizes};
use super::trace::{Trace, TraceSummary};
use super::value_spec::ValueSpec;
use std::sync::Arc;
use std::time::Duration;

/// What sizes of values are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Bytes of UDP payload an answer needs beside its value (header and frame), at most 512.
    /// `object-metadata` places 3.5 % of *answers* above 1472 bytes, so it has to know.
    pub answer_overhead_bytes: u32,
    /// The server's value limit, bytes, at most 16 MiB.
    pub value_bytes_max: u32,
}

/// The stored items, numbered from 0.
///
/// Memory: 4 bytes an item where sizes differ, 1 more where key sizes differ, 4 more where a trace gives
/// TTLs; 4 bytes a read of a trace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ItemSpace {
    items: u32,
    content: Content,
    value_bytes: PerItem<u32>,
    key_bytes: PerItem<u8>,
    ttl: Ttls,
    default_keys: KeySpec,
    trace: Option<(TraceSummary, Arc<[u32]>)>,
    values_cut: u64,
    key_prefix: Arc<[u8]>,
}

/// A number for each item, stored once if it is the same for all.
#[derive(Clone, Debug)]
enum PerItem<T> {
    Same(T),
    Each(Arc<[T]>),
}

impl<T: Copy> PerItem<T> {
    fn get(&self, item: u32) -> T {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values[item as usize],
        }
    }
}

/// Seconds an item lives; 0 means for ever.
#[derive(Clone, Debug)]
enum Ttls {
    Never,
    /// TTL and the share of items with this TTL or one before it.
    Mixed(Permutation, Arc<[(u32, f64)]>),
    Each(Arc<[u32]>),
}

/// Bytes of a key where the spec says nothing.
const KEY_BYTES_DEFAULT: u32 = 20;

impl ItemSpace {
    /// Items 0 to `items` - 1 as `spec` describes them. A trace has as many items as it has keys, at most
    /// `items`.
    ///
    /// # Errors
    /// When `items` or `sizing` is out of range, or `spec` names a size above the value limit or an
    /// unusable file.
    pub fn new(spec: &ValueSpec, items: u32, seed: u64, sizing: Sizing) -> Result<Self, WorkloadError> {
        check_arguments(items, sizing)?;
        let fits = |bytes: u32| fits_limit(spec, bytes, sizing.value_bytes_max);
        let default_key = KeySizes::Fixed(KEY_BYTES_DEFAULT);
        let build = |values: ValueSizes, keys: KeySizes| Self::build(&values, &keys, items, seed, sizing);
        Ok(match spec {
            ValueSpec::ObjectMetadata => {
                let answer_overhead_bytes = sizing.answer_overhead_bytes;
                fits(LARGE_DATAGRAM_BYTES_MAX - answer_overhead_bytes)?;
                build(ValueSizes::ObjectMetadata { answer_overhead_bytes }, default_key)
            }
            ValueSpec::Etc => build(ValueSizes::Etc, KeySizes::Etc),
            ValueSpec::Usr => build(ValueSizes::Fixed(2), KeySizes::Usr),
            ValueSpec::Fixed(bytes) => {
                fits(*bytes)?;
                build(ValueSizes::Fixed(*bytes), default_key)
            }
            ValueSpec::Bimodal { small_bytes, large_bytes, large_share } => {
                fits(*large_bytes)?;
                let (small_bytes, large_bytes, large_share) = (*small_bytes, *large_bytes, *large_share);
                build(ValueSizes::Bimodal { small_bytes, large_bytes, large_share }, default_key)
            }
            ValueSpec::Histogram(path) => {
                build(ValueSizes::Histogram(Histogram::read(path, sizing.value_bytes_max)?), default_key)
            }
            ValueSpec::Trace(path) => Self::from_trace(Trace::read(path, items)?, seed, sizing),
            ValueSpec::Twitter(cluster) => {
                let values = ValueSizes::Twitter { mean_bytes: cluster.value_bytes_mean };
                let mut space = build(values, KeySizes::Fixed(cluster.key_bytes_mean));
                space.ttl = mixed_ttls(&cluster.ttl_seconds, items, seed);
                space.default_keys = KeySpec::Zipf(cluster.zipf_alpha);
                space
            }
        })
    }

    /// The same items with bytes like these: [`new`](Self::new) fills values with noise.
    #[must_use]
    pub fn with_content(mut self, spec: ContentSpec) -> Self {
        self.content = self.content.with(spec);
        self
    }

    /// The same values under keys that no other workload has, nor another owner of such keys: 20 bytes that begin with both.
    #[must_use]
    pub fn under(mut self, key_prefix: &[u8; 5], owner: u32) -> Self {
        let mut prefix = [0; 12];
        let (head, digits) = prefix.split_at_mut(key_prefix.len());
        head.copy_from_slice(key_prefix);
        write_number(owner, 6, digits);
        self.key_bytes = PerItem::Same(KEY_BYTES_DEFAULT as u8);
        Self { key_prefix: prefix.into(), ..self }
    }

    /// Number of items.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// Writes the key of `item` into `buffer` and returns it: 1 to 250 printable bytes, different for each
    /// item, the same for every seed.
    ///
    /// # Panics
    /// As all functions that take an item: if there is no such item.
    pub fn key<'a>(&self, item: u32, buffer: &'a mut [u8; KEY_BYTES_MAX]) -> &'a [u8] {
        let key = &mut buffer[..usize::from(self.key_bytes.get(item))];
        write_key(item, &self.key_prefix, key);
        key
    }

    /// Length of the key of `item`, bytes.
    pub fn key_bytes(&self, item: u32) -> usize {
        self.key_bytes.get(item).into()
    }

    /// Length of the value of `item`, bytes.
    pub fn value_bytes(&self, item: u32) -> usize {
        self.value_bytes.get(item) as usize
    }

    /// Writes the value of `item` to the beginning of `buffer` and returns it.
    ///
    /// # Panics
    /// If `buffer` is shorter than [`value_bytes`](Self::value_bytes).
    pub fn fill_value<'a>(&self, item: u32, buffer: &'a mut [u8]) -> &'a [u8] {
        let value = &mut buffer[..self.value_bytes(item)];
        self.content.fill(item, value);
        value
    }

    /// Compares `found` with the value of `item`, without allocating, at about the speed of comparing memory.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_value(&self, item: u32, found: &[u8]) -> Result<(), ValueMismatch> {
        self.content.check(item, self.value_bytes(item), found)
    }

    /// How long `item` is to live once stored; `None` means until evicted.
    pub fn ttl(&self, item: u32) -> Option<Duration> {
        let seconds = match &self.ttl {
            Ttls::Never => 0,
            Ttls::Mixed(order, shares) => {
                let u = order.quantile(item);
                shares[shares.partition_point(|(_, up_to)| *up_to <= u).min(shares.len() - 1)].0
            }
            Ttls::Each(seconds) => seconds[item as usize],
        };
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// The popularity that comes with the values, for when `--keys` is not given: a trace's order, a Twitter
    /// cluster's Zipf exponent, otherwise uniform.
    pub fn default_keys(&self) -> KeySpec {
        self.default_keys
    }

    /// What was made of the trace, where the values come from one.
    pub fn trace(&self) -> Option<TraceSummary> {
        self.trace.as_ref().map(|(summary, _)| *summary)
    }

    /// Bytes of all keys and values, without what a server keeps beside them.
    pub fn stored_bytes(&self) -> u64 {
        (0..self.items).map(|i| (self.key_bytes(i) + self.value_bytes(i)) as u64).sum()
    }

    /// Number of items whose value has more than `bytes` bytes.
    pub fn values_above(&self, bytes: usize) -> u32 {
        (0..self.items).filter(|&i| self.value_bytes(i) > bytes).count() as u32
    }

    /// Number of values that had to be cut to the value limit (`etc`, `twitter` and traces; others are
    /// refused).
    pub fn values_cut(&self) -> u64 {
        self.values_cut
    }

    /// Order of reads of the trace.
    pub(super) fn trace_reads(&self) -> Option<&Arc<[u32]>> {
        self.trace.as_ref().map(|(_, reads)| reads)
    }

    fn build(values: &ValueSizes, keys: &KeySizes, items: u32, seed: u64, sizing: Sizing) -> Self {
        let limit = sizing.value_bytes_max;
        let mut values_cut = 0;
        let value_bytes = if let ValueSizes::Fixed(bytes) = values {
            PerItem::Same(*bytes)
        } else {
            let order = Permutation::new(items, seed, Purpose::ValueSizes);
            PerItem::Each(
                (0..items).map(|i| cut(values.quantile(order.quantile(i)), limit, &mut values_cut)).collect(),
            )
        };
        let key_bytes = if let KeySizes::Fixed(bytes) = keys {
            PerItem::Same(usable_key_bytes(f64::from(*bytes), items))
        } else {
            let order = Permutation::new(items, seed, Purpose::KeySizes);
            PerItem::Each(
                (0..items).map(|i| usable_key_bytes(keys.quantile(order.quantile(i)), items)).collect(),
            )
        };
        Self {
            items,
            content: Content::new(seed, ContentSpec::default()),
            value_bytes,
            key_bytes,
            ttl: Ttls::Never,
            default_keys: KeySpec::Uniform,
            trace: None,
            values_cut,
            key_prefix: KEY_PREFIX.as_slice().into(),
        }
    }

    fn from_trace(trace: Trace, seed: u64, sizing: Sizing) -> Self {
        let items = trace.items.len() as u32;
        let mut values_cut = 0;
        let limit = sizing.value_bytes_max;
        let all = &trace.items;
        Self {
            items,
            content: Content::new(seed, ContentSpec::default()),
            value_bytes: PerItem::Each(
                all.iter().map(|i| cut(f64::from(i.value_bytes), limit, &mut values_cut)).collect(),
            ),
            key_bytes: PerItem::Each(
                all.iter().map(|i| usable_key_bytes(f64::from(i.key_bytes), items)).collect(),
            ),
            ttl: Ttls::Each(all.iter().map(|i| i.ttl_seconds).collect()),
            default_keys: KeySpec::Trace,
            trace: Some((trace.summary, trace.reads.into())),
            values_cut,
            key_prefix: KEY_PREFIX.as_slice().into(),
        }
    }
}

fn check_arguments(items: u32, sizing: Sizing) -> Result<(), WorkloadError> {
    if items == 0 || u64::from(items) > ITEMS_MAX {
        return Err(WorkloadError::invalid("--items", items, format!("give 1 to {ITEMS_MAX}")));
    }
    if sizing.value_bytes_max > VALUE_BYTES_CEILING {
        let way_out = format!("give at most {VALUE_BYTES_CEILING} bytes");
        return Err(WorkloadError::invalid("the value limit", sizing.value_bytes_max, way_out));
    }
    if sizing.answer_overhead_bytes > ANSWER_OVERHEAD_BYTES_MAX {
        let way_out = format!("give at most {ANSWER_OVERHEAD_BYTES_MAX} bytes");
        return Err(WorkloadError::invalid(
            "the overhead of an answer",
            sizing.answer_overhead_bytes,
            way_out,
        ));
    }
    Ok(())
}

fn fits_limit(spec: &ValueSpec, bytes: u32, limit: u32) -> Result<(), WorkloadError> {
    if bytes <= limit {
        return Ok(());
    }
    let way_out = format!(
        "it has values of {bytes} bytes and the value limit is {limit}; choose smaller values or raise the limit"
    );
    Err(WorkloadError::invalid("--values", spec, way_out))
}

/// Rounds a size to whole bytes and cuts it to the value limit, counting the cuts.
fn cut(bytes: f64, limit: u32, values_cut: &mut u64) -> u32 {
    let rounded = bytes.round() as u32;
    *values_cut += u64::from(rounded > limit);
    rounded.min(limit)
}

/// A key size that the protocol allows and that can tell `items` items apart.
fn usable_key_bytes(bytes: f64, items: u32) -> u8 {
    (bytes.round() as u8).clamp(key_digits(items), KEY_BYTES_MAX as u8)
}

const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/// Digits to base 64 that number `items` items.
fn key_digits(items: u32) -> u8 {
    let bits = 32 - items.saturating_sub(1).leading_zeros();
    bits.div_ceil(6).max(1) as u8
}

/// Before the number of an item, where it fits.
const KEY_PREFIX: &[u8; 5] = b"item:";

/// The prefix and the index in hexadecimal where they fit, otherwise the index to base 64; zeros fill the
/// middle.
fn write_key(item: u32, prefix: &[u8], key: &mut [u8]) {
    let (prefix, bits): (&[u8], u32) = if key.len() >= prefix.len() + 8 { (prefix, 4) } else { (b"", 6) };
    let (head, digits) = key.split_at_mut(prefix.len());
    head.copy_from_slice(prefix);
    write_number(item, bits, digits);
}

/// A number in digits of so many bits, after zeros.
fn write_number(mut rest: u32, bits: u32, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest & ((1 << bits) - 1)) as usize];
        rest >>= bits;
    }
}

fn mixed_ttls(shares: &[(u32, f64)], items: u32, seed: u64) -> Ttls {
    let total: f64 = shares.iter().map(|(_, share)| share).sum();
    if shares.is_empty() || total <= 0.0 {
        return Ttls::Never;
    }
    let mut up_to = 0.0;
    let cumulative = shares.iter().map(|(seconds, share)| {
        up_to += share / total;
        (*seconds, up_to)
    });
    Ttls::Mixed(Permutation::new(items, seed, Purpose::Ttls), cumulative.collect())
}
