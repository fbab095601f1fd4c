//! Answers to a request of the client's: right ones, wrong ones, parts.

use arbitrary::{Result, Unstructured};
use shingle_proto::cookie::Cookie;
use shingle_proto::seal::compress;
use shingle_proto::wire::{
    Answer, AnswerHeader, Carrier, Chunk, DatagramWriter, Frame, Probe, Refusal, Refused, Request, Telemetry,
    Value,
};

use crate::values::{sealed, value};

/// Versions a key has had.
pub(super) const VERSIONS: u64 = 5;
/// Value lengths by the key's last byte.
const LENGTHS: [usize; 10] = [0, 1, 100, 1000, 1150, 1200, 3000, 10_000, 29_000, 31_000];
/// The key whose values are stored compressed.
const COMPRESSED: u8 = 6;

/// The value of a key in a version.
pub(super) fn stored_value(key: &[u8], version: u64) -> Vec<u8> {
    let number = key.last().copied().unwrap_or_default();
    let bytes = LENGTHS[usize::from(number) % LENGTHS.len()] + version as usize;
    if number == COMPRESSED { vec![version as u8; bytes] } else { value(key, version, bytes) }
}

fn stored(key: &[u8], version: u64) -> Vec<u8> {
    let value = stored_value(key, version);
    match key.last() {
        Some(&COMPRESSED) => compress(key, &value).expect("it is all the same"),
        _ => sealed(key, version, value.len()),
    }
}

/// One datagram in answer to a request.
pub(super) fn one(input: &mut Unstructured<'_>, request: &[u8]) -> Result<Vec<u8>> {
    let request = Request::parse(request, Carrier::Udp).expect("the client's own request");
    let mut header = AnswerHeader::to(&request.header, input.ratio(1, 16)?);
    if input.ratio(1, 32)? {
        header.flow = header.flow.wrapping_add(1);
    }
    if input.ratio(1, 32)? {
        header.sequence = header.sequence.wrapping_add(input.arbitrary::<u8>()?.into());
    }
    let mut out = vec![0; 10_000];
    let mut writer = DatagramWriter::answer(&mut out, &header).expect("room");
    if input.ratio(1, 16)? {
        writer.push(&Frame::Telemetry(Telemetry { worker: 3, ..Telemetry::default() })).expect("room");
    }
    if input.ratio(1, 16)? {
        writer.push(&Frame::Cookie(Cookie([9; 16]))).expect("room");
    }
    if input.ratio(1, 12)? {
        writer.push(&Frame::Challenge(Cookie(input.arbitrary()?))).expect("room");
    } else {
        for frame in request.frames() {
            // Not every read is answered in the same datagram.
            if input.ratio(3, 4)? {
                answer(input, &frame, &mut writer)?;
            }
        }
    }
    writer.pad_to(usize::from(input.arbitrary::<u16>()?.min(9000)));
    let length = writer.finish();
    out.truncate(length);
    Ok(if Answer::parse(&out, Carrier::Udp).is_ok() { out } else { Vec::new() })
}

fn answer(input: &mut Unstructured<'_>, asked: &Frame<'_>, writer: &mut DatagramWriter<'_>) -> Result<()> {
    match asked {
        Frame::Get(get) => answer_read(input, get.id, get.key, None, writer),
        Frame::Rerequest(again) => {
            let nth = input.int_in_range(0..=again.ranges.len() - 1)?;
            let range =
                again.ranges.iter().nth(nth).map(|range| (range.offset as usize, range.length as usize));
            answer_read(input, again.id, again.key, range.map(|range| (again.version, range)), writer)
        }
        Frame::Probe(probe) => {
            let id = probe.id;
            let size = if input.ratio(1, 8)? { input.arbitrary()? } else { probe.size };
            let frame = match input.int_in_range(0..=5)? {
                0 => Frame::Refused(Refused { id, reason: Refusal::NotServed, detail: 0 }),
                1 => Frame::Refused(Refused { id, reason: Refusal::TooBig, detail: input.arbitrary()? }),
                _ => Frame::ProbeAck(Probe { size, ..*probe }),
            };
            push(writer, &frame);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Version and range asked for again, where it is no first request.
type Again = Option<(u64, (usize, usize))>;

fn answer_read(
    input: &mut Unstructured<'_>,
    id: u32,
    key: &[u8],
    again: Again,
    writer: &mut DatagramWriter<'_>,
) -> Result<()> {
    let version = match again {
        Some((version, _)) if input.ratio(7, 8)? => version,
        _ => input.int_in_range(0..=VERSIONS - 1)?,
    };
    let mut sealed = stored(key, version.min(VERSIONS - 1));
    match input.int_in_range(0..=11)? {
        0 => push(writer, &Frame::Miss { id }),
        1 => {
            let reasons = [Refusal::VersionGone, Refusal::TooBig, Refusal::Unreadable, Refusal::NotServed];
            let reason = reasons[input.choose_index(4)?];
            push(writer, &Frame::Refused(Refused { id, reason, detail: input.arbitrary()? }));
        }
        2 => sealed = stored(b"another key", version.min(VERSIONS - 1)),
        3 => {
            let at = input.int_in_range(0..=sealed.len() - 1)?;
            sealed[at] ^= 1 << input.int_in_range(0..=7)?;
        }
        _ => {}
    }
    let id = if input.ratio(1, 32)? { id ^ 1 << input.int_in_range(0..=31)? } else { id };
    if again.is_none() && sealed.len() < 9000 && input.arbitrary()? {
        push(writer, &Frame::Value(Value { id, sealed: &sealed }));
        return Ok(());
    }
    let (offset, most) = match again {
        Some((_, (offset, length))) if offset < sealed.len() && input.ratio(7, 8)? => (offset, length),
        _ => (input.int_in_range(0..=sealed.len() - 1)?, 9000),
    };
    let bytes = input.int_in_range(1..=9000)?.min(most).min(sealed.len() - offset);
    let total = sealed.len() as u32 + if input.ratio(1, 32)? { input.arbitrary::<u16>()?.into() } else { 0 };
    let chunk = Chunk { id, version, total, offset: offset as u32, bytes: &sealed[offset..offset + bytes] };
    push(writer, &Frame::Chunk(chunk));
    Ok(())
}

fn push(writer: &mut DatagramWriter<'_>, frame: &Frame<'_>) {
    // What does not fit is left out, as a server would.
    let _ = writer.push(frame);
}
