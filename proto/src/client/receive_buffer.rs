//! The socket's receive buffer in numbers: what the kernel granted, and what it charges for a datagram.

/// Steps a [`ReceiveBuffer`] keeps.
const CHARGES_MAX: usize = 8;
/// `net.core.rmem_default` of Linux: what a socket has that asked for nothing.
const LINUX_GRANTED_BYTES: u32 = 212_992;
/// What Linux 6.18 charges on loopback: the memory a datagram lies in and its `sk_buff`, not its payload.
const LINUX_CHARGES: [Charge; 6] = [
    Charge { datagram_bytes_max: 199, charged_bytes: 832 },
    Charge { datagram_bytes_max: 647, charged_bytes: 1_280 },
    Charge { datagram_bytes_max: 1_671, charged_bytes: 2_304 },
    Charge { datagram_bytes_max: 3_719, charged_bytes: 4_352 },
    Charge { datagram_bytes_max: 7_815, charged_bytes: 8_448 },
    Charge { datagram_bytes_max: 16_007, charged_bytes: 16_640 },
];

/// One step: every datagram up to this size is charged so much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Largest datagram of the step; bytes of UDP payload.
    pub datagram_bytes_max: u16,
    /// What the kernel counts against the buffer for it; bytes (`truesize` of Linux).
    pub charged_bytes: u32,
}

/// How much a socket can hold until it is read: measured by the driver, handed to the core as numbers (section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    granted_bytes: u32,
    charges: [Charge; CHARGES_MAX],
    count: u8,
}

impl ReceiveBuffer {
    /// A buffer of `granted_bytes` (`SO_RCVBUF` as the kernel reports it, `SO_MEMINFO` index 1 on Linux) that charges datagrams in
    /// these rising steps. A datagram above the last step is charged in proportion to it, and its own length where there is no step.
    /// At most 8 steps are kept; one that does not rise above the step before it is left out.
    #[must_use]
    pub fn new(granted_bytes: u32, charges: &[Charge]) -> Self {
        let mut buffer = Self { granted_bytes, charges: [Charge::default(); CHARGES_MAX], count: 0 };
        for charge in charges {
            let at = usize::from(buffer.count);
            let rises = at == 0 || buffer.charges[at - 1].datagram_bytes_max < charge.datagram_bytes_max;
            if rises && charge.datagram_bytes_max > 0 && at < CHARGES_MAX {
                buffer.charges[at] = *charge;
                buffer.count += 1;
            }
        }
        buffer
    }

    /// What Linux grants a socket that asked for nothing, and charges on loopback: 212,992 B, and about twice the payload for
    /// datagrams of 1200 B and more.
    #[must_use]
    pub fn linux_default() -> Self {
        Self::linux(LINUX_GRANTED_BYTES)
    }

    /// `granted_bytes` with the charges of Linux on loopback, for drivers that did not measure their own.
    #[must_use]
    pub fn linux(granted_bytes: u32) -> Self {
        Self::new(granted_bytes, &LINUX_CHARGES)
    }

    /// Bytes the kernel granted.
    #[must_use]
    pub const fn granted_bytes(&self) -> u32 {
        self.granted_bytes
    }

    /// What a datagram of this size (UDP payload) is charged, at least 1.
    #[must_use]
    pub fn charge_of(&self, datagram_bytes: u16) -> u32 {
        let steps = &self.charges[..usize::from(self.count)];
        let step = steps.iter().find(|step| datagram_bytes <= step.datagram_bytes_max);
        let charged = match (step, steps.last()) {
            (Some(step), _) => step.charged_bytes,
            (None, None) => datagram_bytes.into(),
            (None, Some(last)) => {
                let charged = u64::from(last.charged_bytes) * u64::from(datagram_bytes);
                charged.div_ceil(last.datagram_bytes_max.into()).min(u32::MAX.into()) as u32
            }
        };
        charged.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_charged_by_its_step_and_beyond_the_last_in_proportion() {
        let linux = ReceiveBuffer::linux_default();
        let charged = [1, 199, 200, 1_200, 8_973, 16_007].map(|bytes| linux.charge_of(bytes));
        assert_eq!(charged, [832, 832, 1_280, 2_304, 16_640, 16_640]);
        assert_eq!(linux.charge_of(32_014), 2 * 16_640);
        assert_eq!(ReceiveBuffer::new(1, &[]).charge_of(1_200), 1_200);
    }

    #[test]
    fn steps_that_do_not_rise_are_left_out() {
        let step = |datagram_bytes_max, charged_bytes| Charge { datagram_bytes_max, charged_bytes };
        let buffer = ReceiveBuffer::new(1, &[step(0, 9), step(100, 300), step(100, 400), step(200, 500)]);
        assert_eq!([50, 100, 150].map(|bytes| buffer.charge_of(bytes)), [300, 300, 500]);
        let many: [Charge; 12] = core::array::from_fn(|nth| step(nth as u16 + 1, 10));
        assert_eq!(ReceiveBuffer::new(1, &many).charge_of(16), 20, "eight steps are kept");
    }
}
