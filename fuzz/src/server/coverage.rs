//! What the frames of an answer cover: of each read a beginning of what it asked for, no byte missing in between and none twice, and
//! all of it where credit is left (sections 3.3, 3.5 and 4.2).

use std::collections::{BTreeSet, VecDeque};
use std::iter;
use std::ops::Range;

use shingle_proto::server::Found;
use shingle_proto::wire::{Answer, Frame, Request};

use super::Store;

/// Checks the answer to all reads of a request; returns how many of them got nothing. `None` where two reads have one id: what
/// answers which cannot be told.
pub(super) fn check(
    request: &Request<'_>,
    store: &Store,
    answers: &[Answer<'_>],
    credit_left: bool,
) -> Option<u16> {
    let ids: BTreeSet<u32> = request.frames().filter_map(|frame| asked_id(&frame)).collect();
    if ids.len() != usize::from(request.reads) {
        return None;
    }
    let mut without = 0;
    for asked in request.frames() {
        let Some(id) = asked_id(&asked) else { continue };
        let mut missing = wanted(&asked, store);
        let (mut chunks, mut whole) = (0, 0);
        for frame in answers.iter().flat_map(Answer::frames) {
            match frame {
                Frame::Chunk(chunk) if chunk.id == id => {
                    chunks += 1;
                    let next = missing.front_mut().expect("a chunk behind all that was asked for");
                    assert_eq!(chunk.offset, next.start, "chunks follow one another");
                    next.start += chunk.bytes.len() as u32;
                    assert!(next.start <= next.end, "a chunk ends at {} in {next:?}", next.start);
                    if next.start == next.end {
                        missing.pop_front();
                    }
                }
                Frame::Value(value) => whole += u32::from(value.id == id),
                Frame::Miss { id: missed } => whole += u32::from(missed == id),
                Frame::Refused(refused) => whole += u32::from(refused.id == id),
                _ => {}
            }
        }
        assert!(whole == 0 || (whole == 1 && chunks == 0), "{whole} whole answers and {chunks} chunks");
        let complete = whole == 1 || (chunks > 0 && missing.is_empty());
        assert!(complete || !credit_left, "left out with credit left: {missing:?}");
        without += u16::from(whole + chunks == 0);
    }
    Some(without)
}

fn asked_id(frame: &Frame<'_>) -> Option<u32> {
    match frame {
        Frame::Get(get) => Some(get.id),
        Frame::Rerequest(again) => Some(again.id),
        _ => None,
    }
}

/// The bytes a read asks for: the value, or ranges cut at its end.
fn wanted(asked: &Frame<'_>, store: &Store) -> VecDeque<Range<u32>> {
    let total = |key: &[u8]| match store.find(key) {
        Found::Value { sealed, .. } => sealed.len() as u32,
        Found::Nothing | Found::Unreadable | Found::Withheld => 0,
    };
    match asked {
        Frame::Get(get) => iter::once(0..total(get.key)).collect(),
        Frame::Rerequest(again) => {
            let total = total(again.key);
            again
                .ranges
                .iter()
                .map(|range| range.offset..range.end().min(total))
                .filter(|range| !range.is_empty())
                .collect()
        }
        _ => VecDeque::new(),
    }
}
