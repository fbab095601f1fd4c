//! What this kernel charges a receive buffer for a datagram of a given size, measured by sending some to oneself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::limits::{CALIBRATION_WAIT_MAX, MESSAGE_BYTES_MAX};
use crate::options::SocketOptions;
use crate::recv::RecvBatch;
use crate::send::SendBatch;
use crate::socket::Socket;

/// Bytes charged to the receive buffer (`truesize` of the socket buffer, `sk_rmem_alloc`) for one datagram of each of
/// `sizes_bytes`, in their order. Measured on the loopback of the family asked for, a datagram at a time, by SO_MEMINFO:
/// memory is given out in steps, so sizes between two of these are charged at most as the larger one.
///
/// Datagrams that come through a network card lie in its driver's buffers, whose size may be another: compare with
/// [`Socket::mem_info`] of real traffic.
///
/// # Errors
/// Whatever the kernel says about a socket on the loopback of that family; InvalidInput for a size above
/// [`MESSAGE_BYTES_MAX`]; TimedOut when the kernel did not deliver a datagram to its own sender.
pub fn receive_charges(v6: bool, sizes_bytes: &[usize]) -> io::Result<Vec<u32>> {
    let longest = sizes_bytes.iter().copied().max().unwrap_or_default();
    if longest > MESSAGE_BYTES_MAX {
        let text = format!("a datagram of {longest} bytes cannot be measured; at most {MESSAGE_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let loopback = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let socket = Socket::bind(SocketAddr::new(loopback, 0), &SocketOptions::default())?;
    let own = socket.local_addr()?;
    // Nobody else's datagrams are charged to a socket that is connected to itself.
    socket.connect(own)?;
    let payload = vec![0; longest];
    let mut incoming = RecvBatch::new(1, longest.max(1));
    let mut outgoing = SendBatch::new(1, 1, 0);
    let mut charge = |bytes: usize| -> io::Result<u32> {
        let before = socket.mem_info()?.recv_queue_bytes;
        send(&socket, &mut outgoing, own, &payload[..bytes])?;
        wait(&socket, bytes)?;
        let charged = socket.mem_info()?.recv_queue_bytes.saturating_sub(before);
        incoming.recv(&socket)?;
        Ok(charged)
    };
    sizes_bytes.iter().map(|bytes| charge(*bytes)).collect()
}

fn send(socket: &Socket, batch: &mut SendBatch, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
    let mut outgoing = batch.fill();
    let _has_room = outgoing.begin(to);
    outgoing.borrow(payload);
    outgoing.end(0).map_err(io::Error::other)?;
    let mut failure = None;
    outgoing.send(socket, &mut |_, error| failure = Some(error))?;
    failure.map_or(Ok(()), Err)
}

/// Loopback delivers before the send returns, unless the kernel is busy and puts the delivery off.
fn wait(socket: &Socket, bytes: usize) -> io::Result<()> {
    let mut waited = Duration::ZERO;
    while !socket.wait(true, false, CALIBRATION_STEP)?.readable {
        waited += CALIBRATION_STEP;
        if waited >= CALIBRATION_WAIT_MAX {
            let text = format!("a datagram of {bytes} bytes to oneself did not arrive within {waited:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    }
    Ok(())
}

/// A signal may end one wait early; the whole time is counted in these.
const CALIBRATION_STEP: Duration = Duration::from_millis(10);
