//! Limits of memcached's protocol, and of how it is spoken here.

use std::time::Duration;

/// Header of every datagram: request id, sequence, total, reserved; 16 bits each (memcached's doc/protocol.txt, "UDP protocol").
pub const HEADER_BYTES: usize = 8;
/// Bytes of an answer in each of its datagrams but the last: 1400 with the header (UDP_MAX_PAYLOAD_SIZE, memcached.h).
pub const PIECE_BYTES: usize = 1392;
/// Longest request datagram: what memcached keeps to itself, so that no request is fragmented at a path MTU of 1500.
pub const REQUEST_BYTES_MAX: usize = 1400;
/// Longest key (KEY_MAX_LENGTH, memcached.h).
pub const KEY_BYTES_MAX: usize = 250;
/// Longest line of an answer to a get: `VALUE `, a key, flags of ten digits, a length of ten. Errors are cut to it as well.
pub const LINE_BYTES_MAX: usize = 512;
/// Bytes of an answer beside its value: the line before and `\r\nEND\r\n` after it.
pub const ANSWER_BESIDE_BYTES: usize = LINE_BYTES_MAX + 7;
/// What `item_size_max` has to hold beside the value: the item's header, key, flags and suffix (items.c, item_make_header).
pub const ITEM_BESIDE_BYTES: u32 = 320;
/// Requests of one UDP flow that can be told apart: half of the 16-bit ids, so that an id rests a while before it is used again.
pub const REQUESTS_MAX: usize = 32_768;
/// Ids looked at for one that is free before a read is given up: those in use lie close together, behind the newest.
pub const ID_TRIES_MAX: usize = 256;
/// Oldest version whose UDP answers are understood: each key of a get as a message of its own.
pub const VERSION_MIN: (u32, u32) = (1, 6);
/// A TTL above this is taken for a date (REALTIME_MAXDELTA, memcached.c).
pub const TTL_S_MAX: u64 = 60 * 60 * 24 * 30;
/// Items stored before their replies are read, and bytes: enough to hide a round trip, little enough for any socket buffer's peer.
pub const SETS_AT_ONCE: usize = 512;
/// See [`SETS_AT_ONCE`].
pub const SET_BYTES_AT_ONCE: usize = 128 << 10;
/// Input buffer of one TCP flow, beside room for the longest answer.
pub const INPUT_BYTES: usize = 256 << 10;
/// Statistics kept of one answer: 1.6 has some hundred and twenty.
pub const WORDS_MAX: usize = 1024;
/// How long the administrative connection waits for an answer, all of it: to one command, or to a batch of items stored.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A UDP answer is waited for this long, this many times, before the port counts as silent.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(300);
/// See [`PROBE_TIMEOUT`].
pub const PROBE_TRIES: usize = 4;
/// A broken connection is opened again no sooner than this after the last try.
pub const RECONNECT_NS: u64 = 20_000_000;
