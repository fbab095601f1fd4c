//! Numbers of the simulation, with their units and reasons.

/// Header of an IPv4 packet without options.
pub(crate) const IPV4_HEADER_BYTES: usize = 20;
/// Header of an IPv6 packet without extensions.
pub(crate) const IPV6_HEADER_BYTES: usize = 40;
/// Header of a UDP datagram.
pub(crate) const UDP_HEADER_BYTES: usize = 8;
/// Fragments begin at multiples of this (RFC 791 section 3.1).
pub(crate) const FRAGMENT_UNIT_BYTES: usize = 8;

/// Smallest MTU an IPv4 link may have (RFC 791 section 3.2).
pub(crate) const MTU_BYTES_MIN: u32 = 68;
/// Largest IP packet (16-bit length field).
pub(crate) const MTU_BYTES_MAX: u32 = 65_535;

/// Nanoseconds of a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// What a receiver may hold of unfinished datagrams: Linux's `ipfrag_high_thresh`.
pub(crate) const REASSEMBLY_MEMORY_BYTES: u64 = 4 << 20;
/// How long a receiver waits for a datagram's last fragment: Linux's `ipfrag_time`.
pub(crate) const REASSEMBLY_TIME_S: u64 = 30;

/// Steps at one instant after which a run is given up: an endpoint that sends without end, or whose timeout never moves on.
/// No run does this much in one nanosecond on purpose.
pub(crate) const STEPS_PER_INSTANT_MAX: u32 = 1_000_000;

/// First port a NAT hands out (the dynamic ports of RFC 6335).
pub(crate) const NAT_PORT_FIRST: u16 = 49_152;
