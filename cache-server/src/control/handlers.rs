//! What a connection may ask for and what it is answered.

use std::net::IpAddr;

use shingle_proto::checksum::crc32c_of;
use shingle_proto::limits::{KEY_BYTES_MAX, RECEIPTS_PER_LIST_MAX, TCP_MESSAGE_BYTES_MAX};
use shingle_proto::seal;
use shingle_proto::wire::{
    AnswerHeader, Carrier, Control, Done, DropReason, ErrorCode, ErrorText, Flush, FlushWhat, Frame, Hello,
    KeyRequest, MessageWriter, Ping, Pong, Port, Ports, ReceiptList, Receipts, ReceiptsRequest, Request, Set,
    Text, Welcome,
};
use shingle_store::{Seconds, StoreError, Ttl};
use shingle_udp::realtime_ns;
use tokio::time::Instant;

use super::auth::{Access, access};
use super::path_mtus;
use crate::limits::{MESSAGE_BYTES_READER, SEALED_KEPT_BYTES};
use crate::report;
use crate::shared::Shared;

/// The only version there is.
const VERSION: u8 = 1;

/// What a message leads to beside the answer appended.
#[derive(Debug)]
pub(super) enum Step<'m> {
    Continue,
    /// Answer these reads, then go on.
    Read(Request<'m>),
    /// Write what is waiting, then close.
    Close,
}

/// The state of one connection.
pub(super) struct Session<'s> {
    shared: &'s Shared,
    peer: IpAddr,
    /// `None` before HELLO.
    access: Option<Access>,
    pub(super) begun: Instant,
    /// The store's time when messages were last taken up: asked for once for all that came together.
    now: Seconds,
    /// Where a value gets its seal.
    sealed: Vec<u8>,
}

/// A request that is not granted: the code, and a text for people.
type Refusal = (ErrorCode, String);

impl<'s> Session<'s> {
    pub(super) fn new(shared: &'s Shared, peer: IpAddr) -> Self {
        Session { shared, peer, access: None, begun: Instant::now(), now: shared.now(), sealed: Vec::new() }
    }

    /// To be called before messages are handled, and again after waiting in between.
    pub(super) fn look_at_clock(&mut self) {
        self.now = self.shared.now();
    }

    pub(super) fn is_open(&self) -> bool {
        self.access.is_some()
    }

    pub(super) fn may_update(&self) -> bool {
        self.access == Some(Access::Update)
    }

    /// Longest message taken from this peer.
    pub(super) fn message_bytes_max(&self) -> usize {
        if self.may_update() { TCP_MESSAGE_BYTES_MAX } else { MESSAGE_BYTES_READER }
    }

    /// Answers a message that announces more bytes than are taken.
    pub(super) fn refuse_length(&self, bytes: usize, out: &mut Vec<u8>) {
        let limit = self.message_bytes_max();
        let refusal = if self.may_update() || bytes > TCP_MESSAGE_BYTES_MAX {
            (ErrorCode::Malformed, format!("message of {bytes} bytes: at most {limit} are taken"))
        } else {
            (
                ErrorCode::TokenNeeded,
                format!("message of {bytes} bytes: without the token at most {limit} are taken"),
            )
        };
        self.refuse(0, refusal, out);
    }

    /// Handles one message and appends its answer.
    pub(super) fn handle<'m>(&mut self, message: &'m [u8], out: &mut Vec<u8>) -> Step<'m> {
        let request = match Request::parse(message, Carrier::Tcp) {
            Ok(request) => request,
            Err(DropReason::Version) => {
                let theirs = message[5];
                let text = format!(
                    "this server speaks version {VERSION} of the protocol, the message is version {theirs}"
                );
                return self.close(0, (ErrorCode::Version, text), out);
            }
            Err(reason) => {
                return self.close(0, (ErrorCode::Malformed, format!("message dropped, {reason}")), out);
            }
        };
        let header = AnswerHeader::to(&request.header, self.shared.is_draining());
        match (request.frames().find_map(control), self.access) {
            (Some(Control::Hello(hello)), None) => self.hello(&header, &hello, out),
            (Some(Control::Hello(hello)), Some(_)) => {
                self.close(hello.id, (ErrorCode::Malformed, "HELLO was said already".into()), out)
            }
            (_, None) => self.close(0, (ErrorCode::Malformed, "a connection begins with HELLO".into()), out),
            (Some(control), Some(_)) => {
                self.answer(&header, &control, out);
                Step::Continue
            }
            (None, Some(_)) => Step::Read(request),
        }
    }

    fn hello(&mut self, header: &AnswerHeader, hello: &Hello<'_>, out: &mut Vec<u8>) -> Step<'static> {
        let Hello { id, version_min, version_max, token } = *hello;
        if !(version_min..=version_max).contains(&VERSION) {
            let text = format!(
                "this server speaks version {VERSION} of the protocol, you speak {version_min} to {version_max}"
            );
            return self.close(id, (ErrorCode::Version, text), out);
        }
        let access = access(self.peer, self.shared.token.as_ref(), token);
        if access == Access::Denied {
            let text = match self.shared.token {
                Some(_) => "the token is not the server's: compare the two token files",
                None => {
                    "this server has no token: start it with --token-file to allow updates from other hosts"
                }
            };
            return self.close(id, (ErrorCode::TokenWrong, text.into()), out);
        }
        self.access = Some(access);
        let ipv6 = self.peer.to_canonical().is_ipv6();
        let ports: Vec<_> = self
            .shared
            .ports
            .iter()
            .map(|port| {
                let datagram_max = port.datagram_bytes_max(ipv6) as u16;
                let workers = port.workers.len().min(usize::from(u8::MAX)) as u8;
                Port { port: port.port, strategy: port.strategy, workers, datagram_max }.to_bytes()
            })
            .collect();
        let unix_s = (realtime_ns() / 1_000_000_000) as u32;
        let welcome = Welcome {
            id,
            receipts: self.shared.workers().any(|worker| worker.receipts.is_some()),
            draining: header.draining,
            updates: access == Access::Update,
            nonce: self.shared.nonce,
            value_bytes_max: self.shared.value_bytes_max as u32,
            cookie: self.shared.secrets.keys().refresh(&self.shared.secrets).make(self.peer, unix_s),
            ports: Ports::new(&ports).expect("the configuration keeps to 64 ports"),
        };
        push(header, Control::Welcome(welcome), out);
        Step::Continue
    }

    fn answer(&mut self, header: &AnswerHeader, request: &Control<'_>, out: &mut Vec<u8>) {
        let done = |id, result: Result<u64, Refusal>, out: &mut Vec<u8>| match result {
            Ok(result) => push(header, Control::Done(Done { id, result }), out),
            Err((code, text)) => push(header, Control::Error(ErrorText { id, code, text: &text }), out),
        };
        match request {
            Control::Set(set) => done(set.id, self.set(set), out),
            Control::Delete(delete) => done(delete.id, self.delete(delete), out),
            Control::Flush(flush) => done(flush.id, self.flush(flush), out),
            Control::Drain { id } => done(*id, self.drain(), out),
            Control::Stats { id } => {
                let report = report::report_to(self.shared, self.peer);
                let text = serde_json::to_string(&report).expect("plain figures and strings");
                push(header, Control::Text(Text { id: *id, text: &text }), out);
            }
            Control::Receipts(request) => {
                if let Err(refusal) = self.receipts(header, request, out) {
                    done(request.id, Err(refusal), out);
                }
            }
            Control::Ping(Ping { id, payload }) => {
                push(
                    header,
                    Control::Pong(Pong { id: *id, draining: header.draining, payload: *payload }),
                    out,
                );
            }
            // Request::parse lets nothing else through.
            _ => done(0, Err((ErrorCode::Malformed, "this is not a request".into())), out),
        }
    }

    fn set(&mut self, set: &Set<'_>) -> Result<u64, Refusal> {
        self.check_update()?;
        check_key(set.key)?;
        let (found, limit) = (set.value.len(), self.shared.value_bytes_max);
        if found > limit {
            let text =
                format!("the value has {found} bytes: this server stores at most {limit} (--value-max)");
            return Err((ErrorCode::ValueTooLarge, text));
        }
        let checksum = crc32c_of(&[set.key, set.value]);
        if checksum != set.checksum {
            let text = format!(
                "checksum over key and value is {checksum:#010x}, the message says {:#010x}",
                set.checksum
            );
            return Err((ErrorCode::Checksum, text));
        }
        let compressed = if self.shared.compress { seal::compress(set.key, set.value) } else { None };
        let sealed = compressed.as_deref().unwrap_or_else(|| {
            self.sealed.clear();
            self.sealed.extend_from_slice(&seal::seal_with(checksum, set.value));
            self.sealed.extend_from_slice(set.value);
            &self.sealed
        });
        let version = self.shared.store.set(set.key, sealed, Ttl(set.ttl_s), self.now);
        self.sealed.clear();
        self.sealed.shrink_to(SEALED_KEPT_BYTES);
        version.map(|version| version.0).map_err(|error| (code_of(&error), error.to_string()))
    }

    fn delete(&self, delete: &KeyRequest<'_>) -> Result<u64, Refusal> {
        self.check_update()?;
        check_key(delete.key)?;
        #[cfg(feature = "fault-injection")]
        crate::fault::strike(delete.key).map_err(|error| (ErrorCode::Malformed, error.to_string()))?;
        Ok(u64::from(self.shared.store.delete(delete.key)))
    }

    fn flush(&self, flush: &Flush) -> Result<u64, Refusal> {
        self.check_update()?;
        match flush.what {
            FlushWhat::Values => Ok(self.shared.store.flush() as u64),
            FlushWhat::PathMtus => {
                path_mtus::flush(self.peer).map_err(|text| (ErrorCode::NotPermitted, text))
            }
        }
    }

    fn drain(&self) -> Result<u64, Refusal> {
        self.check_token()?;
        self.shared.drain(self.shared.drain_for);
        Ok(0)
    }

    fn receipts(
        &self,
        header: &AnswerHeader,
        request: &ReceiptsRequest,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let ReceiptsRequest { id, worker, first } = *request;
        let refused = |text: String| (ErrorCode::NoReceipts, text);
        let found = self.shared.workers().nth(usize::from(worker)).ok_or_else(|| {
            refused(format!(
                "there is no worker {worker}: they are 0 to {}",
                self.shared.workers().count() - 1
            ))
        })?;
        let ring = found
            .receipts
            .as_ref()
            .ok_or_else(|| refused("this server keeps no receipts: start it with --receipts".into()))?;
        let (first, receipts) = ring.read(first, RECEIPTS_PER_LIST_MAX);
        let receipts = Receipts::new(&receipts).expect("the ring holds what workers wrote");
        push(header, Control::ReceiptList(ReceiptList { id, worker, first, receipts }), out);
        Ok(())
    }

    fn check_update(&self) -> Result<(), Refusal> {
        self.check_token()?;
        if self.shared.is_draining() {
            return Err((ErrorCode::Draining, "the server is about to leave and takes no updates".into()));
        }
        Ok(())
    }

    fn check_token(&self) -> Result<(), Refusal> {
        if self.may_update() {
            return Ok(());
        }
        Err((
            ErrorCode::TokenNeeded,
            "updates and administration from other hosts need the server's token".into(),
        ))
    }

    fn close(&self, id: u32, refusal: Refusal, out: &mut Vec<u8>) -> Step<'static> {
        self.refuse(id, refusal, out);
        Step::Close
    }

    fn refuse(&self, id: u32, (code, text): Refusal, out: &mut Vec<u8>) {
        let header = AnswerHeader { attempt: 0, flow: 0, sequence: 0, draining: self.shared.is_draining() };
        if code == ErrorCode::Malformed {
            self.shared.control.malformed.add(1);
        }
        tracing::debug!(peer = %self.peer, "connection closed: {text}");
        push(&header, Control::Error(ErrorText { id, code, text: &text }), out);
    }
}

fn control(frame: Frame<'_>) -> Option<Control<'_>> {
    if let Frame::Control(control) = frame { Some(control) } else { None }
}

fn push(header: &AnswerHeader, control: Control<'_>, out: &mut Vec<u8>) {
    let mut message = MessageWriter::answer(out, header);
    message.push(&Frame::Control(control));
    message.finish();
}

fn check_key(key: &[u8]) -> Result<(), Refusal> {
    match key.len() {
        1..=KEY_BYTES_MAX => Ok(()),
        length => {
            Err((ErrorCode::KeyLength, format!("the key has {length} bytes: keys have 1 to {KEY_BYTES_MAX}")))
        }
    }
}

fn code_of(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::ValueTooLarge { .. } => ErrorCode::ValueTooLarge,
        StoreError::KeyEmpty | StoreError::KeyTooLong { .. } => ErrorCode::KeyLength,
        _ => ErrorCode::StoreFull,
    }
}
