//! Numbers of the simulation, of the catalogue and of the laboratory, with their units and reasons.

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

/// Defaults and ranges of the catalogue.
///
/// MTU of the cloud networks the stories come from (AWS VPC).
pub(crate) const MTU_BYTES_DEFAULT: u64 = 9001;
/// MTU of Ethernet, of internet gateways and of most tunnels' ends.
pub(crate) const NARROW_MTU_BYTES: u64 = 1500;
/// Below it a link carries no IPv6 (RFC 8200 section 5).
pub(crate) const LAB_MTU_BYTES_MIN: u64 = 1280;
/// Largest jumbo frames in use.
pub(crate) const LAB_MTU_BYTES_MAX: u64 = 9216;
/// Half a second one way: more than a satellite's path.
pub(crate) const DELAY_NS_MAX: u64 = SECOND_NS / 2;
/// Linux's default for the life of a learned path MTU.
pub(crate) const MTU_EXPIRES_S_MAX: u64 = 600;
/// Last numbers of the client's further addresses, for low-volume clients: path MTUs are cached by address.
pub(crate) const CANARY_ADDRESSES: [u8; 4] = [101, 102, 103, 104];

/// What the network card of the story passes (AWS names 1024).
pub(crate) const FRAGMENTS_PER_SECOND: u64 = 1_000;
/// nft counts a limit's tokens in whole nanoseconds: above this rate rounding shows.
pub(crate) const PACKETS_PER_SECOND_MAX: u64 = 1_000_000;
/// Bucket of the fragment limit. Small: the card of the story lets hardly more than its rate through in any millisecond.
pub(crate) const FRAGMENT_BURST: u64 = 5;
/// Bucket that holds a second of the largest rate.
pub(crate) const BURST_PACKETS_MAX: u64 = 1_000_000;

/// A client that never runs out of memory for fragments: only what the card dropped is lost.
pub(crate) const REASSEMBLY_LARGE_BYTES: u64 = 256 << 20;
/// And forgets orphans before the next stage.
pub(crate) const REASSEMBLY_SHORT_S: u64 = 1;
/// A client that runs out of it within seconds of light loss.
pub(crate) const REASSEMBLY_SMALL_BYTES: u64 = 256 << 10;
/// Room for one datagram of the largest size, as the kernel charges it.
pub(crate) const REASSEMBLY_MEMORY_BYTES_MIN: u64 = 128 << 10;
/// More than the kernel's counter of 32 bits takes is refused; half is plenty.
pub(crate) const REASSEMBLY_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Twice the kernel's default.
pub(crate) const REASSEMBLY_TIME_S_MAX: u64 = 60;
/// Loss of later fragments that fills the small memory at rates a test can have.
pub(crate) const REST_LOST_PPM: u64 = 50_000;

/// Largest packet of a transit gateway.
pub(crate) const BLACK_HOLE_BYTES: u64 = 8500;
/// Loss that is twice what the service level allows.
pub(crate) const LOSS_PPM: u64 = 10_000;
/// Longest mean burst: a tenth of a second at 10,000 packets a second.
pub(crate) const LOSS_BURST_PACKETS_MAX: u64 = 1_000;
/// Enough to be seen in a run of seconds.
pub(crate) const CORRUPT_PPM: u64 = 5_000;
/// Enough to be seen in a run of seconds.
pub(crate) const DUPLICATE_PPM: u64 = 10_000;
/// One packet in ten on the slower path.
pub(crate) const REORDER_PPM: u64 = 100_000;
/// Lets a train of packets at 10,000 a second be overtaken by ten.
pub(crate) const REORDER_EXTRA_NS: u64 = SECOND_NS / 1_000;
/// Below what two processors generate.
pub(crate) const PACKETS_PER_SECOND: u64 = 10_000;
/// Ten milliseconds of it.
pub(crate) const BURST_PACKETS: u64 = 100;
/// Below what two processors generate.
pub(crate) const BITS_PER_SECOND: u64 = 100_000_000;
/// Below it the time of the largest burst is more than the kernel's ticks (64 ns, 32 bits) count.
pub(crate) const BITS_PER_SECOND_MIN: u64 = 1_000_000;
/// More than veth carries.
pub(crate) const BITS_PER_SECOND_MAX: u64 = 100_000_000_000;
/// Five milliseconds of the default bandwidth.
pub(crate) const BURST_BYTES: u64 = 64 << 10;
/// Some two minutes of the least bandwidth.
pub(crate) const BURST_BYTES_MAX: u64 = 16 << 20;
/// So that a handful of flows meets the bad path.
pub(crate) const EQUAL_PATHS: u64 = 4;
/// Each path is a wire of its own.
pub(crate) const EQUAL_PATHS_MAX: u64 = 8;
/// Some seconds to see what was well before.
pub(crate) const SILENT_AFTER_NS: u64 = 2 * SECOND_NS;
/// Longest time before something changes: runs are shorter.
pub(crate) const TRIGGER_NS_MAX: u64 = 3_600 * SECOND_NS;
/// The least that can be balanced.
pub(crate) const BALANCED_SERVERS: u64 = 2;
/// More would only make the dead one harder to find.
pub(crate) const BALANCED_SERVERS_MAX: u64 = 16;
/// How long a network load balancer remembers a UDP flow (AWS).
pub(crate) const FLOW_TIMEOUT_S: u64 = 120;
/// An hour is for ever in a test.
pub(crate) const FLOW_TIMEOUT_S_MAX: u64 = 3_600;
/// A queue of some forty jumbo frames' worth of small answers.
pub(crate) const QUEUE_BYTES: u64 = 64 << 10;
/// Room for one of the largest packets.
pub(crate) const QUEUE_BYTES_MIN: u64 = 16 << 10;
/// What a shaped queue may send at once: more than one of the largest frames, or it would never leave.
pub(crate) const SHAPER_BURST_BYTES: u64 = 16 << 10;
/// A stop-the-world collection of some hundred megabytes.
pub(crate) const PAUSE_NS: u64 = SECOND_NS / 20;
/// Shorter ones are lost in the scheduler's own.
pub(crate) const PAUSE_NS_MIN: u64 = SECOND_NS / 10_000;
/// Two a second.
pub(crate) const PAUSE_INTERVAL_NS: u64 = SECOND_NS / 2;
/// The shortest interval the server takes.
pub(crate) const PAUSE_INTERVAL_NS_MIN: u64 = SECOND_NS / 1_000;
/// Runs would see less than one pause a minute.
pub(crate) const PAUSE_INTERVAL_NS_MAX: u64 = 60 * SECOND_NS;
/// A server with a tenth of a processor.
pub(crate) const SLOW_PPM: u64 = 900_000;
/// Some time must be left to answer.
pub(crate) const SLOW_PPM_MAX: u64 = 990_000;
/// Twice a read's timeout: most reads that meet a pause are answered too late, while the socket buffer still holds them.
pub(crate) const SLOW_INTERVAL_NS: u64 = SECOND_NS / 5;
/// Of a laboratory's name: with the words around it, the name of a file (255 bytes at most) that people can still read.
#[cfg(feature = "lab")]
pub(crate) const LAB_NAME_BYTES_MAX: usize = 40;
/// How long another process may take to make or remove what it is at: some hundred laboratories that start at once.
#[cfg(feature = "lab")]
pub(crate) const GUARD_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// Between two looks whether it is done: it takes milliseconds.
#[cfg(feature = "lab")]
pub(crate) const GUARD_POLL: std::time::Duration = std::time::Duration::from_millis(1);
/// How long iptables waits for another iptables of the machine, in seconds: as an argument.
#[cfg(feature = "lab")]
pub(crate) const XTABLES_WAIT_S: &str = "10";
/// How often the processes of a host are looked for and killed, a millisecond apart: who starts new ones faster is not stopped by more.
#[cfg(feature = "lab")]
pub(crate) const KILL_ROUNDS_MAX: u32 = 100;
/// Packets that may wait in one direction: the longest delay of the catalogue at 200,000 packets/s, with room.
#[cfg(feature = "lab")]
pub(crate) const HOLD_PACKETS_MAX: u32 = 200_000;
/// Of the netlink socket that tells of them, some 200 B each: a stall of this machine of 100 ms at 200,000 packets/s.
#[cfg(feature = "lab")]
pub(crate) const HOLD_SOCKET_BYTES: usize = 32 << 20;
/// Reads before packets that are due are let go: a read brings one packet.
#[cfg(feature = "lab")]
pub(crate) const HOLD_READS_MAX: u32 = 64;
/// Later than this after its time a packet counts as late: twice the stalls of a few milliseconds that virtual machines have.
#[cfg(feature = "lab")]
pub(crate) const HOLD_LATE: std::time::Duration = std::time::Duration::from_millis(10);
/// How long a thread without packets sleeps before it looks whether it shall end.
#[cfg(feature = "lab")]
pub(crate) const HOLD_WAKE: std::time::Duration = std::time::Duration::from_millis(20);
/// Length of the queue at an end of a wire. There is none (veth has no queue); the figure must not be the kernel's own 1000.
#[cfg(feature = "lab")]
pub(crate) const WIRE_QUEUE_PACKETS: u32 = 1001;
/// Between two looks whether addresses are usable: they are after some tenths of a millisecond as a rule.
#[cfg(feature = "lab")]
pub(crate) const ADDRESS_POLL: std::time::Duration = std::time::Duration::from_micros(200);
/// Addresses that are not usable after this never will be.
#[cfg(feature = "lab")]
pub(crate) const ADDRESS_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a capture may go on writing what it saw once it is told to stop: a laboratory is gone in a second.
#[cfg(feature = "lab")]
pub(crate) const CAPTURE_DRAIN_MAX: std::time::Duration = std::time::Duration::from_millis(300);
/// Rates at which the range of a laboratory is measured, in datagrams/s each way.
#[cfg(feature = "lab")]
pub(crate) const RANGE_RATES: [u32; 10] =
    [5_000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 100_000, 125_000, 150_000];
/// A step at one of them: ten steps and the attempts at the last take some half a second.
#[cfg(feature = "lab")]
pub(crate) const RANGE_STEP: std::time::Duration = std::time::Duration::from_millis(30);
/// Of each rate: virtual machines stall several times a second, for longer than the bounds.
#[cfg(feature = "lab")]
pub(crate) const RANGE_ATTEMPTS: u32 = 3;
/// After which silence a datagram is lost.
#[cfg(feature = "lab")]
pub(crate) const RANGE_DRAIN: std::time::Duration = std::time::Duration::from_millis(30);
/// Half of the datagrams come back within this: half of the service level's millisecond.
#[cfg(feature = "lab")]
pub(crate) const RANGE_P50_MAX: std::time::Duration = std::time::Duration::from_micros(500);
/// Nine of ten come back within this.
#[cfg(feature = "lab")]
pub(crate) const RANGE_P90_MAX: std::time::Duration = std::time::Duration::from_millis(2);
/// Small: it is packets that cost, not bytes.
#[cfg(feature = "lab")]
pub(crate) const RANGE_DATAGRAM_BYTES: usize = 100;
/// Of the sockets: a stall of 20 ms at the highest rate, each datagram charged 832 B.
#[cfg(feature = "lab")]
pub(crate) const RANGE_SOCKET_BYTES: usize = 4 << 20;
/// Of a packet in a capture: the largest IP packet and its Ethernet header, with room.
#[cfg(feature = "lab")]
pub(crate) const CAPTURE_BYTES_MAX: usize = 1 << 17;
/// Of the socket of a capture: 100 ms of 100,000 packets of 1500 B a second, charged 2304 B each, with room.
#[cfg(feature = "lab")]
pub(crate) const CAPTURE_SOCKET_BYTES: usize = 32 << 20;
/// How long a capture without packets sleeps before it looks whether it shall end.
#[cfg(feature = "lab")]
pub(crate) const CAPTURE_WAKE_MS: u8 = 20;
