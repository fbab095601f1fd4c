//! Every limit and size of the protocol, in one place (`PROTOCOL.md`, sections 1 to 8).

/// Longest key. One length byte, rounded down to what people remember; memcached has the same limit.
pub const KEY_BYTES_MAX: usize = 250;
/// Value limit of a server that was told nothing else.
pub const VALUE_BYTES_MAX_DEFAULT: usize = 1 << 20;
/// Largest value limit a server may be given: beyond it a cache in memory is the wrong tool, and TCP messages stay under 17 MiB.
pub const VALUE_BYTES_LIMIT: usize = 16 << 20;

/// The base datagram, and the smallest `datagram_max` a request may announce: UDP payload every path carries, in both address
/// families (RFC 8899, section 5.1.2, BASE_PLPMTU; RFC 9000, section 14).
pub const DATAGRAM_BYTES_MIN: usize = 1200;
/// IPv4 header without options, and UDP header.
pub const IPV4_OVERHEAD_BYTES: usize = 28;
/// IPv6 header without extensions, and UDP header.
pub const IPV6_OVERHEAD_BYTES: usize = 48;
/// Smallest path MTU reads are sent over: it carries the base datagram in both address families. IPv6 guarantees 1280.
pub const PATH_MTU_BYTES_MIN: usize = DATAGRAM_BYTES_MIN + IPV6_OVERHEAD_BYTES;
/// Largest UDP payload over IPv4 (65535 - 28); also the most one UDP_SEGMENT send carries.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Most datagrams one UDP_SEGMENT send carries (Linux, UDP_MAX_SEGMENTS since 6.9).
pub const SEGMENTS_MAX: usize = 128;

/// Most padding that makes the last chunk of a value as long as the others, so that chunks of several answers share one UDP_SEGMENT
/// send: balanced chunks differ by less than their number, and this much is about 1 % of the base datagram.
pub const LEVEL_BYTES_MAX: usize = 16;

/// Header of a request.
pub const REQUEST_HEADER_BYTES: usize = 24;
/// Header of an answer.
pub const ANSWER_HEADER_BYTES: usize = 16;
/// Shortest request datagram: an answer without a valid cookie may not be longer than the request, and a challenge has 36 bytes.
pub const REQUEST_BYTES_MIN: usize = 48;
/// Most bytes a server sends in answer to one request datagram, whatever credit the client announces.
pub const CREDIT_BYTES_MAX: usize = 256 << 10;
/// Most reads (GET and REREQUEST) in one message.
pub const GETS_PER_DATAGRAM_MAX: usize = 64;
/// Most retries of a read: the back-off doubles with each, and after ten its first step is a two-thousandth of the timeout.
pub const RETRIES_MAX: usize = 10;
/// Most ranges in one REREQUEST.
pub const RANGES_MAX: usize = 32;
/// Most UDP ports a server lists in WELCOME.
pub const PORTS_MAX: usize = 64;
/// Most receipts in one RECEIPT_LIST.
pub const RECEIPTS_PER_LIST_MAX: usize = 1024;
/// Longest message over TCP: the largest value, its key and headers, with room to spare.
pub const TCP_MESSAGE_BYTES_MAX: usize = 17 << 20;
/// Length prefix of a message over TCP.
pub const TCP_LENGTH_BYTES: usize = 4;

/// GET frame without its key.
pub const GET_BYTES: usize = 8;
/// VALUE frame without its sealed value.
pub const VALUE_BYTES: usize = 8;
/// CHUNK frame without its bytes.
pub const CHUNK_BYTES: usize = 24;
/// MISS frame.
pub const MISS_BYTES: usize = 8;
/// REFUSED frame.
pub const REFUSED_BYTES: usize = 12;
/// REREQUEST frame without its ranges and key.
pub const REREQUEST_BYTES: usize = 16;
/// One range of a REREQUEST.
pub const RANGE_BYTES: usize = 8;
/// PROBE and PROBE_ACK frames without padding.
pub const PROBE_BYTES: usize = 8;
/// COOKIE and CHALLENGE frames.
pub const COOKIE_FRAME_BYTES: usize = 20;
/// TELEMETRY frame.
pub const TELEMETRY_BYTES: usize = 24;
/// Seal before a stored value.
pub const SEAL_BYTES: usize = 8;
/// One receipt.
pub const RECEIPT_BYTES: usize = 32;
/// One port of a WELCOME.
pub const PORT_BYTES: usize = 8;

/// Age up to which a cookie is valid; seconds.
pub const COOKIE_AGE_S_MAX: u32 = 3600;
/// How far ahead of the server's clock a cookie may be (another worker's clock made it); seconds.
pub const COOKIE_AHEAD_S_MAX: u32 = 300;
/// Age from which a valid cookie is answered with a new one; seconds.
pub const COOKIE_RENEW_S: u32 = 1800;
/// How often the server's secret is rotated; the previous one stays valid for as long; seconds.
pub const COOKIE_SECRET_S: u32 = 3600;

/// Path MTUs met in the field, rising: the candidates of the path-MTU search (section 6.2). IPv6's minimum, tunnels (1400, 1420 WireGuard,
/// 1446 and 1460 GCP, 1492 PPPoE), Ethernet, jumbo frames (3900, 4352, 8896 GCP, 8900 and 9000), transit gateway (8500), VPC (9001).
pub const PATH_MTUS: [u16; 14] =
    [1280, 1400, 1420, 1446, 1460, 1492, 1500, 3900, 4352, 8500, 8896, 8900, 9000, 9001];
/// Losses that make a size a confirmed bound, at least. RFC 8899, section 5.1.2 has 3 (MAX_PROBES), which 20 % loss pretends once in
/// 125 times at each size probed.
pub const PROBE_LOSSES_MIN: u32 = 5;
/// A bound is taken for one when ordinary loss explains its lost probes with less than 2^-4. Where no probe was lost by chance yet, one
/// loss is enough: a wrong bound costs less than repeating each right one.
pub const BOUND_TENTATIVE_BITS: u32 = 4;
/// A bound is confirmed when ordinary loss explains its lost probes with less than 2^-15, about 3 x 10^-5 ...
pub const BOUND_CONFIRMED_BITS: u32 = 15;
/// ... and less than 2^-20, about 10^-6, where probes were lost by chance: such a search meets many wrong bounds.
pub const BOUND_CONFIRMED_LOSSY_BITS: u32 = 20;
/// The proved size is lowered when ordinary loss explains its lost probes with less than 2^-30, about 10^-9.
pub const LOWERING_BITS: u32 = 30;
/// How long an answer to a probe is waited for before a round trip was measured; ns. RFC 8899's PROBE_TIMER is never below it.
pub const PROBE_TIMER_FIRST_NS: u64 = 1_000_000_000;
/// Least wait for an answer to a probe; ns. Below it the kernel's and the server's own delays would count as loss.
pub const PROBE_TIMER_MIN_NS: u64 = 25_000_000;
/// Most wait for an answer to a probe, where the back-off ends; ns.
pub const PROBE_TIMER_MAX_NS: u64 = 60_000_000_000;
/// How long after a finished search larger sizes are tried again; ns (RFC 8899, section 5.1.1, PMTU_RAISE_TIMER).
pub const RAISE_NS_DEFAULT: u64 = 600_000_000_000;
/// Pause after a cleared suspicion, in which no new one is taken up: lossy paths raise them all the time; ns.
pub const SUSPICION_PAUSE_NS: u64 = 1_000_000_000;
/// Probes of sizes known to pass that are lost in a row before the search takes the server for silent, or the path for smaller.
pub const CONTROLS_LOST_MAX: u32 = 3;

/// Times a read starts over because its version was gone before it goes over TCP.
pub const VERSION_RESTARTS_MAX: u8 = 3;

const _: () =
    assert!(ANSWER_HEADER_BYTES + COOKIE_FRAME_BYTES <= REQUEST_BYTES_MIN, "a challenge never amplifies");
const _: () = assert!(
    ANSWER_HEADER_BYTES + TELEMETRY_BYTES + MISS_BYTES <= REQUEST_BYTES_MIN,
    "a miss never amplifies"
);
const _: () =
    assert!(REQUEST_HEADER_BYTES <= 24 && CHUNK_BYTES <= 24 && TELEMETRY_BYTES <= 24, "overheads promised");
const _: () = assert!(VALUE_BYTES + SEAL_BYTES <= 16 && GET_BYTES <= 16, "overheads promised");
const _: () =
    assert!(KEY_BYTES_MAX <= u8::MAX as usize && DATAGRAM_BYTES_MAX <= u16::MAX as usize, "fields hold them");
const _: () = assert!(VALUE_BYTES_LIMIT + SEAL_BYTES < 1 << 28, "the seal's length field has 28 bits");
const _: () = assert!(
    VALUE_BYTES_LIMIT + KEY_BYTES_MAX + 64 <= TCP_MESSAGE_BYTES_MAX,
    "a SET of the largest value fits"
);
const _: () = assert!(DATAGRAM_BYTES_MAX <= CREDIT_BYTES_MAX && VALUE_BYTES_MAX_DEFAULT <= VALUE_BYTES_LIMIT);
const _: () = assert!(COOKIE_RENEW_S < COOKIE_AGE_S_MAX && COOKIE_AGE_S_MAX <= COOKIE_SECRET_S);
const _: () = assert!(
    REQUEST_HEADER_BYTES + COOKIE_FRAME_BYTES + REREQUEST_BYTES + RANGES_MAX * RANGE_BYTES + KEY_BYTES_MAX
        <= DATAGRAM_BYTES_MIN,
    "the longest REREQUEST fits the base datagram"
);

/// Datagram size (UDP payload) that a path MTU leaves, never above [`DATAGRAM_BYTES_MAX`]; 0 when not even the headers fit.
#[must_use]
pub const fn datagram_bytes(path_mtu: usize, ipv6: bool) -> usize {
    let bytes = path_mtu.saturating_sub(if ipv6 { IPV6_OVERHEAD_BYTES } else { IPV4_OVERHEAD_BYTES });
    if bytes < DATAGRAM_BYTES_MAX { bytes } else { DATAGRAM_BYTES_MAX }
}
