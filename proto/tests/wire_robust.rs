//! Bad input: dropped for the first reason in the order of PROTOCOL.md 2.1, and never a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use shingle_proto::checksum::crc32c;
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{RANGE_BYTES, RANGES_MAX, TCP_MESSAGE_BYTES_MAX};
use shingle_proto::wire::{
    Answer, AnswerHeader, Carrier, Control, DatagramWriter, DropReason, Frame, Get, Probe, Request,
    RequestHeader, next_message,
};

mod wire_support;

use wire_support::fields;

const HEADER: RequestHeader =
    RequestHeader { attempt: 0, flow: 1, sequence: 2, telemetry: false, datagram_max: 1472, credit: 65_536 };
const ANSWER: AnswerHeader = AnswerHeader { attempt: 0, flow: 1, sequence: 2, draining: false };

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

/// Writes the checksum anew.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 4 {
        let checksum = crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

fn request(header: &RequestHeader, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = vec![0; 65_507];
    let mut writer = DatagramWriter::request(&mut out, header).unwrap();
    for frame in frames {
        writer.push(frame).unwrap();
    }
    let length = writer.finish();
    out.truncate(length);
    out
}

fn get_request() -> Vec<u8> {
    request(&HEADER, &[Frame::Get(Get { id: 1, key: &[b'k'; 100] })])
}

/// Parses in every way there is and walks all frames.
fn read_every_way(bytes: &[u8]) {
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        if let Ok(request) = Request::parse(bytes, carrier) {
            assert!(request.frames().count() > 0);
            assert_eq!(request.keys().count(), usize::from(request.reads));
        }
        if let Ok(answer) = Answer::parse(bytes, carrier) {
            assert!(answer.frames().count() > 0);
        }
    }
    let _ = next_message(bytes);
}

fn drop_of(bytes: Vec<u8>) -> Option<DropReason> {
    Request::parse(&bytes, Carrier::Udp).err()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..300)) {
        read_every_way(&bytes);
        read_every_way(&repaired(bytes));
    }

    /// Arbitrary frames behind a good header: what a checksum does not stop.
    #[test]
    fn arbitrary_frames_do_not_panic(frames in vec(any::<u8>(), 24..300), frame_type in 0_u8..0x40) {
        for header in [HEADER.to_bytes().as_slice(), &ANSWER.to_bytes()] {
            let mut bytes = [header, frames.as_slice()].concat();
            bytes[header.len()] = frame_type;
            read_every_way(&repaired(bytes));
        }
    }

    /// Valid messages with some bytes changed, cut or lengthened, with the checksum repaired.
    #[test]
    fn mutated_messages_do_not_panic(
        fields in fields(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
        answer in any::<bool>(),
    ) {
        let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
        let mut out = vec![0; 9000];
        let mut writer = if answer {
            DatagramWriter::answer(&mut out, &ANSWER).unwrap()
        } else {
            DatagramWriter::request(&mut out, &HEADER).unwrap()
        };
        writer.push(&fields.frame(&mut room)).unwrap();
        let written = writer.finish();
        for (at, byte) in changes {
            let at = at.index(written);
            out[at] = byte;
        }
        for length in [written, length.index(written + 20)] {
            let mut bytes = out.clone();
            bytes.truncate(length);
            read_every_way(&bytes);
            read_every_way(&repaired(bytes));
        }
    }

    /// One changed bit anywhere is found, whatever it hits: CRC-32C detects every burst up to 32 bits.
    #[test]
    fn a_flipped_bit_is_never_accepted(bit in 0_usize..8 * 132) {
        let mut bytes = get_request();
        prop_assert_eq!(bytes.len(), 132);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Request::parse(&bytes, Carrier::Udp).is_err());
    }
}

#[test]
fn the_first_failed_check_names_the_drop() {
    let good = get_request();
    assert_eq!(drop_of(good.clone()), None);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(drop_of(vec![]), Some(DropReason::Short));
    assert_eq!(drop_of(repaired(good[..47].to_vec())), Some(DropReason::Short));
    assert_eq!(drop_of(with(4, 0x5F)), Some(DropReason::Magic));
    assert_eq!(drop_of(with(5, 2)), Some(DropReason::Version));
    assert_eq!(drop_of(with(40, 0)), Some(DropReason::Checksum));
    assert_eq!(drop_of(repaired(with(6, 0x80))), Some(DropReason::Kind));
    assert_eq!(drop_of(repaired(with(24, 0x7F))), Some(DropReason::Frame));
    assert_eq!(drop_of(repaired(with(24, 0x00))), Some(DropReason::Frame), "padding alone");
    assert_eq!(drop_of(repaired(with(25, 0))), Some(DropReason::Frame), "empty key");
    assert_eq!(drop_of(repaired(with(25, 251))), Some(DropReason::Frame), "key too long");
    assert_eq!(drop_of(repaired(with(25, 101))), Some(DropReason::Frame), "truncated key");
    assert_eq!(drop_of(repaired(with(16, 0))), Some(DropReason::Frame), "datagram_max under the base");
    assert_eq!(DropReason::ALL.map(DropReason::index), core::array::from_fn(|index| index));
}

#[test]
fn reserved_bits_and_padding_are_not_looked_at() {
    let mut bytes = get_request();
    (bytes[6], bytes[18], bytes[26]) = (0x7E, 0xFF, 0xFF);
    bytes.extend_from_slice(&[0, 0xFF, 0xFF]);
    let bytes = repaired(bytes);
    let request = Request::parse(&bytes, Carrier::Udp).unwrap();
    assert_eq!((request.header, request.reads, request.message_bytes), (HEADER, 1, 135));
}

#[test]
fn requests_are_reads_or_one_other_frame() {
    let get = Frame::Get(Get { id: 1, key: b"k" });
    let probe = Frame::Probe(Probe { up: true, down: false, size: 1400, id: 1 });
    let cookie = Frame::Cookie(Cookie([1; 16]));
    let parse = |frames: &[Frame<'_>]| {
        Request::parse(&request(&HEADER, frames), Carrier::Udp).map(|request| request.reads)
    };
    assert_eq!(parse(&[cookie, get, get]), Ok(2));
    assert_eq!(parse(&[probe, cookie]), Ok(0));
    assert_eq!(parse(&[get; 64]), Ok(64));
    for bad in [&[get; 65][..], &[get, probe], &[probe, probe], &[cookie], &[]] {
        assert_eq!(parse(bad), Err(DropReason::Frame), "{bad:?}");
    }
}

#[test]
fn padding_and_control_stay_on_their_carrier() {
    let drain = request(&HEADER, &[Frame::Control(Control::Drain { id: 1 })]);
    assert_eq!(Request::parse(&drain, Carrier::Udp).err(), Some(DropReason::Frame));
    assert_eq!(Request::parse(&drain, Carrier::Tcp).err(), Some(DropReason::Frame), "it is padded");
    let bare = repaired(drain[..32].to_vec());
    assert!(Request::parse(&bare, Carrier::Tcp).is_ok());
}

#[test]
fn a_stream_of_another_protocol_is_refused_at_once() {
    let error = next_message(b"GET / HTTP/1.1").unwrap_err();
    assert!(error.to_string().contains("1195725856 bytes"), "{error}");
    let limit = (TCP_MESSAGE_BYTES_MAX as u32).to_be_bytes();
    assert_eq!(next_message(&limit), Ok(None));
    assert_eq!(next_message(&limit[..3]), Ok(None));
}
