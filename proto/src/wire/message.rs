//! Whole messages: header, checksum and all frames are checked once, then the frames are read without failing (section 2).

use super::drop::DropReason;
use super::frame::{Carrier, Frame, allowed, frame_type};
use super::header::{ANSWER, AnswerHeader, MAGIC, RequestHeader, VERSION};
use super::reads::{Get, Rerequest};
use crate::checksum::crc32c;
use crate::cookie::Cookie;
use crate::limits::{
    ANSWER_HEADER_BYTES, DATAGRAM_BYTES_MIN, GETS_PER_DATAGRAM_MAX, REQUEST_BYTES_MIN, REQUEST_HEADER_BYTES,
};

/// A request whose checks all passed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its header.
    pub header: RequestHeader,
    /// The cookie it carried; the last one if there were several.
    pub cookie: Option<Cookie>,
    /// How many GET and REREQUEST frames it has, at most 64.
    pub reads: u8,
    /// Bytes of the whole message, padding included.
    pub message_bytes: usize,
    frames: Frames<'a>,
}

impl<'a> Request<'a> {
    /// Checks a message that a client sent.
    ///
    /// # Errors
    /// The first check that failed. Nothing that failed is answered over UDP.
    #[inline]
    pub fn parse(bytes: &'a [u8], carrier: Carrier) -> Result<Self, DropReason> {
        let head = check_head(bytes, carrier, false)?;
        let (header, frames) = head.split_first_chunk::<REQUEST_HEADER_BYTES>().ok_or(DropReason::Short)?;
        let header = RequestHeader::from_bytes(header);
        if carrier == Carrier::Udp && usize::from(header.datagram_max) < DATAGRAM_BYTES_MIN {
            return Err(DropReason::Frame);
        }
        let (mut cookie, mut reads, mut others) = (None, 0_usize, 0_usize);
        let frames = check_frames(frames, carrier, false, |frame| match frame {
            Frame::Get(_) | Frame::Rerequest(_) => reads += 1,
            Frame::Cookie(found) => cookie = Some(*found),
            _ => others += 1,
        })?;
        // Reads, or one frame of another kind: what is answered with one message of its own has no company.
        if reads > GETS_PER_DATAGRAM_MAX || others > 1 || (others == 1) == (reads > 0) {
            return Err(DropReason::Frame);
        }
        Ok(Request { header, cookie, reads: reads as u8, message_bytes: bytes.len(), frames })
    }

    /// Its frames in order.
    #[inline]
    #[must_use]
    pub const fn frames(&self) -> Frames<'a> {
        self.frames
    }

    /// The keys of its reads in order: what will be looked up, for those who prefetch.
    #[inline]
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.reads().map(|read| read.key())
    }

    /// Its reads in order.
    #[inline]
    pub(crate) fn reads(&self) -> impl Iterator<Item = Read<'a>> + Clone + use<'a> {
        let mut rest = self.frames.rest;
        // Reads are parsed by themselves: a frame of any type is ten times as long, and goes through memory.
        core::iter::from_fn(move || {
            loop {
                let read;
                (read, rest) = match *rest.first()? {
                    frame_type::GET => {
                        Get::parse(rest).map(|(get, behind)| (Some(Read::Get(get)), behind))?
                    }
                    frame_type::REREQUEST => Rerequest::parse(rest)
                        .map(|(again, behind)| (Some(Read::Rerequest(again)), behind))?,
                    _ => Frame::parse(rest).map(|(_, behind)| (None, behind))?,
                };
                if read.is_some() {
                    return read;
                }
            }
        })
    }
}

/// A frame that asks for a value, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read<'a> {
    /// The whole.
    Get(Get<'a>),
    /// What is missing of it.
    Rerequest(Rerequest<'a>),
}

impl<'a> Read<'a> {
    #[inline]
    pub(crate) fn key(&self) -> &'a [u8] {
        match self {
            Read::Get(get) => get.key,
            Read::Rerequest(again) => again.key,
        }
    }
}

/// An answer whose checks all passed.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its header.
    pub header: AnswerHeader,
    frames: Frames<'a>,
}

impl<'a> Answer<'a> {
    /// Checks a message that a server sent.
    ///
    /// # Errors
    /// The first check that failed.
    #[inline]
    pub fn parse(bytes: &'a [u8], carrier: Carrier) -> Result<Self, DropReason> {
        let head = check_head(bytes, carrier, true)?;
        let (header, frames) = head.split_first_chunk::<ANSWER_HEADER_BYTES>().ok_or(DropReason::Short)?;
        let frames = check_frames(frames, carrier, true, |_| ())?;
        Ok(Answer { header: AnswerHeader::from_bytes(header), frames })
    }

    /// Its frames in order.
    #[inline]
    #[must_use]
    pub const fn frames(&self) -> Frames<'a> {
        self.frames
    }
}

/// The frames of a checked message.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        let (frame, rest) = Frame::parse(self.rest)?;
        self.rest = rest;
        Some(frame)
    }
}

/// Everything before the frames, in the order of section 2.1.
#[inline]
fn check_head(bytes: &[u8], carrier: Carrier, answer_expected: bool) -> Result<&[u8], DropReason> {
    let Some(head) = bytes.first_chunk::<ANSWER_HEADER_BYTES>() else {
        return Err(DropReason::Short);
    };
    let is_answer = head[6] & ANSWER != 0;
    let bytes_min = match carrier {
        _ if is_answer => ANSWER_HEADER_BYTES,
        Carrier::Udp => REQUEST_BYTES_MIN,
        Carrier::Tcp => REQUEST_HEADER_BYTES,
    };
    let [c0, c1, c2, c3, magic, version, ..] = *head;
    if bytes.len() < bytes_min {
        Err(DropReason::Short)
    } else if magic != MAGIC {
        Err(DropReason::Magic)
    } else if version != VERSION {
        Err(DropReason::Version)
    } else if crc32c(&bytes[4..]) != u32::from_be_bytes([c0, c1, c2, c3]) {
        Err(DropReason::Checksum)
    } else if is_answer != answer_expected {
        Err(DropReason::Kind)
    } else {
        Ok(bytes)
    }
}

/// All frames up to the end or to padding, each shown to `visit`. The result ends where the padding begins.
#[inline]
fn check_frames<'a>(
    frames: &'a [u8],
    carrier: Carrier,
    in_answer: bool,
    mut visit: impl FnMut(&Frame<'a>),
) -> Result<Frames<'a>, DropReason> {
    let mut rest = frames;
    while let Some(&frame_type) = rest.first() {
        if frame_type == frame_type::PAD && carrier == Carrier::Udp {
            break;
        }
        if !allowed(frame_type, carrier, in_answer) {
            return Err(DropReason::Frame);
        }
        rest = if frame_type == frame_type::GET {
            // What most messages of many frames consist of.
            let (get, behind) = Get::parse(rest).ok_or(DropReason::Frame)?;
            visit(&Frame::Get(get));
            behind
        } else {
            let (frame, behind) = Frame::parse(rest).ok_or(DropReason::Frame)?;
            visit(&frame);
            behind
        };
    }
    let length = frames.len() - rest.len();
    if length == 0 { Err(DropReason::Frame) } else { Ok(Frames { rest: &frames[..length] }) }
}
