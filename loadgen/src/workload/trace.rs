//! `trace:FILE`: a Twitter cache trace as items and an order of reads.
//!
//! Lines are `timestamp,anonymized key,key size,value size,client id,operation,TTL`
//! (github.com/twitter/cache-trace). Keys may contain commas, so the timestamp is taken from the left and the
//! five last fields from the right. An item is a distinct key, numbered by first appearance; its sizes and
//! TTL are the first ones seen that are not 0 (a miss is logged with value size 0, a read with TTL 0). `get`
//! and `gets` are the reads.

use super::error::WorkloadError;
use super::limits::{LINE_BYTES_MAX, TRACE_READS_MAX};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// What was made of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSummary {
    /// Lines read.
    pub lines: u64,
    /// Reads kept, in the trace's order.
    pub reads: u64,
    /// Reads left out because their key came after the last item allowed.
    pub reads_left_out: u64,
    /// Lines of other operations (they only tell sizes and TTLs).
    pub other_operations: u64,
}

/// A trace in memory: 12 bytes an item and 4 bytes a read.
pub(super) struct Trace {
    pub(super) items: Vec<TraceItem>,
    pub(super) reads: Vec<u32>,
    pub(super) summary: TraceSummary,
}

#[derive(Clone, Copy)]
pub(super) struct TraceItem {
    pub(super) key_bytes: u32,
    pub(super) value_bytes: u32,
    pub(super) ttl_seconds: u32,
}

/// Operations of the trace format, the reads first.
const OPERATIONS: [&str; 11] =
    ["get", "gets", "set", "add", "replace", "cas", "append", "prepend", "delete", "incr", "decr"];

/// Beginnings of compressed files: gzip, Zstandard.
const COMPRESSED: [(&[u8], &str); 2] = [(b"\x1f\x8b", "gunzip"), (b"\x28\xb5\x2f\xfd", "unzstd")];

impl Trace {
    /// Reads a trace, keeping the first `items_max` keys.
    pub(super) fn read(path: &Path, items_max: u32) -> Result<Self, WorkloadError> {
        WorkloadError::check_regular(path)?;
        let unreadable = |source| WorkloadError::Unreadable { path: path.to_owned(), source };
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
        let beginning = file.fill_buf().map_err(unreadable)?;
        if let Some((_, tool)) = COMPRESSED.iter().find(|(magic, _)| beginning.starts_with(magic)) {
            let problem = format!("compressed traces are not read; decompress it first: {tool} FILE");
            return Err(WorkloadError::file(path, problem));
        }
        let mut trace = Self { items: Vec::new(), reads: Vec::new(), summary: TraceSummary::default() };
        let mut index_of = HashMap::<Box<[u8]>, u32>::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            if file.by_ref().take(limit).read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                break;
            }
            trace.summary.lines += 1;
            let text = line.trim_ascii_end();
            let entry = Entry::parse(text)
                .map_err(|problem| WorkloadError::line(path, trace.summary.lines, problem, text))?;
            trace.add(&entry, &mut index_of, items_max);
            if trace.reads.len() > TRACE_READS_MAX {
                let problem =
                    format!("more than {TRACE_READS_MAX} reads; cut it shorter: head -n {TRACE_READS_MAX}");
                return Err(WorkloadError::file(path, problem));
            }
        }
        trace.summary.reads = trace.reads.len() as u64;
        if trace.reads.is_empty() {
            let problem = format!(
                "no read (get, gets) of a kept key in {} lines; give a trace that has reads",
                trace.summary.lines
            );
            return Err(WorkloadError::file(path, problem));
        }
        Ok(trace)
    }

    fn add(&mut self, entry: &Entry<'_>, index_of: &mut HashMap<Box<[u8]>, u32>, items_max: u32) {
        let known = index_of.get(entry.key).copied().or_else(|| {
            let index = self.items.len() as u32;
            (index < items_max).then(|| {
                index_of.insert(entry.key.into(), index);
                self.items.push(TraceItem { key_bytes: 0, value_bytes: 0, ttl_seconds: 0 });
                index
            })
        });
        if let Some(index) = known {
            let item = &mut self.items[index as usize];
            first_known(&mut item.key_bytes, entry.key_bytes);
            first_known(&mut item.value_bytes, entry.value_bytes);
            first_known(&mut item.ttl_seconds, entry.ttl_seconds);
        }
        match (entry.is_read, known) {
            (true, Some(index)) => self.reads.push(index),
            (true, None) => self.summary.reads_left_out += 1,
            (false, _) => self.summary.other_operations += 1,
        }
    }
}

fn first_known(kept: &mut u32, seen: u32) {
    if *kept == 0 {
        *kept = seen;
    }
}

/// One line.
struct Entry<'a> {
    key: &'a [u8],
    key_bytes: u32,
    value_bytes: u32,
    is_read: bool,
    ttl_seconds: u32,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, String> {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes; is this a trace?"));
        }
        let mut from_right = line.rsplitn(6, |&b| b == b',');
        let mut last = || from_right.next();
        let (Some(ttl), Some(operation), Some(_client), Some(value), Some(key_size), Some(rest)) =
            (last(), last(), last(), last(), last(), last())
        else {
            return Err(format!("too few fields; expected {FIELDS}"));
        };
        let comma =
            rest.iter().position(|&b| b == b',').ok_or(format!("too few fields; expected {FIELDS}"))?;
        number("timestamp", &rest[..comma])?;
        let key = &rest[comma + 1..];
        if key.is_empty() {
            return Err(format!("the key is empty; expected {FIELDS}"));
        }
        let operation = OPERATIONS
            .iter()
            .position(|o| o.as_bytes() == operation)
            .ok_or_else(|| format!("unknown operation; expected one of {}", OPERATIONS.join(" ")))?;
        Ok(Self {
            key,
            key_bytes: number("key size", key_size)?,
            value_bytes: number("value size", value)?,
            is_read: operation < 2,
            ttl_seconds: number("TTL", ttl)?,
        })
    }
}

const FIELDS: &str = "timestamp,anonymized key,key size,value size,client id,operation,TTL";

fn number(field: &str, text: &[u8]) -> Result<u32, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{field} is not a whole number from 0 to {}; expected {FIELDS}", u32::MAX))
}
