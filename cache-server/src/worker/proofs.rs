//! What is known about requests besides what they say: cookies are judged once for those of one client that come together.

use std::net::{IpAddr, Ipv4Addr};

use shingle_proto::cookie::{Cookie, CookieKeys};
use shingle_proto::server::Facts;
use shingle_proto::wire::Telemetry;

/// Judges cookies at one moment, and keeps the last verdict: within a moment the same cookie from the same address is worth the
/// same.
pub(super) struct Proofs<'a> {
    keys: &'a CookieKeys,
    unix_s: u32,
    cookie: Option<Cookie>,
    ip: IpAddr,
    facts: Facts,
}

impl<'a> Proofs<'a> {
    /// `unix_s`: seconds since 1970.
    pub(super) fn new(keys: &'a CookieKeys, unix_s: u32, draining: bool) -> Self {
        let (cookie, ip) = (None, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let proof = keys.prove(cookie.as_ref(), ip, unix_s);
        Proofs { keys, unix_s, cookie, ip, facts: Facts { proof, draining, telemetry: None } }
    }

    /// The facts about a request with this cookie from this address. They stay where they are, as copies of them cost more than
    /// looking at them does.
    #[inline]
    pub(super) fn facts(
        &mut self,
        cookie: Option<&Cookie>,
        ip: IpAddr,
        telemetry: Option<Telemetry>,
    ) -> &Facts {
        if self.cookie.as_ref() != cookie || self.ip != ip {
            (self.cookie, self.ip) = (cookie.copied(), ip);
            self.facts.proof = self.keys.prove(cookie, ip, self.unix_s);
        }
        self.facts.telemetry = telemetry;
        &self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_one_cookie_of_one_address() {
        let keys = CookieKeys::new([7; 16]);
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let cookies = [Some(keys.make(one, 1000)), Some(keys.make(other, 1000)), Some(Cookie([9; 16])), None];
        let mut proofs = Proofs::new(&keys, 1000, false);
        // Every verdict after every other.
        for first in cookies {
            for second in cookies {
                for (cookie, ip) in [(first, one), (second, one), (second, other), (first, other)] {
                    let proof = proofs.facts(cookie.as_ref(), ip, None).proof;
                    assert_eq!(proof, keys.prove(cookie.as_ref(), ip, 1000));
                }
            }
        }
    }
}
