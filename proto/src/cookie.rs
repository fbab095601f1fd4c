//! Cookies: stateless proof that a client can be reached at its address (`PROTOCOL.md`, section 7; RFC 9018, section 4).

use core::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::limits::{COOKIE_AGE_S_MAX, COOKIE_AHEAD_S_MAX, COOKIE_RENEW_S};

/// First byte of every cookie of this version.
const COOKIE_VERSION: u8 = 1;

/// A server's cookie: opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(
    /// The bytes as they travel.
    pub [u8; 16],
);

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieState {
    /// Valid, and young enough to go on with.
    Valid,
    /// Valid, older than 1800 s: the answer carries a new one.
    Stale,
    /// Wrong address, wrong secret, too old, or too far in the future.
    Invalid,
}

/// What a server knows about the address a request came from, with the cookie to hand out where one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The address is proven.
    Valid,
    /// The address is proven by an old cookie; the answer carries this one.
    Stale(Cookie),
    /// The address is not proven: answers are no longer than their request, and a challenge carries this one.
    Missing(Cookie),
}

/// The server's secrets: the current one makes cookies, the current and the previous one check them.
#[derive(Clone, Copy)]
pub struct CookieKeys {
    current: SipHasher24,
    previous: SipHasher24,
}

impl core::fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CookieKeys { .. }")
    }
}

impl CookieKeys {
    /// Starts with one secret of 16 random bytes.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        let current = SipHasher24::new_with_key(&secret);
        CookieKeys { current, previous: current }
    }

    /// Makes cookies under `secret` from now on; those under the secret so far stay valid until the next rotation.
    pub fn rotate(&mut self, secret: [u8; 16]) {
        self.previous = self.current;
        self.current = SipHasher24::new_with_key(&secret);
    }

    /// A cookie for this address, made at `unix_s` (seconds since 1970; wraps as RFC 1982 serial numbers do).
    #[must_use]
    pub fn make(&self, ip: IpAddr, unix_s: u32) -> Cookie {
        let mut bytes = [0; 16];
        bytes[0] = COOKIE_VERSION;
        bytes[4..8].copy_from_slice(&unix_s.to_be_bytes());
        let tag = Claim::new(&bytes, ip).tag(&self.current);
        bytes[8..].copy_from_slice(&tag.to_be_bytes());
        Cookie(bytes)
    }

    /// Checks a cookie that came from this address. One or two SipHash rounds, no allocation; tags are compared as whole
    /// words, so that the time taken says nothing about how much of one was right.
    #[inline]
    #[must_use]
    pub fn check(&self, cookie: &Cookie, ip: IpAddr, unix_s: u32) -> CookieState {
        let [version, _, _, _, m0, m1, m2, m3, tag @ ..] = cookie.0;
        let age = unix_s.wrapping_sub(u32::from_be_bytes([m0, m1, m2, m3])).cast_signed();
        if version != COOKIE_VERSION
            || age > COOKIE_AGE_S_MAX.cast_signed()
            || age < -COOKIE_AHEAD_S_MAX.cast_signed()
        {
            return CookieState::Invalid;
        }
        let claim = Claim::new(&cookie.0, ip);
        let tag = u64::from_be_bytes(tag);
        if claim.tag(&self.current) != tag && claim.tag(&self.previous) != tag {
            return CookieState::Invalid;
        }
        if age > COOKIE_RENEW_S.cast_signed() { CookieState::Stale } else { CookieState::Valid }
    }

    /// Judges the cookie of a request, if it had one, and makes a new one where one is due.
    #[inline]
    #[must_use]
    pub fn prove(&self, cookie: Option<&Cookie>, ip: IpAddr, unix_s: u32) -> Proof {
        match cookie.map_or(CookieState::Invalid, |cookie| self.check(cookie, ip, unix_s)) {
            CookieState::Valid => Proof::Valid,
            CookieState::Stale => Proof::Stale(self.make(ip, unix_s)),
            CookieState::Invalid => Proof::Missing(self.make(ip, unix_s)),
        }
    }
}

/// What the tag is computed over: the cookie's first 8 bytes and the address.
struct Claim {
    bytes: [u8; 24],
    length: usize,
}

impl Claim {
    #[inline]
    fn new(cookie: &[u8; 16], ip: IpAddr) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&cookie[..8]);
        // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; the same client must get the same tag on either socket.
        let length = match ip.to_canonical() {
            IpAddr::V4(ip) => {
                bytes[8..12].copy_from_slice(&ip.octets());
                12
            }
            IpAddr::V6(ip) => {
                bytes[8..].copy_from_slice(&ip.octets());
                24
            }
        };
        Claim { bytes, length }
    }

    #[inline]
    fn tag(&self, key: &SipHasher24) -> u64 {
        key.hash(&self.bytes[..self.length])
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const NOW: u32 = 1_700_000_000;
    const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn keys() -> CookieKeys {
        CookieKeys::new(*b"0123456789abcdef")
    }

    #[test]
    fn a_cookie_ages_from_valid_to_stale_to_invalid() {
        let cookie = keys().make(IP, NOW);
        let at = |now: u32| keys().check(&cookie, IP, now);
        assert_eq!(at(NOW), CookieState::Valid);
        assert_eq!(at(NOW + 1800), CookieState::Valid);
        assert_eq!(at(NOW + 1801), CookieState::Stale);
        assert_eq!(at(NOW + 3600), CookieState::Stale);
        assert_eq!(at(NOW + 3601), CookieState::Invalid);
        assert_eq!(at(NOW - 300), CookieState::Valid, "another worker's clock is ahead");
        assert_eq!(at(NOW - 301), CookieState::Invalid);
        assert_eq!(at(NOW.wrapping_add(1 << 31)), CookieState::Invalid);
    }

    #[test]
    fn a_cookie_made_before_the_clock_wraps_is_valid_after() {
        let cookie = keys().make(IP, u32::MAX - 5);
        assert_eq!(keys().check(&cookie, IP, 100), CookieState::Valid);
    }

    #[test]
    fn a_cookie_is_worth_nothing_with_any_bit_changed() {
        let cookie = keys().make(IP, NOW);
        for bit in 0..128 {
            let mut changed = cookie;
            changed.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys().check(&changed, IP, NOW), CookieState::Invalid, "bit {bit}");
        }
    }

    #[test]
    fn a_cookie_is_bound_to_the_address() {
        let cookie = keys().make(IP, NOW);
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
        assert_eq!(
            keys().check(&cookie, mapped, NOW),
            CookieState::Valid,
            "the same client on a dual-stack socket"
        );
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
        assert_eq!(keys().check(&cookie, other, NOW), CookieState::Invalid);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(keys().check(&keys().make(v6, NOW), v6, NOW), CookieState::Valid);
        assert_eq!(keys().check(&cookie, v6, NOW), CookieState::Invalid);
    }

    #[test]
    fn cookies_survive_one_rotation_of_the_secret() {
        let mut keys = keys();
        let cookie = keys.make(IP, NOW);
        keys.rotate([1; 16]);
        assert_eq!(keys.check(&cookie, IP, NOW), CookieState::Valid);
        assert_ne!(keys.make(IP, NOW), cookie);
        keys.rotate([2; 16]);
        assert_eq!(keys.check(&cookie, IP, NOW), CookieState::Invalid);
    }

    #[test]
    fn a_new_cookie_is_made_where_one_is_due() {
        let keys = keys();
        let cookie = keys.make(IP, NOW);
        assert_eq!(keys.prove(Some(&cookie), IP, NOW), Proof::Valid);
        let later = NOW + 2000;
        assert_eq!(keys.prove(Some(&cookie), IP, later), Proof::Stale(keys.make(IP, later)));
        assert_eq!(keys.prove(None, IP, later), Proof::Missing(keys.make(IP, later)));
    }

    #[test]
    fn the_tag_is_siphash_2_4_over_the_bytes_of_section_7() {
        let cookie = keys().make(IP, NOW).0;
        let claim = [&cookie[..8], &[192, 0, 2, 7]].concat();
        let tag = SipHasher24::new_with_key(b"0123456789abcdef").hash(&claim);
        assert_eq!(cookie[8..], tag.to_be_bytes());
        assert_eq!(cookie[..8], [&[1, 0, 0, 0], NOW.to_be_bytes().as_slice()].concat());
    }
}
