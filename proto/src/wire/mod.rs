//! The wire format (`PROTOCOL.md`, sections 2 to 8): messages checked once, then read without failing, and written without allocating.

mod bytes;
mod control;
mod control_bytes;
mod drop;
mod frame;
mod header;
mod message;
mod probe;
mod reads;
mod receipt;
mod stream;
mod telemetry;
mod write;

pub use control::{
    Control, Done, ErrorCode, ErrorText, Flush, FlushWhat, Hello, KeyRequest, Ping, Pong, Port, Ports,
    ReceiptList, ReceiptsRequest, Set, Strategy, Text, Welcome,
};
pub use drop::DropReason;
pub use frame::{Carrier, Frame};
pub use header::{AnswerHeader, RequestHeader};
pub use message::{Answer, Frames, Request};
pub use probe::Probe;
pub use reads::{Chunk, Get, Ranges, Refusal, Refused, Rerequest, Value};
pub use receipt::{Outcome, Receipt, Receipts};
pub use stream::{MessageWriter, TooLong, next_message};
pub use telemetry::Telemetry;
pub use write::{DatagramWriter, Full};

pub(crate) use frame::{cookie_bytes, frame_type};
pub(crate) use message::Read;
pub(crate) use reads::miss_bytes;
