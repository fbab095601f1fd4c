//! Requests written, answers read: what every call on a connection is made of.

use shingle_proto::checksum::crc32c_of;
use shingle_proto::limits::{CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX, KEY_BYTES_MAX, TCP_LENGTH_BYTES};
use shingle_proto::wire::{
    Answer, Carrier, Control, DropReason, ErrorCode, ErrorText, Frame, MessageWriter, RequestHeader, Set,
    next_message,
};

use super::error::ControlError;
use super::link::{Input, Link};
use crate::limits::PROTOCOL_VERSION;

/// Name of a request in errors, also needed where the pipeline writes and reads it.
pub(super) const SET: &str = "SET";
/// The same.
pub(super) const DELETE: &str = "DELETE";

pub(super) fn check_key(key: &[u8]) -> Result<(), ControlError> {
    let bytes = key.len();
    if (1..=KEY_BYTES_MAX).contains(&bytes) { Ok(()) } else { Err(ControlError::Key { bytes }) }
}

pub(super) fn check_value(value: &[u8], max: u32) -> Result<(), ControlError> {
    let bytes = value.len();
    if bytes <= max as usize { Ok(()) } else { Err(ControlError::Value { bytes, max }) }
}

/// Appends a request of one frame.
pub(super) fn append(output: &mut Vec<u8>, id: u32, frame: &Frame<'_>) {
    let header = RequestHeader {
        attempt: 0,
        flow: 0,
        sequence: id,
        telemetry: false,
        datagram_max: DATAGRAM_BYTES_MAX as u16,
        credit: CREDIT_BYTES_MAX as u32,
    };
    let mut message = MessageWriter::request(output, &header);
    message.push(frame);
    message.finish();
}

/// Appends a SET with its checksum.
pub(super) fn append_set(output: &mut Vec<u8>, id: u32, key: &[u8], value: &[u8], ttl_s: u32) {
    let checksum = crc32c_of(&[key, value]);
    append(output, id, &Frame::Control(Control::Set(Set { id, ttl_s, checksum, key, value })));
}

/// Whether the next answer is here in full.
pub(super) fn has_message(input: &Input) -> bool {
    matches!(next_message(input.unread()), Ok(Some(_)))
}

/// Waits for the next message and checks it.
pub(super) fn read_answer<'i>(
    link: &Link,
    input: &'i mut Input,
    request: &'static str,
) -> Result<Answer<'i>, ControlError> {
    let taken_bytes = loop {
        match next_message(input.unread()) {
            Ok(Some((taken_bytes, _))) => break taken_bytes,
            Ok(None) => input.receive(link, request)?,
            Err(too_long) => {
                let start = &input.unread()[..input.unread().len().min(QUOTED_BYTES_MAX)];
                return Err(link.invalid(request, format!("\"{}\": {too_long}", start.escape_ascii())));
            }
        }
    };
    let message = &input.take(taken_bytes)[TCP_LENGTH_BYTES..];
    Answer::parse(message, Carrier::Tcp).map_err(|reason| match reason {
        DropReason::Version => {
            link.close();
            ControlError::Version {
                address: link.address.clone(),
                theirs: message[VERSION_AT],
                ours: PROTOCOL_VERSION,
            }
        }
        reason => link.invalid(request, format!("a message that fails its check ({reason})")),
    })
}

/// Waits for the one frame that answers request `id`; an ERROR becomes an error.
pub(super) fn read_control<'i>(
    link: &Link,
    input: &'i mut Input,
    request: &'static str,
    id: u32,
) -> Result<Control<'i>, ControlError> {
    let mut frames = read_answer(link, input, request)?.frames();
    match (frames.next(), frames.next()) {
        (Some(Frame::Control(control)), None) => {
            match control {
                Control::Error(error) if error.id == id || error.id == 0 => {
                    Err(server_error(link, request, &error))
                }
                control if answered_id(&control) == Some(id) => Ok(control),
                control => Err(link
                    .invalid(request, format!("an answer to another request, {:?}", answered_id(&control)))),
            }
        }
        _ => Err(link.invalid(request, "frames that answer another kind of request")),
    }
}

/// Waits for the DONE of request `id` and gives its result.
pub(super) fn read_done(
    link: &Link,
    input: &mut Input,
    request: &'static str,
    id: u32,
) -> Result<u64, ControlError> {
    match read_control(link, input, request, id)? {
        Control::Done(done) => Ok(done.result),
        _ => Err(link.unexpected(request)),
    }
}

/// What an ERROR says, as an error of this side.
pub(super) fn server_error(link: &Link, request: &'static str, error: &ErrorText<'_>) -> ControlError {
    let address = link.address.clone();
    match error.code {
        ErrorCode::TokenWrong => ControlError::TokenWrong { address },
        ErrorCode::TokenNeeded => ControlError::TokenNeeded { address },
        code => ControlError::Server { address, request, code, text: error.text.to_owned() },
    }
}

/// Id of the request a frame answers; `None` for a request.
fn answered_id(control: &Control<'_>) -> Option<u32> {
    match control {
        Control::Welcome(welcome) => Some(welcome.id),
        Control::Done(done) => Some(done.id),
        Control::Error(error) => Some(error.id),
        Control::Text(text) => Some(text.id),
        Control::ReceiptList(list) => Some(list.id),
        Control::Pong(pong) => Some(pong.id),
        _ => None,
    }
}

/// Byte of a message that holds the version, in every version (PROTOCOL.md section 2.1).
const VERSION_AT: usize = 5;

/// Bytes of garbage shown in an error: enough to recognise another service's greeting.
const QUOTED_BYTES_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_said_in_hello_is_the_one_of_the_header() {
        let mut request = Vec::new();
        append(&mut request, 1, &Frame::Control(Control::Stats { id: 1 }));
        assert_eq!(request[TCP_LENGTH_BYTES + VERSION_AT], PROTOCOL_VERSION);
    }
}
