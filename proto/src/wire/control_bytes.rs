//! The bytes of the frames that only TCP carries (`PROTOCOL.md`, sections 8.1 and 8.2).

use super::bytes::{put, take, u16_at, u32_at, u64_at};
use super::control::{
    Control, Done, ErrorCode, ErrorText, Flush, FlushWhat, Hello, KeyRequest, Ping, Pong, Ports, ReceiptList,
    ReceiptsRequest, Set, Text, Welcome,
};
use super::frame::{Parts, frame_type};
use super::receipt::Receipts;
use crate::cookie::Cookie;
use crate::limits::{PORT_BYTES, RECEIPT_BYTES};

/// WELCOME flags.
const RECEIPTS_KEPT: u8 = 0x01;
const DRAINING: u8 = 0x02;
const UPDATES: u8 = 0x04;
/// PONG flag.
const PONG_DRAINING: u8 = 0x01;

impl<'a> Control<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        // All of them begin with type, one byte of their own, two more, and the id.
        let (start, behind) = bytes.split_first_chunk::<8>()?;
        let (own, own_u16, id) = (start[1], u16_at::<2, _>(start), u32_at::<4, _>(start));
        match start[0] {
            frame_type::HELLO => {
                let (token, rest) = take(behind, usize::from(start[3]))?;
                Some((Control::Hello(Hello { id, version_min: own, version_max: start[2], token }), rest))
            }
            frame_type::SET => parse_set(id, own, behind),
            frame_type::DELETE => {
                let (key, rest) = take(behind, usize::from(own))?;
                Some((Control::Delete(KeyRequest { id, key }), rest))
            }
            frame_type::FLUSH => {
                let what = match own {
                    0 => FlushWhat::Values,
                    1 => FlushWhat::PathMtus,
                    _ => return None,
                };
                Some((Control::Flush(Flush { id, what }), behind))
            }
            frame_type::STATS => Some((Control::Stats { id }, behind)),
            frame_type::RECEIPTS => {
                let (first, rest) = take_u64(behind)?;
                Some((Control::Receipts(ReceiptsRequest { id, worker: own, first }), rest))
            }
            frame_type::PING => {
                let (payload, rest) = take_u64(behind)?;
                Some((Control::Ping(Ping { id, payload }), rest))
            }
            frame_type::DRAIN => Some((Control::Drain { id }, behind)),
            frame_type::WELCOME => parse_welcome(id, own, start[2], behind),
            frame_type::DONE => {
                let (result, rest) = take_u64(behind)?;
                Some((Control::Done(Done { id, result }), rest))
            }
            frame_type::ERROR => {
                let code = *ErrorCode::ALL.get(usize::from(own).checked_sub(1)?)?;
                let (text, rest) = take_text(behind, usize::from(own_u16))?;
                Some((Control::Error(ErrorText { id, code, text }), rest))
            }
            frame_type::TEXT => {
                let (length, rest) = behind.split_first_chunk::<4>()?;
                let (text, rest) = take_text(rest, u32::from_be_bytes(*length) as usize)?;
                Some((Control::Text(Text { id, text }), rest))
            }
            frame_type::RECEIPT_LIST => {
                let (first, rest) = take_u64(behind)?;
                let (receipts, rest) = take(rest, usize::from(own_u16) * RECEIPT_BYTES)?;
                let receipts = Receipts::parse(receipts)?;
                Some((Control::ReceiptList(ReceiptList { id, worker: own, first, receipts }), rest))
            }
            frame_type::PONG => {
                let (payload, rest) = take_u64(behind)?;
                Some((Control::Pong(Pong { id, draining: own & PONG_DRAINING != 0, payload }), rest))
            }
            _ => None,
        }
    }

    pub(super) fn parts(&self) -> Parts<'a> {
        match *self {
            Control::Hello(hello) => {
                let mut head = start(frame_type::HELLO, hello.version_min, hello.id);
                let token = cut(hello.token, u8::MAX.into());
                (head[2], head[3]) = (hello.version_max, token.len() as u8);
                Parts::new(head, [token, &[]])
            }
            Control::Set(set) => set_parts(&set),
            Control::Delete(delete) => {
                let key = cut(delete.key, u8::MAX.into());
                Parts::new(start(frame_type::DELETE, key.len() as u8, delete.id), [key, &[]])
            }
            Control::Flush(flush) => {
                let what = match flush.what {
                    FlushWhat::Values => 0,
                    FlushWhat::PathMtus => 1,
                };
                Parts::new(start(frame_type::FLUSH, what, flush.id), [&[], &[]])
            }
            Control::Stats { id } => Parts::new(start(frame_type::STATS, 0, id), [&[], &[]]),
            Control::Receipts(wanted) => {
                with_u64(start(frame_type::RECEIPTS, wanted.worker, wanted.id), wanted.first, &[])
            }
            Control::Ping(ping) => with_u64(start(frame_type::PING, 0, ping.id), ping.payload, &[]),
            Control::Drain { id } => Parts::new(start(frame_type::DRAIN, 0, id), [&[], &[]]),
            Control::Welcome(welcome) => welcome_parts(&welcome),
            Control::Done(done) => with_u64(start(frame_type::DONE, 0, done.id), done.result, &[]),
            Control::Error(error) => {
                let text = cut_text(error.text, u16::MAX.into());
                let mut head = start(frame_type::ERROR, error.code as u8 + 1, error.id);
                put::<2, 2, _>(&mut head, (text.len() as u16).to_be_bytes());
                Parts::new(head, [text.as_bytes(), &[]])
            }
            Control::Text(text) => {
                let mut head = [0; 12];
                put::<0, 8, _>(&mut head, start(frame_type::TEXT, 0, text.id));
                put::<8, 4, _>(&mut head, (text.text.len() as u32).to_be_bytes());
                Parts::new(head, [text.text.as_bytes(), &[]])
            }
            Control::ReceiptList(list) => {
                let mut head = start(frame_type::RECEIPT_LIST, list.worker, list.id);
                put::<2, 2, _>(&mut head, (list.receipts.len() as u16).to_be_bytes());
                with_u64(head, list.first, list.receipts.as_bytes())
            }
            Control::Pong(pong) => {
                let flags = u8::from(pong.draining) * PONG_DRAINING;
                with_u64(start(frame_type::PONG, flags, pong.id), pong.payload, &[])
            }
        }
    }
}

fn parse_set(id: u32, key_bytes: u8, behind: &[u8]) -> Option<(Control<'_>, &[u8])> {
    let (fields, rest) = behind.split_first_chunk::<12>()?;
    let (key, rest) = take(rest, usize::from(key_bytes))?;
    let (value, rest) = take(rest, u32_at::<4, _>(fields) as usize)?;
    let (ttl_s, checksum) = (u32_at::<0, _>(fields), u32_at::<8, _>(fields));
    Some((Control::Set(Set { id, ttl_s, checksum, key, value }), rest))
}

fn set_parts<'a>(set: &Set<'a>) -> Parts<'a> {
    let key = cut(set.key, u8::MAX.into());
    let mut head = [0; 20];
    put::<0, 8, _>(&mut head, start(frame_type::SET, key.len() as u8, set.id));
    put::<8, 4, _>(&mut head, set.ttl_s.to_be_bytes());
    put::<12, 4, _>(&mut head, (set.value.len() as u32).to_be_bytes());
    put::<16, 4, _>(&mut head, set.checksum.to_be_bytes());
    Parts::new(head, [key, set.value])
}

fn parse_welcome(id: u32, ports: u8, flags: u8, behind: &[u8]) -> Option<(Control<'_>, &[u8])> {
    let (fields, rest) = behind.split_first_chunk::<24>()?;
    let (ports, rest) = take(rest, usize::from(ports) * PORT_BYTES)?;
    let (_, cookie) = fields.split_last_chunk::<16>()?;
    let welcome = Welcome {
        id,
        receipts: flags & RECEIPTS_KEPT != 0,
        draining: flags & DRAINING != 0,
        updates: flags & UPDATES != 0,
        nonce: u32_at::<0, _>(fields),
        value_bytes_max: u32_at::<4, _>(fields),
        cookie: Cookie(*cookie),
        ports: Ports::parse(ports)?,
    };
    Some((Control::Welcome(welcome), rest))
}

fn welcome_parts<'a>(welcome: &Welcome<'a>) -> Parts<'a> {
    let mut head = [0; 32];
    put::<0, 8, _>(&mut head, start(frame_type::WELCOME, welcome.ports.len() as u8, welcome.id));
    let flags = [(welcome.receipts, RECEIPTS_KEPT), (welcome.draining, DRAINING), (welcome.updates, UPDATES)];
    head[2] = flags.into_iter().filter_map(|(set, bit)| set.then_some(bit)).sum();
    put::<8, 4, _>(&mut head, welcome.nonce.to_be_bytes());
    put::<12, 4, _>(&mut head, welcome.value_bytes_max.to_be_bytes());
    put::<16, 16, _>(&mut head, welcome.cookie.0);
    Parts::new(head, [welcome.ports.as_bytes(), &[]])
}

/// The 8 bytes all control frames begin with.
fn start(frame_type: u8, own: u8, id: u32) -> [u8; 8] {
    let mut bytes = [frame_type, own, 0, 0, 0, 0, 0, 0];
    put::<4, 4, _>(&mut bytes, id.to_be_bytes());
    bytes
}

/// A frame of those 8 bytes, one number, and what follows.
fn with_u64(start: [u8; 8], number: u64, body: &[u8]) -> Parts<'_> {
    let mut head = [0; 16];
    put::<0, 8, _>(&mut head, start);
    put::<8, 8, _>(&mut head, number.to_be_bytes());
    Parts::new(head, [body, &[]])
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64_at::<0, _>(number), rest))
}

fn take_text(bytes: &[u8], length: usize) -> Option<(&str, &[u8])> {
    let (text, rest) = take(bytes, length)?;
    Some((core::str::from_utf8(text).ok()?, rest))
}

/// As much of it as a length field holds.
fn cut(bytes: &[u8], length_max: usize) -> &[u8] {
    &bytes[..bytes.len().min(length_max)]
}

/// As many characters of it as a length field holds.
fn cut_text(text: &str, length_max: usize) -> &str {
    &text[..text.floor_char_boundary(length_max)]
}
