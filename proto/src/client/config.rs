//! What a flow is told when it is made.

use super::ReceiveBuffer;
use super::requests::Requests;
use super::slots::Slots;
use super::wheel::Wheel;
use crate::limits::{
    CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, GETS_PER_DATAGRAM_MAX, RETRIES_MAX,
    VALUE_BYTES_LIMIT, VALUE_BYTES_MAX_DEFAULT,
};
use crate::reassembly::Parts;
use crate::search::SearchConfig;

/// Most reads of one flow: an id keeps at least 12 bits to tell the users of one slot apart.
const IN_FLIGHT_MAX: usize = 1 << 20;
/// Most values partly there; one takes 0.6 KiB beside its bytes.
const PARTIAL_MAX: usize = 1 << 20;
/// Most memory for values partly there: what 32-bit unit numbers address with room to spare.
const REASSEMBLY_BYTES_MAX: usize = 1 << 36;
/// Retries per 100 reads unless told otherwise: what Finagle's retry budget allows, and four times what 5 % loss needs.
const RETRY_BUDGET_PERCENT: u8 = 20;
const MILLISECOND_NS: u64 = 1_000_000;

/// Settings of one flow. All memory follows from them and is taken by [`Client::new`](super::Client::new).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Number of the flow, one per source port, any; default 0. Answers to another one are not taken.
    pub flow: u32,
    /// Where sequences begin and what ids are masked with, any; default 0. Give a random number, not the same twice: who cannot see the
    /// flow's datagrams has to guess it to forge an answer (section 9).
    pub secret: u32,
    /// Reads under way at most, 1..=1,048,576; default 1024, a hundred thousand a second at a patience of 10 ms. One takes half a KiB.
    pub in_flight_max: usize,
    /// Longest value delivered, bytes, 0..=16 MiB; default 1 MiB, the default limit of a server.
    pub value_bytes_max: usize,
    /// Memory for values that are partly there, bytes, up to 64 GiB; default 16 MiB, eight of the longest. At least the longest sealed
    /// value, rounded up to a power of two.
    pub reassembly_bytes: usize,
    /// Values partly there at a time, 1..=1,048,576; default 1024, as many as reads. One takes 0.6 KiB beside its bytes.
    pub partial_max: usize,
    /// Largest datagram the path is believed to bring here, bytes of UDP payload, `base_datagram`..=65507; default 1200, the base. Only
    /// without a `search`.
    pub datagram_max: u16,
    /// Datagram size the path is known to carry both ways, bytes of UDP payload, 1200..=65507; default 1200, which every path carries.
    /// What is asked for after a loss is asked for in this size, and no request is longer unless a search proved more.
    pub base_datagram: u16,
    /// The path-MTU search (section 6.2); default `None`: the sizes given here stand. The way down is always searched, the way up where
    /// `gets_per_datagram_max` allows requests longer than the base. The driver takes datagrams up to [`SearchConfig::datagram_max`].
    pub search: Option<SearchConfig>,
    /// Whether a search looks at the way up although no request of this flow uses it; default no. It is for reports.
    pub search_up: bool,
    /// What the socket's receive buffer holds; default [`ReceiveBuffer::linux_default`], which no Linux grants less than unless asked to.
    /// The credit that requests announce follows from it (section 4.3).
    pub receive_buffer: ReceiveBuffer,
    /// Most credit one request announces, bytes of datagrams, any; default 256 KiB. More counts as that: no server goes beyond it. One datagram may
    /// always come, whatever is given here.
    pub credit_max: u32,
    /// Time a read is usually given, ns, any; default 100 ms. Deadlines are given with each read: this only spaces `retries`.
    pub timeout_ns: u64,
    /// Silence after the last chunk before what is missing is asked for, at least; ns, any; default 5 ms. On paths with longer round trips it
    /// is what they take (SRTT + 4 RTTVAR, at most 1 s). Doubles with each re-request of a read that brought nothing new, and starts over
    /// with one that did (section 10.2).
    pub gap_ns: u64,
    /// Re-requests in a row that bring nothing new, after which a read waits for its deadline, 0..=255; default 3, which 5 % loss each way
    /// uses up once in 1,000 times. Also how many whole values may fail the end-to-end check.
    pub rerequests_max: u8,
    /// Times a whole request is repeated when nothing came, 0..=10; default 0: what a retry is worth only the caller knows. The patience
    /// doubles each time, and all of them fit `timeout_ns` (section 10.3).
    pub retries: u8,
    /// Retries allowed per 100 reads, 0..=255, beside a reserve of ten; default 20, four times what 5 % loss needs: a server in trouble
    /// is not asked twice by everybody.
    pub retry_budget_percent: u8,
    /// Time without a valid answer after which a probe of 48 B asks for one, ns; default 0: never. After four times this the server
    /// counts as silent (section 11.2).
    pub heartbeat_ns: u64,
    /// How long after its deadline a read is remembered, to tell a late answer from none, ns, any; default 1 s. A table that is full
    /// forgets it earlier.
    pub linger_ns: u64,
    /// Whether requests ask for telemetry; default no: it takes 24 B of each answer datagram.
    pub telemetry: bool,
    /// Reads in one datagram at most, 1..=64; default 1: reads that share a datagram share its fate.
    pub gets_per_datagram_max: u8,
}

impl Default for ClientConfig {
    fn default() -> Self {
        let base = DATAGRAM_BYTES_MIN as u16;
        Self {
            flow: 0,
            secret: 0,
            in_flight_max: 1024,
            value_bytes_max: VALUE_BYTES_MAX_DEFAULT,
            reassembly_bytes: 16 << 20,
            partial_max: 1024,
            datagram_max: base,
            base_datagram: base,
            search: None,
            search_up: false,
            receive_buffer: ReceiveBuffer::linux_default(),
            credit_max: CREDIT_BYTES_MAX as u32,
            timeout_ns: 100 * MILLISECOND_NS,
            gap_ns: 5 * MILLISECOND_NS,
            rerequests_max: 3,
            retries: 0,
            retry_budget_percent: RETRY_BUDGET_PERCENT,
            heartbeat_ns: 0,
            linger_ns: 1000 * MILLISECOND_NS,
            telemetry: false,
            gets_per_datagram_max: 1,
        }
    }
}

/// A setting out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client setting {name} is {found}: allowed are {min} to {max}")]
pub struct ConfigError {
    /// Field of [`ClientConfig`].
    pub name: &'static str,
    /// What it was.
    pub found: u64,
    /// Smallest value allowed.
    pub min: u64,
    /// Largest value allowed.
    pub max: u64,
}

impl ClientConfig {
    /// Bytes that [`Client::new`](super::Client::new) takes from the allocator with these settings, all that a flow ever takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        Slots::memory_bytes(self.in_flight_max)
            + Wheel::memory_bytes(self.in_flight_max)
            + Requests::memory_bytes(self.in_flight_max)
            + Parts::memory_bytes(self.partial_max, self.reassembly_bytes)
            + self.value_bytes_max
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let range = |name, found: usize, min: usize, max: usize| {
            if (min..=max).contains(&found) {
                return Ok(());
            }
            Err(ConfigError { name, found: found as u64, min: min as u64, max: max as u64 })
        };
        let base = usize::from(self.base_datagram);
        range("in_flight_max", self.in_flight_max, 1, IN_FLIGHT_MAX)?;
        range("value_bytes_max", self.value_bytes_max, 0, VALUE_BYTES_LIMIT)?;
        let reassembly_min = Parts::arena_bytes_min(self.value_bytes_max);
        range("reassembly_bytes", self.reassembly_bytes, reassembly_min, REASSEMBLY_BYTES_MAX)?;
        range("partial_max", self.partial_max, 1, PARTIAL_MAX)?;
        range("base_datagram", base, DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MAX)?;
        range("datagram_max", usize::from(self.datagram_max), base, DATAGRAM_BYTES_MAX)?;
        range("retries", usize::from(self.retries), 0, RETRIES_MAX)?;
        range("gets_per_datagram_max", usize::from(self.gets_per_datagram_max), 1, GETS_PER_DATAGRAM_MAX)
    }
}
