//! What this host's socket buffer holds, in numbers for the core (PROTOCOL.md section 4.3): measured when the socket is
//! made, and put right by what real traffic is charged.

use std::io;

use shingle_proto::client::{Charge, ReceiveBuffer};
use shingle_udp::{RecvBatch, Socket, receive_charges};

use crate::limits::{CALIBRATED_DATAGRAM_BYTES, DATAGRAMS_PER_SAMPLE};

/// The numbers of one socket.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    granted_bytes: u32,
    charges: Vec<Charge>,
    /// Datagrams received since real traffic was last compared with the charges.
    unsampled: usize,
}

/// What the receive queue held before a receive, of one that is to be compared.
pub(crate) struct Sample {
    queued_bytes: u32,
}

impl ReceiveWindow {
    /// Asks the kernel what it granted `socket`, and measures on loopback what it charges. Where that is not possible (no
    /// loopback in this namespace) the charges of the core's `linux` stand until real traffic is seen.
    pub(crate) fn measure(socket: &Socket, v6: bool) -> io::Result<ReceiveWindow> {
        let granted_bytes = u32::try_from(socket.recv_buffer_granted_bytes()?).unwrap_or(u32::MAX);
        let usual = ReceiveBuffer::linux(granted_bytes);
        let sizes = CALIBRATED_DATAGRAM_BYTES.map(usize::from);
        let measured = receive_charges(v6, &sizes)
            .unwrap_or_else(|_| CALIBRATED_DATAGRAM_BYTES.map(|bytes| usual.charge_of(bytes)).to_vec());
        let steps = CALIBRATED_DATAGRAM_BYTES.into_iter().zip(measured);
        let charges = steps
            .map(|(datagram_bytes_max, charged_bytes)| Charge { datagram_bytes_max, charged_bytes })
            .collect();
        // The first receive is compared: the sooner another charge is known, the better.
        Ok(ReceiveWindow { granted_bytes, charges, unsampled: DATAGRAMS_PER_SAMPLE })
    }

    /// The numbers as the core takes them.
    pub(crate) fn buffer(&self) -> ReceiveBuffer {
        ReceiveBuffer::new(self.granted_bytes, &self.charges)
    }

    /// Looks at the queue before a receive, if it is time to; once in some hundred datagrams.
    pub(crate) fn before(&mut self, socket: &Socket) -> io::Result<Option<Sample>> {
        if self.unsampled < DATAGRAMS_PER_SAMPLE {
            return Ok(None);
        }
        let queued_bytes = socket.mem_info()?.recv_queue_bytes;
        Ok((queued_bytes > 0).then_some(Sample { queued_bytes }))
    }

    /// Compares what left the queue with what the charges say of the datagrams received; true when the charges
    /// were raised. They are never lowered: small datagrams of the path may lie in small buffers, the next
    /// ones in large ones.
    ///
    /// Only datagrams of one step tell its charge, and only a receive that emptied the queue: the kernel may give back what
    /// it charged a while later (`udp_rmem_release`, net/ipv4/udp.c). What arrived meanwhile makes the result too low, never
    /// too high.
    pub(crate) fn after(
        &mut self,
        sample: Option<Sample>,
        socket: &Socket,
        emptied: bool,
        received: &RecvBatch,
    ) -> io::Result<bool> {
        let count = received.iter().count();
        self.unsampled += count;
        let (Some(sample), true) = (sample, emptied) else { return Ok(false) };
        let mut steps = received.iter().map(|datagram| self.step(datagram.bytes.len()));
        let first = steps.next().flatten();
        let Some(at) = first.filter(|_| steps.all(|step| step == first)) else { return Ok(false) };
        self.unsampled = 0;
        let left_bytes = sample.queued_bytes.saturating_sub(socket.mem_info()?.recv_queue_bytes);
        Ok(self.raise(at, left_bytes / count as u32))
    }

    /// The step a datagram of this length is charged by.
    fn step(&self, length: usize) -> Option<usize> {
        self.charges.iter().position(|step| length <= step.datagram_bytes_max.into())
    }

    /// Raises step `at`, and those of larger datagrams, which are charged no less.
    fn raise(&mut self, at: usize, charged_bytes: u32) -> bool {
        let raised = self.charges[at].charged_bytes < charged_bytes;
        for step in &mut self.charges[at..] {
            step.charged_bytes = step.charged_bytes.max(charged_bytes);
        }
        raised
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use shingle_udp::SocketOptions;

    use super::*;

    /// A path that charges more than was measured, as a network card's driver may: here the measure is spoiled instead.
    #[test]
    fn real_traffic_puts_the_charges_right() {
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = Socket::bind(any, &SocketOptions::default()).unwrap();
        let mut window = ReceiveWindow::measure(&socket, false).unwrap();
        let measured = window.buffer().charge_of(1472);
        window.charges.iter_mut().for_each(|step| step.charged_bytes = 1);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut received = RecvBatch::new(4, 2000);
        for datagrams in [3, 1, 2] {
            for _ in 0..datagrams {
                sender.send_to(&[0; 1472], socket.local_addr().unwrap()).unwrap();
            }
            assert!(socket.wait(true, false, Duration::from_secs(5)).unwrap().readable);
            let sample = window.before(&socket).unwrap();
            received.recv(&socket).unwrap();
            let raised = window.after(sample, &socket, true, &received).unwrap();
            // The first comparison is due at once, the next one after some hundred datagrams.
            assert_eq!(raised, datagrams == 3);
        }
        // A delivery that was put off makes it less, never more.
        let corrected = window.buffer().charge_of(1472);
        assert!((1473..=measured).contains(&corrected), "{corrected} of {measured}");
        assert_eq!(window.buffer().charge_of(100), 1, "small datagrams have shown nothing");
    }

    #[test]
    fn charges_are_raised_for_larger_datagrams_and_never_lowered() {
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = Socket::bind(any, &SocketOptions::default()).unwrap();
        let mut window = ReceiveWindow::measure(&socket, false).unwrap();
        assert_eq!(window.buffer().granted_bytes() as usize, socket.recv_buffer_granted_bytes().unwrap());
        let before = [100, 1200, 1472, 8973].map(|bytes| window.buffer().charge_of(bytes));
        assert!(before.is_sorted() && before[1] > 1200, "{before:?}");
        assert!(!window.raise(2, before[2] - 1));
        assert_eq!([100, 1200, 1472, 8973].map(|bytes| window.buffer().charge_of(bytes)), before);
        assert!(window.raise(2, before[3] + 5));
        let after = [100, 1200, 1472, 8973].map(|bytes| window.buffer().charge_of(bytes));
        assert_eq!(after, [before[0], before[3] + 5, before[3] + 5, before[3] + 5]);
    }
}
