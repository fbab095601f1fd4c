//! What is written is read back, with the overheads that PROTOCOL.md promises, and its bytes lie where it says.

use proptest::prelude::*;
use shingle_proto::chunk::Range;
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{RANGE_BYTES, RANGES_MAX, REQUEST_BYTES_MIN};
use shingle_proto::seal::seal;
use shingle_proto::wire::{
    Answer, AnswerHeader, Carrier, Chunk, Control, DatagramWriter, ErrorCode, ErrorText, Frame, Get,
    MessageWriter, Ranges, Request, RequestHeader, Rerequest, Telemetry, Value, next_message,
};

mod wire_support;

use wire_support::fields;

const HEADER: RequestHeader = RequestHeader {
    attempt: 3,
    flow: 0x0102_0304,
    sequence: 0x0506_0708,
    telemetry: true,
    datagram_max: 1472,
    credit: 0x0001_0203,
};
const ANSWER: AnswerHeader =
    AnswerHeader { attempt: 3, flow: 0x0102_0304, sequence: 0x0506_0708, draining: true };

fn config() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }
}

/// A datagram with these frames, header first.
fn datagram(answer: bool, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = vec![0xAA; 65_507];
    let mut writer = if answer {
        DatagramWriter::answer(&mut out, &ANSWER).unwrap()
    } else {
        DatagramWriter::request(&mut out, &HEADER).unwrap()
    };
    for frame in frames {
        writer.push(frame).unwrap();
    }
    let length = writer.finish();
    out.truncate(length);
    out
}

proptest! {
    #![proptest_config(config())]

    /// Every frame, as a message over TCP or a datagram, comes back as it was: by the one receiver and carrier that may see it.
    #[test]
    fn every_frame_roundtrips(fields in fields()) {
        let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
        let frame = fields.frame(&mut room);
        let (request, answer) = (datagram(false, &[frame]), datagram(true, &[frame]));
        let mut seen = 0;
        for carrier in [Carrier::Udp, Carrier::Tcp] {
            let unpadded = if carrier == Carrier::Tcp { 24 + frame.wire_bytes() } else { request.len() };
            let mut request = request[..unpadded].to_vec();
            let checksum = shingle_proto::checksum::crc32c(&request[4..]);
            request[..4].copy_from_slice(&checksum.to_be_bytes());
            if let Ok(parsed) = Request::parse(&request, carrier) {
                prop_assert_eq!(parsed.header, HEADER);
                prop_assert_eq!(parsed.frames().collect::<Vec<_>>(), vec![frame]);
                seen += 1;
            }
            if let Ok(parsed) = Answer::parse(&answer, carrier) {
                prop_assert_eq!(parsed.header, ANSWER);
                prop_assert_eq!(parsed.frames().collect::<Vec<_>>(), vec![frame]);
                seen += 1;
            }
        }
        let expected = match frame {
            // A request with nothing but a cookie asks for nothing.
            Frame::Cookie(_) | Frame::Get(_) | Frame::Rerequest(_) | Frame::Value(_) | Frame::Chunk(_) | Frame::Miss { .. } | Frame::Refused(_) => 2,
            _ => 1,
        };
        prop_assert_eq!(seen, expected);
    }

    /// Messages on a stream come out one by one however the stream is cut.
    #[test]
    fn streams_are_cut_into_messages(all in prop::collection::vec(fields(), 1..6), cut in any::<prop::sample::Index>()) {
        let mut stream = Vec::new();
        for fields in &all {
            let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
            let mut writer = MessageWriter::answer(&mut stream, &ANSWER);
            writer.push(&fields.frame(&mut room));
            writer.finish();
        }
        let (mut at, mut messages) = (0, 0);
        while let Some((consumed, message)) = next_message(&stream[at..]).unwrap() {
            prop_assert_eq!(message.len() + 4, consumed);
            at += consumed;
            messages += 1;
        }
        prop_assert_eq!((at, messages), (stream.len(), all.len()));
        let cut = cut.index(stream.len());
        let mut at = 0;
        while let Some((consumed, _)) = next_message(&stream[at..cut]).unwrap() {
            at += consumed;
        }
        prop_assert!(at <= cut);
    }
}

#[test]
fn overheads_are_as_promised() {
    let value = [7; 300];
    let key = b"some/key";
    let sealed = [seal(key, &value).as_slice(), &value].concat();
    assert!(HEADER.to_bytes().len() <= 24 && ANSWER.to_bytes().len() <= 24);
    let get = Frame::Get(Get { id: 1, key });
    assert!(get.wire_bytes() - key.len() <= 16);
    let packed = Frame::Value(Value { id: 1, sealed: &sealed });
    assert!(packed.wire_bytes() - value.len() <= 16);
    let chunk = Frame::Chunk(Chunk { id: 1, version: 2, total: 900, offset: 0, bytes: &sealed });
    assert!(chunk.wire_bytes() - sealed.len() <= 24);
    assert!(Frame::Telemetry(Telemetry::default()).wire_bytes() <= 24);
    assert_eq!(datagram(false, &[get]).len(), REQUEST_BYTES_MIN, "a short request is padded");
}

#[test]
fn bytes_of_a_get_are_those_of_the_specification() {
    let bytes =
        datagram(false, &[Frame::Cookie(Cookie([9; 16])), Frame::Get(Get { id: 0xA1A2_A3A4, key: b"key" })]);
    let header = [0x5E, 1, 0x01, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0x05, 0xC0, 0, 0, 0, 1, 2, 3];
    assert_eq!(bytes[4..24], header);
    assert_eq!(bytes[24..44], [[4, 0, 0, 0].as_slice(), &[9; 16]].concat());
    assert_eq!(bytes[44..], *b"\x01\x03\0\0\xA1\xA2\xA3\xA4key");
    assert_eq!(bytes[..4], shingle_proto::checksum::crc32c(&bytes[4..]).to_be_bytes());
}

#[test]
fn bytes_of_an_answer_are_those_of_the_specification() {
    let chunk = Chunk {
        id: 0xA1A2_A3A4,
        version: 0x0102_0304_0506_0708,
        total: 0x0001_0000,
        offset: 0x0000_FFF0,
        bytes: b"tail",
    };
    let bytes = datagram(true, &[Frame::Chunk(chunk)]);
    assert_eq!(bytes[4..16], [0x5E, 1, 0x81, 3, 1, 2, 3, 4, 5, 6, 7, 8]);
    let head = b"\x12\0\0\x04\xA1\xA2\xA3\xA4\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\0\0\0\xFF\xF0";
    assert_eq!(bytes[16..], [head.as_slice(), b"tail"].concat());
}

#[test]
fn bytes_of_a_rerequest_are_those_of_the_specification() {
    let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
    let ranges =
        Ranges::encode([Range { offset: 16, length: 32 }, Range { offset: 64, length: 1 }], &mut room)
            .unwrap();
    let again = Rerequest { id: 5, version: 6, ranges, key: b"k" };
    let bytes = datagram(false, &[Frame::Rerequest(again)]);
    let frame = b"\x02\x01\x02\0\0\0\0\x05\0\0\0\0\0\0\0\x06\0\0\0\x10\0\0\0\x20\0\0\0\x40\0\0\0\x01k";
    assert_eq!(bytes[24..], *frame);
}

#[test]
fn ranges_that_break_the_rules_are_not_encoded() {
    let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
    let mut encode = |ranges: &[(u32, u32)]| {
        let ranges = ranges.iter().map(|&(offset, length)| Range { offset, length });
        Ranges::encode(ranges, &mut room).map(Ranges::len)
    };
    assert_eq!(encode(&[(0, 1), (1, 1), (7, 3)]), Some(3));
    assert_eq!(encode(&[]), None);
    assert_eq!(encode(&[(0, 0)]), None, "empty range");
    assert_eq!(encode(&[(5, 1), (0, 1)]), None, "falling");
    assert_eq!(encode(&[(0, 2), (1, 1)]), None, "overlapping");
    assert_eq!(encode(&[(u32::MAX, 1)]), None, "past the end of the numbers");
    assert_eq!(encode(&[(0, 1); 33]), None, "too many");
}

#[test]
fn long_error_texts_are_cut_between_characters() {
    let text = "é".repeat(40_000);
    let mut stream = Vec::new();
    let error = ErrorText { id: 1, code: ErrorCode::Malformed, text: &text };
    let mut writer = MessageWriter::answer(&mut stream, &ANSWER);
    writer.push(&Frame::Control(Control::Error(error)));
    writer.finish();
    let (_, message) = next_message(&stream).unwrap().unwrap();
    let found = Answer::parse(message, Carrier::Tcp).unwrap().frames().next();
    let Some(Frame::Control(Control::Error(found))) = found else { panic!("{found:?}") };
    assert_eq!(found.text.len(), 65_534);
}

#[test]
fn an_unfinished_message_leaves_the_stream_as_it_was() {
    let mut stream = b"before".to_vec();
    MessageWriter::request(&mut stream, &HEADER).push(&Frame::Control(Control::Drain { id: 1 }));
    assert_eq!(stream, b"before");
}
