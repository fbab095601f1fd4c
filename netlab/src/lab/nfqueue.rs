//! A queue of netfilter's (NFQUEUE) over netlink: packets stay in the kernel, only their numbers come here.
//!
//! The messages are those of linux/netfilter/nfnetlink_queue.h. A verdict goes to all packets up to a number at once; the crates there
//! are answer packet by packet.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};

use crate::limits::{HOLD_PACKETS_MAX, HOLD_SOCKET_BYTES};

const SUBSYSTEM: u16 = 3;
const MESSAGE_PACKET: u16 = 0;
const MESSAGE_CONFIG: u16 = 2;
const MESSAGE_VERDICT_BATCH: u16 = 3;
/// NLM_F_REQUEST.
const REQUEST: u16 = 1;
/// NLM_F_REQUEST and NLM_F_ACK.
const REQUEST_ACK: u16 = 5;
const ERROR: u16 = 2;
/// NFQA_CFG_CMD: bind to the queue.
const CONFIG_BIND: (u16, &[u8]) = (1, &[1, 0, 0, 0]);
/// NFQA_CFG_PARAMS: copy range 0, copy mode NFQNL_COPY_META.
const CONFIG_METADATA: (u16, &[u8]) = (2, &[0, 0, 0, 0, 1]);
const CONFIG_LENGTH_MAX: u16 = 3;
/// Attributes of a packet and of a verdict.
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const TIMESTAMP: u16 = 4;
const ACCEPT: u32 = 1;
/// nlmsghdr and nfgenmsg.
const HEADERS_BYTES: usize = 20;

/// A queue whose packets wait for verdicts, in the namespace it was opened in.
#[derive(Debug)]
pub(super) struct Queue {
    socket: OwnedFd,
    number: u16,
    buffer: Vec<u8>,
}

impl Queue {
    /// Binds to a queue in the namespace of the calling thread.
    pub(super) fn open(number: u16) -> Result<Self, Errno> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkNetFilter,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        if setsockopt(&socket, sockopt::RcvBufForce, &HOLD_SOCKET_BYTES).is_err() {
            // A user namespace may not pass the machine's limit (net.core.rmem_max).
            setsockopt(&socket, sockopt::RcvBuf, &HOLD_SOCKET_BYTES)?;
        }
        // Asks for times of arrival: packets have none unless some socket of the machine wants them.
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let mut queue = Self { socket, number, buffer: vec![0; 1 << 16] };
        queue.configure(CONFIG_BIND)?;
        queue.configure(CONFIG_METADATA)?;
        queue.configure((CONFIG_LENGTH_MAX, &HOLD_PACKETS_MAX.to_be_bytes()))?;
        Ok(queue)
    }

    /// Numbers of the packets that came, in order, as many as one read brings, each with the time of its arrival by the system's clock,
    /// unless the kernel did not note it; false if there was nothing to read.
    pub(super) fn receive(&mut self, mut packet: impl FnMut(u32, Option<SystemTime>)) -> Result<bool, Errno> {
        let length = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN) => return Ok(false),
            // The socket's buffer was full and the kernel dropped packets: its own count of them says so.
            Err(Errno::ENOBUFS | Errno::EINTR) => return Ok(true),
            length => length?,
        };
        for message in messages(&self.buffer[..length]) {
            if message.kind == SUBSYSTEM << 8 | MESSAGE_PACKET {
                let body = message.body.get(4..).unwrap_or_default();
                let attribute = |kind| attributes(body).find(|it| it.0 == kind).map(|it| it.1);
                if let Some(number) = attribute(PACKET_HEADER).and_then(|value| value.first_chunk()) {
                    packet(u32::from_be_bytes(*number), attribute(TIMESTAMP).and_then(time));
                }
            }
        }
        Ok(true)
    }

    /// Lets all packets go on up to this number. There must be one.
    pub(super) fn release(&self, up_to: u32) -> Result<(), Errno> {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&ACCEPT.to_be_bytes());
        value[4..].copy_from_slice(&up_to.to_be_bytes());
        self.send(MESSAGE_VERDICT_BATCH, REQUEST, (VERDICT_HEADER, &value))
    }

    fn configure(&mut self, attribute: (u16, &[u8])) -> Result<(), Errno> {
        self.send(MESSAGE_CONFIG, REQUEST_ACK, attribute)?;
        // The kernel answers within the send. Packets may come before the answer to what follows the binding: they wait for rules, which
        // the caller makes last.
        let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT)?;
        let answer = messages(&self.buffer[..length]).find(|message| message.kind == ERROR);
        let code =
            answer.and_then(|message| message.body.first_chunk().copied()).map_or(0, i32::from_ne_bytes);
        if code == 0 { Ok(()) } else { Err(Errno::from_raw(-code)) }
    }

    fn send(&self, kind: u16, flags: u16, (attribute, value): (u16, &[u8])) -> Result<(), Errno> {
        let mut message = Vec::with_capacity(48);
        let length = HEADERS_BYTES + 4 + value.len().next_multiple_of(4);
        message.extend((length as u32).to_ne_bytes());
        message.extend((SUBSYSTEM << 8 | kind).to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        // nfgenmsg: any family, version 0, the queue.
        message.extend([0, 0]);
        message.extend(self.number.to_be_bytes());
        message.extend((4 + value.len() as u16).to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(value);
        message.resize(length, 0);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty()).map(drop)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Seconds and microseconds, 64 bits each.
fn time(value: &[u8]) -> Option<SystemTime> {
    let (seconds, rest) = value.split_first_chunk()?;
    let seconds = Duration::from_secs(u64::from_be_bytes(*seconds));
    let microseconds = Duration::from_micros(u64::from_be_bytes(*rest.first_chunk()?));
    UNIX_EPOCH.checked_add(seconds)?.checked_add(microseconds)
}

struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}
