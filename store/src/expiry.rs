//! Time as the store sees it: whole seconds that the caller passes in.

/// Whole seconds since an epoch of the caller's choice, e.g. the start of the server. 32 bits last for 136
/// years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(pub u32);

/// How long an item lives, in seconds from the update on; 0 means for ever.
///
/// Both ends are cut to whole seconds, so an item may expire up to one second early, never late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ttl(pub u32);

impl Ttl {
    /// The item does not expire; it may still be evicted.
    pub const NEVER: Ttl = Ttl(0);
}

/// The second from which on an item is a miss; 0 stands for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(pub(crate) u32);

impl Expiry {
    pub(crate) const NEVER: Expiry = Expiry(0);

    /// Saturates at the last second there is.
    pub(crate) fn new(ttl: Ttl, now: Seconds) -> Expiry {
        Expiry(if ttl == Ttl::NEVER { 0 } else { now.0.saturating_add(ttl.0) })
    }

    /// The later of two; never is later than any second.
    pub(crate) fn later(self, other: Expiry) -> Expiry {
        if self == Expiry::NEVER || other == Expiry::NEVER {
            Expiry::NEVER
        } else {
            Expiry(self.0.max(other.0))
        }
    }

    pub(crate) fn is_past(self, now: Seconds) -> bool {
        self.0 != 0 && now.0 >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_on_the_second_and_zero_never() {
        let expiry = Expiry::new(Ttl(5), Seconds(10));
        assert!(!expiry.is_past(Seconds(14)));
        assert!(expiry.is_past(Seconds(15)));
        assert!(!Expiry::new(Ttl::NEVER, Seconds(10)).is_past(Seconds(u32::MAX)));
        let last = Expiry::new(Ttl(u32::MAX), Seconds(10));
        assert!(!last.is_past(Seconds(u32::MAX - 1)));
        assert!(last.is_past(Seconds(u32::MAX)));
    }
}
