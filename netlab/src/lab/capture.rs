//! Captures on request: a packet socket at every device, and a thread that writes what it sees into a file of the pcap format.
//!
//! tcpdump would do, but it insists on changing its user, which nobody may in a user namespace; and what it has seen and not yet written
//! when it is told to end is lost.

use std::fs::File;
use std::io::{self, BufWriter, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, bind,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;

use super::{Host, LabError};
use crate::limits::{CAPTURE_BYTES_MAX, CAPTURE_DRAIN_MAX, CAPTURE_SOCKET_BYTES, CAPTURE_WAKE_MS};

/// The head of a file: times in nanoseconds, version 2.4, no offset from UTC, whole packets, link type Ethernet
/// (draft-ietf-opsawg-pcap).
const FILE_HEADER: [u32; 6] = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, CAPTURE_BYTES_MAX as u32, 1];

/// What is on the wire at one device. The file is whole when this has been dropped.
#[derive(Debug)]
pub(super) struct Capture {
    stop: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Captures at a device of a host into HOST-DEVICE.pcap. Every packet from now on is in it.
    pub(super) fn start(host: &Host, device: &str, directory: &Path) -> Result<Self, LabError> {
        let path = directory.join(format!("{}-{device}.pcap", host.name()));
        let mut file = File::create(&path)
            .map(BufWriter::new)
            .map_err(LabError::system(format!("make {}", path.display())))?;
        let head: Vec<u8> = FILE_HEADER.into_iter().flat_map(u32::to_le_bytes).collect();
        file.write_all(&head).map_err(LabError::system(format!("write {}", path.display())))?;
        let doing = format!("{}: capture at {device}", host.name());
        let socket = host.run(|| open(device))?.map_err(LabError::system(doing))?;
        let (stop, missed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::Builder::new().name(format!("capture-{device}")).spawn({
            let (stop, missed) = (stop.clone(), missed.clone());
            move || {
                // A full disk: what is in the file can be read all the same, and the rest is missing.
                let (mut dropped, mut unwritten) = (0, 0);
                let _ = record(&socket, file, &stop, |more, written| {
                    dropped = more.unwrap_or(dropped);
                    unwritten += u64::from(!written);
                    missed.store(u64::from(dropped) + unwritten, Ordering::Relaxed);
                });
            }
        });
        let thread = thread.map_err(LabError::system("start the thread of a capture"))?;
        Ok(Self { stop, missed, thread: Some(thread) })
    }

    /// Packets that are not in the file, because it could not be written, or not as fast as they came.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet socket that sees one device of the namespace of the calling thread.
fn open(device: &str) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &CAPTURE_SOCKET_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &CAPTURE_SOCKET_BYTES)?;
    }
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    let addresses = getifaddrs()?.filter(|it| it.interface_name == device).filter_map(|it| it.address);
    let link = addresses.filter(|address| address.family() == Some(AddressFamily::Packet));
    let link = link.filter_map(|address| address.as_link_addr().copied()).next().ok_or(Errno::ENODEV)?;
    bind(socket.as_raw_fd(), &link)?;
    // What other devices brought before it was bound to this one.
    while receive(&socket, &mut [0; 1])?.is_some() {}
    Ok(socket)
}

/// A packet's time, its bytes in the buffer, and how many the socket has dropped up to it, if it says so.
type Seen = (Option<TimeSpec>, usize, Option<u32>);

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<Seen>, Errno> {
    let mut control = nix::cmsg_space!(TimeSpec, u32);
    let mut parts = [IoSliceMut::new(buffer)];
    match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
        Err(Errno::EAGAIN) => Ok(None),
        Err(Errno::EINTR | Errno::ENETDOWN) => Ok(Some((None, 0, None))),
        Err(error) => Err(error),
        Ok(message) => {
            let mut seen: Seen = (None, message.bytes, None);
            for part in message.cmsgs()? {
                match part {
                    ControlMessageOwned::ScmTimestampns(time) => seen.0 = Some(time),
                    ControlMessageOwned::RxqOvfl(dropped) => seen.2 = Some(dropped),
                    _ => {}
                }
            }
            Ok(Some(seen))
        }
    }
}

/// Writes packets until told to stop and nothing more is there. Tells of each how many the socket has dropped up to it, if it says so, and
/// whether it was written.
fn record(
    socket: &OwnedFd,
    mut file: BufWriter<File>,
    stop: &AtomicBool,
    mut tell: impl FnMut(Option<u32>, bool),
) -> io::Result<()> {
    let mut buffer = vec![0; CAPTURE_BYTES_MAX];
    let (mut stopping, mut whole) = (None, true);
    loop {
        if stopping.is_none() && stop.load(Ordering::Relaxed) {
            stopping = Some(Instant::now());
        }
        if stopping.is_some_and(|since| since.elapsed() > CAPTURE_DRAIN_MAX) {
            return file.flush();
        }
        match receive(socket, &mut buffer)? {
            Some((Some(time), length, dropped)) => {
                let head = [time.tv_sec() as u32, time.tv_nsec() as u32, length as u32, length as u32];
                let head = head.map(u32::to_le_bytes).concat();
                // After a packet that is not whole no reader finds the next.
                whole =
                    whole && file.write_all(&head).and_then(|()| file.write_all(&buffer[..length])).is_ok();
                tell(dropped, whole);
            }
            Some(_) => {}
            None => {
                // Readable at any moment, also when the process is killed at the next.
                if whole && file.flush().is_err() {
                    whole = false;
                    tell(None, whole);
                }
                if stopping.is_some() {
                    return Ok(());
                }
                let mut wait = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
                match poll(&mut wait, PollTimeout::from(CAPTURE_WAKE_MS)) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}
