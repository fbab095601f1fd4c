//! The parsers of both carriers and both sides: what they accept is written again and means the same.

use shingle_proto::limits::{
    DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, GETS_PER_DATAGRAM_MAX, TCP_LENGTH_BYTES, TCP_MESSAGE_BYTES_MAX,
};
use shingle_proto::wire::{
    Answer, AnswerHeader, Carrier, DatagramWriter, Frame, Frames, MessageWriter, Request, RequestHeader,
    next_message,
};

use crate::messages::repaired;

/// Reads the bytes in every way there is, as they are and with the right checksum.
pub fn run(data: &[u8]) {
    stream(data);
    for bytes in [data.to_vec(), repaired(data)] {
        for carrier in [Carrier::Udp, Carrier::Tcp] {
            let request = Request::parse(&bytes, carrier);
            let answer = Answer::parse(&bytes, carrier);
            assert!(request.is_err() || answer.is_err(), "a message is of one kind");
            if let Ok(request) = request {
                check_request(&request, &bytes, carrier);
            }
            if let Ok(answer) = answer {
                check_answer(&answer, &bytes, carrier);
            }
        }
    }
}

fn stream(bytes: &[u8]) {
    match next_message(bytes) {
        Ok(Some((taken, message))) => {
            assert!(taken <= bytes.len() && taken == message.len() + TCP_LENGTH_BYTES);
        }
        Ok(None) => {}
        Err(too_long) => assert!(too_long.bytes > TCP_MESSAGE_BYTES_MAX),
    }
}

fn check_request(request: &Request<'_>, bytes: &[u8], carrier: Carrier) {
    assert_eq!(request.message_bytes, bytes.len());
    assert!(usize::from(request.reads) <= GETS_PER_DATAGRAM_MAX);
    assert_eq!(request.keys().count(), usize::from(request.reads));
    assert!(request.keys().all(|key| (1..=250).contains(&key.len())));
    let cookies = request.frames().filter_map(|frame| match frame {
        Frame::Cookie(cookie) => Some(cookie),
        _ => None,
    });
    assert_eq!(request.cookie, cookies.last());
    assert!(carrier == Carrier::Tcp || usize::from(request.header.datagram_max) >= DATAGRAM_BYTES_MIN);
    check_frames(request.frames());
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return;
    }
    let written = write(carrier, bytes.len(), Header::Request(request.header), request.frames());
    let again = Request::parse(&written, carrier).expect("what our writer wrote");
    assert_eq!((again.header, again.cookie, again.reads), (request.header, request.cookie, request.reads));
    assert!(again.frames().eq(request.frames()), "the same frames");
}

fn check_answer(answer: &Answer<'_>, bytes: &[u8], carrier: Carrier) {
    check_frames(answer.frames());
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return;
    }
    let written = write(carrier, bytes.len(), Header::Answer(answer.header), answer.frames());
    let again = Answer::parse(&written, carrier).expect("what our writer wrote");
    assert_eq!(again.header, answer.header);
    assert!(again.frames().eq(answer.frames()), "the same frames");
}

/// What the table of each frame promises.
fn check_frames(frames: Frames<'_>) {
    assert!(frames.count() > 0, "a message has a frame");
    for frame in frames {
        match frame {
            Frame::Rerequest(again) => {
                let ends = again.ranges.iter().map(|range| u64::from(range.offset) + u64::from(range.length));
                let starts = again.ranges.iter().skip(1).map(|range| u64::from(range.offset));
                assert!((1..=32).contains(&again.ranges.len()));
                assert!(again.ranges.iter().all(|range| range.length > 0));
                assert!(ends.clone().zip(starts).all(|(end, next)| end <= next), "rising, not overlapping");
                assert!(ends.last().is_some_and(|end| end <= u64::from(u32::MAX)));
            }
            Frame::Chunk(chunk) => {
                assert!(!chunk.bytes.is_empty());
                assert!(u64::from(chunk.offset) + chunk.bytes.len() as u64 <= u64::from(chunk.total));
            }
            Frame::Probe(probe) | Frame::ProbeAck(probe) => assert!(probe.up || probe.down),
            _ => {}
        }
    }
}

/// The header of either kind.
#[derive(Clone, Copy)]
enum Header {
    Request(RequestHeader),
    Answer(AnswerHeader),
}

/// Writes the frames behind the header: no longer than the `bytes` they came in.
fn write(carrier: Carrier, bytes: usize, header: Header, frames: Frames<'_>) -> Vec<u8> {
    match carrier {
        Carrier::Udp => write_datagram(bytes, header, frames),
        Carrier::Tcp => write_message(bytes, header, frames),
    }
}

fn write_datagram(bytes: usize, header: Header, frames: Frames<'_>) -> Vec<u8> {
    let mut out = vec![0xFF; bytes];
    let mut writer = match header {
        Header::Request(header) => DatagramWriter::request(&mut out, &header).expect("room"),
        Header::Answer(header) => DatagramWriter::answer(&mut out, &header).expect("room"),
    };
    frames.for_each(|frame| writer.push(&frame).expect("no longer than it was"));
    let written = writer.finish();
    out.truncate(written);
    out
}

fn write_message(bytes: usize, header: Header, frames: Frames<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = match header {
        Header::Request(header) => MessageWriter::request(&mut out, &header),
        Header::Answer(header) => MessageWriter::answer(&mut out, &header),
    };
    frames.for_each(|frame| {
        writer.push(&frame);
    });
    writer.finish();
    let (taken, message) = next_message(&out).expect("not too long").expect("a whole message");
    assert_eq!((taken, message.len()), (out.len(), bytes), "nothing but frames over TCP");
    message.to_vec()
}
